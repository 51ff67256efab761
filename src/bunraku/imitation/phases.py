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
    uniform: float = 1.0
    """Share of the starts that are drawn uniformly; the others where episodes fail."""
    before_s: float = 0.5
    """The latter begin up to so long before the part that is hard [s]."""
    memory: float = 0.98
    """How much of what is known of a part stays when one more episode has passed through it."""


_LEAST = 1e-4
"""No part is ever left out."""


@dataclass(frozen=True, eq=False)
class Phases:
    """How often episodes that came through each part of the clip ended early there."""

    cfg: PhasesConfig
    duration_s: float
    loops: bool
    failures: Float[np.ndarray, "bins"]
    """Share of the passages through each part that ended there, a running mean."""

    @staticmethod
    def uniform(duration_s: float, loops: bool, cfg: PhasesConfig) -> Phases:
        """Before anything has happened."""
        return Phases(cfg, duration_s, loops, np.ones(cfg.bins))

    def draw(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "count"]:
        """Moments to begin at [s]."""
        bins, cfg = self.cfg.bins, self.cfg
        uniform = generator.uniform(0, 1, count) < cfg.uniform
        part = np.where(
            uniform,
            generator.integers(0, bins, count),
            generator.choice(bins, count, p=self.failures / self.failures.sum()),
        )
        moment = (part + generator.uniform(0, 1, count)) / bins * self.duration_s
        # Who is to pass a hard part must come into it well: others begin up to `before_s` ahead of it.
        earlier = moment - generator.uniform(0, cfg.before_s, count)
        return np.where(uniform, moment, earlier % self.duration_s if self.loops else np.maximum(earlier, 0.0))

    def after(
        self,
        begun_s: Float[np.ndarray, "ended"],
        terminated: Bool[np.ndarray, "ended"],
        ended_s: Float[np.ndarray, "ended"],
    ) -> Phases:
        """With more episodes: each has passed the parts from where it began to where it ended, and may have failed in
        the last of them.
        """
        failures, keep = self.failures.copy(), self.cfg.memory
        width, bins = self.duration_s / self.cfg.bins, self.cfg.bins
        for begun, ended, failed in zip(begun_s, ended_s, terminated, strict=True):
            last = int(ended / width)
            passed = np.arange(max(int(begun / width), last - bins + 1), last) % bins
            failures[passed] *= keep
            failures[last % bins] = keep * failures[last % bins] + (1 - keep) * failed
        return Phases(self.cfg, self.duration_s, self.loops, np.maximum(failures, _LEAST))
