"""The direct solver: controls that reproduce a capture on any differentiable rig or approximation.

`solve` runs a box-bounded Levenberg–Marquardt on all frames at once, each with its own damping and active set. It then
looks at what is left: vertices that are far off lose their say, and where there is noise a Gauss–Newton over the whole
shot, whose matrix is banded, finds the smoothest curves that the capture allows. It knows residuals and Jacobians,
nothing of rigs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.reduced import observe
from bunraku.core.rig import DifferentiableRig, GuessingRig, diagonal
from bunraku.core.rotations import nearest_branch
from bunraku.inversion import noise as dirt
from bunraku.inversion.guidance import Limits
from bunraku.inversion.levenberg_marquardt import levenberg_marquardt
from bunraku.inversion.noise import Noise
from bunraku.inversion.problem import Priors, Problem, vertex_weights
from bunraku.inversion.robust import Loss, cleaned
from bunraku.inversion.shot import solve_shot
from bunraku.inversion.smoothing import Smoothness, inner_mask, smoothness

ASTRAY = 1e-9  # a relative RMS error below which no frame counts as lost
CLEAN = 1e-7  # noise below this share of the diagonal asks for nothing
ROUNDS = 14  # of a robust solve with each of its losses, at most
ROBUST_ENOUGH = 1e-5  # of the range: a round that moves controls by less on average is the last
ROUNDING = 1e-8  # of a typical control's squared motion: what single precision cannot tell from no motion
WEAK = 0.5  # of its range: the deviation from neutral that is expected of a control before anything is seen
TELLING = 16  # frames that a shot needs at least to say how smooth it is
REST = 6  # frames in a row that a control rests at least
SIGNIFICANT = 3.0  # standard deviations within which a control cannot be told from its neutral


@dataclass(frozen=True)
class SolveConfig:
    """How the solver works and what it prefers. Weights are relative errors per range (see `inversion.terms`); 0
    switches a term off.
    """

    iterations: int = 60
    """At most so many Levenberg–Marquardt steps per frame."""
    neutral: float = 0.0
    """Weight of the prior that controls rest at neutral."""
    sparse: float | Literal["auto"] = "auto"
    """Weight of the prior that few controls are active; "auto": what noise alone explains is exactly neutral."""
    smooth: float | Literal["auto"] = "auto"
    """Weight of the prior that curves are smooth; "auto": each curve as smooth as the capture says (see
    `inversion.smoothing`).
    """
    robust: Literal["auto", "none", "huber", "geman-mcclure"] = "auto"
    """What becomes of vertices that are far off; "auto": Geman and McClure's loss where there are any."""
    rescues: int = 8
    """At most so many rounds in which frames that went astray start again from a neighbour's pose."""
    shot_iterations: int = 12
    """At most so many whole-shot steps."""

    @property
    def priors(self) -> Priors:
        """Of them, those that act on each control of each frame alone."""
        return Priors(self.neutral, 0.0 if self.sparse == "auto" else self.sparse)


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
    noise: Noise
    """What the frame-by-frame solution left."""
    smoothness: Smoothness | None
    """What the capture said of the curves; None where it was not asked."""
    cuts: Int[np.ndarray, "cuts"]
    """Frames at which another shot begins: no curve is smooth across."""
    repeated: Bool[np.ndarray, "frames"]
    """Frames that were taken for dropped ones."""


