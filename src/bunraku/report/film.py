"""What a page shows of a shot: the solved mesh, the capture beside it, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int8

from bunraku.core.rig import diagonal
from bunraku.core.shown import Captured, Vertices
from bunraku.report.low_rank import LowRank, low_rank
from bunraku.report.packing import Steady, deflated_size

MISSING = -128
"""A captured point that is not there."""
_SHAPE_BYTES = 3_500_000
"""What the shapes of all meshes together may take before they are deflated, at about a byte and a half a number."""
_SHARE_TOP = 127


@dataclass(frozen=True, eq=False)
class Footage:
    """Where the meshes of a shot come from."""

    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    solved: Vertices
    captured: Captured | None = None
    """None: the capture is gone."""
    points: Vertices | None = None
    """Where on the rig the captured points should be; None: they are its vertices, in order."""
    captured_faces: Int[np.ndarray, "other 3"] | None = None
    """The capture's own triangles, of a capture that has another topology: then nothing corresponds."""
    up: str = "y"
    """The axis that points upwards: y or z."""


@dataclass(frozen=True, eq=False)
class Film:
    """What is kept of it."""

    rows: Int[np.ndarray, "rows"]
    """The frames that are kept, counted from 0."""
    faces: Int[np.ndarray, "triangles 3"]
    solved: LowRank
    points: LowRank | None
    other: LowRank | None
    """A capture of another topology."""
    other_faces: Int[np.ndarray, "other 3"] | None
    seen: Int[np.ndarray, "seen"]
    """Places in `rows` at which the capture is kept."""
    apart: Int8[np.ndarray, "seen points 3"] | None
    """Capture minus rig: sign(a)·(a/127)²·`reach`; -128 where it is missing."""
    reach: float
    p95: Float[np.ndarray, "rows"] | None
    """95th percentile of the distances at each kept row."""
    vertices: Int[np.ndarray, "shown"] | None
    """Which of the rig's vertices are shown; None: all."""
    diagonal: float
    up: str


