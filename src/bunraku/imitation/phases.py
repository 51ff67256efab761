"""At which moments of a clip episodes begin: uniformly, or more often where they have ended early."""

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
    """Share of the starts that are drawn uniformly; the others where episodes failed. 1: all of them."""
    memory: float = 0.99
    """How much of what is known of a part stays when one more episode has passed through it."""


@dataclass(frozen=True, eq=False)
class Phases:
    """How often episodes that came through each part of the clip ended early there."""

    cfg: PhasesConfig
    duration_s: float
    failures: Float[np.ndarray, "bins"]

    @staticmethod
    def uniform(duration_s: float, cfg: PhasesConfig) -> Phases:
        """Before anything has happened."""
        return Phases(cfg, duration_s, np.ones(cfg.bins))

    def draw(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "count"]:
        """Moments to begin at [s]."""
        bins = self.cfg.bins
        share = self.cfg.uniform / bins + (1 - self.cfg.uniform) * self.failures / self.failures.sum()
        part = generator.choice(bins, count, p=share / share.sum())
        return (part + generator.uniform(0, 1, count)) / bins * self.duration_s

    def after(
        self,
        begun_s: Float[np.ndarray, "ended"],
        terminated: Bool[np.ndarray, "ended"],
        ended_s: Float[np.ndarray, "ended"],
    ) -> Phases:
        """With more episodes: each counts for the part that it began in and, if it failed, for the one it failed in.

        An episode that began shortly before its end says most about where it began: starts there were too hard.
        """
        failures = self.failures.copy()
        begun, ended = self._part(begun_s), self._part(ended_s)
        for first, last, failed in zip(begun, ended, terminated, strict=True):
            for part in {int(first), int(last)}:
                failures[part] = self.cfg.memory * failures[part] + (1 - self.cfg.memory) * failed
        return Phases(self.cfg, self.duration_s, np.maximum(failures, 1e-3))

    def _part(self, times_s: np.ndarray) -> np.ndarray:
        return ((times_s % self.duration_s) / self.duration_s * self.cfg.bins).astype(np.int64) % self.cfg.bins
