"""Rewards by hand."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.imitation import rewards
from bunraku.imitation.character import build, open_character
from bunraku.imitation.reference import Pose, fixed_pose
from bunraku.imitation.tracking import Tracking

ONE = np.array([1.0])


def tracked(name, qpos, qvel, previous=None, reference=None):
    built = build(open_character(name))
    wanted = fixed_pose(built).pose if reference is None else reference(built)
    qpos, qvel = np.atleast_2d(np.asarray(qpos, float)), np.atleast_2d(np.asarray(qvel, float))
    before = qpos if previous is None else np.atleast_2d(np.asarray(previous, float))
    weights = np.array(built.character.joint_weights)
    return Tracking(built.anatomy, weights, qpos, qvel, before, wanted, np.zeros(len(qpos)))


def test_the_pose_reward_is_one_at_the_reference_and_falls_with_the_angle():
    np.testing.assert_allclose(
        rewards.pose(np.array([[0.0], [0.5], [np.pi]]), ONE), [1, np.exp(-1), np.exp(-2 * np.pi)]
    )
    np.testing.assert_allclose(rewards.pose_squared(np.array([[0.5]]), ONE), [np.exp(-0.5)])
    weights = np.array([0.25, 0.75])
    np.testing.assert_allclose(rewards.pose_squared(np.array([[1.0, 2.0]]), weights), [np.exp(-2 * (0.25 + 3.0))])


def test_the_velocity_reward_is_of_squared_rates():
    np.testing.assert_allclose(rewards.velocity(np.array([[0.0], [2.0]]), ONE), [1, np.exp(-0.4)])


def test_effectors_and_centre_of_mass_are_in_metres():
    points = np.array([[[0.1, 0, 0], [0, 0.3, 0]]])
    np.testing.assert_allclose(rewards.effectors(points, np.zeros((1, 2, 3))), [np.exp(-40 * (0.01 + 0.09) / 2)])
    np.testing.assert_allclose(rewards.centre_of_mass(np.array([[0.3, 0, 0.4]]), np.zeros((1, 3))), [np.exp(-2.5)])


def test_the_bop_bags_reward_adds_six_and_four_tenths():
    result = rewards.bopbag_reward(tracked("bopbag", [[0.5], [-0.5]], [[2.0], [-2.0]]))
    np.testing.assert_allclose(result.total, [0.6 * np.exp(-1) + 0.4 * np.exp(-0.4)] * 2)
    assert result.terms.keys() == {"pose", "velocity"}


def test_a_whole_turn_is_no_angle():
    np.testing.assert_allclose(tracked("bopbag", [2 * np.pi + 0.1], [0.0]).angles, [[0.1]])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_quaternion_and_its_negative_are_the_same_rotation(sign):
    quat = sign * quat_from_rotvec(np.array([0.3, -0.4, 0.0]))
    result = tracked("bopbag6", [0, 0, 0, *quat], [0, 0, 0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(result.angles, [[0.5]])
    np.testing.assert_allclose(result.spins, [[3.0]])


def test_velocities_are_compared_in_one_frame():
    # Simulated a quarter turn about z ahead of the reference, both spinning about the world's x.
    def spinning(built):
        qpos = np.array([[0, 0, 0, 1.0, 0, 0, 0]])
        return Pose(built.anatomy, qpos, np.array([[0, 0, 0, 5.0, 0, 0]]))

    quarter = quat_from_rotvec(np.array([0, 0, np.pi / 2]))
    # The world's x is the turned body's −y.
    result = tracked("bopbag6", [0, 0, 0, *quarter], [0, 0, 0, 0, -5.0, 0], reference=spinning)
    np.testing.assert_allclose(result.spins, [[0.0]], atol=1e-12)


def test_the_papers_reward_has_its_four_weights():
    result = rewards.deepmimic_reward(tracked("bopbag2", [np.pi / 2, 0.0], [1.0, 3.0]))
    # The top lies at (1.1, 0, 0) in place of (0, 0, 1.1), the centre of mass at half of that.
    terms = [np.exp(-2 * (np.pi / 2) ** 2 / 2), np.exp(-0.1 * 5.0), np.exp(-40 * 2 * 1.21), np.exp(-10 * 2 * 0.55**2)]
    for value, name in zip(terms, ["pose", "velocity", "effectors", "centre_of_mass"], strict=True):
        np.testing.assert_allclose(result.terms[name], [value])
    np.testing.assert_allclose(result.total, [np.dot([0.65, 0.1, 0.15, 0.1], terms)])
    np.testing.assert_allclose(rewards.deepmimic_reward(tracked("bopbag2", [0, 0], [0, 0])).total, [1.0])


def test_the_literal_reward_takes_half_the_angle_and_degrees_of_one_frame():
    result = rewards.literal_reward(tracked("bopbag", [0.5], [9.0], previous=[0.5 - np.deg2rad(2.0)]))
    np.testing.assert_allclose(result.terms["pose"], [np.exp(-2 * 0.25)])
    np.testing.assert_allclose(result.terms["velocity"], [np.exp(-0.1 * 4.0)])
    np.testing.assert_allclose(result.total, [0.6 * np.exp(-0.5) + 0.4 * np.exp(-0.4)])


def test_the_literal_reward_pays_for_standing_still_anywhere_and_cancels_components():
    assert rewards.literal_reward(tracked("bopbag", [1.5], [0.0])).terms["velocity"].tolist() == [1.0]
    assert rewards.literal_velocity(np.zeros((1, 3)), np.array([[5.0, -5.0, 0.0]])).tolist() == [1.0]


def test_the_literal_pose_takes_the_far_way_round_for_a_negated_quaternion():
    quat = quat_from_rotvec(np.array([[0.2, 0, 0]]))
    np.testing.assert_allclose(rewards.literal_pose(quat), [np.exp(-0.2)])
    np.testing.assert_allclose(rewards.literal_pose(-quat), [np.exp(-2 * (np.pi - 0.1))])


def test_euler_angles_are_those_of_turns_about_x_then_y_then_z():
    from bunraku.core.rotations import quat_multiply

    angles = np.deg2rad([20.0, -30.0, 40.0])
    x, y, z = (quat_from_rotvec(angle * np.eye(3)[i]) for i, angle in enumerate(angles))
    np.testing.assert_allclose(rewards.euler_deg(quat_multiply(z, quat_multiply(y, x))[None]), [[20, -30, 40]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.array([1.0, np.nan]), "upright: gives nan for character 1; rewards must be finite"),
        (np.array(1.0), r"upright: gives rewards of shape \(\); expected \(2,\), one per character"),
    ],
)
def test_a_users_reward_that_is_no_number_is_refused(given, message):
    def upright(_):
        return given

    with pytest.raises(BunrakuError, match=message):
        rewards.users_reward(upright)(tracked("bopbag", [[0.0], [0.0]], [[0.0], [0.0]]))
