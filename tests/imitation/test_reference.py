"""A pose and a clip through one interface."""

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import skeleton
from bunraku.imitation.character import build, open_character
from bunraku.imitation.reference import clip_reference, fixed_pose

TIMES = [0.0, 0.1, 0.3, 0.35]
"""Uneven, as in files."""


def made_clip(names, rotvecs, loop="none", times=TIMES):
    bones = skeleton(
        names, [-1] + [0] * (len(names) - 1), np.zeros((len(names), 3)), np.tile([1.0, 0, 0, 0], (len(names), 1))
    )
    return clip(bones, times, np.zeros((len(times), 3)), quat_from_rotvec(np.asarray(rotvecs, float)), loop)


def nodding(loop="none"):
    """About y: 0, .2, .3 and .9 rad."""
    return made_clip(["bag"], [[[0, a, 0]] for a in (0.0, 0.2, 0.3, 0.9)], loop)


def test_the_pose_is_the_same_at_all_times():
    built = build(open_character("bopbag2"))
    reference = fixed_pose(built)
    pose = reference.at(np.array([0.0, 5.0]))
    assert (pose.qpos.tolist(), pose.qvel.tolist()) == ([[0, 0]], [[0, 0]])
    assert (reference.duration_s, reference.loops) == (0.0, False)
    effectors, centre = pose.landmarks
    np.testing.assert_allclose(effectors, [[[0, 0, 1.1]]])
    np.testing.assert_allclose(centre, [[0, 0, (0.275 + 0.825) / 2]])


def test_a_hinge_follows_the_clip_between_frames_and_holds_its_end():
    reference = clip_reference(build(open_character("bopbag")), nodding())
    pose = reference.at(np.array([0.05, 0.1, 0.2, 0.34, 7.0]))
    np.testing.assert_allclose(pose.qpos[:, 0], [0.1, 0.2, 0.25, 0.78, 0.9])
    np.testing.assert_allclose(pose.qvel[:, 0], [2.0, 0.5, 0.5, 12.0, 0.0])


def test_a_loop_begins_again_and_its_seam_has_no_velocity_of_its_own():
    reference = clip_reference(build(open_character("bopbag")), nodding("wrap"))
    pose = reference.at(np.array([0.3499999, 0.35, 0.4]))
    np.testing.assert_allclose(pose.qpos[:, 0], [0.9, 0.0, 0.1], atol=2e-6)
    # From .9 back to 0 in no time: what is seen is the segment before it, then the one after.
    np.testing.assert_allclose(pose.qvel[:, 0], [12.0, 2.0, 2.0])


def test_a_ball_turns_along_the_arc_with_its_velocity_in_its_own_frame():
    built = build(open_character("bopbag6"))
    first, step = np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.2, -0.3])
    second = quat_multiply(quat_from_rotvec(first), quat_from_rotvec(step))
    bones = skeleton(["ball"], [-1], np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]))
    # The second frame's quaternion has the other sign: the same rotation.
    quats = np.stack([quat_from_rotvec(first), -second])[:, None]
    reference = clip_reference(built, clip(bones, [0.0, 0.5], np.zeros((2, 3)), quats))
    pose = reference.at(np.array([0.25]))
    wanted = quat_multiply(quat_from_rotvec(first), quat_from_rotvec(step / 2))
    np.testing.assert_allclose(pose.qpos[0, 3:], wanted, atol=1e-12)
    np.testing.assert_allclose(pose.qvel[0, 3:], step / 0.5, atol=1e-12)
    assert (pose.qpos[0, :3] == 0).all()


def test_one_frame_is_a_pose_at_rest():
    reference = clip_reference(build(open_character("bopbag")), made_clip(["bag"], [[[0, 0.4, 0]]], times=[0.0]))
    pose = reference.at(np.array([0.0, 3.0]))
    np.testing.assert_allclose(pose.qpos, [[0.4], [0.4]])
    assert (pose.qvel == 0).all()


def test_a_hinge_beyond_half_a_turn_stays_on_its_branch():
    angles = [0.0, 1.5, 3.0, 4.5]
    reference = clip_reference(build(open_character("bopbag")), made_clip(["bag"], [[[0, a, 0]] for a in angles]))
    np.testing.assert_allclose(reference.qpos[:, 0], angles)


def test_a_clip_of_another_skeleton_is_refused_with_the_bodies_there_are():
    with pytest.raises(BunrakuError, match="no joint 'hip'; walk names none of the bodies, which are: lower, upper"):
        clip_reference(build(open_character("bopbag2")), made_clip(["hip"], [[[0, 0, 0]]] * 4), "walk")
