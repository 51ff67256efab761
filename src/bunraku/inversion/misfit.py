"""Distances between a capture and a rig on solved curves, on all frames and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import Rig
from bunraku.inversion.problem import vertex_weights

BATCH_BYTES = 64 * 2**20  # of positions held at once
GAUSSIAN = 1.4826  # times the median, the deviation that a normal spread of distances would have


@dataclass(frozen=True, eq=False)
class Misfit:
    """How far the rig is from the capture, in the rig's unit; means are of distances, as in `inversion.evaluate`."""

    mean_error: float
    """Mean distance over everything captured."""
    p95_error: float
    """95th percentile of the same (of distances in single precision, which is all that is kept of a long shot)."""
    max_error: float
    """The largest."""
    frame_error: Float[np.ndarray, "frames"]
    """Mean distance over the vertices captured; NaN for a frame of which nothing was."""
    frame_rms: Float[np.ndarray, "frames"]
    """Root mean square, weighted as the vertices count; NaN for a frame in which none that counts was captured."""
    frame_max: Float[np.ndarray, "frames"]
    """The worst vertex's; NaN where nothing was captured."""
    vertex_error: Float[np.ndarray, "vertices"]
    """Mean distance over the frames that captured it; NaN for a vertex that none did."""
    vertex_max: Float[np.ndarray, "vertices"]
    """In its worst frame; NaN likewise."""
    worst_frame: Int[np.ndarray, "vertices"]
    """In which frame that is."""
    approximation_rms: Float[np.ndarray, "frames"] | None
    """Root mean square distance between approximation and rig at the solved controls, over all vertices."""
    seen: Bool[np.ndarray, "frames vertices"] | None
    """The capture's own `valid`."""

    def worst_frames(self, count: int) -> Int[np.ndarray, "worst"]:
        """The frames of largest mean distance, worst first."""
        return _largest(self.frame_error, count)

    def worst_vertices(self, count: int) -> Int[np.ndarray, "worst"]:
        """The vertices of largest mean distance, worst first."""
        return _largest(self.vertex_error, count)


def _largest(values: Float[np.ndarray, "entries"], count: int) -> Int[np.ndarray, "worst"]:
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")[:count]
    return order[np.isfinite(values[order])]


def misfit(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "frames controls"],
    approximation: Rig | None = None,
    *,
    progress: Progress = silent,
) -> Misfit:
    """Distances on the true rig, and between it and what stood in for it."""
    frames, vertices = capture.frames, capture.vertex_count
    given = vertex_weights(capture)
    per_frame = np.empty((4, frames))
    vertex = _VertexSums(vertices)
    kept = np.empty(frames * vertices - capture.missing, np.float32)
    apart = None if approximation is None else np.empty(frames)
    filled = 0
    for rows in _batches(frames, vertices):
        progress("measure", int(rows[0]), frames)
        meshes = rig.evaluate(controls[rows])
        if apart is not None and approximation is not None:
            difference = approximation.evaluate(controls[rows]) - meshes
            apart[rows] = np.sqrt((difference**2).sum(axis=2).mean(axis=1))
        distance = np.linalg.norm(capture.vertices[rows] - meshes, axis=2)
        seen = np.ones_like(distance, bool) if capture.valid is None else capture.valid[rows]
        per_frame[:, rows] = _of_frames(np.where(seen, distance, 0.0), seen, _rows(given, rows, seen))
        vertex.add(rows, distance, seen)
        shown = distance[seen]
        kept[filled : filled + len(shown)] = shown
        filled += len(shown)
    progress("measure", frames, frames)
    total, mean, rms, high = per_frame
    p95 = float(np.percentile(kept, 95, overwrite_input=True))
    # By way of the frames' sums: the mean then rounds alike, however the frames were batched.
    whole = (float(total.sum()) / len(kept), p95, float(np.nanmax(high)))
    return Misfit(*whole, mean, rms, high, vertex.mean, vertex.most, vertex.worst_frame, apart, capture.valid)


