"""Clips as they are looked at."""

import numpy as np
import pytest

from bunraku.api.clip_showing import bones, mark_of, on_character
from bunraku.core.clip import clip
from bunraku.core.skeleton import skeleton
from bunraku.core.solid import surface
from bunraku.motion.problem import problem

TWO = skeleton(["root", "left_knee"], [-1, 0], np.array([[0, 0, 1.0], [0, 0.3, 0.4]]), np.tile([1.0, 0, 0, 0], (2, 1)))


def two_joints(frames: int = 20):
    quat = np.tile([1.0, 0, 0, 0], (frames, 2, 1))
    return clip(TWO, np.arange(frames) / 30, np.tile([0, 0, 1.0], (frames, 1)), quat)


def test_a_bone_reaches_from_a_joint_to_its_child():
    playback = bones(two_joints())
    (stick,) = (solid for solid in playback.solids if solid.kind == "cylinder")
    ends = surface(stick).positions + playback.body_pos_w[0, stick.joint]
    for joint in (0, 1):
        assert np.linalg.norm(ends - playback.body_pos_w[0, joint], axis=1).min() < 0.03


@pytest.mark.parametrize(
    ("where", "bodies", "rows"),
    [
        ("left_knee, frames 3–5, 9", (1,), [3, 4, 5, 9]),
        ("frame 7", (), [7]),
        ("root, frames 18–30 and 2 more places", (0,), [18, 19]),
        ("all joints", (), []),
    ],
)
def test_a_remark_is_marked_where_its_words_say(where: str, bodies: tuple[int, ...], rows: list[int]):
    mark = mark_of(problem("limit", where, 1.0, "rad", "says", "", 0.1), bones(two_joints()))
    assert mark.bodies == bodies
    assert mark.rows.tolist() == rows


def test_a_characters_bodies_stand_where_the_clip_has_its_joints():
    from bunraku.api import open_clip
    from bunraku.motion.pose import clip_pose

    made = open_clip("standing", "humanoid")
    playback = on_character(made, "humanoid")
    pos, _ = clip_pose(made)
    for name in ("root", "left_ankle", "right_wrist"):
        own, theirs = playback.body_names.index(name), made.skeleton.names.index(name)
        np.testing.assert_allclose(playback.body_pos_w[:, own], pos[:, theirs], atol=1e-9)
