"""Where in a clip episodes begin."""

import numpy as np
import pytest

from bunraku.imitation.phases import Phases, PhasesConfig


def test_starts_are_uniform_at_first_and_lie_within_the_clip():
    drawn = Phases.uniform(2.0, PhasesConfig(bins=4)).draw(40_000, np.random.default_rng(0))
    assert drawn.min() >= 0
    assert drawn.max() < 2.0
    assert np.histogram(drawn, 4, (0, 2))[0] / 40_000 == pytest.approx([0.25] * 4, abs=0.01)


def test_half_of_the_starts_go_to_where_episodes_begin_that_fail():
    phases = Phases.uniform(2.0, PhasesConfig(bins=4, uniform=0.5, memory=0.5))
    for _ in range(40):
        # What begins in the third quarter fails.
        phases = phases.after(np.array([0.1, 0.6, 1.2, 1.9]), np.array([False, False, True, False]))
    assert phases.failures[2] == pytest.approx(1.0)
    assert phases.failures[[0, 1, 3]] == pytest.approx(1e-4)
    drawn = phases.draw(40_000, np.random.default_rng(0))
    assert np.histogram(drawn, 4, (0, 2))[0] / 40_000 == pytest.approx([0.125, 0.125, 0.625, 0.125], abs=0.01)


def test_an_episode_counts_for_the_part_in_which_it_began():
    phases = Phases(PhasesConfig(bins=4, memory=0.9), 2.0, np.full(4, 0.5))
    assert phases.after(np.array([1.6]), np.array([True])).failures == pytest.approx([0.5, 0.5, 0.5, 0.55])
    assert phases.after(np.array([0.1]), np.array([False])).failures == pytest.approx([0.45, 0.5, 0.5, 0.5])
    # Two at once count one after the other, and the very end belongs to the last part.
    both = phases.after(np.array([2.0, 1.9]), np.array([True, True])).failures
    assert both == pytest.approx([0.5, 0.5, 0.5, 0.595])
