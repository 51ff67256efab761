import math

import numpy as np
import pytest
from scipy.stats import norm

from bunraku.imitation.learner import PPOConfig
from bunraku.imitation.network import Dense
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.ppo import (
    PPO,
    adapted_rate,
    advantages,
    critic_loss,
    discounted,
    divergence,
    log_density,
    surrogate_loss,
)
from bunraku.imitation.rollout import Segment

CFG = PolicyConfig((16,), (16,), "tanh", deviation=0.5)


def column(*values):
    return np.array(values, float)[:, None]


def test_advantages_of_a_short_episode_by_hand():
    # γ = .5, λ = .5; V = 1, 2, 3; the last state is worth 4.
    # δ = 1 + .5·2 − 1, 1 + .5·3 − 2, 1 + .5·4 − 3 = 1, .5, 0;  A_2 = 0, A_1 = .5, A_0 = 1 + .25·.5
    never = np.zeros((3, 1), bool)
    result = advantages(column(1, 1, 1), column(1, 2, 3), column(2, 3, 4), never, 0.5, 0.5)
    np.testing.assert_allclose(result, column(1.125, 0.5, 0))


def test_advantages_stop_at_a_termination_and_at_a_time_out_but_only_the_latter_is_worth_more():
    ended = np.array([[False], [True], [False]])
    # Terminated at 1: δ_1 = 1 − 2 = −1. Timed out there in a state worth 3: δ_1 = 1 + .5·3 − 2 = .5.
    for after, second in ((0.0, -1.0), (3.0, 0.5)):
        result = advantages(column(1, 1, 1), column(1, 2, 3), column(2, after, 4), ended, 0.5, 0.5)
        np.testing.assert_allclose(result, column(1 + 0.25 * second, second, 0))


def test_with_a_trace_of_one_advantages_are_discounted_sums_less_the_value():
    rewards, values = np.random.default_rng(0).normal(size=(2, 6, 3))
    after = np.concatenate([values[1:], np.zeros((1, 3))])
    result = advantages(rewards, values, after, np.zeros((6, 3), bool), 0.9, 1.0)
    sums = [sum(0.9 ** (k - t) * rewards[k] for k in range(t, 6)) for t in range(6)]
    np.testing.assert_allclose(result + values, sums)


def test_density_and_divergence_are_those_of_gaussians():
    mean, other, actions = np.random.default_rng(0).normal(size=(3, 7, 2))
    log_old, log_new = np.array([-0.5, 0.3]), np.array([0.2, -0.1])
    old, new = norm(mean, np.exp(log_old)), norm(other, np.exp(log_new))
    np.testing.assert_allclose(log_density(mean, log_old, actions), old.logpdf(actions).sum(-1))
    # KL is the old policy's mean of log(old/new); by a fine sum, one component at a time.
    x = np.linspace(-12, 12, 40_001)[:, None, None]
    integral = (old.pdf(x) * (old.logpdf(x) - new.logpdf(x))).sum(axis=0) * (x[1] - x[0])
    np.testing.assert_allclose(divergence(mean, log_old, other, log_new), integral.sum(-1), rtol=1e-6)


def test_the_surrogate_pays_no_more_beyond_the_clip_but_does_not_forgive():
    ratio, advantage = np.array([1.5, 1.5, 0.5, 0.5]), np.array([1.0, -1.0, 1.0, -1.0])
    loss, gradient = surrogate_loss(ratio, advantage, 0.2)
    # min(1.5, 1.2), min(−1.5, −1.2), min(.5, .8), min(−.5, −.8)
    assert loss == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4)
    np.testing.assert_allclose(gradient, [0, 0.25, -0.25, 0])


def test_inside_the_clip_the_surrogate_is_the_ratio_itself():
    loss, gradient = surrogate_loss(np.array([1.1, 0.9]), np.array([2.0, -4.0]), 0.2)
    assert loss == pytest.approx(-(2.2 - 3.6) / 2)
    np.testing.assert_allclose(gradient, [-1, 2])


def test_the_critics_loss_with_and_without_its_clip():
    value, old, target = np.array([1.0, 3.0]), np.array([0.0, 3.5]), np.array([2.0, 3.0])
    loss, gradient = critic_loss(value, old, target, 0.0)
    assert loss == pytest.approx((1 + 0) / 2)
    np.testing.assert_allclose(gradient, [-1, 0])
    # 1 is .2 away from old at most: (.2 − 2)² = 3.24; 3 is clipped to 3.3: (.3)² = .09
    loss, gradient = critic_loss(value, old, target, 0.2)
    assert loss == pytest.approx((3.24 + 0.09) / 2)
    np.testing.assert_allclose(gradient, [0, 0])


@pytest.mark.parametrize("clip", [0.0, 0.3])
def test_the_critics_gradient_is_that_of_its_loss(clip):
    value, old, target = np.random.default_rng(1).normal(size=(3, 9))
    _, gradient = critic_loss(value, old, target, clip)
    for i, wanted in enumerate(gradient):
        sides = [critic_loss(value + d * (np.arange(9) == i), old, target, clip)[0] for d in (1e-6, -1e-6)]
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(wanted, abs=1e-7)
    assert (gradient != 0).sum() > 4


