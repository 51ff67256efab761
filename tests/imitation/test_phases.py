"""Where in a clip episodes begin."""

import numpy as np
import pytest

from bunraku.imitation.phases import Phases, PhasesConfig


def test_starts_are_uniform_at_first_and_lie_within_the_clip():
    drawn = Phases.uniform(2.0, True, PhasesConfig(bins=4)).draw(40_000, np.random.default_rng(0))
    assert drawn.min() >= 0
    assert drawn.max() < 2.0
    assert np.histogram(drawn, 4, (0, 2))[0] / 40_000 == pytest.approx([0.25] * 4, abs=0.01)


def test_half_of_the_starts_go_to_where_episodes_fail_and_a_little_before():
    phases = Phases.uniform(2.0, True, PhasesConfig(bins=4, uniform=0.5, memory=0.5, before_s=0.1))
    for _ in range(40):
        # They pass all parts; what fails, fails in the third quarter.
        phases = phases.after(np.array([0.1, 0.1]), np.array([True, False]), np.array([1.2, 1.9]))
    assert phases.failures[2] > 0.3
    assert phases.failures[[0, 1, 3]] == pytest.approx(1e-4)
    drawn = phases.draw(40_000, np.random.default_rng(0))
    inside = (drawn > 0.9) & (drawn < 1.5)
    assert inside.mean() > 0.6
    assert (np.histogram(drawn, 4, (0, 2))[0] / 40_000 > 0.12).all()


def test_an_episode_counts_for_the_parts_it_passed_over_the_seam_too_and_each_once():
    phases = Phases(PhasesConfig(bins=4, memory=0.9), 2.0, True, np.full(4, 0.5))
    # From the fourth quarter over the seam to the second quarter, where it fails.
    after = phases.after(np.array([1.6]), np.array([True]), np.array([2.7])).failures
    assert after == pytest.approx([0.45, 0.55, 0.5, 0.45])
    # Ten cycles and out of time: all parts passed, each once.
    after = phases.after(np.array([0.1]), np.array([False]), np.array([20.1])).failures
    assert after == pytest.approx([0.45] * 4)


def test_starts_before_the_first_frame_of_a_clip_that_does_not_loop_are_at_it():
    phases = Phases(PhasesConfig(bins=2, uniform=0.0, before_s=5.0), 1.0, False, np.array([1.0, 1e-4]))
    drawn = phases.draw(1000, np.random.default_rng(0))
    assert (drawn >= 0).all()
    assert (drawn == 0).mean() > 0.8
    looped = Phases(phases.cfg, 1.0, True, phases.failures).draw(1000, np.random.default_rng(0))
    assert ((looped >= 0) & (looped < 1)).all()
    assert looped.std() > 0.2
