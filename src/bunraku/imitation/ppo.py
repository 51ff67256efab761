"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) with generalised advantage estimation
(Schulman et al. 2016, arXiv 1506.02438); equation numbers are those papers'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from bunraku.compute.assistant import Assistant
from bunraku.compute.task import Payload, Task, Work
from bunraku.imitation.actor import Actor, critic, estimate
from bunraku.imitation.learner import PPOConfig, check_loss
from bunraku.imitation.mirror import Mirror, Reflection
from bunraku.imitation.network import Adam, Network, Symmetric, size
from bunraku.imitation.policy import Activation, Normaliser, PolicyConfig
from bunraku.imitation.rollout import Segment, minibatches, next_values

Rows = Float[np.ndarray, "rows"]
Actions = Float[np.ndarray, "rows action"]
Spread = Float[np.ndarray, "action"]


def advantages(
    rewards: Float[np.ndarray, "steps count"],
    values: Float[np.ndarray, "steps count"],
    after: Float[np.ndarray, "steps count"],
    ended: Bool[np.ndarray, "steps count"],
    discount: float,
    trace: float,
) -> Float[np.ndarray, "steps count"]:
    """Generalised advantage estimates; `after` is V(s_{t+1}) of the state in which each step ended (0 if terminal)."""
    # δ_t = r_t + γ·V(s_{t+1}) − V(s_t)                                       (PPO eq. 12)
    surprise = rewards + discount * after - values
    result = np.empty_like(surprise)
    running = np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        # Â_t = δ_t + γλ·Â_{t+1}, within an episode                           (PPO eq. 11)
        running = surprise[t] + discount * trace * ~ended[t] * running
        result[t] = running
    return result


def log_density(mean: Actions, log_deviation: Spread, actions: Actions) -> Rows:
    """log N(a; μ, σ²), summed over the action's components."""
    # log N(a; μ, σ²) = −(a − μ)²/2σ² − log σ − ½·log 2π
    z = (actions - mean) * np.exp(-log_deviation)
    return -0.5 * np.einsum("ra,ra->r", z, z) - (log_deviation.sum() + 0.5 * math.log(2 * math.pi) * z.shape[1])


def divergence(old_mean: Actions, old_log_deviation: Spread, mean: Actions, log_deviation: Spread) -> Rows:
    """KL(old ‖ new) of diagonal Gaussians, summed over the action's components."""
    # KL = log(σ/σ_old) + (σ_old² + (μ_old − μ)²)/2σ² − ½
    spread = np.exp(2 * old_log_deviation) + (old_mean - mean) ** 2
    return (log_deviation - old_log_deviation + 0.5 * spread * np.exp(-2 * log_deviation) - 0.5).sum(axis=-1)


def surrogate_loss(ratio: Rows, advantage: Rows, clip: float) -> tuple[float, Rows]:
    """The clipped surrogate objective, to be minimised, and its gradient with respect to the ratios."""
    # L = Ê[min(r·Â, clip(r, 1 − ε, 1 + ε)·Â)]                                (PPO eq. 7)
    plain, clipped = ratio * advantage, ratio.clip(1 - clip, 1 + clip) * advantage
    gradient = np.where(plain <= clipped, -advantage / len(ratio), 0.0).astype(ratio.dtype)
    return -float(np.minimum(plain, clipped).mean()), gradient


def critic_loss(value: Rows, old_value: Rows, target: Rows, clip: float) -> tuple[float, Rows]:
    """Mean squared error of the values, and its gradient; with `clip` > 0 a change beyond it earns nothing."""
    error = value - target
    if clip <= 0:
        return float((error**2).mean()), 2 * error / len(error)
    change = value - old_value
    bounded = old_value + change.clip(-clip, clip) - target
    free = (error**2 >= bounded**2) | (abs(change) <= clip)
    return float(np.maximum(error**2, bounded**2).mean()), np.where(free, 2 * error / len(error), 0).astype(value.dtype)


def teach_values(critic: Network, optimiser: Adam, lesson: Mapping[str, np.ndarray], cfg: PPOConfig) -> np.ndarray:
    """Gradient steps of a critic: a pass over the observations in each of the lesson's orders; the losses."""
    losses, step = list[float](), np.empty_like(critic.parameters)
    for order in lesson["orders"]:
        for rows in minibatches(order, cfg.minibatch):
            values, pull = critic.traced(lesson["observations"][rows])
            old_values, targets = lesson["old_values"][rows], lesson["targets"][rows]
            loss, gradient = critic_loss(values[:, 0], old_values, targets, cfg.value_clip)
            pull(gradient[:, None], step)
            optimiser.descend(step, cfg.critic_rate, cfg.greatest_gradient)
            losses.append(loss)
    return np.array(losses)


