"""Simulated characters beside a clip, their rewards and what policies see, worked out by hand."""

import numpy as np
import pytest

from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.imitation.character import build, open_character
from bunraku.imitation.following import Following
from bunraku.imitation.following_observations import layout, observe
from bunraku.imitation.following_rewards import (
    following_reward,
    literal_following_reward,
    released_following_reward,
)
from bunraku.imitation.landmarks import landmarks, to_heading
from bunraku.imitation.motion_table import Moment


@pytest.fixture(scope="module")
def built():
    return build(open_character("humanoid"))


def moment_of(built, qpos, qvel=None):
    qvel = np.zeros((len(qpos), built.model.nv)) if qvel is None else qvel
    return Moment(qpos, qvel, landmarks(built.anatomy, qpos))


def following_of(built, qpos, qvel, moment):
    return Following(built.anatomy, np.array(built.character.joint_weights), qpos, qvel, moment)


def turned(built, qpos, yaw):
    """The whole pose about the world's z axis."""
    quat = quat_from_rotvec(np.array([[0.0, 0.0, yaw]]))
    qpos = qpos.copy()
    c, s = np.cos(yaw), np.sin(yaw)
    qpos[:, 0], qpos[:, 1] = c * qpos[:, 0] - s * qpos[:, 1], s * qpos[:, 0] + c * qpos[:, 1]
    qpos[:, 3:7] = quat_multiply(np.repeat(quat, len(qpos), axis=0), qpos[:, 3:7])
    return qpos


def posed(built, seed=0, count=3):
    rng = np.random.default_rng(seed)
    qpos = np.tile(built.reference_qpos, (count, 1))
    qpos[:, :2] += rng.normal(size=(count, 2))
    qpos[:, built.anatomy.quat_q] = quat_from_rotvec(rng.normal(size=(count, 9, 3)) * 0.4)
    qpos[:, built.anatomy.hinge_q] = rng.normal(size=(count, 4))
    return qpos


def test_a_character_that_is_where_the_clip_is_earns_1(built):
    qpos = posed(built)
    qvel = np.random.default_rng(1).normal(size=(3, built.model.nv))
    following = following_of(built, qpos, qvel, moment_of(built, qpos, qvel))
    assert following_reward(following).total == pytest.approx(1.0)
    assert literal_following_reward(following).total == pytest.approx(1.0)
    assert released_following_reward(following, np.zeros((3, 3))).total == pytest.approx(1.0)


def test_one_knee_off_by_half_a_radian_costs_what_the_formula_says(built):
    wanted = np.tile(built.reference_qpos, (1, 1))
    own = wanted.copy()
    own[:, built.anatomy.hinge_q[built.anatomy.rotations.index("left_knee")]] = -0.5
    still = np.zeros((1, built.model.nv))
    following = following_of(built, own, still, moment_of(built, wanted))
    terms = following_reward(following).terms
    assert terms["pose"][0] == pytest.approx(np.exp(-2 * (0.3 / 4.8) * 0.25))
    assert terms["velocity"][0] == pytest.approx(1.0)
    # The shank of .40987 m swings back by .5 rad about the knee; one of four end effectors moves.
    moved = 2 * 0.40987 * np.sin(0.25)
    assert terms["effectors"][0] == pytest.approx(np.exp(-40 * moved**2 / 4))
    # Shank (3 kg at .2 m) and foot (1 kg; its centre .045 before and .0225 under the ankle, at .40987).
    r = 3 * np.array([0, 0, -0.2]) + np.array([0.045, 0, -0.0225 - 0.40987])
    c, s = np.cos(0.5), np.sin(0.5)
    shift = (np.array([c * r[0] + s * r[2], 0, c * r[2] - s * r[0]]) - r) / 45
    assert terms["centre_of_mass"][0] == pytest.approx(np.exp(-10 * (shift**2).sum()))
    literal = literal_following_reward(following).terms
    assert literal["pose"][0] == pytest.approx(np.exp(-2 * 0.25))
    assert literal["effectors"][0] == pytest.approx(np.exp(-40 * moved**2))


def test_the_total_is_the_weighted_sum_of_the_terms(built):
    rng = np.random.default_rng(2)
    qvel = rng.normal(size=(3, built.model.nv)) * 0.1
    following = following_of(built, posed(built), qvel, moment_of(built, posed(built, seed=0) + 0.01))
    reward = following_reward(following)
    shares = {"pose": 0.65, "velocity": 0.1, "effectors": 0.15, "centre_of_mass": 0.1}
    assert reward.total == pytest.approx(sum(share * reward.terms[name] for name, share in shares.items()))


