"""The direct solver: controls that reproduce a capture on any differentiable rig or approximation.

`solve` runs a box-bounded Levenberg–Marquardt on all frames at once, each with its own damping and active set, then,
where a prior
couples frames, a Gauss–Newton over the whole shot whose matrix is banded. It knows residuals and Jacobians, nothing
of rigs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.reduced import Observation, ReducedRig, observe, unproject
from bunraku.core.rig import DifferentiableRig, GuessingRig, diagonal
from bunraku.core.rotations import nearest_branch
from bunraku.inversion import terms

BATCH_BYTES = 192 * 2**20  # of Jacobian held at once
EXACT = 1e-11  # a step that promises less relative RMS error than this is chasing rounding
ASTRAY = 1e-9  # a relative RMS error below which no frame counts as lost
SETTLED = 1e-7  # a step that promises less than this share of the cost is not worth another
SLOW = 1e-5  # nor is one after a step that took no more than this share off
LEAST_DAMPING = 1e-8  # keeps directions that the mesh does not see from drifting on rounding alone


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


@dataclass(frozen=True, eq=False)
class _Problem:
    """Everything that stays fixed while a solve runs."""

    rig: ReducedRig
    observation: Observation
    spec: ControlSpec
    scale: float
    """1/(√V·D): coordinates to relative RMS error."""
    asked: list[int] = field(default_factory=lambda: [0])
    """One running count of the poses that the rig was asked for."""

    @property
    def lower(self) -> Float[np.ndarray, "controls"]:
        return (self.spec.lower - self.spec.neutral) / self.spec.range

    @property
    def upper(self) -> Float[np.ndarray, "controls"]:
        return (self.spec.upper - self.spec.neutral) / self.spec.range

    def controls(self, u: Float[np.ndarray, "chosen controls"]) -> Float[np.ndarray, "chosen controls"]:
        # Exactly the bound where u is at it, whatever the rounding of the scaling says.
        return np.clip(self.spec.neutral + u * self.spec.range, self.spec.lower, self.spec.upper)

    def cost(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"], prior: np.ndarray
    ) -> Float[np.ndarray, "chosen"]:
        self.asked[0] += len(frames)
        residual = terms.mesh(self.observation, frames, self.rig.evaluate(self.controls(u)), self.scale)
        return (residual**2).sum(axis=1) + ((prior * u) ** 2).sum(axis=1)

    def normal(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"], prior: np.ndarray
    ) -> tuple[Float[np.ndarray, "chosen controls controls"], Float[np.ndarray, "chosen controls"], np.ndarray]:
        """H = JᵀJ, g = Jᵀr and the cost, of the mesh term and of the diagonal priors (weights `prior`, (chosen,
        controls)).
        """
        self.asked[0] += len(frames)
        coordinates, jacobian = self.rig.linearize(self.controls(u))
        residual = terms.mesh(self.observation, frames, coordinates, self.scale)
        jt = terms.mesh_jacobian(self.observation, frames, jacobian)
        # The Jacobian's own units (range, scale) are put on the small products, not on the large factor.
        unit = self.spec.range * self.scale
        hessian = (jt @ np.swapaxes(jt, 1, 2)).astype(np.float64) * (unit[:, None] * unit)
        gradient = (jt @ residual[..., None].astype(jt.dtype))[..., 0] * unit
        index = np.arange(len(self.spec))
        hessian[:, index, index] += prior**2
        cost = (residual**2).sum(axis=1) + ((prior * u) ** 2).sum(axis=1)
        return hessian, gradient + prior**2 * u, cost

    def batches(self, frames: Int[np.ndarray, "chosen"]) -> Iterator[Int[np.ndarray, "batch"]]:
        size = max(1, BATCH_BYTES // (8 * len(self.spec) * self.observation.target.shape[1]))
        for start in range(0, len(frames), size):
            yield frames[start : start + size]


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
    problem = _Problem(reduced, observation, rig.spec, scale)
    u = _first_guess(rig, capture, start)
    u, iterations = _solve_frames(problem, u, cfg, progress)
    for _ in range(4 if cfg.huber > 0 else 0):
        weights = _robust_weights(problem, capture, u, cfg.huber)
        problem = replace(problem, observation=observe(reduced, capture.vertices, weights))
        u, _ = _solve_frames(problem, u, cfg, progress)
    u = _bridged(_scaled(rig.spec, continuous_branch(rig.spec, problem.controls(u))), capture)
    if cfg.smooth > 0 and capture.frames > 2:
        u = _solve_shot(problem, u, cfg, progress)
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


def vertex_weights(capture: MeshSequence) -> Float[np.ndarray, "rows vertices"] | None:
    """How much each vertex of each frame counts (one row where all frames agree); None where all count 1."""
    if capture.valid is None:
        return None if capture.weights is None else capture.weights[None]
    return capture.valid * (1.0 if capture.weights is None else capture.weights)


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


def _prior(u: Float[np.ndarray, "chosen controls"], cfg: SolveConfig) -> Float[np.ndarray, "chosen controls"]:
    """The weights of the priors that act on each control of each frame alone, as one diagonal."""
    if cfg.sparse == 0:
        return np.full_like(u, cfg.neutral)
    return np.sqrt(cfg.neutral**2 + terms.sparsity_weight(u, cfg.sparse) ** 2)


def _robust_weights(
    problem: _Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], huber: float
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
    problem: _Problem, u: Float[np.ndarray, "frames controls"], cfg: SolveConfig, progress: Progress
) -> tuple[Float[np.ndarray, "frames controls"], int]:
    u, cost = u.copy(), np.empty(len(u))
    most = done = 0
    for part in problem.batches(np.arange(len(u))):
        u[part], cost[part], steps = _levenberg_marquardt(problem, part, u[part], cfg)
        most = max(most, steps)
        done += len(part)
        progress("solve", done, len(u))
    _rescue(problem, u, cost, cfg)
    return u, most


def _rescue(
    problem: _Problem, u: Float[np.ndarray, "frames controls"], cost: Float[np.ndarray, "frames"], cfg: SolveConfig
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
            tried, reached, _ = _levenberg_marquardt(problem, part, u[source], cfg)
            better = reached < 0.5 * cost[part]
            u[part[better]], cost[part[better]] = tried[better], reached[better]
            improved |= bool(better.any())
        if not improved:
            return


def _levenberg_marquardt(
    problem: _Problem, frames: Int[np.ndarray, "batch"], u: Float[np.ndarray, "batch controls"], cfg: SolveConfig
) -> tuple[Float[np.ndarray, "batch controls"], Float[np.ndarray, "batch"], int]:
    """Marquardt's method with Nielsen's damping, every frame on its own; frames that are done drop out of the batch."""
    u, best = u.copy(), np.full(len(u), np.inf)
    damping, growth = np.full(len(u), 1e-3), np.full(len(u), 2.0)
    left = np.arange(len(u))
    for step in range(1, cfg.iterations + 1):
        prior = _prior(u[left], cfg)
        hessian, gradient, cost = problem.normal(frames[left], u[left], prior)
        delta, predicted = box_step(hessian, gradient, u[left], problem.lower, problem.upper, damping[left])
        tried = u[left] + delta
        reached = problem.cost(frames[left], tried, prior)
        gain = np.clip((cost - reached) / np.maximum(predicted, 1e-300), -1.0, 1.0)
        better = reached < cost
        u[left[better]] = tried[better]
        best[left] = np.where(better, reached, cost)
        # Nielsen 1999: after a good step the damping falls by as much as the model was right; after a bad one
        # it grows, faster each time.

        eased = np.maximum(damping[left] * np.maximum(1 / 5, 1 - (2 * gain - 1) ** 3), LEAST_DAMPING)
        damping[left] = np.where(better, eased, damping[left] * growth[left])
        growth[left] = np.where(better, 2.0, growth[left] * 2)
        settled = predicted < np.maximum(SETTLED * cost, EXACT**2)
        settled |= better & (cost - reached < SLOW * cost)
        stuck = ~better & (damping[left] > 1e6)
        left = left[~(settled | stuck)]
        if len(left) == 0:
            return u, best, step
    return u, best, cfg.iterations


def box_step(
    hessian: Float[np.ndarray, "batch controls controls"],
    gradient: Float[np.ndarray, "batch controls"],
    u: Float[np.ndarray, "batch controls"],
    lower: Float[np.ndarray, "controls"],
    upper: Float[np.ndarray, "controls"],
    damping: Float[np.ndarray, "batch"],
) -> tuple[Float[np.ndarray, "batch controls"], Float[np.ndarray, "batch"]]:
    """The damped step δ that keeps lower ≤ u + δ ≤ upper, and the decrease of the cost that the quadratic model
    predicts.

    Controls at a bound that the gradient pushes outward are held; those that the step would carry over a bound are
    set onto it and
    the others solved for again, so that bounds are reached exactly.
    """
    index = np.arange(u.shape[1])
    diagonal_of = hessian[:, index, index]
    # Marquardt's scaling; controls that move nothing get a little of the largest, so that they stay where they are.
    floor = 1e-9 * diagonal_of.max(axis=1, keepdims=True) + 1e-300
    damped = hessian.copy()
    damped[:, index, index] += damping[:, None] * np.maximum(diagonal_of, floor) + floor * 1e-3
    held = ((u <= lower) & (gradient > 0)) | ((u >= upper) & (gradient < 0))
    delta = np.zeros_like(u)
    for _ in range(3):
        delta = _solve_free(damped, gradient, delta, held)
        over = ((u + delta < lower) | (u + delta > upper)) & ~held
        if not over.any():
            break
        delta = np.where(over, np.clip(u + delta, lower, upper) - u, delta)
        held |= over
    delta = np.clip(u + delta, lower, upper) - u
    curvature = (hessian @ delta[..., None])[..., 0]
    return delta, -(2 * gradient * delta + curvature * delta).sum(axis=1)


def _solve_free(
    damped: Float[np.ndarray, "batch controls controls"],
    gradient: Float[np.ndarray, "batch controls"],
    delta: Float[np.ndarray, "batch controls"],
    held: Bool[np.ndarray, "batch controls"],
) -> Float[np.ndarray, "batch controls"]:
    """Minimise the damped model over the controls that are not held; the held ones keep their δ."""
    fixed = np.where(held, delta, 0.0)
    right = -(gradient + (damped @ fixed[..., None])[..., 0])
    if not held.any():
        return np.linalg.solve(damped, right[..., None])[..., 0]
    free = ~held
    system = damped * (free[:, :, None] & free[:, None, :])
    index = np.arange(held.shape[1])
    system[:, index, index] += held
    return np.where(held, fixed, np.linalg.solve(system, np.where(held, 0.0, right)[..., None])[..., 0])


def _solve_shot(
    problem: _Problem, u: Float[np.ndarray, "frames controls"], cfg: SolveConfig, progress: Progress
) -> Float[np.ndarray, "frames controls"]:
    """Gauss–Newton over all frames at once with the smoothness prior; one damping for the shot."""
    damping = 1e-6
    cost = _shot_cost(problem, u, _prior(u, cfg), cfg.smooth)
    for step in range(cfg.shot_iterations):
        progress("solve the shot", step, cfg.shot_iterations)
        prior = _prior(u, cfg)
        cost = _shot_cost(problem, u, prior, cfg.smooth)
        delta = _shot_step(problem, u, prior, cfg.smooth, damping)
        reached = _shot_cost(problem, u + delta, prior, cfg.smooth)
        if reached < cost:
            u, damping = u + delta, max(damping / 5, 1e-9)
            if cost - reached < 1e-9 * cost:
                break
        else:
            damping *= 20
            if damping > 1e4:
                break
    progress("solve the shot", cfg.shot_iterations, cfg.shot_iterations)
    return u


def _shot_cost(problem: _Problem, u: np.ndarray, prior: np.ndarray, smooth: float) -> float:
    frames = np.arange(len(u))
    mesh_cost = sum(float(problem.cost(part, u[part], prior[part]).sum()) for part in problem.batches(frames))
    return mesh_cost + float((terms.smoothness(u, smooth) ** 2).sum())


def _shot_step(
    problem: _Problem, u: Float[np.ndarray, "frames controls"], prior: np.ndarray, smooth: float, damping: float
) -> Float[np.ndarray, "frames controls"]:
    """One damped Gauss–Newton step; the matrix is banded: frames couple to the next two, control by control."""
    from scipy.linalg import solveh_banded

    frames, count = u.shape
    gradient = terms.smoothness_gradient(u, smooth)
    bands = terms.smoothness_bands(frames, smooth)
    blocks = np.empty((frames, count, count))
    for part in problem.batches(np.arange(frames)):
        blocks[part], own, _ = problem.normal(part, u[part], prior[part])
        gradient[part] += own
    held = ((u <= problem.lower) & (gradient > 0)) | ((u >= problem.upper) & (gradient < 0))
    banded = np.zeros((2 * count + 1, frames * count))
    strongest = max(float(blocks[:, np.arange(count), np.arange(count)].max()), 1e-300)
    row, column = np.tril_indices(count)
    free = ~held
    # Lower form of LAPACK: banded[i − j, j] = H[i, j]; a held control is cut out of the system and keeps its value.
    at = np.arange(frames)[:, None] * count + column
    banded[np.broadcast_to(row - column, at.shape), at] = blocks[:, row, column] * free[:, row] * free[:, column]
    for apart in (0, 1, 2):
        coupling = bands[apart, : frames - apart, None] * (free[: frames - apart] & free[apart:])
        banded[apart * count, : (frames - apart) * count] += coupling.ravel()
    banded[0] += damping * np.maximum(banded[0], 1e-9 * strongest) + 1e-12 * strongest + held.ravel()
    delta = solveh_banded(banded, np.where(held, 0.0, -gradient).ravel(), lower=True, check_finite=False)
    return np.clip(u + delta.reshape(u.shape), problem.lower, problem.upper) - u
