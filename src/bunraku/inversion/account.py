"""What a capture can say about a rig's controls at all, and where the error of a solve comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import DifferentiableRig, Rig
from bunraku.inversion.information import SPECTRUM, Tangent, deviation_of, in_coordinates, tangents, unit_diagonal
from bunraku.inversion.information import control_deviation as control_deviation
from bunraku.inversion.misfit import Misfit, counted_weights, misfit, residuals
from bunraku.inversion.refine import FiniteDifferences, difference_step
from bunraku.inversion.regions import Region, RegionSums
from bunraku.inversion.residual_split import Split, split
from bunraku.inversion.trades import Group, interchangeable_groups

SHARE = 0.01  # a control of which more than this share (squared) lies in null directions is not determined
ROUNDING = 1e-5  # of what the strongest control moves: differences of single precision tell no less
POSES = 8  # poses that `observability` looks at
WORST_LOOKED_AT = 10  # frames beside the evenly spaced ones


@dataclass(frozen=True, eq=False)
class Observability:
    """Which controls a mesh determines."""

    dead: Bool[np.ndarray, "controls"]
    """No vertex moves with them."""
    interchangeable: Bool[np.ndarray, "controls"]
    """They move vertices, but can be traded for others: a joint without skin of its own above one that can do the
    same.
    """
    groups: tuple[Group, ...] | None = None
    """Which of them for which, where that is known."""

    @property
    def determined(self) -> Bool[np.ndarray, "controls"]:
        """Neither."""
        return ~(self.dead | self.interchangeable)


def observability(
    rig: DifferentiableRig,
    controls: Float[np.ndarray, "frames controls"],
    weights: Float[np.ndarray, "#frames vertices"] | None = None,
) -> Observability:
    """What the mesh determines around given poses, or the part of it that `weights` (0: missing) leave.

    Told from the null space of JᵀJ, scaled to unit diagonal: a control counts as interchangeable when in the average
    pose more than 1 % of its unit vector lies in it. That is without noise; `account` judges with the noise.
    """
    chosen = np.unique(np.linspace(0, len(controls) - 1, POSES).round().astype(int))
    rows = weights if weights is None or len(weights) == 1 else weights[chosen]
    return _exactly(np.concatenate([tangent.normal for tangent in tangents(rig, controls[chosen], rows)]))


def _exactly(normal: Float[np.ndarray, "poses controls controls"]) -> Observability:
    unit, length = unit_diagonal(normal)
    values, vectors = np.linalg.eigh(unit)
    null = values <= SPECTRUM * values[:, -1:]
    still = length == 0
    share = np.where(still, 0.0, (vectors**2 * null[:, None, :]).sum(axis=2)).mean(axis=0)
    dead = still.all(axis=0)
    groups = interchangeable_groups(normal, float(np.sqrt(SPECTRUM * values[:, -1].max(initial=0.0))))
    return Observability(dead, ~dead & (share > SHARE), groups)


def nearly_observed(normal: Float[np.ndarray, "poses controls controls"], traded: float = 0.02) -> Observability:
    """The same told from JᵀJ (per range) of derivatives by differences, in which nothing is exactly null: controls are
    interchangeable where the mesh moves at most `traded` of what they would move it alone, and dead where it moves by
    rounding.
    """
    length = np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 0.0))
    alive = np.flatnonzero((length > ROUNDING * length.max(axis=1, keepdims=True)).any(axis=0))
    dead, inside = np.ones(normal.shape[1], bool), np.zeros(normal.shape[1], bool)
    dead[alive] = False
    groups = tuple(group.renumbered(alive) for group in interchangeable_groups(normal[:, alive][:, :, alive], traded))
    for group in groups:
        inside[group.controls] = True
    return Observability(dead, inside, groups)


@dataclass(frozen=True)
class AccountConfig:
    """How a take is accounted for."""

    sigma: float = 0.0
    """The capture's noise: standard deviation of every coordinate of a vertex, in the rig's unit; 0: told from the
    take's own residual.
    """
    frames: int = 64
    """So many evenly spaced frames, and the ten worst, are looked at with derivatives; errors are of all frames."""
    traded: float = 0.02
    """Controls are interchangeable along a direction in which the mesh moves less than this share of what they would
    move it alone.
    """
    outliers: float = 0.0
    """Vertices further off than so many times the typical residual of their frame are left out of the noise and of
    the split of the error. 0: none, or 4 where the solve was a robust one; inf: none.
    """
    worst: int = 10
    """So many worst frames and vertices are named."""


@dataclass(frozen=True, eq=False)
class Account:
    """What a capture says of each control, and where the error of its take comes from."""

    misfit: Misfit
    """Errors of all frames and vertices, on the true rig."""
    looked: Int[np.ndarray, "looked"]
    """Frames that were looked at with derivatives, ascending."""
    even: Bool[np.ndarray, "looked"]
    """Those of them that are evenly spaced: the figures for the shot are of these, so that the worst do not count
    twice."""
    weight: Float[np.ndarray, "looked"]
    """Σ of the weights of the vertices that count, in each."""
    outliers: Int[np.ndarray, "looked"]
    """How many vertices of each were left out as outliers."""
    sigma: float
    """The noise that deviations refer to: standard deviation of every coordinate, in the rig's unit."""
    deviation: Float[np.ndarray, "looked controls"]
    """Cramér–Rao standard deviations as shares of the ranges (see `control_deviation`)."""
    constant_deviation: Float[np.ndarray, "controls"]
    """The same for an offset that is constant over the whole shot."""
    dead: Bool[np.ndarray, "controls"]
    """Controls that move no vertex that counts in any frame looked at."""
    held: Bool[np.ndarray, "controls"]
    """Controls that could not move: their bounds meet, or the solve was told to hold them. No unknowns, so that they
    have a deviation of 0 and take no part in groups."""
    groups: tuple[Group, ...]
    """Controls that can be traded for each other; its poses are those of `looked`."""
    split: Split
    """Where the error of each frame looked at comes from."""
    confirmed: Float[np.ndarray, "looked"]
    """Squared error that the best small step, or the damped one, took off when the true rig was asked."""
    worst_frames: Int[np.ndarray, "worst"]
    """Those of largest mean distance, worst first."""
    regions: tuple[Region, ...]
    """The worst vertices, worst first, and what moves them."""


