"""The direct solver: controls that reproduce a capture on any differentiable rig or approximation.

`solve` runs a box-bounded Levenberg–Marquardt on all frames at once, each with its own damping and active set, then,
where a prior
couples frames, a Gauss–Newton over the whole shot whose matrix is banded. It knows residuals and Jacobians, nothing
of rigs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bunraku.core.controls import ControlSpec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.reduced import observe, unproject
from bunraku.core.rig import DifferentiableRig, GuessingRig, diagonal
from bunraku.core.rotations import nearest_branch
from bunraku.inversion import terms
from bunraku.inversion.levenberg_marquardt import levenberg_marquardt
from bunraku.inversion.problem import Priors, Problem, vertex_weights
from bunraku.inversion.shot import solve_shot

ASTRAY = 1e-9  # a relative RMS error below which no frame counts as lost


@dataclass(frozen=True)
class SolveConfig:
    """How the solver works and what it prefers. Weights are relative errors per range (see `inversion.terms`); 0
    switches a term off.
    """

    iterations: int = 60
    """At most so many Levenberg–Marquardt steps per frame."""
    neutral: float = 0.0
    """Weight of the prior that controls rest at neutral."""
    sparse: float = 0.0
    """Weight of the prior that few controls are active."""
    smooth: float = 0.0
    """Weight of the prior that curves are smooth: any value above 0 makes the solve a whole-shot one."""
    huber: float = 0.0
    """Vertices further off than so many times the typical residual count less (2 is usual for dirty captures); 0 is
    plain least squares.
    """
    rescues: int = 8
    """At most so many rounds in which frames that went astray start again from a neighbour's pose."""
    shot_iterations: int = 12
    """At most so many whole-shot steps."""

    @property
    def priors(self) -> Priors:
        """Of them, those that act on each control of each frame alone."""
        return Priors(self.neutral, self.sparse)


@dataclass(frozen=True, eq=False)
class Solution:
    """Controls per frame and how far their mesh is from the capture on the rig that was solved on."""

    controls: Float[np.ndarray, "frames controls"]
    relative_rms: Float[np.ndarray, "frames"]
    """√(mean squared vertex distance) / diagonal, on the solved rig's coordinates: what its basis cannot show is not
    in it.
    """
    iterations: int
    """Levenberg–Marquardt steps, the largest number over the frames."""
    evaluations: int
    """Poses that the rig was asked for, with derivatives or without."""


def solve(
    rig: DifferentiableRig,
    capture: MeshSequence,
    cfg: SolveConfig | None = None,
    *,
    start: Float[np.ndarray, "frames controls"] | None = None,
    progress: Progress = silent,
) -> Solution:
    """Controls within their bounds whose mesh on `rig` is closest to the capture, frame by frame or, with
    smoothness, as a shot.

    `start` replaces the solver's own first guess (neutral, or the rig's guess where it has one).
    """
    cfg = SolveConfig() if cfg is None else cfg
    reduced = rig.reduce()
    weights = vertex_weights(capture)
    scale = 1 / (np.sqrt(capture.vertex_count) * diagonal(rig.neutral))
    observation = observe(reduced, capture.vertices, weights)
    problem = Problem(reduced, observation, rig.spec, scale)
    u = _first_guess(rig, capture, start)
    u, iterations = _solve_frames(problem, u, cfg, progress)
    for _ in range(4 if cfg.huber > 0 else 0):
        weights = _robust_weights(problem, capture, u, cfg.huber)
        problem = replace(problem, observation=observe(reduced, capture.vertices, weights))
        u, _ = _solve_frames(problem, u, cfg, progress)
    u = _bridged(_scaled(rig.spec, continuous_branch(rig.spec, problem.controls(u))), capture)
    if cfg.smooth > 0 and capture.frames > 2:
        u = solve_shot(problem, u, cfg.priors, cfg.smooth, cfg.shot_iterations, progress)
    frames = np.arange(capture.frames)
    nothing = np.zeros(len(rig.spec))
    cost = np.concatenate([problem.cost(part, u[part], nothing) for part in problem.batches(frames)])
    return Solution(problem.controls(u), np.sqrt(cost), iterations, problem.asked[0])


