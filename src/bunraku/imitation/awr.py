"""Advantage-weighted regression: the policy is drawn towards those of its own jittered actions that did better than
expected. A value network learns what to expect; both learn anew from every session's samples alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bunraku.imitation.actor import Actor, critic, parameters_of, set_parameters
from bunraku.imitation.learner import AWRConfig, check_loss
from bunraku.imitation.mirror import Mirror
from bunraku.imitation.policy import Normaliser, PolicyConfig
from bunraku.imitation.rollout import Segment


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


def weighted_loss(predicted: Tensor, actions: Tensor, advantage: Tensor) -> Tensor:
    """Squared distance from the actions taken, by how good they were."""
    # L = mean(A·(μ(s) − a)²)
    return (advantage[:, None] * (predicted - actions) ** 2).mean()


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
        # The loss says nothing about the deviation.
        self.actor.log_deviation.requires_grad_(False)
        self.critic = critic(observation_size, policy, rng, mirror)
        self.actor_optimiser = torch.optim.Adam(self.actor.mean.parameters(), cfg.rate, fused=True)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), cfg.rate, fused=True)

    def learn(self, segment: Segment, rng: np.random.Generator) -> dict[str, float]:
        """Take what a segment teaches; losses and other numbers of the update, by name."""
        self.actor.learn_to_look(segment.observations)
        returns = discounted(segment.rewards, segment.ended, self.cfg.discount).reshape(-1)
        # One order for states, actions and returns, so that the samples held out are of every episode.
        order = rng.permutation(len(returns))
        observations = self.actor.look(segment.observations.reshape(len(returns), -1)[order])
        actions = torch.from_numpy(segment.actions.reshape(len(returns), -1)[order])
        targets = torch.from_numpy(returns[order].astype(np.float32))
        numbers = self._learn_values(observations, targets, rng)
        with torch.inference_mode():
            values = self.critic(observations)[:, 0].numpy().astype(np.float64)
        advantage = weights(returns[order], values)
        loss = 0.0
        # Where nothing was better than expected there is nothing to imitate; Adam's momentum would move the policy.
        if advantage.any():
            loss = self._learn_policy(observations, actions, torch.from_numpy(advantage.astype(np.float32)), rng)
        return {**numbers, "policy_loss": loss, "advantage": float(advantage.mean())}

    def _learn_values(self, observations: Tensor, targets: Tensor, rng: np.random.Generator) -> dict[str, float]:
        cfg = self.cfg
        train = len(targets) - round(cfg.validation * len(targets))
        best, stall, epochs = np.inf, 0, 0
        kept = [parameter.detach().clone() for parameter in self.critic.parameters()]
        while epochs < cfg.epochs and stall < cfg.patience:
            for rows in torch.from_numpy(rng.permutation(train)).split(cfg.minibatch):
                self.critic_optimiser.zero_grad()
                ((self.critic(observations[rows])[:, 0] - targets[rows]) ** 2).mean().backward()
                self.critic_optimiser.step()
            epochs += 1
            error = self._value_error(observations[train:], targets[train:])
            stall = 0 if error < best else stall + 1
            if error < best:
                best, kept = error, [parameter.detach().clone() for parameter in self.critic.parameters()]
        with torch.no_grad():
            for parameter, value in zip(self.critic.parameters(), kept, strict=True):
                parameter.copy_(value)
        return {"value_loss": best, "value_epochs": float(epochs)}

    @torch.no_grad()
    def _value_error(self, observations: Tensor, targets: Tensor) -> float:
        error = float(((self.critic(observations)[:, 0] - targets) ** 2).mean())
        check_loss(error)
        return error

    def _learn_policy(
        self, observations: Tensor, actions: Tensor, advantage: Tensor, rng: np.random.Generator
    ) -> float:
        total, count = 0.0, 0
        for _ in range(self.cfg.epochs):
            for rows in torch.from_numpy(rng.permutation(len(actions))).split(self.cfg.minibatch):
                self.actor_optimiser.zero_grad()
                loss = weighted_loss(self.actor.mean(observations[rows]), actions[rows], advantage[rows])
                loss.backward()
                self.actor_optimiser.step()
                total, count = total + float(loss.detach()), count + 1
        check_loss(total)
        return total / count

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how learning goes on, as a copy."""
        normaliser = self.actor.normaliser
        return {
            **parameters_of(self.actor, self.actor_optimiser, "actor."),
            **parameters_of(self.critic, self.critic_optimiser, "critic."),
            "normaliser": np.concatenate([[normaliser.count], normaliser.mean, normaliser.squares]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a state."""
        set_parameters(self.actor, self.actor_optimiser, "actor.", state)
        set_parameters(self.critic, self.critic_optimiser, "critic.", state)
        mean, squares = np.split(state["normaliser"][1:], 2)
        self.actor.normaliser = Normaliser(float(state["normaliser"][0]), mean, squares)
