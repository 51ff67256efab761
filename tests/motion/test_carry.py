"""From whatever a clip comes in to a clip that a character can be trained on."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.formats.clip import load_clip
from bunraku.motion.carry import carry, check_for, warnings
from bunraku.motion.check import check
from bunraku.motion.pose import clip_pose, scaled, turned
from bunraku.motion.retarget import RetargetConfig, retarget
from small_bodies import body_on, other_body, swinging, walk


def test_a_clip_in_other_axes_units_and_joints_arrives_as_it_was(humanoid):
    bones, named = other_body()
    foreign = retarget(walk(), body_on(bones, named), cfg=RetargetConfig(ground=False)).clip
    foreign = scaled(turned(foreign, quat_from_rotvec(np.array([-np.pi / 2, 0, 0]))), 100)
    arrived = carry(foreign, humanoid)
    np.testing.assert_allclose(clip_pose(arrived.clip)[0], clip_pose(walk())[0], atol=1e-6)
    assert arrived.retargeted is not None
    assert any("up" in note for note in arrived.notes)
    assert any("carried over by 13 joints" in note for note in arrived.notes)


def test_a_clip_on_the_characters_joints_is_not_carried_over(humanoid):
    arrived = carry(swinging(), humanoid)
    assert arrived.retargeted is None
    assert arrived.notes == ()
    assert carry(swinging(), humanoid, mended=False).clip.skeleton is humanoid.skeleton


def test_a_foreign_clip_is_judged_as_the_character_would_take_it(humanoid):
    bones, named = other_body()
    foreign = retarget(walk(), body_on(bones, named), cfg=RetargetConfig(ground=False)).clip
    report, carried = check_for(foreign, humanoid)
    assert {each.kind for each in report.problems} == {"other_skeleton"}
    assert warnings(report) == ()
    assert carried.retargeted.limb_error_deg < 1e-6
    report, carried = check_for(walk(), humanoid)
    assert (report.problems, carried) == ((), None)


def test_a_clip_whose_names_say_nothing_is_reported_not_refused(humanoid):
    bones = replace(humanoid.skeleton, names=tuple(f"b{i}" for i in range(15)))
    report, carried = check_for(replace(walk(), skeleton=bones), humanoid)
    assert carried is None
    assert report.problems[0].kind == "missing_joint"
    assert "left_knee" in report.problems[0].where


def test_an_unknown_joint_in_the_map_is_refused(humanoid):
    with pytest.raises(BunrakuError, match="no joint 'left_nee'"):
        carry(walk(), humanoid, {"left_knee": "left_nee"})


@pytest.mark.parametrize("name", ["12_01.bvh", "02_01.amc"])
def test_captured_takes_arrive_clean(name, humanoid, data_dir):
    arrived = carry(load_clip(data_dir / "clips" / "cmu" / name), humanoid)
    assert {each.kind for each in check(arrived.clip, humanoid).problems} <= {"sliding"}
