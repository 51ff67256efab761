"""Forward kinematics, balls, hinges, clips at other times and in other axes."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.motion.pose import (
    at_times,
    ball_heights,
    clip_pose,
    fits,
    fitted,
    hinge_angles,
    hinge_quats,
    rest_pose,
    scaled,
    turned,
    world_pose,
)
from small_bodies import BACK, SHANK, THIGH, still, swinging, turn, walk

ONE = np.array([1.0, 0, 0, 0])


def test_an_arm_of_two_bones_by_hand():
    bones = skeleton(["a", "b", "c"], [-1, 0, 1], np.array([[9.0, 9, 9], [1, 0, 0], [2, 0, 0]]), np.tile(ONE, (3, 1)))
    quarter = quat_from_rotvec(np.array([0, 0, np.pi / 2]))
    pos, quat = world_pose(bones, np.array([[0, 0, 5.0]]), np.stack([quarter, quarter, ONE])[None])
    np.testing.assert_allclose(pos[0], [[0, 0, 5], [0, 1, 5], [-2, 1, 5]], atol=1e-12)
    assert geodesic_angle(quat[0, 2], quat_from_rotvec(np.array([0, 0, np.pi]))) < 1e-12


def test_the_rest_pose_stands_where_the_root_rests(humanoid):
    pos, _ = rest_pose(humanoid.skeleton)
    ankle = humanoid.skeleton.names.index("left_ankle")
    np.testing.assert_allclose(pos[ankle], [0, 0.084887, -THIGH - SHANK])


def test_soles_touch_the_ground_when_the_body_stands(humanoid):
    heights = ball_heights(still(2), humanoid)
    assert heights.shape == (2, len(humanoid.ball_joints))
    np.testing.assert_allclose(heights.min(axis=1), 0, atol=1e-12)


def test_hinge_angles_and_quaternions_are_inverse_beyond_half_a_turn():
    rest, axis = quat_from_rotvec(np.array([0.3, -0.2, 0.9])), np.array([0.6, 0, 0.8])
    angles = np.linspace(0, 5, 40)
    np.testing.assert_allclose(hinge_angles(hinge_quats(angles, rest, axis), rest, axis), angles, atol=1e-12)


def test_a_hinges_share_leaves_out_what_is_about_other_axes(humanoid):
    moved = turn(still(3), "left_knee", np.tile(-0.7 * BACK * -1, (3, 1)))
    quat = moved.joint_quat[:, humanoid.skeleton.names.index("left_knee")]
    np.testing.assert_allclose(hinge_angles(quat, ONE, BACK), 0.7)
    np.testing.assert_allclose(hinge_angles(quat, ONE, np.array([1.0, 0, 0])), 0, atol=1e-12)


def test_a_clip_at_its_own_times_is_itself_and_between_them_halfway():
    moved = swinging()
    again = at_times(moved, moved.times_s)
    assert geodesic_angle(again.joint_quat, moved.joint_quat).max() < 1e-12
    half = at_times(moved, (moved.times_s[:1] + moved.times_s[1:2]) / 2)
    whole = geodesic_angle(moved.joint_quat[0], moved.joint_quat[1])
    np.testing.assert_allclose(geodesic_angle(moved.joint_quat[0], half.joint_quat[0]), whole / 2, atol=1e-9)
    assert at_times(still(1), np.zeros(3)).frames == 3


def test_a_scene_that_is_turned_turns_every_joint_about_the_origin():
    moved = walk()
    quarter = quat_from_rotvec(np.array([0, 0, np.pi / 2]))
    before, after = clip_pose(moved)[0], clip_pose(turned(moved, quarter))[0]
    np.testing.assert_allclose(after, before[..., [1, 0, 2]] * [-1, 1, 1], atol=1e-12)


def test_a_scaled_clip_is_larger_everywhere():
    moved = walk()
    np.testing.assert_allclose(clip_pose(scaled(moved, 100.0))[0], 100 * clip_pose(moved)[0])


def test_a_clip_fits_only_joints_of_the_same_names_frames_and_bones(humanoid):
    moved = walk()
    assert fits(moved, humanoid)
    assert not fits(scaled(moved, 2.0), humanoid)
    bones = skeleton(
        [n.replace("knee", "kne") for n in moved.skeleton.names],
        moved.skeleton.parents,
        moved.skeleton.rest_translation,
        moved.skeleton.rest_quat,
    )
    other = type(moved)(bones, moved.times_s, moved.root_pos_w, moved.joint_quat, "wrap")
    with pytest.raises(BunrakuError, match="no joint 'right_knee'; it has: root, chest"):
        fitted(other, humanoid)
    with pytest.raises(BunrakuError, match="rest otherwise"):
        fitted(scaled(moved, 2.0), humanoid)
