"""What clips see of characters."""

import numpy as np

from bunraku.imitation.character import build, open_character
from bunraku.imitation.physique import physique
from small_walker import walker, written


def test_bodies_of_several_hinges_count_as_balls_and_single_ones_as_hinges(tmp_path):
    body = physique(build(open_character(written(tmp_path))))
    assert set(body.hinge_axes) == {"torso", "left_shin", "right_shin", "left_foot", "right_foot"}
    assert body.ranges_rad["left_shin"] == (0, 2.6)
    assert body.feet == ("left_foot", "right_foot")
    assert not body.fixed


def test_a_hinge_that_continues_a_waist_counts_as_a_ball(tmp_path):
    chest = '<body name="chest" pos="0 0 .45"><joint axis="1 0 0"/><geom size=".1" mass="1"/></body></body>'
    text = walker().replace('size=".1" mass="15"/></body>', 'size=".1" mass="15"/>' + chest)
    body = physique(build(open_character(written(tmp_path, text))))
    assert "chest" not in body.hinge_axes
    # A knee is a limb's, whatever it hangs on.
    assert "left_shin" in body.hinge_axes


def test_a_forearm_without_a_hand_has_a_joint_at_its_end(tmp_path):
    arm = (
        '<body name="left_upper_arm" pos="0 .2 .3"><joint axis="1 0 0"/><joint axis="0 1 0"/>'
        '<geom type="capsule" fromto="0 0 0 0 0 -.2" size=".03" mass="1"/>'
        '<body name="left_lower_arm" pos="0 0 -.25"><joint axis="0 1 0"/>'
        '<geom size=".03" pos="0 0 -.1" mass="1"/><geom size=".03" pos="0 0 -.24" mass=".2"/></body></body>'
    )
    body = physique(build(open_character(written(tmp_path, walker("", legs=arm)))))
    bones = body.skeleton
    assert bones.names[-1] == "left_hand"
    assert "left_hand" in body.fixed
    assert bones.names[bones.parents[-1]] == "left_lower_arm"
    np.testing.assert_allclose(bones.rest_translation[-1], [0, 0, -0.24])


def test_what_the_file_says_of_names_is_handed_on(tmp_path):
    body = physique(build(open_character(written(tmp_path, config='[names]\ntorso = "spine"'))))
    assert body.names == {"torso": "spine"}