def account(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "frames controls"],
    cfg: AccountConfig | None = None,
    *,
    on: DifferentiableRig | None = None,
    approximation: Rig | None = None,
    held: Bool[np.ndarray, "controls"] | None = None,
    progress: Progress = silent,
) -> Account:
    """The account of solved controls against the (aligned) capture that they were solved from.

    `on` gives the derivatives where it is not the rig itself (an approximation of a slow rig; by default the rig, by
    finite differences if it has none of its own). Where the solve ran on an `approximation`, its error at the solved
    poses is accounted for too. `held` controls were not free to move (locked, driven by a curve).

    Raises:
        BunrakuError: a capture or controls of another size than the rig's; settings out of range.
    """
    cfg = cfg or AccountConfig()
    _check(rig, capture, controls, cfg)
    if on is None:
        on = rig if isinstance(rig, DifferentiableRig) else FiniteDifferences(rig, difference_step(rig))
    errors = misfit(rig, capture, controls, approximation, progress=progress)
    looked, even = _looked_at(errors, cfg)
    fixed = (rig.spec.lower == rig.spec.upper) | (False if held is None else held)
    weights, outliers = counted_weights(rig, capture, controls, looked, cfg.outliers)
    worst = errors.worst_vertices(cfg.worst)
    sums = RegionSums(on, worst)
    normals: list[np.ndarray] = []
    parts: list[Split] = []
    for tangent in tangents(on, controls[looked], weights):
        progress("account", tangent.poses.start, len(looked))
        rows = looked[tangent.poses]
        normals.append(tangent.normal * (~fixed[:, None] & ~fixed))
        parts.append(_split(rig, capture, controls, rows, tangent, normals[-1], weights[tangent.poses], on))
        sums.add(tangent.jacobian)
    progress("account", len(looked), len(looked))
    whole = Split(*(np.concatenate([getattr(part, own.name) for part in parts]) for own in fields(Split)))
    normal = np.concatenate(normals)
    sigma = cfg.sigma or noise_of(whole.total[even], (weights[even] > 0).sum(axis=1), int((~fixed).sum()))
    still = (unit_diagonal(normal)[1] == 0).all(axis=0)
    # The frames looked at stand for all that were captured.
    shot = normal[even].mean(axis=0) * int(np.isfinite(errors.frame_rms).sum())
    return Account(
        errors, looked, even, weights.sum(axis=1), outliers, sigma,
        np.where(fixed, 0.0, deviation_of(normal, sigma)), np.where(fixed, 0.0, deviation_of(shot, sigma)),
        still & ~fixed, fixed, interchangeable_groups(normal, cfg.traded), whole,
        _confirmed(rig, capture, controls[looked], looked, weights, whole),
        errors.worst_frames(cfg.worst), sums.regions(rig.spec.names),
    )  # fmt: skip