def film(
    footage: Footage,
    rows: Int[np.ndarray, "rows"],
    worst_first: Int[np.ndarray, "frames"],
    budget: int,
    vertex_error: Float[np.ndarray, "points"] | None = None,
    most_vertices: int = 60_000,
) -> Film:
    """Keep of the footage at `rows` what fits into about `budget` bytes.

    The capture is kept at all rows if they fit, else at some spread evenly and at those that `worst_first` names first;
    a mesh of more than `most_vertices` is shown with fewer of them.
    """
    size = diagonal(footage.neutral)
    shown, faces = None, footage.faces
    if len(footage.neutral) > most_vertices:
        alone = footage.points is None and footage.captured_faces is None
        shown, faces = thinned(footage.neutral, faces, most_vertices, vertex_error if alone else None)
    numbers = 3 * (len(footage.neutral) if shown is None else len(shown))
    most = max(4, min(192, int(_SHAPE_BYTES / 1.5 / numbers)))
    watch = _Watch(footage, shown)
    solved = low_rank(watch.solved, rows, size, most)
    points = None if footage.points is None else low_rank(footage.points, rows, size, most)
    spent = sum(_size(part) for part in (solved, points) if part is not None) + deflated_size(faces.astype(np.uint32))
    other = None
    seen, apart, reach = np.zeros(0, np.int64), None, 0.0
    if footage.captured is not None and footage.captured_faces is not None:
        other = low_rank(lambda chosen: footage.captured(chosen)[0], rows, size, most)  # pyright: ignore[reportOptionalCall]
    elif footage.captured is not None:
        per_frame = 3 * (watch.points if shown is None else len(shown))
        seen = _seen(rows, worst_first, max(8, (budget - spent) // per_frame))
        apart, reach = _apart(watch, rows[seen])
    return Film(
        rows,
        faces,
        solved,
        points,
        other,
        footage.captured_faces,
        seen,
        apart,
        reach,
        watch.percentiles(rows),
        shown,
        size,
        footage.up,
    )


class _Watch:
    """Looks at every frame once while it goes by: distances need the mesh that the shapes are made of."""

    def __init__(self, footage: Footage, shown: np.ndarray | None) -> None:
        self.footage, self.shown = footage, shown
        self.points = len(footage.neutral)
        self._p95: dict[int, float] = {}

    def solved(self, rows: Int[np.ndarray, "rows"]) -> Float[np.ndarray, "rows vertices 3"]:
        """The rig's mesh, of the vertices that are shown."""
        whole = self.footage.solved(rows)
        if self.footage.captured is not None and self.footage.captured_faces is None:
            self._look(rows, whole)
        return whole if self.shown is None else whole[:, self.shown]

    def apart(self, rows: Int[np.ndarray, "rows"]) -> Float[np.ndarray, "rows points 3"]:
        """Capture minus rig; NaN where it is missing."""
        found = self._apart(rows, self.footage.solved(rows))
        return found if self.shown is None or self.footage.points is not None else found[:, self.shown]

    def percentiles(self, rows: Int[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"] | None:
        """Of the frames that have gone by."""
        return np.array([self._p95[int(row)] for row in rows]) if self._p95 else None

    def _apart(self, rows: np.ndarray, whole: np.ndarray) -> np.ndarray:
        assert self.footage.captured is not None
        there, valid = self.footage.captured(rows)
        base = whole if self.footage.points is None else self.footage.points(rows)
        self.points = base.shape[1]
        return there - base if valid.all() else np.where(valid[..., None], there - base, np.nan)

    def _look(self, rows: np.ndarray, whole: np.ndarray) -> None:
        new = np.array([int(row) not in self._p95 for row in rows])
        if not new.any():
            return
        apart = self._apart(rows[new], whole[new])
        squared = np.einsum("fvi,fvi->fv", apart, apart)
        for row, own in zip(rows[new], squared, strict=True):
            own = own[np.isfinite(own)]
            self._p95[int(row)] = _percentile(own) if len(own) else 0.0


def _percentile(squared: Float[np.ndarray, "points"]) -> float:
    at = min(int(0.95 * len(squared)), len(squared) - 1)
    return float(np.sqrt(np.partition(squared, at)[at]))


def _size(part: LowRank) -> int:
    return sum(map(deflated_size, (part.shapes, Steady(part.weights), part.mean.astype(np.float32))))


def _seen(rows: np.ndarray, worst_first: np.ndarray, most: int) -> Int[np.ndarray, "seen"]:
    """Places of the rows at which the capture is kept."""
    if most >= len(rows):
        return np.arange(len(rows))
    place = {int(row): i for i, row in enumerate(rows)}
    worst = [place[int(row)] for row in worst_first if int(row) in place][: min(20, most // 2)]
    even = np.linspace(0, len(rows) - 1, most - len(worst)).astype(int)
    return np.unique(np.concatenate([np.array(worst, np.int64), even]))


def _apart(watch: _Watch, rows: np.ndarray) -> tuple[Int8[np.ndarray, "seen points 3"], float]:
    parts = [watch.apart(rows[first : first + 64]).astype(np.float32) for first in range(0, len(rows), 64)]
    apart = np.concatenate(parts)
    reach = float(np.nanmax(np.abs(apart))) if np.isfinite(apart).any() else 0.0
    with np.errstate(invalid="ignore"):
        shares = np.sign(apart) * np.sqrt(np.abs(apart) / (reach or 1.0))
        return np.where(np.isnan(apart), MISSING, np.round(shares * _SHARE_TOP)).astype(np.int8), reach


def thinned(
    neutral: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "triangles 3"],
    most: int,
    error: Float[np.ndarray, "vertices"] | None,
) -> tuple[Int[np.ndarray, "shown"], Int[np.ndarray, "fewer 3"]]:
    """At most about `most` vertices, one for each cell of a grid: of a cell that with the largest error."""
    low, extent = neutral.min(axis=0), np.ptp(neutral, axis=0).max() + 1e-30
    weight = np.zeros(len(neutral)) if error is None else error
    of = np.arange(len(neutral))
    # A surface crosses about the square of a grid's resolution in cells.
    for resolution in np.geomspace(2 * np.sqrt(most), 8, 24):
        cell = np.floor((neutral - low) / extent * resolution).astype(np.int64)
        of = np.unique(cell, axis=0, return_inverse=True)[1].ravel()
        if of.max() + 1 <= most:
            break
    order = np.lexsort((-weight, of))
    chosen = order[np.unique(of[order], return_index=True)[1]]
    triangles = of[faces]
    a, b, c = triangles.T
    return chosen, triangles[(a != b) & (b != c) & (c != a)]
