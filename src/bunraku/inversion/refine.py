"""Closer to the capture on the *true* rig, which may be a black box that each question costs.

`refine` starts where a solve on an approximation ended and spends a given number of true evaluations per frame: the
residual is the
true rig's, the Jacobian the approximation's, mended after each evaluation by Broyden's update. `FiniteDifferences`
is for rigs so
cheap that no approximation pays: it makes any rig differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.compute.attempt import attempt
from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.reduced import Observation, ReducedRig, observe, project
from bunraku.core.rig import DifferentiableRig, Rig, diagonal
from bunraku.inversion import terms
from bunraku.inversion.box import box_step
from bunraku.inversion.guidance import Limits
from bunraku.inversion.problem import vertex_weights

Evaluate = Callable[[Float[np.ndarray, "poses controls"]], Float[np.ndarray, "poses vertices 3"]]


@dataclass(frozen=True)
class RefineConfig:
    """How much of the true rig's time may be spent."""

    evaluations: int = 8
    """True evaluations per frame; 0 leaves the approximation's answer as it is."""
    neutral: float = 0.0
    """Weight of the prior that controls rest at neutral, as in the solve."""


@dataclass(frozen=True, eq=False)
class Refinement:
    """The best controls seen per frame, and what they cost."""

    controls: Float[np.ndarray, "frames controls"]
    relative_rms: Float[np.ndarray, "frames"]
    """On the true rig, in the approximation's coordinates."""
    evaluations: int
    """Of the true rig, in all."""


def refine(
    evaluate: Evaluate,
    approximation: DifferentiableRig,
    capture: MeshSequence,
    start: Float[np.ndarray, "frames controls"],
    cfg: RefineConfig,
    *,
    limits: Limits | None = None,
    progress: Progress = silent,
) -> Refinement:
    """Damped Broyden steps on the true rig, within the bounds, all frames at once; the best pose of each frame is kept.

    Broyden 1965: after a step δ that changed the residual by y, the Jacobian becomes J + (y − Jδ)δᵀ/δᵀδ.
    """
    if cfg.evaluations == 0:
        return Refinement(start, np.full(len(start), np.nan), 0)
    reduced = approximation.reduce()
    observation = observe(reduced, capture.vertices, vertex_weights(capture), capture.confidence)
    size = max(1, BATCH_BYTES // (8 * len(approximation.spec) * observation.target.shape[1]))
    parts: list[Refinement] = []
    for first in range(0, len(start), size):
        frames = np.arange(first, min(first + size, len(start)))
        own = (limits or Limits.of(approximation.spec)).at(frames)
        seen = _Seen(evaluate, reduced, observation, frames, approximation.spec, own, _scale(capture, approximation))
        parts.append(_refine(seen, start[frames], cfg, progress))
    return Refinement(
        np.concatenate([part.controls for part in parts]),
        np.concatenate([part.relative_rms for part in parts]),
        sum(part.evaluations for part in parts),
    )


def _refine(
    seen: _Seen, start: Float[np.ndarray, "frames controls"], cfg: RefineConfig, progress: Progress
) -> Refinement:
    spec = seen.spec
    lower, upper = ((bound - spec.neutral) / spec.range for bound in (seen.limits.lower, seen.limits.upper))
    u = np.clip((start - spec.neutral) / spec.range, lower, upper)
    jacobian = seen.jacobian(u)
    residual = seen.residual(u)
    failed = ~np.isfinite(residual).all(axis=1)
    if failed.all():
        raise BunrakuError(f"the rig fails at every pose of the refinement's start: {seen.reason(u)}")
    residual[failed] = FAR  # any pose that the rig can show is better
    cost = (residual**2).sum(axis=1) + cfg.neutral**2 * (u**2).sum(axis=1)
    damping = np.full(len(u), FIRST_DAMPING)
    for spent in range(1, cfg.evaluations):
        progress("refine", spent, cfg.evaluations, f"relative error {np.sqrt(cost.mean()):.1e}")
        hessian = jacobian @ np.swapaxes(jacobian, 1, 2) + cfg.neutral**2 * np.eye(len(spec))
        gradient = (jacobian @ residual[..., None])[..., 0] + cfg.neutral**2 * u
        delta, _ = box_step(hessian, gradient, u, lower, upper, damping)
        tried = seen.residual(u + delta)
        shown = np.isfinite(tried).all(axis=1)
        told = shown & ~failed
        jacobian[told] = broyden(jacobian[told], delta[told], (tried - residual)[told])
        reached = (tried**2).sum(axis=1) + cfg.neutral**2 * ((u + delta) ** 2).sum(axis=1)
        better = shown & (reached < cost)
        failed &= ~better
        u[better] += delta[better]
        residual[better], cost[better] = tried[better], reached[better]
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-9, 1e3)
    progress("refine", cfg.evaluations, cfg.evaluations, f"relative error {np.sqrt(cost.mean()):.1e}")
    return Refinement(seen.controls(u), np.sqrt((residual**2).sum(axis=1)), len(u) * cfg.evaluations)


FIRST_DAMPING = 1e-6
FAR = 1e6  # stands for the residual of a pose at which the rig fails
BATCH_BYTES = 256 * 2**20  # of Jacobian held at once


def broyden(
    jacobian: Float[np.ndarray, "frames controls coordinates"],
    delta: Float[np.ndarray, "frames controls"],
    change: Float[np.ndarray, "frames coordinates"],
) -> Float[np.ndarray, "frames controls coordinates"]:
    """Broyden's update of a transposed Jacobian, after steps `delta` that changed the residuals by `change`."""
    surprise = change - (delta[:, None] @ jacobian)[:, 0]
    length = np.maximum((delta**2).sum(axis=1), 1e-300)
    return jacobian + delta[:, :, None] * (surprise / length[:, None])[:, None, :]


