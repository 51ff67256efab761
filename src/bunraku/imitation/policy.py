"""A policy as it is played: numbers, and what they expect to see. Needs numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32

from bunraku.core.errors import BunrakuError
from bunraku.imitation.slot import Slot

Activation = Literal["relu", "elu", "silu", "tanh"]

LIMIT = 10.0
"""Normalised observations are cut off at so many deviations."""
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True)
class PolicyConfig:
    """The networks of a policy and of its critic."""

    hidden: tuple[int, ...] = (256, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (256, 128)
    """Widths of the hidden layers of the network that estimates returns."""
    activation: Activation = "elu"
    """Between layers."""
    deviation: float = 0.3
    """Standard deviation of the exploring actions at the start, in units of the action."""
    learn_deviation: bool = True
    """Adapt the deviation while training; else it stays as it is."""
    normalise: bool = True
    """Shift and scale observations by their running mean and deviation."""


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Running mean and variance of observations."""

    count: float
    mean: Float[np.ndarray, "observation"]
    squares: Float[np.ndarray, "observation"]
    """Sum of squared differences from the mean."""

    @staticmethod
    def nothing(size: int) -> Normaliser:
        """Before anything was seen: observations pass unchanged."""
        return Normaliser(0.0, np.zeros(size), np.zeros(size))

    @property
    def deviation(self) -> Float[np.ndarray, "observation"]:
        """Standard deviation; 1 for what never changed."""
        variance = self.squares / max(self.count, 1.0)
        return np.where(variance > _LEAST_VARIANCE, np.sqrt(variance), 1.0)

    def seen(self, observations: Float[np.ndarray, "*steps observation"]) -> Normaliser:
        """With more observations (the parallel update of Chan et al. 1979)."""
        rows = observations.reshape(-1, len(self.mean)).astype(np.float64)  # a copy
        mean = rows.mean(axis=0)
        rows -= mean
        squares = np.einsum("ri,ri->i", rows, rows)
        count = self.count + len(rows)
        # M = M_a + M_b + (m_b − m_a)²·n_a·n_b/n
        between = (mean - self.mean) ** 2 * self.count * len(rows) / count
        moved = self.mean + (mean - self.mean) * len(rows) / count
        return Normaliser(count, moved, self.squares + squares + between)

    def packed(self) -> Float[np.ndarray, "numbers"]:
        """As one array, for a checkpoint."""
        return np.concatenate([[self.count], self.mean, self.squares])

    @staticmethod
    def unpacked(numbers: Float[np.ndarray, "numbers"]) -> Normaliser:
        """The opposite of `packed`."""
        mean, squares = np.split(numbers[1:], 2)
        return Normaliser(float(numbers[0]), mean, squares)


def normalised(
    observation: Float[np.ndarray, "*steps observation"],
    mean: Float[np.ndarray, "observation"],
    deviation: Float[np.ndarray, "observation"],
) -> Float32[np.ndarray, "*steps observation"]:
    """What networks see of an observation."""
    # Single precision throughout: what is seen is no more exact, and a batch in doubles costs five times as much.
    seen = np.asarray(observation, np.float32) - mean.astype(np.float32)
    seen /= deviation.astype(np.float32)
    return np.clip(seen, -LIMIT, LIMIT, out=seen)


@dataclass(frozen=True, eq=False)
class Policy:
    """From an observation the action without jitter: μ(s) of the Gaussian that was trained."""

    layers: tuple[tuple[Float32[np.ndarray, "_ _"], Float32[np.ndarray, "_"]], ...]
    """(weight, bias) of each layer; the last is linear."""
    activation: Activation
    mean: Float[np.ndarray, "observation"]
    deviation: Float[np.ndarray, "observation"]
    layout: tuple[Slot, ...]
    """What the observation's numbers are, in order."""

    def act(self, observation: Float[np.ndarray, "*batch observation"]) -> Float32[np.ndarray, "*batch action"]:
        """The action for one observation, or for a batch of them."""
        x = normalised(observation, self.mean, self.deviation)
        for weight, bias in self.layers[:-1]:
            x = activated(x @ weight.T + bias, self.activation)
        weight, bias = self.layers[-1]
        return x @ weight.T + bias

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """As named arrays, for an artifact."""
        named = {f"{prefix}mean": self.mean, f"{prefix}deviation": self.deviation}
        for i, (weight, bias) in enumerate(self.layers):
            named |= {f"{prefix}weight{i}": weight, f"{prefix}bias{i}": bias}
        return named

    def description(self) -> dict[str, Any]:
        """What the arrays do not say, JSON-able."""
        layout = [[slot.name, slot.size, slot.unit] for slot in self.layout]
        return {"activation": self.activation, "layout": layout}


def activated(x: Float[np.ndarray, "*batch width"], activation: Activation) -> Float[np.ndarray, "*batch width"]:
    """A hidden layer's output."""
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "tanh":
        return np.tanh(x)
    if activation == "elu":
        # Not expm1: without AVX-512 numpy computes it number by number, six times as slowly. What exp loses near 0 is a
        # rounding error of 1.
        y = np.minimum(x, 0)
        np.exp(y, out=y)
        y -= 1
        return np.maximum(y, x, out=y)
    # silu: x·sigmoid(x), the sigmoid by way of tanh, which does not overflow.
    return x * (0.5 * (1 + np.tanh(x / 2)))


def policy_of(arrays: Mapping[str, np.ndarray], prefix: str, description: Mapping[str, Any], owner: str) -> Policy:
    """The policy that `arrays` and `description` are of; `owner` names the file in errors.

    Raises:
        BunrakuError: something is missing, or sizes do not fit each other.
    """
    count = sum(name.startswith(f"{prefix}weight") for name in arrays)
    wanted = [f"{prefix}{name}" for name in ("mean", "deviation", *_layer_names(max(count, 1)))]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise BunrakuError(f"{owner}: holds no whole policy (lacks {', '.join(missing)})")
    layers = tuple((arrays[f"{prefix}weight{i}"], arrays[f"{prefix}bias{i}"]) for i in range(count))
    layout = tuple(Slot(name, size, unit) for name, size, unit in description["layout"])
    widths = [len(arrays[f"{prefix}mean"]), *(len(bias) for _, bias in layers)]
    fits = all(weight.shape == (out, into) for (weight, _), into, out in zip(layers, widths, widths[1:], strict=False))
    if not fits or sum(slot.size for slot in layout) != widths[0]:
        raise BunrakuError(f"{owner}: the sizes of the policy's layers and of its observation do not fit each other")
    mean, deviation = arrays[f"{prefix}mean"], arrays[f"{prefix}deviation"]
    return Policy(layers, description["activation"], mean, deviation, layout)


def _layer_names(count: int) -> Sequence[str]:
    return [f"{part}{i}" for i in range(count) for part in ("weight", "bias")]
