"""How dirty a capture is: its noise, what is far off, frames that repeat, cuts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.reduced import unproject
from bunraku.inversion.problem import Problem

LOOKED_AT = 48  # frames that noise is measured on
NORMAL = 1.4826  # a normal deviation in median absolute deviations
FAR2 = 21.1  # χ² of three coordinates that one vertex in ten thousand exceeds by noise alone
NEAR = 2e-3  # of the diagonal: whatever is less far off does no harm that a robust loss would cure
MANY = 2e-3  # a share of such vertices that is not noise's tail
REDUNDANT = 5.0  # captured coordinates per control below which a few may well be far off by themselves
JUMP = 6.0  # a step so many times as long as those around it is a cut
LEAST_JUMP = 0.01  # of the diagonal
ON_TWOS = 0.3  # a share of repeated frames above which they are the motion's style


@dataclass(frozen=True, eq=False)
class Noise:
    """What a solution leaves of a capture."""

    sigma: float
    """Standard deviation of a vertex coordinate from the solved mesh [rig unit]; by the median, so without outliers."""
    flicker: float
    """The same of what changes from frame to frame: what a rig cannot show but stays or moves slowly is not in it."""
    outliers: float
    """Share of the vertices that are further off than noise puts one in ten thousand."""
    redundancy: float
    """Captured coordinates of a frame per control."""

    @property
    def dirty(self) -> bool:
        """There are more vertices far off than noise has, and enough of the others to say so."""
        return self.outliers > MANY and self.redundancy >= REDUNDANT


def residuals(
    problem: Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], frames: Int[np.ndarray, "chosen"]
) -> Float[np.ndarray, "chosen vertices 3"]:
    """Captured minus solved positions, NaN where nothing was captured."""
    reached = unproject(problem.rig, problem.coordinates(frames, u[frames]))
    out = np.asarray(capture.vertices[frames], np.float64) - reached
    if capture.valid is not None:
        out[~capture.valid[frames]] = np.nan
    if capture.weights is not None:
        out[:, capture.weights == 0] = np.nan
    return out


def measured(
    problem: Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], diagonal: float
) -> Noise:
    """The noise around a solution of frames that were solved one by one."""
    triples = _triples(capture.frames)
    left = residuals(problem, capture, u, triples.reshape(-1))
    seen = np.isfinite(left[..., 0])
    # Each frame's free controls have taken their share of the noise with them.
    redundancy = 3 * float(seen.sum(axis=1).mean()) / len(problem.spec)
    shrunk = np.sqrt(1 - min(1 / max(redundancy, 1e-9), 0.9))
    sigma = NORMAL * _median(np.abs(left)) / shrunk
    flicker = sigma
    if capture.frames >= 3:
        before, own, after = np.moveaxis(left.reshape(len(triples), 3, *left.shape[1:]), 1, 0)
        flicker = min(sigma, NORMAL * _median(np.abs(before - 2 * own + after)) / np.sqrt(6) / shrunk)
    distance2 = (left[seen] ** 2).sum(axis=-1)
    far2 = max(FAR2 * sigma**2, (NEAR * diagonal) ** 2)
    return Noise(float(sigma), float(flicker), float((distance2 > far2).mean()), redundancy)


def jitter(capture: MeshSequence) -> float:
    """What noise can be in a capture at most: standard deviation of a coordinate [rig unit].

    Noise of deviation σ has fourth differences of deviation σ√70; motion only adds to them. Infinite where no five
    frames in a row tell.
    """
    if capture.frames < 5:
        return float("inf")
    first = np.unique(np.linspace(0, capture.frames - 5, min(LOOKED_AT // 3, capture.frames - 4)).round().astype(int))
    rows = first[:, None] + np.arange(5)
    positions = np.asarray(capture.vertices[rows], np.float64)
    if capture.valid is not None:
        positions[~capture.valid[rows]] = np.nan
    bends = np.einsum("pfvx,f->pvx", positions, np.array([1.0, -4.0, 6.0, -4.0, 1.0]))
    known = np.isfinite(bends)
    return float(NORMAL * _median(np.abs(bends)) / np.sqrt(70)) if known.any() else float("inf")


def _triples(frames: int) -> Int[np.ndarray, "places _"]:
    """Three consecutive frames in places spread over the shot; single ones where it is shorter."""
    if frames < 3:
        return np.arange(frames)[:, None]
    first = np.unique(np.linspace(0, frames - 3, min(LOOKED_AT // 3, frames - 2)).round().astype(int))
    return first[:, None] + np.arange(3)


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


def cuts(
    problem: Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], diagonal: float
) -> Int[np.ndarray, "cuts"]:
    """Frames that begin a new shot: the solved mesh, which noise hardly moves, leaps there as not before or after."""
    seen = np.arange(capture.frames) if capture.valid is None else np.flatnonzero(capture.valid.any(axis=1))
    coordinates = np.concatenate([problem.rig.evaluate(problem.controls(f, u[f])) for f in problem.batches(seen)])
    # An orthonormal basis keeps lengths: this is √V times the vertices' root mean square way per frame.
    ways = np.linalg.norm(np.diff(coordinates, axis=0), axis=1) / np.sqrt(capture.vertex_count)
    steps = ways / np.diff(seen)
    found: list[int] = []
    for k in range(len(steps)):
        around = np.concatenate([steps[max(k - 4, 0) : k], steps[k + 1 : k + 5]])
        usual = float(around.max(initial=0.0))
        if ways[k] > max(JUMP * usual, LEAST_JUMP * diagonal):
            found.append(int(seen[k + 1]))
    return np.array(found, np.int64)


def repeated(capture: MeshSequence) -> Bool[np.ndarray, "frames"]:
    """Frames that are copies of the one before in the middle of a motion: dropped by the capture, and filled up.

    Nothing where more than three frames in ten are: motion on twos is meant so.
    """
    steps = _steps(capture)
    copies = np.concatenate([[False], steps == 0])
    moving = np.concatenate([[False], steps > 0])
    # A still stretch is a pose that is held; a dropped frame has motion on both sides.
    alone = copies.copy()
    alone[1:] &= moving[:-1]
    alone[:-1] &= moving[1:]
    alone[-1:] = False
    return alone if alone.mean() <= ON_TWOS else np.zeros_like(alone)


def _steps(capture: MeshSequence) -> Float[np.ndarray, "between"]:
    """Root mean square way of the vertices from each frame to the next that are seen in both; NaN where none are."""
    out = np.full(max(capture.frames - 1, 0), np.nan)
    for k in range(len(out)):
        way = np.asarray(capture.vertices[k + 1], np.float64) - capture.vertices[k]
        if capture.valid is not None:
            way = way[capture.valid[k] & capture.valid[k + 1]]
        if len(way):
            out[k] = np.sqrt((way**2).sum(axis=-1).mean())
    return out
