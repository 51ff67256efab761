"""Advantage-weighted regression: the policy is drawn towards those of its own jittered actions that did better than
expected. A value network learns what to expect; both learn anew from every session's samples alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Float32

from bunraku.imitation.actor import Actor, critic
from bunraku.imitation.learner import AWRConfig, check_loss
from bunraku.imitation.mirror import Mirror
from bunraku.imitation.network import Adam
from bunraku.imitation.policy import Normaliser, PolicyConfig
from bunraku.imitation.rollout import Segment, minibatches


def discounted(
    rewards: Float[np.ndarray, "steps count"], ended: Bool[np.ndarray, "steps count"], discount: float
) -> Float[np.ndarray, "steps count"]:
    """The discounted sum of the rewards from each step to the end of its episode or of the segment."""
    returns = np.empty(rewards.shape)
    running = np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        # R_t = r_t + γ·R_{t+1}, within an episode
        running = rewards[t] + discount * ~ended[t] * running
        returns[t] = running
    return returns


def weights(
    returns: Float[np.ndarray, "samples"], values: Float[np.ndarray, "samples"]
) -> Float[np.ndarray, "samples"]:
    """Advantages between 0 and 1: what was better than expected, as a share of the best; all 0 where nothing was."""
    # A = max(0, R − V) / max(max(0, R − V))
    better = np.maximum(0.0, returns - values)
    best = better.max(initial=0.0)
    return better / best if best > 0 else better


def weighted_loss(
    predicted: Float[np.ndarray, "rows action"],
    actions: Float[np.ndarray, "rows action"],
    advantage: Float[np.ndarray, "rows"],
) -> tuple[float, Float[np.ndarray, "rows action"]]:
    """Squared distance from the actions taken, by how good they were, and its gradient with respect to `predicted`."""
    # L = mean(A·(μ(s) − a)²)
    away = predicted - actions
    weighted = advantage[:, None] * away
    return float((weighted * away).mean()), 2 * weighted / away.size


class AWR:
    """A policy and a value network that learn from sessions of whole episodes."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        policy: PolicyConfig,
        cfg: AWRConfig,
        seed: int,
        mirror: Mirror | None = None,
    ) -> None:
        rng = np.random.default_rng([seed, 0])
        self.cfg = cfg
        self.actor = Actor(observation_size, action_size, policy, rng, mirror)
        self.critic = critic(observation_size, policy, rng, mirror)
        # The loss says nothing about the deviation.
        self.actor_optimiser, self.critic_optimiser = Adam(self.actor.mean.parameters), Adam(self.critic.parameters)

    def learn(self, segment: Segment, rng: np.random.Generator) -> dict[str, float]:
        """Take what a segment teaches; losses and other numbers of the update, by name."""
        self.actor.learn_to_look(segment.observations)
        returns = discounted(segment.rewards, segment.ended, self.cfg.discount).reshape(-1)
        # One order for states, actions and returns, so that the samples held out are of every episode.
        order = rng.permutation(len(returns))
        observations = self.actor.look(segment.observations.reshape(len(returns), -1)[order])
        actions = segment.actions.reshape(len(returns), -1)[order]
        targets = returns[order].astype(np.float32)
        numbers = self._learn_values(observations, targets, rng)
        values = self.critic(observations)[:, 0].astype(np.float64)
        advantage = weights(returns[order], values)
        loss = 0.0
        # Where nothing was better than expected there is nothing to imitate; Adam's momentum would move the policy.
        if advantage.any():
            loss = self._learn_policy(observations, actions, advantage.astype(np.float32), rng)
        return {**numbers, "policy_loss": loss, "advantage": float(advantage.mean())}

    def _learn_values(
        self,
        observations: Float32[np.ndarray, "samples observation"],
        targets: Float32[np.ndarray, "samples"],
        rng: np.random.Generator,
    ) -> dict[str, float]:
        cfg = self.cfg
        train = len(targets) - round(cfg.validation * len(targets))
        best, stall, epochs = np.inf, 0, 0
        kept, step = self.critic.parameters.copy(), np.empty_like(self.critic.parameters)
        while epochs < cfg.epochs and stall < cfg.patience:
            for rows in minibatches(rng.permutation(train), cfg.minibatch):
                values, pull = self.critic.traced(observations[rows])
                pull(2 * (values - targets[rows, None]) / len(rows), step)
                self.critic_optimiser.descend(step, cfg.rate)
            epochs += 1
            error = self._value_error(observations[train:], targets[train:])
            stall = 0 if error < best else stall + 1
            if error < best:
                best, kept = error, self.critic.parameters.copy()
        self.critic.parameters[:] = kept
        return {"value_loss": best, "value_epochs": float(epochs)}

    def _value_error(self, observations: np.ndarray, targets: np.ndarray) -> float:
        error = float(((self.critic(observations)[:, 0] - targets) ** 2).mean())
        check_loss(error)
        return error

    def _learn_policy(
        self,
        observations: Float32[np.ndarray, "samples observation"],
        actions: Float32[np.ndarray, "samples action"],
        advantage: Float32[np.ndarray, "samples"],
        rng: np.random.Generator,
    ) -> float:
        losses, step = list[float](), np.empty_like(self.actor.mean.parameters)
        for _ in range(self.cfg.epochs):
            for rows in minibatches(rng.permutation(len(actions)), self.cfg.minibatch):
                predicted, pull = self.actor.mean.traced(observations[rows])
                loss, gradient = weighted_loss(predicted, actions[rows], advantage[rows])
                pull(gradient, step)
                self.actor_optimiser.descend(step, self.cfg.rate)
                losses.append(loss)
        check_loss(sum(losses))
        return sum(losses) / len(losses)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how learning goes on, as a copy."""
        return {
            **self.actor_optimiser.state("actor"),
            **self.critic_optimiser.state("critic"),
            "normaliser": self.actor.normaliser.packed(),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a state."""
        self.actor_optimiser.restore(state, "actor")
        self.critic_optimiser.restore(state, "critic")
        self.actor.normaliser = Normaliser.unpacked(state["normaliser"])
