"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) with generalised advantage estimation
(Schulman et al. 2016, arXiv 1506.02438); equation numbers are those papers'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from bunraku.imitation.actor import Actor, critic, parameters_of, set_parameters
from bunraku.imitation.learner import PPOConfig, check_loss
from bunraku.imitation.mirror import Mirror
from bunraku.imitation.policy import Normaliser, PolicyConfig
from bunraku.imitation.rollout import Segment, at_once, next_values


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


def log_density(mean: Tensor, log_deviation: Tensor, actions: Tensor) -> Tensor:
    """log N(a; μ, σ²), summed over the action's components."""
    # log N(a; μ, σ²) = −(a − μ)²/2σ² − log σ − ½·log 2π
    z = (actions - mean) * torch.exp(-log_deviation)
    return (-0.5 * z**2 - log_deviation - 0.5 * math.log(2 * math.pi)).sum(dim=-1)


def divergence(old_mean: Tensor, old_log_deviation: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL(old ‖ new) of diagonal Gaussians, summed over the action's components."""
    # KL = log(σ/σ_old) + (σ_old² + (μ_old − μ)²)/2σ² − ½
    spread = torch.exp(2 * old_log_deviation) + (old_mean - mean) ** 2
    return (log_deviation - old_log_deviation + 0.5 * spread * torch.exp(-2 * log_deviation) - 0.5).sum(dim=-1)


def surrogate_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """The clipped surrogate objective, to be minimised."""
    # L = Ê[min(r·Â, clip(r, 1 − ε, 1 + ε)·Â)]                                (PPO eq. 7)
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def critic_loss(value: Tensor, old_value: Tensor, target: Tensor, clip: float) -> Tensor:
    """Mean squared error of the values; with `clip` > 0 a change beyond it earns nothing."""
    error = (value - target) ** 2
    if clip > 0:
        error = torch.maximum(error, (old_value + (value - old_value).clamp(-clip, clip) - target) ** 2)
    return error.mean()


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
        threads: int = 1,
    ) -> None:
        rng = np.random.default_rng([seed, 0])
        self.cfg, self.threads = cfg, threads
        self.actor = Actor(observation_size, action_size, policy, rng, mirror)
        self.critic = critic(observation_size, policy, rng, mirror)
        self.rate = cfg.rate
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), cfg.rate, fused=True)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), cfg.critic_rate, fused=True)

    def learn(self, segment: Segment, rng: np.random.Generator) -> dict[str, float]:
        """Take what a segment teaches; losses and other numbers of the update, by name."""
        cfg, actor = self.cfg, self.actor
        flat = segment.observations.reshape(-1, segment.observations.shape[-1])
        actions = torch.from_numpy(segment.actions.reshape(len(flat), -1))
        with torch.inference_mode():
            # The policy that acted saw through the normaliser as it was then.
            old_mean = actor.mean(actor.look(flat))
            old_log_deviation = actor.log_deviation.clone()
            old_log_density = log_density(old_mean, old_log_deviation, actions)
        actor.learn_to_look(segment.observations)
        values = self._values(flat).reshape(segment.rewards.shape)
        after = next_values(segment, values, self._values)
        rewards = cfg.reward_scale * segment.rewards
        advantage = advantages(rewards, values, after, segment.ended, cfg.discount, cfg.trace)
        # The critic's target is Â + V, a λ-return.
        targets = torch.from_numpy((advantage + values).reshape(-1).astype(np.float32))
        old_values = torch.from_numpy(values.reshape(-1).astype(np.float32))
        standard = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        advantage = torch.from_numpy(standard.reshape(-1).astype(np.float32))
        observations = actor.look(flat)
        batches = [
            rows
            for _ in range(cfg.epochs)
            for rows in torch.from_numpy(rng.permutation(len(flat))).split(cfg.minibatch)
        ]

        def learn_policy() -> np.ndarray:
            losses, last = np.full((len(batches), 2), np.nan), len(batches) - len(batches) // cfg.epochs
            for i, rows in enumerate(batches):
                old = (old_mean[rows], old_log_deviation, old_log_density[rows])
                measured = cfg.adapt == "step" or i >= last
                losses[i] = self._actor_step(observations[rows], actions[rows], advantage[rows], old, measured)
            return losses

        def learn_values() -> np.ndarray:
            steps = [self._critic_step(observations[rows], old_values[rows], targets[rows]) for rows in batches]
            return np.array(steps)

        # Neither net's steps depend on the other's.
        losses, value_losses = at_once(learn_policy, learn_values, threads=self.threads)
        check_loss(losses[:, 0].sum() + value_losses.sum())
        kl = float(losses[-(len(batches) // cfg.epochs) :, 1].mean())
        if cfg.adapt == "update" and cfg.target_kl > 0:
            self.rate = adapted_rate(self.rate, kl, cfg)
        numbers = {"surrogate": float(losses[:, 0].mean()), "kl": kl, "value_loss": float(value_losses.mean())}
        return {**numbers, "rate": self.rate, "deviation": float(actor.log_deviation.detach().exp().mean())}

    def _values(self, observations: Float32[np.ndarray, "rows observation"]) -> Float[np.ndarray, "rows"]:
        with torch.inference_mode():
            return self.critic(self.actor.look(observations))[:, 0].numpy().astype(np.float64)

    def _actor_step(
        self,
        observations: Tensor,
        actions: Tensor,
        advantage: Tensor,
        old: tuple[Tensor, Tensor, Tensor],
        measured: bool,
    ) -> tuple[float, float]:
        """One gradient step; the loss, and how far the policy had moved before it, if that is `measured`."""
        cfg, actor = self.cfg, self.actor
        old_mean, old_log_deviation, old_log_density = old
        mean = actor.mean(observations)
        # r = π(a|s)/π_old(a|s)                                               (PPO eq. 6)
        ratio = torch.exp(log_density(mean, actor.log_deviation, actions) - old_log_density)
        loss = surrogate_loss(ratio, advantage, cfg.clip)
        if cfg.entropy > 0:
            # H(N(μ, σ²)) = log σ + ½·log 2πe; the constant does not matter.
            loss = loss - cfg.entropy * actor.log_deviation.sum()
        kl = math.nan
        if measured:
            with torch.no_grad():
                kl = float(divergence(old_mean, old_log_deviation, mean, actor.log_deviation).mean())
        if cfg.adapt == "step" and cfg.target_kl > 0:
            self.rate = adapted_rate(self.rate, kl, cfg)
        self.actor_optimiser.param_groups[0]["lr"] = self.rate
        _descend(loss, actor, self.actor_optimiser, cfg.greatest_gradient)
        return float(loss.detach()), kl

    def _critic_step(self, observations: Tensor, old_values: Tensor, targets: Tensor) -> float:
        loss = critic_loss(self.critic(observations)[:, 0], old_values, targets, self.cfg.value_clip)
        _descend(loss, self.critic, self.critic_optimiser, self.cfg.greatest_gradient)
        return float(loss.detach())

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how learning goes on, as a copy."""
        normaliser = self.actor.normaliser
        return {
            **parameters_of(self.actor, self.actor_optimiser, "actor."),
            **parameters_of(self.critic, self.critic_optimiser, "critic."),
            "rate": np.array([self.rate]),
            "normaliser": np.concatenate([[normaliser.count], normaliser.mean, normaliser.squares]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a state."""
        set_parameters(self.actor, self.actor_optimiser, "actor.", state)
        set_parameters(self.critic, self.critic_optimiser, "critic.", state)
        self.rate = float(state["rate"][0])
        mean, squares = np.split(state["normaliser"][1:], 2)
        self.actor.normaliser = Normaliser(float(state["normaliser"][0]), mean, squares)


def _descend(loss: Tensor, module: nn.Module, optimiser: torch.optim.Optimizer, greatest: float) -> None:
    # Not the optimiser's, which also writes to the profiler.
    module.zero_grad()
    loss.backward()
    if greatest > 0:
        nn.utils.clip_grad_norm_(module.parameters(), greatest)
    optimiser.step()
