import numpy as np
import pytest

from bunraku.imitation.awr import AWR, discounted, weighted_loss, weights
from bunraku.imitation.learner import AWRConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.rollout import Segment

CFG = PolicyConfig((32,), (32,), "relu", deviation=0.5, learn_deviation=False)


def segment(learner, reward, seed=0, steps=1, count=256):
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(steps, count, 2)).astype(np.float32)
    actions = np.stack([learner.actor.jittered(row, rng) for row in seen])
    ended = np.ones((steps, count), bool)
    return Segment(seen, actions, reward(actions[..., 0]), ended, ~ended, seen, {}, 0.0)


def test_returns_are_discounted_inside_each_episode():
    rewards = np.array([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0], [8.0, 1.0]])
    ended = np.array([[False, False], [True, False], [False, False], [False, True]])
    # 1 + .5·2 | 2 || 4 + .5·8 | 8      and      1 + .5·(1 + .5·(1 + .5))
    np.testing.assert_allclose(discounted(rewards, ended, 0.5), [[2, 1.875], [2, 1.75], [8, 1.5], [8, 1]])


def test_weights_are_shares_of_the_best_advantage():
    returns, values = np.array([1.0, 3.0, 5.0]), np.array([2.0, 2.0, 1.0])
    np.testing.assert_allclose(weights(returns, values), [0, 0.25, 1])


def test_where_nothing_was_better_than_expected_all_weights_are_zero():
    result = weights(np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    np.testing.assert_array_equal(result, [0, 0])
    assert weights(np.empty(0), np.empty(0)).size == 0


def test_the_loss_by_hand_and_its_gradient():
    predicted = np.array([[1.0, 0.0], [2.0, 2.0]])
    actions, advantage = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.5])
    loss, gradient = weighted_loss(predicted, actions, advantage)
    # mean of 1·1, 1·0, .5·4, .5·1
    assert loss == pytest.approx(3.5 / 4)
    np.testing.assert_allclose(gradient, [[0.5, 0], [0.5, 0.25]])


def test_the_policy_moves_to_the_rewarded_action():
    learner = AWR(2, 1, CFG, AWRConfig(epochs=20), 1)
    for k in range(8):
        numbers = learner.learn(segment(learner, lambda a: np.exp(-((a - 0.8) ** 2)), k), np.random.default_rng(k))
    assert 0 < numbers["advantage"] < 1
    np.testing.assert_allclose(learner.actor.policy(()).act(np.zeros(2)), 0.8, atol=0.2)


def test_without_an_advantage_the_policy_stays_in_spite_of_momentum():
    learner = AWR(2, 1, CFG, AWRConfig(epochs=2), 1)
    learner.learn(segment(learner, lambda a: a.astype(float)), np.random.default_rng(0))
    learner.critic.layers[-1][1][:] += 1000
    before = learner.state()
    numbers = learner.learn(segment(learner, lambda a: a.astype(float)), np.random.default_rng(1))
    assert numbers["advantage"] == 0
    for name, array in learner.state().items():
        if name.startswith("actor"):
            np.testing.assert_array_equal(array, before[name], name)


def test_the_value_network_stops_early_and_goes_back_to_its_best():
    cfg = AWRConfig(epochs=200, patience=3, rate=0.02, minibatch=16)
    policy = PolicyConfig((32,), (32,), "relu", normalise=False)
    learner = AWR(2, 1, policy, cfg, 1)
    # Noise: there is nothing to learn from one part about the other.
    noise = np.random.default_rng(9).normal(size=(1, 64))
    made = segment(learner, lambda a: noise, count=64)
    numbers = learner.learn(made, np.random.default_rng(3))
    assert numbers["value_epochs"] < 200
    held_out = np.random.default_rng(3).permutation(64)[64 - round(0.3 * 64) :]
    values = learner.critic(made.observations[0, held_out])[:, 0]
    assert ((values - noise[0, held_out]) ** 2).mean() == pytest.approx(numbers["value_loss"], rel=1e-5)


def test_the_same_seeds_give_the_same_learner_and_others_another():
    states = []
    for seed in (1, 1, 2):
        learner = AWR(2, 1, CFG, AWRConfig(epochs=3), seed)
        learner.learn(segment(learner, lambda a: -(a**2).astype(float)), np.random.default_rng(seed))
        states.append(learner.state())
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name], name)
    assert any((array != states[2][name]).any() for name, array in states[0].items())
