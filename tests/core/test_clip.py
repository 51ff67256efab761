"""Clips: a time for every frame, whatever their distances."""

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton

SKELETON = skeleton(["hip", "knee"], [-1, 0], np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)))
QUATS = np.tile([2.0, 0, 0, 0], (3, 2, 1))


def make(**changes):
    whole = {"times_s": [1.0, 1.5, 3.0], "root_pos_w": np.zeros((3, 3)), "joint_quat": QUATS}
    return clip(SKELETON, **{**whole, **changes}, name="walk.bvh")


def test_times_start_at_zero_and_rates_may_differ_inside():
    made = make(loop="wrap")
    assert made.times_s.tolist() == [0, 0.5, 2]
    assert (made.frames, made.duration_s, made.loop) == (3, 2.0, "wrap")
    np.testing.assert_array_equal(made.joint_quat, QUATS / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times_s": []}, "no frames"),
        ({"times_s": [0, 0.5, 0.5]}, "times must increase"),
        ({"times_s": [0, 1.0, np.nan]}, "times must increase"),
        ({"root_pos_w": np.zeros((2, 3))}, r"root positions have shape \(2, 3\); expected \(3, 3\)"),
        ({"joint_quat": np.ones((3, 1, 4))}, r"joint quaternions have shape \(3, 1, 4\)"),
        ({"root_pos_w": np.array([[0, 0, 0], [0, np.inf, 0], [0, 0, 0]])}, "not finite at frame 1"),
        ({"joint_quat": QUATS * np.array([1, 0])[None, :, None]}, "'knee' has a quaternion of length 0 at frame 0"),
    ],
)
def test_a_bad_clip_is_refused_by_name(changes, message):
    with pytest.raises(BunrakuError, match=f"walk.bvh: .*{message}"):
        make(**changes)