class _VertexSums:
    """What is kept of each vertex while the frames go by."""

    def __init__(self, vertices: int) -> None:
        self._total, self._count = np.zeros(vertices), np.zeros(vertices, np.int64)
        self._most, self.worst_frame = np.full(vertices, -1.0), np.zeros(vertices, np.int64)

    def add(self, rows: Int[np.ndarray, "rows"], distance: np.ndarray, seen: np.ndarray) -> None:
        candidate = np.where(seen, distance, -1.0)
        largest = candidate.max(axis=0)
        self.worst_frame = np.where(largest > self._most, rows[candidate.argmax(axis=0)], self.worst_frame)
        self._most = np.maximum(self._most, largest)
        self._total += np.where(seen, distance, 0.0).sum(axis=0)
        self._count += seen.sum(axis=0)

    @property
    def mean(self) -> Float[np.ndarray, "vertices"]:
        return np.where(self._count > 0, self._total / np.maximum(self._count, 1), np.nan)

    @property
    def most(self) -> Float[np.ndarray, "vertices"]:
        return np.where(self._count > 0, self._most, np.nan)


def _of_frames(
    shown: Float[np.ndarray, "rows vertices"],
    seen: Bool[np.ndarray, "rows vertices"],
    weights: Float[np.ndarray, "rows vertices"],
) -> Float[np.ndarray, "4 rows"]:
    """Sum, mean, root mean square and maximum; NaN where there is nothing to take them of."""
    total, count, weight = shown.sum(axis=1), seen.sum(axis=1), weights.sum(axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    rms = np.sqrt((weights * shown**2).sum(axis=1) / np.where(weight > 0, weight, 1.0))
    high = np.where(count > 0, shown.max(axis=1), np.nan)
    return np.stack([total, mean, np.where(weight > 0, rms, np.nan), high])


def _rows(given: np.ndarray | None, rows: Int[np.ndarray, "rows"], seen: np.ndarray) -> np.ndarray:
    if given is None:
        return seen.astype(np.float64)
    return np.broadcast_to(given if len(given) == 1 else given[rows], seen.shape) * 1.0


def _batches(frames: int, vertices: int) -> Iterator[Int[np.ndarray, "rows"]]:
    size = max(1, BATCH_BYTES // (24 * vertices))
    for start in range(0, frames, size):
        yield np.arange(start, min(start + size, frames))


def residuals(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "poses controls"],
    rows: Int[np.ndarray, "poses"],
) -> Float[np.ndarray, "poses vertices 3"]:
    """Capture minus rig in given frames; 0 where the capture has nothing."""
    offset = np.asarray(capture.vertices[rows], np.float64) - rig.evaluate(controls)
    return offset if capture.valid is None else np.where(capture.valid[rows][..., None], offset, 0.0)


def counted_weights(
    rig: Rig,
    capture: MeshSequence,
    controls: Float[np.ndarray, "frames controls"],
    rows: Int[np.ndarray, "looked"],
    outliers: float,
) -> tuple[Float[np.ndarray, "looked vertices"], Int[np.ndarray, "looked"]]:
    """How much each vertex of given frames counts, those further off than `outliers` times the typical distance of
    their frame (1.4826 times its median) left out unless that is 0 or infinite, and how many these are.
    """
    weights = np.empty((len(rows), capture.vertex_count))
    left_out = np.zeros(len(rows), np.int64)
    given = vertex_weights(capture)
    for index, row in enumerate(rows):
        one = rows[index : index + 1]
        seen = np.ones((1, capture.vertex_count), bool) if capture.valid is None else capture.valid[one]
        weights[index] = _rows(given, one, seen)[0]
        if 0 < outliers < np.inf:
            distance = np.linalg.norm(residuals(rig, capture, controls[row][None], one)[0], axis=1)
            counts = weights[index] > 0
            far = counts & (distance > outliers * GAUSSIAN * np.median(distance[counts]))
            weights[index, far] = 0.0
            left_out[index] = far.sum()
    return weights, left_out