def noise_of(total: Float[np.ndarray, "frames"], counted: Int[np.ndarray, "frames"], controls: int) -> float:
    """σ of every coordinate from squared residuals Σ w‖r‖² over so many vertices per frame.

    Divided by coordinates − controls, since a fit takes up a coordinate per control; a frame with fewer coordinates
    than twice its controls is not corrected.
    """
    coordinates = 3 * counted
    left = np.where(coordinates > 2 * controls, coordinates - controls, coordinates)
    return float(np.sqrt(total.sum() / max(1, int(left.sum()))))


def _check(rig: Rig, capture: MeshSequence, controls: np.ndarray, cfg: AccountConfig) -> None:
    vertices = len(rig.neutral)
    if capture.vertex_count != vertices:
        raise BunrakuError(f"the capture has {capture.vertex_count} vertices, the rig {vertices}")
    if controls.shape != (capture.frames, len(rig.spec)):
        expected = f"({capture.frames}, {len(rig.spec)}), the capture's frames and the rig's controls"
        raise BunrakuError(f"controls have shape {controls.shape}; expected {expected}")
    if not (np.isfinite(cfg.sigma) and cfg.sigma >= 0):
        raise BunrakuError(f"sigma {cfg.sigma:g}: expected a finite length ≥ 0, in the rig's unit")
    if not 0 < cfg.traded < 1:
        raise BunrakuError(f"traded {cfg.traded:g}: expected a share between 0 and 1")
    if not cfg.outliers >= 0:
        raise BunrakuError(f"outliers {cfg.outliers:g}: expected 0 (none left out) or how many times the residual")
    for name in ("frames", "worst"):
        if getattr(cfg, name) < 1:
            raise BunrakuError(f"{name} {getattr(cfg, name)}: expected 1 or more")


def _looked_at(errors: Misfit, cfg: AccountConfig) -> tuple[Int[np.ndarray, "looked"], Bool[np.ndarray, "looked"]]:
    shown = np.flatnonzero(np.isfinite(errors.frame_rms))
    spaced = shown[np.unique(np.linspace(0, len(shown) - 1, min(cfg.frames, len(shown))).round().astype(int))]
    looked = np.union1d(spaced, errors.worst_frames(WORST_LOOKED_AT))
    return looked, np.isin(looked, spaced)


def _split(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "frames controls"],
    rows: Int[np.ndarray, "poses"],
    tangent: Tangent,
    normal: Float[np.ndarray, "poses controls controls"],
    weights: Float[np.ndarray, "poses vertices"],
    on: DifferentiableRig,
) -> Split:
    residual = residuals(rig, capture, controls[rows], rows)
    moment = in_coordinates(on.reduce(), weights[..., None] * residual)
    moment = (tangent.jacobian @ moment[..., None])[..., 0]
    total = (weights * (residual**2).sum(axis=2)).sum(axis=1)
    spec = rig.spec
    lower = np.minimum(spec.lower - controls[rows], 0.0) / spec.range
    upper = np.maximum(spec.upper - controls[rows], 0.0) / spec.range
    return split(normal, moment, total, lower, upper)


def _confirmed(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "looked controls"],
    looked: Int[np.ndarray, "looked"],
    weights: Float[np.ndarray, "looked vertices"],
    found: Split,
) -> Float[np.ndarray, "looked"]:
    """The linearised promise, put to the true rig: two evaluations a frame."""
    spec = rig.spec
    best = np.zeros(len(looked))
    for step in (found.step, found.damped_step):
        tried = np.clip(controls + step * spec.range, spec.lower, spec.upper)
        for start in range(0, len(looked), 16):
            part = slice(start, start + 16)
            left = (residuals(rig, capture, tried[part], looked[part]) ** 2).sum(axis=2)
            best[part] = np.maximum(best[part], found.total[part] - (weights[part] * left).sum(axis=1))
    return best