def _bridged(u: Float[np.ndarray, "frames controls"], capture: MeshSequence) -> Float[np.ndarray, "frames controls"]:
    """Frames of which nothing was captured lie on the straight line between their neighbours; at the ends they hold."""
    if capture.valid is None or bool(capture.valid.any(axis=1).all()):
        return u
    seen = np.flatnonzero(capture.valid.any(axis=1))
    frames = np.arange(len(u))
    return np.stack([np.interp(frames, seen, column[seen]) for column in u.T], axis=1)


def continuous_branch(
    spec: ControlSpec, controls: Float[np.ndarray, "frames controls"]
) -> Float[np.ndarray, "frames controls"]:
    """The same poses with every rotation vector on the branch nearest to the frame before (the first: to neutral).

    A frame whose nearest branch would leave the bounds keeps its own.
    """
    out = controls.copy()
    if len(spec.rotations) == 0:
        return out
    lower, upper = spec.lower[spec.rotations], spec.upper[spec.rotations]
    before = spec.neutral[spec.rotations]
    for frame in range(len(out)):
        own = out[frame, spec.rotations]
        nearest = nearest_branch(own, before)
        inside = np.logical_and(nearest >= lower, nearest <= upper).all(axis=1)
        before = np.where(np.reshape(inside, (-1, 1)), nearest, own)
        out[frame, spec.rotations] = before
    return out


def _scaled(spec: ControlSpec, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames controls"]:
    return (controls - spec.neutral) / spec.range


def _first_guess(
    rig: DifferentiableRig, capture: MeshSequence, start: Float[np.ndarray, "frames controls"] | None
) -> Float[np.ndarray, "frames controls"]:
    if start is None:
        start = np.tile(rig.spec.neutral, (capture.frames, 1))
        if isinstance(rig, GuessingRig):
            start = rig.guess(capture)
    return _scaled(rig.spec, np.clip(start, rig.spec.lower, rig.spec.upper))


def _robust_weights(
    problem: Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], huber: float
) -> Float[np.ndarray, "frames vertices"]:
    """Huber's weights at the present residual; its scale is 1.4826 times the median distance of each frame's valid
    vertices.
    """
    reached = unproject(problem.rig, problem.rig.evaluate(problem.controls(u)))
    distance = np.linalg.norm(reached - capture.vertices, axis=2)
    valid = np.ones_like(distance, bool) if capture.valid is None else capture.valid
    shown = valid | ~valid.any(axis=1, keepdims=True)  # of a frame with nothing valid any median does
    typical = 1.4826 * np.nanmedian(np.where(shown, distance, np.nan), axis=1, keepdims=True)
    weights = terms.huber_weight(distance, huber * np.maximum(typical, 1e-12))
    given = vertex_weights(capture)
    return weights if given is None else weights * given


def _solve_frames(
    problem: Problem, u: Float[np.ndarray, "frames controls"], cfg: SolveConfig, progress: Progress
) -> tuple[Float[np.ndarray, "frames controls"], int]:
    u, cost = u.copy(), np.empty(len(u))
    most = done = 0
    for part in problem.batches(np.arange(len(u))):
        u[part], cost[part], steps = levenberg_marquardt(problem, part, u[part], cfg.priors, cfg.iterations)
        most = max(most, steps)
        done += len(part)
        progress("solve", done, len(u))
    _rescue(problem, u, cost, cfg)
    return u, most


def _rescue(
    problem: Problem, u: Float[np.ndarray, "frames controls"], cost: Float[np.ndarray, "frames"], cfg: SolveConfig
) -> None:
    """Frames that ended far worse than a neighbour start again from that neighbour's pose (in place), as often as it
    helps.

    One frame's first guess may lie in another valley; motion is continuous, so that the next frame's solution seldom
    does.
    """
    for _ in range(cfg.rescues):
        padded = np.concatenate([[np.inf], cost, [np.inf]])
        before, after = padded[:-2], padded[2:]
        worse = np.flatnonzero(cost > np.maximum(100 * np.minimum(before, after), ASTRAY**2))
        improved = False
        for part in problem.batches(worse):
            source = np.where(before[part] <= after[part], part - 1, part + 1)
            tried, reached, _ = levenberg_marquardt(problem, part, u[source], cfg.priors, cfg.iterations)
            better = reached < 0.5 * cost[part]
            u[part[better]], cost[part[better]] = tried[better], reached[better]
            improved |= bool(better.any())
        if not improved:
            return
