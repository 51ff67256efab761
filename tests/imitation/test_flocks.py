"""Characters in parts: what comes out depends on the parts, not on who computes them."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.flocks import Flocks
from bunraku.imitation.rollout import Segment, at_once, collect, joined
from pendulum import Pendulums


def act(seen, rng):
    return rng.standard_normal((len(seen), 1)).astype(np.float32)


def collected(flocks, threads, seed=0):
    made = Flocks(Pendulums, 8, flocks, threads)
    made.reset(seed)
    made.collect(act, (seed, 1, 0), 5)
    return made, made.collect(act, (seed, 1, 1), 5)


def test_one_flock_is_the_environment_alone():
    _, segment = collected(1, 1)
    alone = Pendulums(8)
    observation = alone.reset(0)
    for update in range(2):
        rng = np.random.default_rng([0, 1, update])
        expected, observation = collect(alone, observation, lambda seen, rng=rng: act(seen, rng), 5)
    assert (segment.observations == expected.observations).all()
    assert (segment.rewards == expected.rewards).all()


def test_threads_change_nothing():
    (_, one), (_, two) = collected(4, 1), collected(4, 3)
    for name in ("observations", "actions", "rewards", "terminated", "truncated", "next_observations"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert one.terms == two.terms


def test_flocks_stand_side_by_side_and_are_not_copies_of_each_other():
    _, segment = collected(4, 1)
    assert segment.rewards.shape == (5, 8)
    assert not (segment.observations[0, :2] == segment.observations[0, 2:4]).all()


def test_flocks_go_on_from_a_snapshot():
    made, _ = collected(2, 2)
    kept = made.snapshot()
    after = made.collect(act, (0, 1, 2), 5)
    other = Flocks(Pendulums, 8, 2, 1)
    other.reset(77)
    other.restore(kept)
    again = other.collect(act, (0, 1, 2), 5)
    assert (again.observations == after.observations).all()
    assert (again.rewards == after.rewards).all()


def test_means_of_terms_are_weighted_by_the_characters():
    def segment(count, term):
        shape = (2, count)
        seen, flags = np.zeros((*shape, 1), np.float32), np.zeros(shape, bool)
        return Segment(seen, seen, np.full(shape, term), flags, flags, seen, {"pose": term}, 0.5)

    whole = joined([segment(1, 0.2), segment(3, 0.6)])
    assert whole.terms["pose"] == pytest.approx(0.5)
    assert whole.rewards[0] == pytest.approx([0.2, 0.6, 0.6, 0.6])
    assert whole.inference_s == 1.0


@pytest.mark.parametrize("flocks", [0, 3, 9])
def test_a_number_of_flocks_that_does_not_divide_the_characters_is_refused(flocks):
    with pytest.raises(BunrakuError, match=f"flocks = {flocks}: expected a number that divides the 8"):
        Flocks(Pendulums, 8, flocks, 1)


def test_work_at_once_comes_back_in_its_order_and_fails_as_it_would_alone():
    assert at_once(lambda: 1, lambda: 2, threads=2) == [1, 2]

    def fails():
        raise BunrakuError("no")

    with pytest.raises(BunrakuError, match="no"):
        at_once(lambda: 1, fails, threads=2)
