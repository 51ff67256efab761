"""Linear models of the simulation near a clip, and the feedback that is best for them."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.imitation.linear_feedback import Experience, LinearModels, best_feedback, cost, deviation, spreads
from nodding import environment


def moved(made, **changes):
    """The deviation of characters after something about them was changed."""
    body, qpos, qvel = made.built.anatomy, made.simulation.qpos.copy(), made.simulation.qvel.copy()
    for what, value in changes.items():
        if what == "place":
            qpos[:, :3] += value
        elif what == "turn":
            qpos[:, body.quat_q[2]] = quat_multiply(qpos[:, body.quat_q[2]], quat_from_rotvec(np.tile(value, (8, 1))))
        elif what == "hinge":
            qpos[:, body.hinge_q[1]] += value
        elif what == "drift":
            qvel[:, :3] += value
    made.simulation.place(np.ones(8, bool), qpos, qvel)
    return deviation(made.following(), made.table.starts(made.times_s).qvel)


def test_a_character_on_the_clip_is_not_off_it():
    made = environment()
    made.reset(0)
    assert moved(made) == pytest.approx(np.zeros((8, 68)), abs=1e-9)


def test_each_deviation_has_its_place_and_its_unit():
    made = environment()
    made.reset(0)
    expected = np.zeros((8, 68))
    expected[:, :3], expected[:, 3 + 6 : 3 + 9], expected[:, 30 + 1] = (0.01, 0.02, 0.03), (0.1, 0.0, -0.1), 0.2
    expected[:, 34:37] = (0.3, 0.0, 0.1)
    changes = {"place": (0.01, 0.02, 0.03), "turn": np.array([0.1, 0.0, -0.1]), "hinge": 0.2, "drift": (0.3, 0, 0.1)}
    # What a joint that is turned does to its reference's spin is not looked at here.
    spins = np.r_[37:64]
    found = moved(made, **changes)
    found[:, spins] = 0.0
    assert found == pytest.approx(expected, abs=1e-9)
    assert len(spreads(made.built.anatomy)) == len(cost(made.built.anatomy, np.full(13, 1 / 13))) == 68


def system(phases, seed=0):
    rng = np.random.default_rng(seed)
    return LinearModels(
        0.5 * rng.normal(size=(phases, 4, 4)), rng.normal(size=(phases, 4, 2)), 0.1 * rng.normal(size=(phases, 4))
    )


def test_a_linear_system_is_found_from_what_was_seen_of_it():
    true, rng = system(1), np.random.default_rng(1)
    seen = Experience(1, np.full(4, 0.1), 2, loops=False)
    before, actions = 0.1 * rng.normal(size=(200, 4)), rng.normal(size=(200, 2))
    after = before @ true.a[0].T + actions @ true.b[0].T + true.c[0]
    seen.add(np.zeros(200, np.int64), before, actions, after, np.ones(200, bool))
    found = seen.models(ridge=1e-9)
    for name in ("a", "b", "c"):
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=1e-6)


def test_what_is_far_from_the_clip_or_does_not_count_teaches_nothing():
    rng = np.random.default_rng(1)
    one, other = (Experience(2, np.full(4, 0.1), 2, loops=True) for _ in range(2))
    before, actions, after = 0.1 * rng.normal(size=(50, 4)), rng.normal(size=(50, 2)), rng.normal(size=(50, 4))
    phase, counted = rng.integers(0, 2, 50), np.ones(50, bool)
    counted[30:] = False
    one.add(phase[:30], before[:30], actions[:30], after[:30], counted[:30])
    after[40] = np.nan
    other.add(phase, before, actions, after, counted)
    far = before + 100.0
    other.add(phase, far, actions, after, np.ones(50, bool))
    assert one.models().a == pytest.approx(other.models().a)


def test_phases_of_a_loop_borrow_across_its_seam_and_others_do_not():
    rng = np.random.default_rng(1)
    before, actions, after = 0.1 * rng.normal(size=(50, 4)), rng.normal(size=(50, 2)), rng.normal(size=(50, 4))
    for loops in (True, False):
        seen = Experience(3, np.full(4, 0.1), 2, loops=loops)
        seen.add(np.zeros(50, np.int64), before, actions, after, np.ones(50, bool))
        # Nothing was seen of the last phase but what its neighbours lend.
        assert np.any(seen.models().a[2]) == loops


def test_the_feedback_of_an_unchanging_system_is_that_of_the_riccati_equation():
    true = system(1, seed=3)
    still = LinearModels(true.a, true.b, np.zeros((1, 4)))
    made = best_feedback(still, np.array([1.0, 2.0, 3.0, 0.5]), loops=True, effort=0.3, discount=0.9, cycles=400)
    a, b, weight = 0.9**0.5 * true.a[0], 0.9**0.5 * true.b[0], np.diag([1.0, 2.0, 3.0, 0.5])
    later = solve_discrete_are(a, b, weight, 0.3 * np.eye(2))
    gain = -np.linalg.solve(0.3 * np.eye(2) + b.T @ later @ b, b.T @ later @ a)
    assert made.gains[0] == pytest.approx(gain, abs=1e-8)
    assert made.offsets[0] == pytest.approx(np.zeros(2))


def test_what_pushes_off_the_clip_is_answered_and_actions_are_bounded():
    push = LinearModels(np.eye(1)[None], np.eye(1)[None], np.array([[0.5]]))
    made = best_feedback(push, np.ones(1), loops=True, effort=1e-6, cycles=50)
    here = np.zeros(2, np.int64)
    assert made.actions(here, np.array([[0.0], [0.2]])) == pytest.approx(np.array([[-0.5], [-0.7]]), abs=1e-3)
    assert made.actions(here[:1], np.array([[9.0]])) == pytest.approx(-1.5)
