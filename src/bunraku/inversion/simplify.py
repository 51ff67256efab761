"""Curves that an artist can edit: the fewest keys whose mesh stays within a tolerance of the per-frame curves' mesh.

Every group of curves that is keyed together has a budget of error in each frame, in units of the mesh by way of the
rig's derivatives. Keys are placed within the budgets, the shot is measured on the true rig, and budgets are narrowed
where the vertices that their controls move stray too far, until none does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.curves import Curves
from bunraku.core.errors import BunrakuError
from bunraku.core.keys import KeyedCurves, Keys, keyed_curves, keys
from bunraku.core.metrics import Metrics, MetricValue
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import Rig, diagonal
from bunraku.inversion.keyfit import Fit, Shape
from bunraku.inversion.keyplace import place
from bunraku.inversion.keyshape import STILL, Sensitivity, first_keys, sensitivity, shape_of, together

MOVES = 1e-6  # of its range: a control that changes less does not move
FIRST_BUDGET = 1.0  # of the tolerance, for each group
AIM, POWER = 0.97, 0.7  # of the tolerance; and how much of the way a budget goes there at once
LAST_ROUNDS = 40  # in which every control yields where any vertex strays: few are needed
POSES_AT_ONCE = 64


@dataclass(frozen=True)
class SimplifyConfig:
    """How few keys, and how near."""

    tolerance: str = "0.1%"
    """How far any vertex may stray from where the per-frame curves put it: a share of the diagonal of the neutral
    mesh's bounding box ("0.1%"), or a length in the rig's unit ("0.5")."""
    rounds: int = 12
    """How often the shot is measured on the rig, at most, before all controls yield wherever any vertex strays; 0: each
    control stays within the tolerance by itself, and the shot is measured once, at the end."""


@dataclass(frozen=True, eq=False)
class Simplification:
    """Keys, and how well they do."""

    keys: KeyedCurves
    metrics: Metrics
    frame_error: Float[np.ndarray, "frames"]
    """Largest vertex distance per frame between keyed and per-frame curves, on the true rig, in its unit."""


def simplify(
    rig: Rig, solved: Curves, cfg: SimplifyConfig | None = None, *, progress: Progress = silent
) -> Simplification:
    """Few keys for per-frame curves of a rig.

    Components of a rotation vector that move have their keys at the same frames. Whole-numbered curves that jump now
    and then become steps. A control that rests has one key, none if it rests at neutral.

    Raises:
        BunrakuError: a tolerance that is no length or share; a curve that the rig has no control for; a pose of the
            curves at which the rig has no mesh.
    """
    cfg = cfg or SimplifyConfig()
    tolerance = tolerance_length(cfg.tolerance, rig)
    values = solved.ordered_as(rig.spec)
    moving = np.flatnonzero(np.ptp(values, axis=0) > MOVES * rig.spec.range)
    switches = [column for column in moving.tolist() if _is_switch(rig.spec, values[:, column])]
    smooth = np.setdiff1d(moving, switches)
    seen = sensitivity(rig, values, smooth, tolerance)
    groups = [
        _Group(columns, shape_of(rig.spec, values, seen.gain, columns, tolerance), _touched(seen, columns))
        for columns in together(rig.spec, smooth)
    ]
    groups = [part for group in groups for part in _without_rest(group, rig.spec, values, seen, tolerance)]
    meshes = _Meshes(rig, values, seen.asked)
    fits = _within_tolerance(groups, meshes, values, tolerance, cfg.rounds, progress)
    keyed = _keyed(rig.spec, solved, values, groups, fits, switches)
    return _measured(keyed, rig.spec, meshes, moving, tolerance)


def tolerance_length(tolerance: str, rig: Rig) -> float:
    """A tolerance in the rig's unit: "0.1%" of the diagonal of its neutral mesh, or a length as it is.

    Raises:
        BunrakuError: not a positive number.
    """
    text = tolerance.strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise BunrakuError(f"tolerance {tolerance!r}: expected a length such as 0.5 or a share such as 0.1%, above 0")
    return number / 100 * diagonal(rig.neutral) if text.endswith("%") else number


@dataclass(frozen=True, eq=False)
class _Group:
    """Curves that are keyed together, and the vertices that they answer for."""

    columns: Int[np.ndarray, "columns"]
    shape: Shape
    vertices: Int[np.ndarray, "touched"]


def _touched(seen: Sensitivity, columns: np.ndarray) -> Int[np.ndarray, "touched"]:
    return np.flatnonzero(seen.touched[columns].any(axis=0))


def _without_rest(
    group: _Group, spec: ControlSpec, values: np.ndarray, seen: Sensitivity, tolerance: float
) -> list[_Group]:
    """The group without the columns that no mesh would show to move: they get a key of their own, or none."""
    reach = np.ptp(values[:, group.columns], axis=0) * group.shape.gain.max(axis=0)
    left = group.columns[reach > STILL * tolerance]
    if len(left) == len(group.columns):
        return [group]
    return [_Group(left, shape_of(spec, values, seen.gain, left, tolerance), group.vertices)] if len(left) else []


def _is_switch(spec: ControlSpec, curve: Float[np.ndarray, "frames"]) -> bool:
    """Whole numbers that stay the same more often than they change."""
    whole = bool((curve == np.round(curve)).all())
    return whole and int(np.count_nonzero(np.diff(curve))) * 3 <= len(curve)


class _Meshes:
    """The meshes of the per-frame curves to compare with, kept where they fit."""

    def __init__(self, rig: Rig, values: Float[np.ndarray, "frames controls"], asked: int) -> None:
        self.rig, self.values, self.asked = rig, values, asked
        self.kept: dict[int, np.ndarray] = {}
        self.keep = values.shape[0] * rig.neutral.size * 4 <= KEPT_BYTES

    def distances(self, other: Float[np.ndarray, "frames controls"]) -> Iterator[tuple[slice, np.ndarray]]:
        """Frames, and how far each of their vertices is from where it was (frames, vertices)."""
        for start in range(0, len(self.values), POSES_AT_ONCE):
            part = slice(start, min(start + POSES_AT_ONCE, len(self.values)))
            there = self.kept.get(start)
            if there is None:
                there = self.rig.evaluate(self.values[part])
                self.asked += len(there)
                if self.keep:
                    self.kept[start] = there
            self.asked += part.stop - start
            distance = np.linalg.norm(self.rig.evaluate(other[part]) - there, axis=2)
            if not np.isfinite(distance).all():
                row = int(np.argmin(np.isfinite(distance).all(axis=1)))
                raise BunrakuError(f"the rig has positions that are not finite in row {part.start + row} of the curves")
            yield part, distance


KEPT_BYTES = 256 * 2**20


def _within_tolerance(
    groups: list[_Group],
    meshes: _Meshes,
    values: Float[np.ndarray, "frames controls"],
    tolerance: float,
    rounds: int,
    progress: Progress,
) -> list[Fit]:
    """Budgets that begin wide and are narrowed where the mesh strays too far, until it does so nowhere.

    Budgets never widen again: what a wider one would save in one place, it takes from all others around.
    """
    budgets = [np.full(len(values), FIRST_BUDGET * tolerance) for _ in groups]
    fits = [_keys_within(group.shape, budget) for group, budget in zip(groups, budgets, strict=True)]
    for turn in range(rounds + LAST_ROUNDS if rounds else 0):
        errors, largest = _errors(groups, fits, meshes, values)
        count = sum(fitted.values.size for fitted in fits)
        progress("simplify", min(turn, rounds), rounds, f"{count} keys, {largest.max() / tolerance:.2f} tolerances")
        if largest.max() <= tolerance:
            break
        for index, (group, error) in enumerate(zip(groups, errors, strict=True)):
            # What those who answer for a vertex do not mend is the sum of small shares of all others.
            change = _change(error if turn < rounds else largest, fits[index], tolerance)
            if (change < 1).any():
                budgets[index] = budgets[index] * change
                fits[index] = _keys_within(group.shape, budgets[index])
    progress("simplify", 1, 1)
    return fits


def _keys_within(shape: Shape, budget: Float[np.ndarray, "frames"]) -> Fit:
    middle = (shape.values.max(axis=0) + shape.values.min(axis=0)) / 2
    resting = np.repeat(middle[None], len(shape.values), axis=0)
    if (shape.error(resting) <= budget).all():
        nothing = np.zeros((1, len(middle)))
        return Fit(np.zeros(1, np.int64), middle[None], nothing, nothing, resting)
    return place(shape, budget, first_keys(shape))


def _errors(
    groups: list[_Group], fits: list[Fit], meshes: _Meshes, values: Float[np.ndarray, "frames controls"]
) -> tuple[list[Float[np.ndarray, "frames"]], Float[np.ndarray, "frames"]]:
    """Per group and frame the largest error on the vertices that it answers for; and of all vertices."""
    other = _joined(groups, fits, values)
    errors = [np.zeros(len(values)) for _ in groups]
    largest = np.zeros(len(values))
    for part, distance in meshes.distances(other):
        largest[part] = distance.max(axis=1)
        for group, error in zip(groups, errors, strict=True):
            error[part] = distance[:, group.vertices].max(axis=1)
    return errors, largest


def _joined(groups: list[_Group], fits: list[Fit], values: np.ndarray) -> Float[np.ndarray, "frames controls"]:
    other = values.copy()
    for group, fitted in zip(groups, fits, strict=True):
        other[:, group.columns] = fitted.fitted
    return other


def _change(error: Float[np.ndarray, "frames"], fitted: Fit, tolerance: float) -> Float[np.ndarray, "frames"]:
    """By what a budget is multiplied: at most 1. A key acts on the segments that it bounds, so that all frames of a
    segment are treated as the worst among them.
    """
    keys_at = fitted.frames
    if len(keys_at) == 1:
        worst = np.full(len(error), error.max())
    else:
        spans = np.diff(keys_at)
        spans[-1] += 1
        largest = np.maximum.reduceat(error, keys_at[:-1])
        largest[-1] = max(largest[-1], error[-1])
        worst = np.repeat(largest, spans)
    return np.where(worst > tolerance, np.clip((AIM * tolerance / np.maximum(worst, tolerance)) ** POWER, 0.5, 1), 1.0)


def _keyed(
    spec: ControlSpec,
    solved: Curves,
    values: Float[np.ndarray, "frames controls"],
    groups: list[_Group],
    fits: list[Fit],
    switches: list[int],
) -> KeyedCurves:
    start = solved.start_frame
    own = [_rest(spec, start, column, values[:, column]) for column in range(len(spec))]
    for column in switches:
        changes = np.concatenate([[0], np.flatnonzero(np.diff(values[:, column])) + 1])
        own[column] = keys(start + changes, values[changes, column], interpolation="step")
    for group, found in zip(groups, fits, strict=True):
        for place_in_group, column in enumerate(group.columns.tolist()):
            slopes = (found.slope_in[:, place_in_group], found.slope_out[:, place_in_group])
            own[column] = keys(start + found.frames, found.values[:, place_in_group], *slopes)
    return keyed_curves(spec.names, own, spec.neutral, solved.fps, start, solved.frames)


def _rest(spec: ControlSpec, start: int, column: int, curve: Float[np.ndarray, "frames"]) -> Keys:
    value = (float(curve.max()) + float(curve.min())) / 2
    if abs(value - spec.neutral[column]) <= MOVES * spec.range[column]:
        return keys([], [])
    return keys([start], [value])


def _measured(
    keyed: KeyedCurves, spec: ControlSpec, meshes: _Meshes, moving: Int[np.ndarray, "moving"], tolerance: float
) -> Simplification:
    """The keys' own curves on the true rig: what is reported is what reads back."""
    largest, mean = np.zeros(keyed.frames), np.zeros(keyed.frames)
    for part, distance in meshes.distances(keyed.evaluate().ordered_as(spec)):
        largest[part], mean[part] = distance.max(axis=1), distance.mean(axis=1)
    before, after = keyed.frames * len(moving), sum(len(keyed.keys[column]) for column in moving)
    values: dict[str, MetricValue] = {
        "frames": keyed.frames,
        "controls": len(spec),
        "moving_controls": len(moving),
        "keys_before": before,
        "keys_after": after,
        "resting_keys": keyed.count - after,
        "reduction": before / max(after, 1),
        "keys_per_second": keyed.count / float(keyed.frames / keyed.fps),
        "tolerance": tolerance,
        "mean_mesh_error": float(mean.mean()),
        "max_mesh_error": float(largest.max()),
        "within_tolerance": bool(largest.max() <= tolerance),
        "rig_evaluations": meshes.asked,
        "keys_per_control": {name: float(len(own)) for name, own in zip(keyed.names, keyed.keys, strict=True)},
    }
    units = {"tolerance": "rig unit", "mean_mesh_error": "rig unit", "max_mesh_error": "rig unit"}
    return Simplification(keyed, Metrics(values, units), largest)
