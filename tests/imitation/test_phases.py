"""Where in a clip episodes begin."""

import numpy as np
import pytest

from bunraku.imitation.phases import Phases, PhasesConfig


def test_starts_are_uniform_at_first_and_lie_within_the_clip():
    drawn = Phases.uniform(2.0, PhasesConfig(bins=4)).draw(40_000, np.random.default_rng(0))
    assert drawn.min() >= 0
    assert drawn.max() < 2.0
    assert np.histogram(drawn, 4, (0, 2))[0] / 40_000 == pytest.approx([0.25] * 4, abs=0.01)


def test_half_of_the_starts_go_where_episodes_fail():
    phases = Phases.uniform(2.0, PhasesConfig(bins=4, uniform=0.5, memory=0.5))
    for _ in range(40):
        # Begun and failed in the third quarter; those begun elsewhere last to their end.
        phases = phases.after(np.array([1.1, 0.1, 0.6, 1.6]), np.array([True, False, False, False]), np.full(4, 1.2))
    drawn = phases.draw(40_000, np.random.default_rng(0))
    share = np.histogram(drawn, 4, (0, 2))[0] / 40_000
    assert share[2] > 0.5
    assert (share > 0.12).all()


def test_a_failure_counts_where_it_began_and_where_it_ended_modulo_the_cycle():
    phases = Phases.uniform(2.0, PhasesConfig(bins=4, memory=0.9))
    calm = Phases(phases.cfg, 2.0, np.full(4, 0.5))
    after = calm.after(np.array([0.2]), np.array([True]), np.array([5.2])).failures
    assert after == pytest.approx([0.55, 0.5, 0.55, 0.5])


def test_no_part_is_ever_forgotten():
    phases = Phases.uniform(1.0, PhasesConfig(bins=2, memory=0.0))
    after = phases.after(np.array([0.1, 0.6]), np.array([False, False]), np.array([0.1, 0.6]))
    assert (after.failures > 0).all()
    assert after.draw(10, np.random.default_rng(0)).shape == (10,)
