"""What is known of a shot's curves before any key is set: which go together, how far the mesh moves with each, where
they hold, jump and bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.reduced import unproject
from bunraku.core.rig import DifferentiableRig, Rig, hold
from bunraku.inversion.keyfit import Shape
from bunraku.inversion.refine import FiniteDifferences, difference_step

STILL = 0.02  # of the tolerance: what moves the mesh less than that does not move
SHORTEST_HOLD = 5  # gaps between frames; shorter rests are tops of curves
STRAY = 0.02  # of its range: as far as a control that moves no vertex may stray for one whole tolerance
TOUCHED = 0.3  # of what it moves the vertex that it moves most: what it moves less is others' to mind
POSES, FRAMES_PER_POSE = 12, 25  # at which derivatives are taken, in a short shot and per frames of a long one


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How the mesh moves with each control, along a shot."""

    gain: Float[np.ndarray, "frames controls"]
    """Distance that the vertex that moves most moves per unit of the control."""
    touched: Bool[np.ndarray, "controls vertices"]
    """Vertices that a control moves as much as nearly any other."""
    asked: int
    """Evaluations of the rig that this took, where it does not know its derivatives."""


def sensitivity(
    rig: Rig,
    values: Float[np.ndarray, "frames controls"],
    moving: Int[np.ndarray, "moving"],
    tolerance: float,
) -> Sensitivity:
    """From derivatives at a few poses of the shot, interpolated between them; 0 for controls that do not move."""
    frames, count = values.shape
    gain, touched = np.zeros((frames, count)), np.zeros((count, len(rig.neutral)), bool)
    if len(moving) == 0:
        return Sensitivity(gain, touched, 0)
    derivable, columns = _derivable(rig, values, moving)
    reduced = derivable.reduce()
    poses = min(frames, POSES + frames // FRAMES_PER_POSE)
    at = np.unique(np.linspace(0, frames - 1, poses).round().astype(np.int64))
    peak = np.zeros((len(at), len(moving)))
    share = np.zeros((len(moving), len(rig.neutral)))
    for row, frame in enumerate(at):
        _, rows = reduced.linearize(values[frame : frame + 1, columns])
        own = rows[0, np.isin(columns, moving)].astype(np.float64)
        moved = np.linalg.norm(unproject(reduced, own) - reduced.origin, axis=2)
        peak[row] = moved.max(axis=1)
        share = np.maximum(share, moved)
    floor = tolerance / (STRAY * rig.spec.range)
    for column, control in enumerate(moving):
        own = np.interp(np.arange(frames), at, peak[:, column])
        gain[:, control] = np.maximum(own, floor[control])
        touched[control] = share[column] >= TOUCHED * max(float(share[column].max()), 1e-300)
    asked = 0 if derivable is rig else 1 + len(at) * (len(columns) + 1)
    return Sensitivity(gain, touched, asked)


def _derivable(
    rig: Rig, values: Float[np.ndarray, "frames controls"], moving: Int[np.ndarray, "moving"]
) -> tuple[DifferentiableRig, Int[np.ndarray, "columns"]]:
    """The rig, or its finite differences for the controls that move alone; the columns that it takes."""
    every = np.arange(values.shape[1])
    if isinstance(rig, DifferentiableRig):
        return rig, every
    spec = rig.spec
    rest = np.clip(values[0], spec.lower, spec.upper)
    still = {spec.names[column]: float(rest[column]) for column in np.setdiff1d(every, moving)}
    narrowed = hold(rig, still) if still else rig
    return FiniteDifferences(narrowed, difference_step(narrowed)), np.sort(moving)


def together(spec: ControlSpec, moving: Int[np.ndarray, "moving"]) -> list[Int[np.ndarray, "columns"]]:
    """Columns that are keyed at the same frames: the moving ones of a rotation; all others alone."""
    wanted = set(moving.tolist())
    groups: list[np.ndarray] = []
    for triple in spec.rotations.tolist():
        own = [column for column in triple if column in wanted]
        wanted -= set(own)
        if own:
            groups.append(np.array(own))
    return [*groups, *(np.array([column]) for column in sorted(wanted))]


def shape_of(
    spec: ControlSpec,
    values: Float[np.ndarray, "frames controls"],
    gain: Float[np.ndarray, "frames controls"],
    columns: Int[np.ndarray, "columns"],
    tolerance: float,
) -> Shape:
    """Some columns as curves to be keyed together."""
    own, scale = values[:, columns], gain[:, columns]
    # A curve may already be out of bounds (pinned by its user, or rounded): it then stays where it is.
    lower, upper = np.minimum(spec.lower[columns], own.min(axis=0)), np.maximum(spec.upper[columns], own.max(axis=0))
    held = _held(own, scale, STILL * tolerance)
    return Shape(own, scale, lower, upper, _corners(own, scale, tolerance), held)


def first_keys(shape: Shape) -> Int[np.ndarray, "keys"]:
    """Both ends, corners, and where holds begin and end."""
    last = len(shape.values) - 1
    edge = np.flatnonzero(np.diff(shape.held.astype(np.int8))) + 1
    return np.unique(np.concatenate([[0, last], edge, np.flatnonzero(shape.corner)])).astype(np.int64)


def _held(values: np.ndarray, gain: np.ndarray, still: float) -> Bool[np.ndarray, "gaps"]:
    """Gaps between frames that belong to rests: runs that are long enough and end about where they began."""
    scaled = values * gain.max(axis=0)
    quiet = (np.abs(np.diff(scaled, axis=0)) <= still).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        if end - begin < SHORTEST_HOLD or float(np.ptp(scaled[begin : end + 1], axis=0).max()) > 2 * still:
            quiet[begin:end] = False
    return quiet


def _corners(values: np.ndarray, gain: np.ndarray, tolerance: float) -> Bool[np.ndarray, "frames"]:
    """Where slope or value jumps: second differences that a mesh would show, far above those around them.

    A bend stands out as one second difference, a jump as two neighbours: both sides of it are corners.
    """
    bend = np.zeros(len(values))
    if len(values) < 3:
        return bend > 0
    bend[1:-1] = np.abs(np.diff(values * gain.mean(axis=0), n=2, axis=0)).max(axis=1)
    # What is around: the third-largest of five is no part of either.
    around = np.sort(np.lib.stride_tricks.sliding_window_view(np.pad(bend, 2, mode="edge"), 5), axis=1)[:, 2]
    return (bend > 2 * tolerance) & (bend > 4 * around)
