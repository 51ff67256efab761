"""Environments that take turns."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.protocol import Launching
from bunraku.imitation.rollout import collect
from bunraku.imitation.shifts import Shifts
from bunraku.imitation.simulation import SimulationConfig
from nodding import environment
from pendulum import Pendulums


def wobbling(seed):
    rng = np.random.default_rng(seed)
    return lambda seen: (2.0 * rng.normal(size=(len(seen), 28))).astype(np.float32)


def two(threads=1):
    return Shifts([environment(simulation=SimulationConfig(threads=threads)) for _ in range(2)])


def test_each_shift_goes_its_own_way_as_it_would_by_itself():
    shifts = Shifts([Pendulums(3, episode_steps=5), Pendulums(2, episode_steps=5)])
    begun = shifts.reset(1)
    segment, _ = collect(shifts, begun, lambda seen: -seen[:, :1], 7)
    # The first is seeded as an environment by itself is.
    alone = Pendulums(3, episode_steps=5)
    other, _ = collect(alone, alone.reset(1), lambda seen: -seen[:, :1], 7)
    assert shifts.count == 5
    np.testing.assert_array_equal(segment.observations[:, :3], other.observations)
    np.testing.assert_array_equal(segment.truncated[:, :3], other.truncated)
    assert (segment.observations[0, 3:] != segment.observations[0, :2]).any()


def test_one_that_can_be_launched_is_concluded_once_and_in_turn():
    shifts = two()
    assert all(isinstance(each, Launching) for each in shifts.environments)
    shifts.reset(0)
    actions = wobbling(0)(np.zeros(8))
    shifts.launch(0, actions)
    shifts.launch(1, -actions)
    first, second = shifts.conclude(0), shifts.conclude(1)
    alone = environment()
    alone.reset(0)
    np.testing.assert_array_equal(first.observation, alone.step(actions).observation)
    assert (first.observation != second.observation).any()
    with pytest.raises(AssertionError, match="nothing was launched"):
        shifts.conclude(0)


def test_the_number_of_threads_changes_nothing():
    segments = []
    for threads in (1, 2):
        shifts = two(threads)
        segments.append(collect(shifts, shifts.reset(4), wobbling(1), 40)[0])
        for each in shifts.environments:
            each.close()
    one, other = segments
    assert one.ended.any()
    np.testing.assert_array_equal(one.observations, other.observations)
    np.testing.assert_array_equal(one.rewards, other.rewards)


def test_a_snapshot_goes_on_to_the_same_bits_though_some_have_just_begun():
    shifts = two()
    observation = shifts.reset(4)
    act, begun = wobbling(1), False
    for _ in range(60):
        segment, observation = collect(shifts, observation, act, 1)
        if segment.ended.any():
            begun = True
            break
    assert begun
    kept, other = shifts.snapshot(), two()
    np.testing.assert_array_equal(other.restore(kept), observation)
    one, _ = collect(shifts, observation, wobbling(2), 10)
    again, _ = collect(other, observation, wobbling(2), 10)
    np.testing.assert_array_equal(one.next_observations, again.next_observations)


def test_a_snapshot_of_another_number_of_shifts_is_refused():
    shifts = two()
    shifts.reset(0)
    with pytest.raises(BunrakuError):
        Shifts([environment()] * 3).restore(shifts.snapshot())
