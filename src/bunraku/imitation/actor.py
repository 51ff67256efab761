"""The networks while they learn: a Gaussian policy and an estimate of returns."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from bunraku.imitation.mirror import Mirror, Reflection
from bunraku.imitation.network import Dense, Network, Symmetric, orthogonal
from bunraku.imitation.policy import Activation, Normaliser, Policy, PolicyConfig, normalised
from bunraku.imitation.slot import Slot

_SMALL = 0.01
"""Gain of a policy's last layer: training starts from actions near zero."""


class Actor:
    """π(a|s) = N(μ(s), σ²), σ the same everywhere, s as the normaliser shows it.

    With a mirror M, μ(M·s) = M·μ(s): what was learnt in one state is learnt for its mirror image.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        cfg: PolicyConfig,
        rng: np.random.Generator,
        mirror: Mirror | None = None,
    ) -> None:
        self.mirror = mirror
        self.activation: Activation = cfg.activation
        self.normalise = cfg.normalise
        self.normaliser = Normaliser.nothing(observation_size)
        widths = (observation_size, *cfg.hidden, action_size)
        start = np.full(action_size, np.log(cfg.deviation), np.float32)
        # The mean's and log σ, so that they are learnt as one.
        self.parameters = np.concatenate([orthogonal(widths, _SMALL, rng), start])
        mean = Dense(widths, cfg.activation, self.parameters[:-action_size])
        self.mean: Network = mean if mirror is None else Symmetric(mean, mirror.observation, mirror.action)
        self.log_deviation: Float32[np.ndarray, "action"] = self.parameters[-action_size:]

    def look(self, observation: Float[np.ndarray, "*steps observation"]) -> Float32[np.ndarray, "*steps observation"]:
        """Observations as the networks see them."""
        return normalised(observation, self.normaliser.mean, self.normaliser.deviation)

    def learn_to_look(self, observation: Float[np.ndarray, "*steps observation"]) -> None:
        """Take more observations into the normaliser."""
        if not self.normalise:
            return
        if self.mirror is not None:
            # So that the mirror image of what networks see is what they see of the mirror image.
            observation = np.stack([observation, self.mirror.observation.of(observation)])
        self.normaliser = self.normaliser.seen(observation)

    def jittered(
        self, observation: Float[np.ndarray, "count observation"], rng: np.random.Generator
    ) -> Float32[np.ndarray, "count action"]:
        """a = μ(s) + σ·ε, ε from N(0, 1)."""
        mean = self.mean(self.look(observation))
        return mean + np.exp(self.log_deviation) * rng.standard_normal(mean.shape, dtype=np.float32)

    def policy(self, layout: tuple[Slot, ...]) -> Policy:
        """As it is now, frozen."""
        layers = tuple((weight.copy(), bias.copy()) for weight, bias in self.mean.layers)
        return Policy(layers, self.activation, self.normaliser.mean, self.normaliser.deviation, layout)


def critic(observation_size: int, cfg: PolicyConfig, rng: np.random.Generator, mirror: Mirror | None = None) -> Network:
    """V(s), an estimate of returns; with a mirror, V(M·s) = V(s)."""
    widths = (observation_size, *cfg.critic_hidden, 1)
    return estimate(widths, cfg.activation, orthogonal(widths, 1.0, rng), mirror and mirror.observation)


def estimate(
    widths: tuple[int, ...], activation: Activation, parameters: Float32[np.ndarray, "_"], seen: Reflection | None
) -> Network:
    """A network of one output, the same for mirror images where it is told what these are."""
    net = Dense(widths, activation, parameters)
    same = Reflection(np.zeros(1, np.int64), np.ones(1))
    return net if seen is None else Symmetric(net, seen, same)
