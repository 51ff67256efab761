"""Policies that begin by imitating linear feedback."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from bunraku.imitation import primer
from bunraku.imitation.actor import Actor
from bunraku.imitation.character import open_character
from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
from bunraku.imitation.learner import PrimerConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.mimic.fitting import fitting_clip
from nodding import environment

CFG = PrimerConfig(rounds=2, starts=1, steps=10, lessons=2, lesson_steps=10, passes=20, minibatch=64)
POLICY = PolicyConfig((32,), (32,), "elu", 0.2)


def primed(cfg=CFG, seed=0):
    made, other = environment(count=64), environment(count=16)
    actor = Actor(made.observation_size, made.action_size, POLICY, np.random.default_rng(1))
    return primer.prime(made, other, actor, cfg, np.random.default_rng(seed)), actor


@pytest.fixture
def strict(monkeypatch):
    """No feedback is good enough, nor given up early."""
    monkeypatch.setattr(primer, "_GOOD", -1.0)
    monkeypatch.setattr(primer, "_NEAR", -1.0)


def test_a_feedback_is_kept_where_it_holds_the_character_and_the_policy_then_does_as_it_does(monkeypatch):
    monkeypatch.setattr(primer, "_NEAR", 10.0)
    monkeypatch.setattr(primer, "_GOOD", -1.0)
    result, actor = primed()
    assert result.kept
    assert len(result.feedback) == 2
    fresh = Actor(175, 28, POLICY, np.random.default_rng(1))
    assert (actor.parameters != fresh.parameters).any()
    assert actor.normaliser.count == 2 * 10 * 64
    # The deviation belongs to the exploration, not to the lessons.
    np.testing.assert_array_equal(actor.log_deviation, fresh.log_deviation)


def test_one_that_does_not_leaves_the_policy_as_it_was(strict):
    result, actor = primed()
    assert not result.kept
    fresh = Actor(175, 28, POLICY, np.random.default_rng(1))
    np.testing.assert_array_equal(actor.parameters, fresh.parameters)
    assert actor.normaliser.count == 0


def test_every_control_step_is_counted(strict):
    result, _ = primed()
    # 30 phases of a second: 4 · (68 + 28) steps for each, rounded up to whole batches; three exams; one practice.
    explored = -(-4 * 96 * 30 // 64) * 64
    assert result.samples == explored + 3 * 150 * 16 + 64 * 10


def test_a_feedback_that_is_good_enough_ends_the_search(monkeypatch):
    monkeypatch.setattr(primer, "_GOOD", 10.0)
    monkeypatch.setattr(primer, "_NEAR", -1.0)
    assert len(primed(replace(CFG, rounds=5))[0].feedback) == 1


def test_the_generator_decides_everything():
    (one, actor), (again, same), (other, _) = primed(), primed(), primed(seed=1)
    assert asdict(one) == asdict(again)
    np.testing.assert_array_equal(actor.parameters, same.parameters)
    assert one.feedback != other.feedback


def test_feedback_keeps_a_march_going_where_servos_alone_fall():
    humanoid = open_character("humanoid")
    clip = fitting_clip("marching", humanoid, mend=False).clip
    made, other = (ClipEnvironment(humanoid, clip, ClipConfig(count=count)) for count in (128, 32))
    actor = Actor(made.observation_size, made.action_size, POLICY, np.random.default_rng(1))
    cfg = replace(CFG, rounds=3, starts=3, steps=25, lessons=1, passes=1)
    result = primer.prime(made, other, actor, cfg, np.random.default_rng(0))
    assert result.no_action < 0.6 < max(result.feedback)