def _scale(capture: MeshSequence, rig: Rig) -> float:
    return 1 / (np.sqrt(capture.vertex_count) * diagonal(rig.neutral))


@dataclass(frozen=True, eq=False)
class _Seen:
    """The true rig as the solver sees it: in the approximation's coordinates, against the capture."""

    evaluate: Evaluate
    reduced: ReducedRig
    observation: Observation
    frames: Int[np.ndarray, "frames"]
    """Which of the capture's frames these are."""
    spec: ControlSpec
    limits: Limits
    """Of these frames."""
    scale: float

    def controls(self, u: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames controls"]:
        return np.clip(self.spec.neutral + u * self.spec.range, self.limits.lower, self.limits.upper)

    def residual(self, u: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        """NaN for the poses at which the rig fails: it is somebody's program, and one pose must not cost the others."""
        tried = attempt(self.evaluate, self.controls(u))
        if tried.failure is None:
            return self._weighed(self.frames, tried.value)
        out = np.full((len(u), self.observation.target.shape[1]), np.nan)
        for row in range(len(u)):
            single = attempt(self.evaluate, self.controls(u)[row : row + 1])
            if single.failure is None:
                out[row] = self._weighed(self.frames[row : row + 1], single.value)[0]
        return out

    def reason(self, u: Float[np.ndarray, "frames controls"]) -> str:
        """Why the rig fails at the first pose."""
        return attempt(self.evaluate, self.controls(u)[:1]).failure or "positions that are not finite"

    def _weighed(
        self, frames: Int[np.ndarray, "chosen"], meshes: Float[np.ndarray, "chosen vertices 3"]
    ) -> Float[np.ndarray, "chosen coordinates"]:
        return terms.mesh(self.observation, frames, project(self.reduced, meshes), self.scale)

    def jacobian(self, u: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames controls coordinates"]:
        _, rows = self.reduced.linearize(self.controls(u))
        own = terms.mesh_jacobian(self.observation, self.frames, rows)
        return own * (self.spec.range[:, None] * self.scale)


def difference_step(rig: Rig) -> float:
    """The step of finite differences, as a share of the range: about the root of the rig's precision.

    Many rigs compute in single precision and answer in double: their positions are exact as float32.
    """
    spec = rig.spec
    posed = rig.evaluate(np.clip(spec.neutral + 0.1 * spec.range, spec.lower, spec.upper)[None])
    single = bool((posed == posed.astype(np.float32)).all())
    return 1e-3 if single else 1e-6


@dataclass(frozen=True, eq=False)
class FiniteDifferences:
    """Any rig made differentiable by asking it once more per control."""

    rig: Rig
    step: float = 1e-6
    """Of a control's range."""

    @property
    def spec(self) -> ControlSpec:
        """The rig's own."""
        return self.rig.spec

    @property
    def faces(self) -> np.ndarray:
        """The rig's own."""
        return self.rig.faces

    @property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The rig's own."""
        return self.rig.neutral

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The rig's own."""
        return self.rig.evaluate(controls)

    def jacobian(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses controls vertices 3"]:
        """One-sided differences into the bounds: a rig need not exist beyond them."""
        return self.linearize(controls)[1]

    def linearize(
        self, controls: Float[np.ndarray, "poses controls"]
    ) -> tuple[Float[np.ndarray, "poses vertices 3"], Float[np.ndarray, "poses controls vertices 3"]]:
        """The mesh and its Jacobian, controls + 1 evaluations a pose. A control that cannot move has a row of 0."""
        spec = self.spec
        inward = np.where(controls + self.step * spec.range <= spec.upper, 1.0, -1.0) * self.step * spec.range
        fixed = spec.lower == spec.upper
        poses, count = controls.shape
        moved = np.repeat(controls[:, None], count + 1, axis=1)
        moved[:, np.arange(count), np.arange(count)] += np.where(fixed, 0.0, inward)
        meshes = self.evaluate(moved.reshape(-1, count)).reshape(poses, count + 1, -1, 3)
        return meshes[:, count], (meshes[:, :count] - meshes[:, count:]) / inward[:, :, None, None]

    def jvp(
        self, controls: Float[np.ndarray, "poses controls"], tangents: Float[np.ndarray, "poses controls"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """Jacobian times tangents."""
        return np.einsum("ncvi,nc->nvi", self.jacobian(controls), tangents)

    def vjp(
        self, controls: Float[np.ndarray, "poses controls"], cotangents: Float[np.ndarray, "poses vertices 3"]
    ) -> Float[np.ndarray, "poses controls"]:
        """Transposed Jacobian times cotangents."""
        return np.einsum("ncvi,nvi->nc", self.jacobian(controls), cotangents)

    def reduce(self) -> _Vertices:
        """The vertices themselves as coordinates."""
        return _Vertices(self)


@dataclass(frozen=True, eq=False)
class _Vertices:
    rig: FiniteDifferences

    @property
    def concurrent(self) -> bool:
        # Any rig may be behind it: a program, a user's function.
        return False

    @property
    def basis(self) -> None:
        return None

    @property
    def axes(self) -> int:
        return 1

    @property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        return np.zeros_like(self.rig.neutral)

    def evaluate(self, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        return self.rig.evaluate(controls).reshape(len(controls), -1)

    def linearize(
        self, controls: Float[np.ndarray, "frames controls"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames controls coordinates"]]:
        frames, count = controls.shape
        meshes, jacobian = self.rig.linearize(controls)
        return meshes.reshape(frames, -1), jacobian.reshape(frames, count, -1)
