"""What the network of an approximation is and what it learns; it is trained in `network_training`, which needs
torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bunraku.inversion.approximation import Activation
from bunraku.inversion.polynomial import Counted

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]
"""(weight (out, in), bias (out)) of every layer."""

CHECKPOINT = "checkpoint.safetensors"
"""In an output folder: where a training is."""


@dataclass(frozen=True)
class NetworkConfig:
    """A network's shape and training."""

    hidden: tuple[int, ...] = (512, 512)
    """Widths of the hidden layers; none for no network."""
    activation: Activation = "silu"
    """silu is smooth; leaky_relu is as published."""
    epochs: int = 120
    """At most so many passes over the training samples."""
    batch: int = 64
    """Samples in one step."""
    learning_rate: float = 2e-3
    """The highest learning rate of the schedule."""
    schedule: Literal["one_cycle", "plateau"] = "one_cycle"
    """one_cycle rises and falls once over the epochs; plateau halves when the training loss stalls."""
    weight_decay: float = 1e-4
    """Of AdamW."""
    clip: float = 1.0
    """Largest norm of a gradient; 0 does not clip."""
    patience: int = 30
    """Stop after so many epochs without improvement."""
    improvement: float = 1e-3
    """A validation error counts as improved when it falls by at least this share."""


@dataclass(frozen=True, eq=False)
class Task:
    """What the network learns: from scaled controls the coordinates that the closed form leaves."""

    train: Counted
    validation: Counted
    motion: float
    """Root of the mean square of what is to be explained in all; errors are shares of it."""
    from_zero: bool
    """Start as nothing, so that training can only improve on what is there already; else from random weights."""
    standardise: bool
    """Scale inputs and outputs to unit deviation."""
    seed: int

    def error(self, residual: np.ndarray) -> float:
        """Root of the mean squared residual on the validation samples, as a share of the motion."""
        squares = (residual.astype(np.float64) ** 2).sum(axis=1)
        return float(np.sqrt(self.validation.counts @ squares / self.validation.counts.sum()) / self.motion)