def solve(
    rig: DifferentiableRig,
    capture: MeshSequence,
    cfg: SolveConfig | None = None,
    *,
    start: Float[np.ndarray, "frames controls"] | None = None,
    limits: Limits | None = None,
    coupling: Float[np.ndarray, "couplings controls"] | None = None,
    offset: Float[np.ndarray, "frames coordinates"] | None = None,
    progress: Progress = silent,
) -> Solution:
    """Controls within their bounds whose mesh on `rig` is closest to the capture, as a shot or frame by frame.

    `start` replaces the solver's own first guess (neutral, or the rig's guess where it has one), `limits` (see
    `inversion.guidance`) the rig's own bounds; `coupling` has combinations of controls that prefer to be 0, in units
    of their ranges, weights included; `offset` is what the rig's coordinates lack in each frame.
    """
    cfg = SolveConfig() if cfg is None else cfg
    repeated = dirt.repeated(capture) if cfg.smooth != 0 else np.zeros(capture.frames, bool)
    if repeated.any():
        valid = np.ones(capture.vertices.shape[:2], bool) if capture.valid is None else capture.valid
        capture = replace(capture, valid=valid & ~repeated[:, None])
    reduced = rig.reduce()
    scale = 1 / (np.sqrt(capture.vertex_count) * diagonal(rig.neutral))
    observation = observe(reduced, capture.vertices, vertex_weights(capture), capture.confidence)
    problem = Problem(reduced, observation, rig.spec, scale, limits or Limits.of(rig.spec), coupling, offset)
    frames = np.arange(capture.frames)
    u = problem.inside(frames, _first_guess(rig, capture, start))
    u, iterations = _solve_frames(problem, u, cfg, progress)
    noise = dirt.measured(problem, capture, u, diagonal(rig.neutral))
    loss = _loss(cfg, noise)
    if loss:
        problem, u, noise = _solve_robustly(problem, capture, u, cfg, noise, loss, diagonal(rig.neutral), progress)
    u = _bridged(_scaled(rig.spec, continuous_branch(rig.spec, problem.controls(frames, u))), capture)
    found, cut = None, np.zeros(0, np.int64)
    if cfg.smooth != 0 and capture.frames > 2:
        cut = dirt.cuts(problem, capture, u, diagonal(rig.neutral))
        told = capture.frames >= TELLING and noise.flicker > CLEAN * diagonal(rig.neutral)
        if cfg.smooth != "auto" or told:
            problem, u, found = _solve_shot(problem, capture, u, cfg, noise, cut, loss, progress)
        else:
            u = _filled(problem, capture, u, cut)
    nothing = np.zeros(len(rig.spec))
    cost = np.concatenate([problem.cost(part, u[part], nothing) for part in problem.batches(frames)])
    controls = problem.controls(frames, u)
    return Solution(controls, np.sqrt(cost), iterations, problem.asked.total, noise, found, cut, repeated)


def _solve_robustly(
    problem: Problem,
    capture: MeshSequence,
    u: Float[np.ndarray, "frames controls"],
    cfg: SolveConfig,
    noise: Noise,
    loss: Loss,
    length: float,
    progress: Progress,
) -> tuple[Problem, Float[np.ndarray, "frames controls"], Noise]:
    """Frame by frame. Huber's loss first, which has one valley: Geman and McClure's trusts where it stands."""
    briefly = replace(cfg, iterations=8, rescues=0)
    for stage in _stages(loss):
        for _ in range(ROUNDS):
            problem, before = cleaned(problem, capture, u, stage, noise.sigma), u
            u, _ = _solve_frames(problem, u, briefly, progress)
            noise = dirt.measured(problem, capture, u, length)
            if float(np.abs(u - before).mean()) < ROBUST_ENOUGH:
                break
    return problem, u, noise


def _stages(loss: Loss) -> tuple[Loss, ...]:
    return ("huber",) if loss == "huber" else ("huber", loss)


def _loss(cfg: SolveConfig, noise: Noise) -> Loss | None:
    if cfg.robust == "auto":
        return "geman-mcclure" if noise.dirty else None
    return None if cfg.robust == "none" else cfg.robust


def _filled(
    problem: Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], cuts: Int[np.ndarray, "cuts"]
) -> Float[np.ndarray, "frames controls"]:
    """Frames of which nothing was captured, where nothing else is uncertain: as smooth as their neighbours allow."""
    if capture.valid is None or bool(capture.valid.any(axis=1).all()):
        return u
    frames = np.arange(capture.frames)
    where = np.repeat(capture.valid.any(axis=1, keepdims=True), u.shape[1], axis=1)
    fixed = replace(problem, limits=problem.limits.narrowed(where, problem.controls(frames, u)))
    return solve_shot(fixed, u, Priors(), inner_mask(len(u), cuts)[:, None], 2, silent)


