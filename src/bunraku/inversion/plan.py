"""How a rig without derivatives is best asked, and what it was asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.rig import DifferentiableRig, Rig


@dataclass(frozen=True)
class Plan:
    """How a rig without derivatives is going to be inverted, and why: told to the user."""

    way: Literal["derivatives", "finite differences", "approximation", "follow"]
    reason: str


SLOW_RIG_S = 0.05  # a rig that takes longer for a pose is not asked more often than needed to know it
FIT_S = 0.06  # per control: what fitting an approximation takes besides the rig's own time, on one core


WORTH_FOLLOWING_S = 0.003  # per pose: of faster rigs an approximation and some refinement come nearer in the same time
REFINED = 8  # evaluations a frame that come after an approximation's answer
FOLLOWED = 30  # evaluations a frame that following a shot takes (see `inversion.follow`), beside a few Jacobians


def plan(rig: Rig, frames: int, samples: int, steady: bool = False) -> Plan:
    """Whether to ask the rig itself for its derivatives, to follow the shot on it, or to fit an approximation first:
    from what one evaluation costs here.

    Finite differences need about 5 Jacobians a frame, `controls` evaluations each; an approximation needs its
    samples, a fit and some refinement; following is for slow rigs, and needs a capture that is `steady`: it has no
    priors over the shot that take noise out.
    """
    if isinstance(rig, DifferentiableRig):
        return Plan("derivatives", "the rig knows its derivatives: it is solved on directly")
    each_s = _evaluation_s(rig)
    direct_s = 5 * len(rig.spec) * frames * each_s
    fitted_s = (samples + REFINED * frames) * each_s + FIT_S * len(rig.spec)
    direct = f"finite differences {direct_s:.2g} s"
    fitted = f"sampling and fitting {fitted_s:.2g} s"
    follows = steady and each_s > WORTH_FOLLOWING_S
    followed_s = (FOLLOWED * frames + 4 * len(rig.spec)) * each_s if follows else np.inf
    told = f", following {followed_s:.2g} s" if follows else ""
    reason = f"one evaluation takes {1e3 * each_s:.3g} ms: {direct}, {fitted}{told}"
    if direct_s <= min(fitted_s, followed_s):
        return Plan("finite differences", reason)
    return Plan("follow" if followed_s < fitted_s else "approximation", reason)


def _evaluation_s(rig: Rig) -> float:
    """Seconds per pose: of one where that is slow, of a batch (after the first, which may have to load things) else."""
    spec = rig.spec
    inward = np.where(spec.upper > spec.neutral, spec.upper - spec.neutral, spec.lower - spec.neutral)
    for poses in (1, 16, 16):
        # No two alike: a program that sees that nothing has changed evaluates nothing.
        batch = spec.neutral + 1e-3 * np.arange(1, poses + 1)[:, None] * inward
        started = time.perf_counter()
        rig.evaluate(batch)
        each_s = (time.perf_counter() - started) / poses
        if each_s > SLOW_RIG_S:
            break
    return each_s


@dataclass(eq=False)
class Counted:
    """A rig that counts the poses that it was asked for: the price of an inversion on a slow rig."""

    rig: Rig
    asked: int = 0

    @property
    def spec(self) -> ControlSpec:
        """The rig's own."""
        return self.rig.spec

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """The rig's own."""
        return self.rig.faces

    @property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The rig's own."""
        return self.rig.neutral

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The rig's own, counted."""
        self.asked += len(controls)
        return self.rig.evaluate(controls)
