"""Evaluation by controllers whose fate is known."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import open_character
from bunraku.imitation.controllers import no_action, pd_controller
from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.evaluate import EvaluateConfig, evaluate
from bunraku.imitation.start import StartConfig

STILL = StartConfig(tilt_rad=0.0, bend_rad=0.0, spin_rad_s=0.0)


@pytest.fixture(scope="module")
def bag():
    return open_character("bopbag")


def maker(bag, start=None, fall_rad=None, reward="auto"):
    def make(count, episode_s):
        cfg = EnvironmentConfig(count, episode_s, reward, fall_rad, start or StartConfig(0.5))
        return SimulatedEnvironment(bag, cfg)

    return make


def test_who_stands_perfectly_still_has_return_1(bag):
    done = evaluate(no_action(bag), maker(bag, STILL), EvaluateConfig(3, 1.0))
    # Upright to the last digit, the bag has nothing that tips it over.
    assert done.normalized_return == pytest.approx(1.0, abs=1e-9)
    assert done.normalized_return_literal == pytest.approx(1.0, abs=1e-9)
    assert (done.standing, done.full_episodes, done.mean_episode_s) == (1.0, 1.0, 1.0)
    assert done.terms == pytest.approx({"pose": 1.0, "velocity": 1.0})


def test_a_spring_stands_and_nothing_lies(bag):
    cfg = EvaluateConfig(8, 6.0)
    spring, nothing = (evaluate(make(bag), maker(bag), cfg) for make in (pd_controller, no_action))
    assert spring.standing == 1.0
    assert nothing.standing == 0.0
    assert spring.normalized_return > 0.9 > 0.6 > nothing.normalized_return
    # Who lies still is paid .4 for it, and .6·exp(−2·π/2) for its pose.
    assert nothing.normalized_return > 0.4 + 0.6 * np.exp(-np.pi) - 0.05


def test_an_episode_that_ends_early_earns_nothing_afterwards(bag):
    start = StartConfig(tilt_rad=0.5, spin_rad_s=0.0)
    cfg = EvaluateConfig(8, 5.0)
    done = evaluate(no_action(bag), maker(bag, start, fall_rad=1.2), cfg)
    assert (done.full_episodes, done.standing) == (0.0, 0.0)
    assert 0 < done.mean_episode_s < 4
    assert done.normalized_return < done.mean_episode_s / 5.0
    assert done.task_return == pytest.approx(done.normalized_return)
    # The means of the terms are over the steps survived, and give the return again.
    mean = 0.6 * done.terms["pose"] + 0.4 * done.terms["velocity"]
    assert done.normalized_return == pytest.approx(mean * done.mean_episode_s / 5.0)


def test_the_score_does_not_depend_on_the_reward_that_was_trained_for(bag):
    cfg = EvaluateConfig(4, 2.0)
    first, literal = (evaluate(pd_controller(bag), maker(bag, reward=r), cfg) for r in ("bopbag", "literal"))
    assert first.normalized_return == literal.normalized_return
    assert first.normalized_return_literal == literal.normalized_return_literal == literal.task_return
    assert first.task_return == first.normalized_return


def test_the_same_seed_gives_the_same_starts(bag):
    results = [evaluate(pd_controller(bag), maker(bag), EvaluateConfig(4, 1.0, seed)) for seed in (1, 1, 2)]
    assert results[0].normalized_return == results[1].normalized_return != results[2].normalized_return


def test_no_episodes_and_no_time_are_refused(bag):
    with pytest.raises(BunrakuError, match="episodes = 0: expected at least 1"):
        evaluate(no_action(bag), maker(bag), EvaluateConfig(episodes=0))
    with pytest.raises(BunrakuError, match="episode_s = 0"):
        evaluate(no_action(bag), maker(bag), EvaluateConfig(episode_s=0.0))