def tutor(cfg: dict[str, Any], widths: list[int], activation: Activation, seen: list[list[float]] | None) -> Work:
    """What an assistant does: teach a critic that is sent to it with its lesson, and send it back."""
    reflection = None if seen is None else Reflection(np.array(seen[0], np.int64), np.array(seen[1]))
    net = estimate(tuple(widths), activation, np.zeros(size(widths), np.float32), reflection)
    optimiser, config = Adam(net.parameters), PPOConfig(**cfg)

    def teach(lesson: Payload) -> Payload:
        optimiser.restore(lesson, "critic")
        losses = teach_values(net, optimiser, lesson, config)
        return optimiser.state("critic") | {"losses": losses}

    return teach


def discounted(samples: int, cfg: PPOConfig) -> tuple[float, float]:
    """γ after so many samples, and what rewards are multiplied by."""
    if cfg.later_discount == 0:
        return cfg.discount, cfg.reward_scale
    share = min(max((samples - cfg.later_from) / (cfg.later_by - cfg.later_from), 0.0), 1.0)
    discount = cfg.discount + share * (cfg.later_discount - cfg.discount)
    return discount, cfg.reward_scale * (1 - discount) / (1 - cfg.discount)


def adapted_rate(rate: float, kl: float, cfg: PPOConfig) -> float:
    """The actor's learning rate after a step that moved the policy by `kl`.

    Too far (twice the target): smaller; hardly (half of it): larger. The rule of the paper's eq. 8, with the step size
    in place of the penalty's weight.
    """
    if kl > 2 * cfg.target_kl:
        rate /= cfg.rate_factor
    elif kl < cfg.target_kl / 2:
        rate *= cfg.rate_factor
    return min(max(rate, cfg.least_rate), cfg.greatest_rate)