def test_a_gradient_step_goes_down_the_objective_itself():
    """The step's direction, before Adam, is the gradient of the surrogate less the entropy's share by differences."""
    learner = PPO(2, 1, CFG, PPOConfig(entropy=0.1, greatest_gradient=0.0, target_kl=0.0), 1)
    actor, taken = learner.actor, list[np.ndarray]()
    learner.actor_optimiser.descend = lambda gradient, rate, greatest: taken.append(gradient.copy())
    rng = np.random.default_rng(3)
    # In double precision, for the differences' sake.
    actor.parameters = rng.normal(size=actor.parameters.shape) * 0.5
    actor.mean = Dense(actor.mean.widths, actor.mean.activation, actor.parameters[:-1])
    actor.log_deviation = actor.parameters[-1:]
    seen, actions, advantage = rng.normal(size=(12, 2)), rng.normal(size=(12, 1)), rng.normal(size=12)
    old_mean = actor.mean(seen) + 0.1
    old_log = actor.log_deviation + 0.05
    old = (old_mean, old_log, log_density(old_mean, old_log, actions))

    def loss():
        return learner._actor_step(seen, actions, advantage, old, False)[0]

    loss()
    wanted = taken[0]
    for i in range(len(wanted)):
        sides = []
        for change in (1e-6, -1e-6):
            actor.parameters[i] += change
            sides.append(loss())
            actor.parameters[i] -= change
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(wanted[i], abs=1e-6)
    assert abs(wanted[-1]) > 1e-3


@pytest.mark.parametrize(
    ("rate", "kl", "wanted"),
    [
        (1e-3, 0.021, 5e-4),
        (1e-3, 0.02, 1e-3),
        (1e-3, 0.005, 1e-3),
        (1e-3, 0.0049, 2e-3),
        (1e-2, 0, 1e-2),
        (1e-5, 9, 1e-5),
    ],
)
def test_the_rate_follows_the_divergence_within_its_bounds(rate, kl, wanted):
    assert adapted_rate(rate, kl, PPOConfig(target_kl=0.01, rate_factor=2.0)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("samples", "discount", "scale"),
    [(0, 0.9, 0.1), (100, 0.9, 0.1), (200, 0.94, 0.06), (300, 0.98, 0.02), (900, 0.98, 0.02)],
)
def test_a_later_discount_comes_gradually_and_values_keep_their_size(samples, discount, scale):
    cfg = PPOConfig(0.9, later_discount=0.98, later_from=100, later_by=300)
    assert discounted(samples, cfg) == pytest.approx((discount, scale))
    # Of a reward of 1 for ever.
    assert scale / (1 - discount) == pytest.approx(1.0)
    assert discounted(samples, PPOConfig(0.9, reward_scale=0.3)) == (0.9, 0.3)


def one_step_segment(learner, count=256, seed=0):
    """Every episode is one step; the reward is highest for the action .8."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(1, count, 2)).astype(np.float32)
    actions = learner.actor.jittered(seen[0], rng)[None]
    rewards = -((actions[..., 0] - 0.8) ** 2).astype(float)
    yes = np.ones((1, count), bool)
    return Segment(seen, actions, rewards, yes, ~yes, seen, {}, 0.0)


def test_the_policy_moves_to_the_rewarded_action():
    learner = PPO(2, 1, CFG, PPOConfig(epochs=5, minibatch=64), 1)
    for k in range(15):
        numbers = learner.learn(one_step_segment(learner, seed=k), np.random.default_rng(k))
    assert numbers["kl"] < 0.1
    np.testing.assert_allclose(learner.actor.policy(()).act(np.zeros(2)), 0.8, atol=0.2)


def test_a_fixed_deviation_stays_and_a_learned_one_moves():
    for learned in (False, True):
        cfg = PolicyConfig((16,), (16,), deviation=0.5, learn_deviation=learned)
        learner = PPO(2, 1, cfg, PPOConfig(), 1)
        numbers = learner.learn(one_step_segment(learner), np.random.default_rng(0))
        assert (numbers["deviation"] == pytest.approx(0.5, abs=1e-7)) == (not learned)


def test_an_entropy_bonus_widens_the_policy():
    widths = []
    for entropy in (0.0, 1.0):
        learner = PPO(2, 1, CFG, PPOConfig(epochs=5, entropy=entropy), 1)
        widths.append(learner.learn(one_step_segment(learner), np.random.default_rng(0))["deviation"])
    assert widths[1] > widths[0]


def test_a_restored_learner_goes_on_as_the_one_it_was_copied_from():
    learner = PPO(2, 1, CFG, PPOConfig(minibatch=64), 1)
    learner.learn(one_step_segment(learner), np.random.default_rng(0))
    state = learner.state()
    other = PPO(2, 1, CFG, PPOConfig(minibatch=64), 99)
    other.restore(state)
    segment = one_step_segment(learner, seed=5)
    for each in (learner, other):
        each.learn(segment, np.random.default_rng(1))
        # What was copied is not touched by what follows.
        np.testing.assert_array_equal(state["critic:steps"], 16)
    for name, array in learner.state().items():
        np.testing.assert_array_equal(other.state()[name], array, name)


def test_the_importance_ratio_is_to_the_policy_that_acted():
    """Observations far from the origin move the normaliser in the first update; the old densities must not move."""
    learner = PPO(2, 1, CFG, PPOConfig(epochs=1, minibatch=256, target_kl=0.0, rate=0.0), 1)
    segment = one_step_segment(learner)
    learner.learn(segment, np.random.default_rng(0))
    assert learner.actor.normaliser.count == 256
    assert math.isclose(learner.rate, 0.0)
    # A second update on the same data, nothing learnt: old and new policy are the same, with the same normaliser.
    assert abs(learner.learn(segment, np.random.default_rng(0))["kl"]) < 1e-5
