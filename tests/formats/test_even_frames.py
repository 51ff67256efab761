import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.formats.even_frames import evenly, frame_time_s

ONE = skeleton(["root"], [-1], np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]))


def turning(times):
    times = np.array(times)
    quat = quat_from_rotvec(np.stack([0 * times, 0 * times, times], axis=1))[:, None]
    return clip(ONE, times, np.stack([times, 2 * times, 0 * times], axis=1), quat, "wrap")


def test_even_frames_are_left_as_they_are():
    made = turning([0, 0.1, 0.2, 0.3])
    assert evenly(made) is made
    assert frame_time_s(made) == pytest.approx(0.1)
    single = turning([0.0])
    assert (evenly(single), frame_time_s(single)) == (single, 1 / 30)


def test_uneven_frames_are_interpolated_in_place_and_rotation():
    even = evenly(turning([0, 0.1, 0.3, 0.4, 0.5]))  # a frame of a steady motion is missing
    np.testing.assert_allclose(even.times_s, np.arange(6) / 10, atol=1e-15)
    np.testing.assert_allclose(even.root_pos_w[:, 1], np.arange(6) / 5, atol=1e-15)
    np.testing.assert_allclose(geodesic_angle(even.joint_quat[1:], even.joint_quat[:-1]), 0.1, atol=1e-12)
    assert even.loop == "wrap"


def test_two_frames_very_far_from_a_third_do_not_ask_for_many():
    assert evenly(turning([0, 1e-9, 1.0])).frames <= 3