class PPO:
    """A policy and a critic that learn from segments."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        policy: PolicyConfig,
        cfg: PPOConfig,
        seed: int,
        mirror: Mirror | None = None,
    ) -> None:
        rng = np.random.default_rng([seed, 0])
        self.cfg = cfg
        self.assistant: Assistant | None = None
        """Teaches the critic beside the policy; what comes out is the same."""
        self.actor = Actor(observation_size, action_size, policy, rng, mirror)
        self.critic = critic(observation_size, policy, rng, mirror)
        self.rate, self.samples = cfg.rate, 0
        """The policy's learning rate, and how many samples it has learnt from."""
        self.critic_alone = 0
        """In so many more updates the policy stays as it is, and the critic learns what it is worth."""
        self.actor_optimiser, self.critic_optimiser = Adam(self.actor.parameters), Adam(self.critic.parameters)
        self._learn_deviation = policy.learn_deviation
        self._gradient = np.empty_like(self.actor.parameters)

    def lend(self) -> Task:
        """What an assistant of this learner is to do."""
        net = self.critic.net if isinstance(self.critic, Symmetric) else self.critic
        seen = self.critic.seen if isinstance(self.critic, Symmetric) else None
        mirror = None if seen is None else [seen.index.tolist(), seen.sign.tolist()]
        return Task("bunraku.imitation.ppo:tutor", (asdict(self.cfg), list(net.widths), net.activation, mirror))

    def learn(self, segment: Segment, rng: np.random.Generator) -> dict[str, float]:
        """Take what a segment teaches; losses and other numbers of the update, by name."""
        cfg, actor = self.cfg, self.actor
        flat = segment.observations.reshape(-1, segment.observations.shape[-1])
        actions = segment.actions.reshape(len(flat), -1)
        # The policy that acted saw through the normaliser as it was then.
        seen = actor.look(flat)
        actor.learn_to_look(segment.observations)
        observations = actor.look(flat)
        values = self.critic(observations)[:, 0].astype(np.float64).reshape(segment.rewards.shape)
        after = next_values(segment, values, self._values)
        discount, scale = discounted(self.samples, cfg)
        advantage = advantages(scale * segment.rewards, values, after, segment.ended, discount, cfg.trace)
        self.samples += len(flat)
        # The critic's target is Â + V, a λ-return.
        targets = (advantage + values).reshape(-1).astype(np.float32)
        old_values = values.reshape(-1).astype(np.float32)
        standard = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        advantage = standard.reshape(-1).astype(np.float32)
        orders = np.stack([rng.permutation(len(flat)) for _ in range(cfg.epochs)])
        lesson = {"observations": observations, "old_values": old_values, "targets": targets, "orders": orders}
        # Neither net's steps depend on the other's.
        if self.assistant is not None:
            self.assistant.ask(lesson | self.critic_optimiser.state("critic"))
        old_mean, old_log_deviation = actor.mean(seen), actor.log_deviation.copy()
        old = (old_mean, old_log_deviation, log_density(old_mean, old_log_deviation, actions))
        if self.critic_alone:
            losses = np.zeros((len(orders), 2))
        else:
            losses = self._learn_policy(observations, actions, advantage, old, orders)
        value_losses = self._learn_values(lesson)
        check_loss(losses[:, 0].sum() + value_losses.sum())
        kl = float(losses[-len(losses) // cfg.epochs :, 1].mean())
        if cfg.adapt == "update" and cfg.target_kl > 0 and not self.critic_alone:
            self.rate = adapted_rate(self.rate, kl, cfg)
        self.critic_alone = max(0, self.critic_alone - 1)
        numbers = {"surrogate": float(losses[:, 0].mean()), "kl": kl, "value_loss": float(value_losses.mean())}
        return {**numbers, "rate": self.rate, "deviation": float(np.exp(actor.log_deviation).mean())}

    def _values(self, observations: Float32[np.ndarray, "rows observation"]) -> Float[np.ndarray, "rows"]:
        return self.critic(self.actor.look(observations))[:, 0].astype(np.float64)

    def _learn_policy(
        self,
        observations: np.ndarray,
        actions: Actions,
        advantage: Rows,
        old: tuple[Actions, Spread, Rows],
        orders: np.ndarray,
    ) -> np.ndarray:
        losses = list[tuple[float, float]]()
        for epoch, order in enumerate(orders):
            measured = self.cfg.adapt == "step" or epoch + 1 == len(orders)
            for rows in minibatches(order, self.cfg.minibatch):
                seen = (observations[rows], actions[rows], advantage[rows])
                losses.append(self._actor_step(*seen, (old[0][rows], old[1], old[2][rows]), measured))
        return np.array(losses)

    def _learn_values(self, lesson: Mapping[str, np.ndarray]) -> np.ndarray:
        done = self.assistant.answer() if self.assistant is not None else None
        if done is None:
            return teach_values(self.critic, self.critic_optimiser, lesson, self.cfg)
        self.critic_optimiser.restore(done, "critic")
        return done["losses"]

    def _actor_step(
        self,
        observations: np.ndarray,
        actions: Actions,
        advantage: Rows,
        old: tuple[Actions, Spread, Rows],
        measured: bool,
    ) -> tuple[float, float]:
        """One gradient step; the loss, and how far the policy had moved before it, if that is `measured`."""
        cfg, actor = self.cfg, self.actor
        old_mean, old_log_deviation, old_log_density = old
        mean, pull = actor.mean.traced(observations)
        # r = π(a|s)/π_old(a|s)                                               (PPO eq. 6)
        ratio = np.exp(log_density(mean, actor.log_deviation, actions) - old_log_density)
        loss, gradient = surrogate_loss(ratio, advantage, cfg.clip)
        # dr/dμ = r·z/σ, dr/dlog σ = r·(z² − 1), z = (a − μ)/σ
        inverse = np.exp(-actor.log_deviation)
        z, along = (actions - mean) * inverse, (gradient * ratio)[:, None]
        step = self._gradient
        pull(along * z * inverse, step[: -len(inverse)])
        # H(N(μ, σ²)) = log σ + ½·log 2πe; the constant does not matter.
        step[-len(inverse) :] = (along * (z * z - 1)).sum(axis=0) - cfg.entropy if self._learn_deviation else 0.0
        kl = math.nan
        if measured:
            kl = float(divergence(old_mean, old_log_deviation, mean, actor.log_deviation).mean())
        if cfg.adapt == "step" and cfg.target_kl > 0:
            self.rate = adapted_rate(self.rate, kl, cfg)
        self.actor_optimiser.descend(step, self.rate, cfg.greatest_gradient)
        return loss - cfg.entropy * float(actor.log_deviation.sum()), kl

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how learning goes on, as a copy."""
        return {
            **self.actor_optimiser.state("actor"),
            **self.critic_optimiser.state("critic"),
            "rate": np.array([self.rate]),
            "samples": np.array([self.samples]),
            "critic_alone": np.array([self.critic_alone]),
            "normaliser": self.actor.normaliser.packed(),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a state."""
        self.actor_optimiser.restore(state, "actor")
        self.critic_optimiser.restore(state, "critic")
        self.rate, self.samples = float(state["rate"][0]), int(state["samples"][0])
        self.critic_alone = int(state["critic_alone"][0])
        self.actor.normaliser = Normaliser.unpacked(state["normaliser"])