def test_end_effectors_are_compared_in_each_ones_own_heading_the_centre_of_mass_in_the_world(built):
    wanted = posed(built)
    own = turned(built, wanted, 0.7)
    own[:, :2] += [3.0, 1.0]
    still = np.zeros((3, built.model.nv))
    terms = following_reward(following_of(built, own, still, moment_of(built, wanted))).terms
    assert terms["effectors"] == pytest.approx(1.0)
    assert (terms["centre_of_mass"] < 1e-3).all()


def test_velocities_are_compared_as_vectors_not_by_their_length(built):
    qpos = np.tile(built.reference_qpos, (1, 1))
    own, wanted = np.zeros((1, built.model.nv)), np.zeros((1, built.model.nv))
    place = built.anatomy.rotations.index("chest") - len(built.anatomy.hinge_q)
    own[:, built.anatomy.quat_v[place]], wanted[:, built.anatomy.quat_v[place]] = [2.0, 0, 0], [0, 2.0, 0]
    terms = following_reward(following_of(built, qpos, own, moment_of(built, qpos, wanted))).terms
    assert terms["velocity"][0] == pytest.approx(np.exp(-0.1 * (0.5 / 4.8) * 8.0))


def test_the_released_rewards_root_term_is_what_its_formula_says(built):
    wanted = np.tile(built.reference_qpos, (1, 1))
    own, qvel = wanted.copy(), np.zeros((1, built.model.nv))
    own[:, 0] += 0.1
    qvel[:, :3], qvel[:, 3:6] = [0.5, 0, 0], [0, 0, 2.0]
    following = following_of(built, own, qvel, moment_of(built, wanted))
    terms = released_following_reward(following, np.array([[0.5, 0, 0]])).terms
    assert terms["root"][0] == pytest.approx(np.exp(-5 * (0.01 + 0.01 * 0.25 + 0.001 * 4)))
    assert terms["centre_velocity"][0] == pytest.approx(np.exp(-10 * 0.1 * 0.25))


def test_what_is_seen_does_not_depend_on_place_nor_on_the_direction_of_the_whole_scene(built):
    own, wanted = posed(built, seed=3), posed(built, seed=4)
    wanted[:, :2] = own[:, :2] + 0.2
    rng = np.random.default_rng(5)
    qvel, wanted_qvel = rng.normal(size=(2, 3, built.model.nv))
    share = np.array([0.1, 0.5, 0.9])

    def seen(yaw, shift):
        a, b = (turned(built, qpos, yaw) for qpos in (own, wanted))
        a[:, :2] += shift
        b[:, :2] += shift
        va, vb = qvel.copy(), wanted_qvel.copy()
        for v in (va, vb):
            v[:, :3] = to_heading(np.array([np.cos(-yaw), np.sin(-yaw)]), v[:, :3])
        return observe(following_of(built, a, va, moment_of(built, b, vb)), moment_of(built, b, vb), share)

    assert seen(1.1, np.array([4.0, -3.0])) == pytest.approx(seen(0.0, np.zeros(2)), abs=1e-5)


def test_the_layout_names_as_many_numbers_as_are_seen_and_errors_stand_where_it_says(built):
    own, wanted = np.tile(built.reference_qpos, (1, 1)), np.tile(built.reference_qpos, (1, 1))
    wanted[:, 0] += 0.25
    wanted[:, built.anatomy.hinge_q[built.anatomy.rotations.index("right_elbow")]] = 0.6
    still = np.zeros((1, built.model.nv))
    seen = observe(following_of(built, own, still, moment_of(built, wanted)), moment_of(built, wanted), np.zeros(1))
    slots, at = layout(built.anatomy), {}
    for slot in slots:
        at[slot.name] = slice(start := sum(s.size for s in slots[: len(at)]), start + slot.size)
    assert seen.shape == (1, sum(slot.size for slot in slots))
    assert seen[0, at["root.offset_h"]] == pytest.approx([0.25, 0, 0])
    assert seen[0, at["right_elbow.error"]] == pytest.approx([0.6])
    assert seen[0, at["root.height"]] == pytest.approx([0.881416], abs=1e-5)
    assert seen[0, at["phase"]] == pytest.approx([1.0, 0.0])
