"""At which moments of a clip episodes begin: uniformly, or more often where those that begin there end early."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class PhasesConfig:
    """How starts follow failures."""

    bins: int = 24
    """The clip is cut into so many parts."""
    uniform: float = 0.5
    """Share of the starts that are drawn uniformly; the others where those that begin there fail."""
    memory: float = 0.95
    """How much of what is known of a part stays when one more episode that began in it has ended."""


_LEAST = 1e-4
"""No part is ever left out."""


@dataclass(frozen=True, eq=False)
class Phases:
    """How often episodes that began in each part of the clip ended early.

    The part that they began in, not the one that they ended in: what decides about a fall is mostly the state that
    an episode begins with, a second or two before it.
    """

    cfg: PhasesConfig
    duration_s: float
    failures: Float[np.ndarray, "bins"]
    """Share of the episodes begun in each part that ended early, a running mean."""

    @staticmethod
    def uniform(duration_s: float, cfg: PhasesConfig) -> Phases:
        """Before anything has happened."""
        return Phases(cfg, duration_s, np.ones(cfg.bins))

    def draw(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "count"]:
        """Moments to begin at [s]."""
        bins = self.cfg.bins
        uniform = generator.uniform(0, 1, count) < self.cfg.uniform
        part = np.where(
            uniform,
            generator.integers(0, bins, count),
            generator.choice(bins, count, p=self.failures / self.failures.sum()),
        )
        return (part + generator.uniform(0, 1, count)) / bins * self.duration_s

    def after(self, begun_s: Float[np.ndarray, "ended"], terminated: Bool[np.ndarray, "ended"]) -> Phases:
        """With more episodes that ended, early or not."""
        failures, keep, bins = self.failures.copy(), self.cfg.memory, self.cfg.bins
        parts = np.minimum((begun_s / self.duration_s * bins).astype(np.int64), bins - 1)
        for part, failed in zip(parts, terminated, strict=True):
            failures[part] = keep * failures[part] + (1 - keep) * failed
        return Phases(self.cfg, self.duration_s, np.maximum(failures, _LEAST))