def _solve_shot(
    problem: Problem,
    capture: MeshSequence,
    u: Float[np.ndarray, "frames controls"],
    cfg: SolveConfig,
    noise: Noise,
    cuts: Int[np.ndarray, "cuts"],
    loss: Loss | None,
    progress: Progress,
) -> tuple[Problem, Float[np.ndarray, "frames controls"], Smoothness | None]:
    found, mask = None, inner_mask(len(u), cuts)[:, None]
    weight = np.full(len(problem.spec), 0.0 if cfg.smooth == "auto" else cfg.smooth)
    if cfg.smooth == "auto":
        # What the capture hardly shows is likelier near its neutral than anywhere: half its range away, give or take.
        expected = max(noise.flicker * problem.scale / WEAK, np.sqrt(ROUNDING * _stiffness(problem, u)))
        cfg = replace(cfg, neutral=float(np.hypot(cfg.neutral, expected)))
        u, _ = _solve_frames(problem, u, replace(cfg, iterations=20, rescues=0), progress)
        # Asked again around the smoothed curves, the capture was taken for a rougher one than it is more often than not
        # (docs/inversion.md).
        found = smoothness(problem, u, cfg.priors, noise.flicker, cuts)
        weight = found.weight
        u = solve_shot(problem, u, cfg.priors, mask * weight, 2, progress)
    if cfg.sparse == "auto" and found is not None:
        # What rests is known now; the others are solved for without it.
        resting = np.broadcast_to(problem.spec.neutral, u.shape)
        problem = replace(problem, limits=problem.limits.narrowed(_rests(problem.spec, u, found), resting))
        u = problem.inside(np.arange(len(u)), u)
    u = solve_shot(problem, u, cfg.priors, mask * weight, cfg.shot_iterations, progress)
    for _ in range(2 if loss else 0):
        # The smoother the curves, the plainer what is far off them.
        problem = cleaned(problem, capture, u, loss or "huber", noise.sigma)
        u = solve_shot(problem, u, cfg.priors, mask * weight, cfg.shot_iterations, progress)
    return problem, u, found


def _stiffness(problem: Problem, u: Float[np.ndarray, "frames controls"]) -> float:
    """How much the mesh typically moves with a control, squared, in the cost's units."""
    chosen = np.unique(np.linspace(0, len(u) - 1, 8).round().astype(int))
    hessian, _, _ = problem.normal(chosen, u[chosen], np.zeros((len(chosen), u.shape[1])))
    return float(np.percentile(np.diagonal(hessian, axis1=1, axis2=2), 90))


def _rests(
    spec: ControlSpec, u: Float[np.ndarray, "frames controls"], found: Smoothness
) -> Bool[np.ndarray, "frames controls"]:
    """Where noise alone explains what a control does."""
    insignificant = np.abs(u) < SIGNIFICANT * found.uncertainty
    # A control that goes both ways passes through its neutral; one that cannot rests there.
    one_way = (spec.neutral == spec.lower) | (spec.neutral == spec.upper)
    return np.where(one_way, _runs(insignificant), insignificant.all(axis=0))


def _runs(where: Bool[np.ndarray, "frames controls"]) -> Bool[np.ndarray, "frames controls"]:
    """Of it, what lasts for REST frames or for the whole shot."""
    frames = len(np.atleast_1d(where))
    length = min(REST, frames)
    # How many of each stretch of frames; then every frame of those that are whole.
    sums = np.cumsum(np.concatenate([np.zeros((1, where.shape[-1]), int), where]), axis=0)
    whole = sums[length:] - sums[:-length] == length
    kept = np.zeros_like(where)
    for offset in range(length):
        kept[offset : offset + frames - length + 1] |= whole
    return kept


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


def _solve_frames(
    problem: Problem, u: Float[np.ndarray, "frames controls"], cfg: SolveConfig, progress: Progress
) -> tuple[Float[np.ndarray, "frames controls"], int]:
    u, cost = u.copy(), np.empty(len(u))
    most = done = 0

    def solved(part: np.ndarray) -> tuple[int, int]:
        u[part], cost[part], steps = levenberg_marquardt(problem, part, u[part], cfg.priors, cfg.iterations)
        return len(part), steps

    for frames, steps in problem.each(solved, np.arange(len(u))):
        most = max(most, steps)
        done += frames
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
    frames = np.arange(len(u))
    for _ in range(cfg.rescues):
        padded = np.concatenate([[np.inf], cost, [np.inf]])
        before, after = padded[:-2], padded[2:]
        worse = np.flatnonzero(cost > np.maximum(100 * np.minimum(before, after), ASTRAY**2))
        source = u[np.clip(np.where(before <= after, frames - 1, frames + 1), 0, len(u) - 1)]
        if not _retried(problem, worse, source, u, cost, cfg):
            return


def _retried(
    problem: Problem,
    worse: Int[np.ndarray, "worse"],
    source: Float[np.ndarray, "frames controls"],
    u: Float[np.ndarray, "frames controls"],
    cost: Float[np.ndarray, "frames"],
    cfg: SolveConfig,
) -> bool:
    """Whether any frame of `worse` became far better from its row of `source` (in place)."""

    def again(part: np.ndarray) -> bool:
        tried, reached, _ = levenberg_marquardt(problem, part, source[part], cfg.priors, cfg.iterations)
        better = reached < 0.5 * cost[part]
        u[part[better]], cost[part[better]] = tried[better], reached[better]
        return bool(better.any())

    return any(list(problem.each(again, worse)))
