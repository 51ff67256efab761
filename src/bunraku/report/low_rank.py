"""A moving mesh as few shapes that are added up: how a page can hold thousands of frames.

The motion of a rigged mesh has far fewer degrees of freedom than coordinates. Each frame is its centre, plus a mean
shape, plus a sum of shapes (principal components) with weights of its own. Shapes are quantised with one step for all
of them, so that minor ones become small whole numbers, which deflate well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int16

from bunraku.core.shown import Vertices

TOLERANCE = 3e-4
"""Of the diagonal: what a vertex may be off in a page, unless the budget of shapes runs out."""
_TRAINING = 256
"""Frames that the first shapes are made of; more are added wherever these do not suffice."""
_TRAINING_NUMBERS = 20_000_000
_CHUNK = 64
_STEP_SHARE = 0.08
"""The quantisation's step as a share of the tolerance."""
_TOP = 32767
_LOOKED_AT = 64


@dataclass(frozen=True, eq=False)
class LowRank:
    """Vertices of frame f: centre[f] + mean + step · Σₖ weights[f, k] / 32767 · shapes[k]."""

    mean: Float[np.ndarray, "vertices 3"]
    shapes: Int16[np.ndarray, "shapes vertices 3"]
    step: float
    weights: Int16[np.ndarray, "rows shapes"]
    centre: Float[np.ndarray, "rows 3"]
    worst: float
    """The largest distance between a vertex and what a page makes of it, over all rows."""

    def vertices(self, row: int) -> Float[np.ndarray, "vertices 3"]:
        """A frame as a page shows it."""
        weights = self.weights[row].astype(np.float64) * (self.step / _TOP)
        return self.centre[row] + self.mean + np.tensordot(weights, self.shapes.astype(np.float64), 1)


def low_rank(vertices: Vertices, rows: Int[np.ndarray, "rows"], scale: float, most: int) -> LowRank:
    """The mesh at some rows, each vertex within `TOLERANCE` · `scale` if `most` shapes are enough for that.

    One pass: where the shapes so far do not suffice for a frame, what it lacks is added to them; earlier frames, which
    did not need it, have weight 0 on it.
    """
    tolerance = TOLERANCE * scale
    numbers = vertices(rows[:1]).size
    training = max(16, min(_TRAINING, _TRAINING_NUMBERS // numbers, len(rows)))
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, training).astype(int))]
    flat, _ = _centred(vertices(chosen))
    mean = flat.mean(axis=0)
    shapes = _components(flat - mean, tolerance, most)
    centres, weights, worst = list[np.ndarray](), list[np.ndarray](), list[float]()
    for first in range(0, len(rows), _CHUNK):
        flat, centre = _centred(vertices(rows[first : first + _CHUNK]))
        flat -= mean
        own = flat @ shapes.T
        left = flat - own @ shapes
        while (bad := _distances(left) > tolerance).any() and len(shapes) < most:
            # A shape at least: few vertices may be far off where the mean of all is small.
            more = _components(left[bad], tolerance, most - len(shapes), least=max(1, int(bad.sum()) // 4))
            own = np.concatenate([own, left @ more.T], axis=1)
            left -= own[:, len(shapes) :] @ more
            shapes = np.concatenate([shapes, more])
        centres.append(centre)
        weights.append(own)
        worst.append(float(_distances(left).max()))
    all_weights = np.zeros((len(rows), len(shapes)), np.float32)
    for first, own in zip(range(0, len(rows), _CHUNK), weights, strict=True):
        all_weights[first : first + len(own), : own.shape[1]] = own
    return _quantised(mean, shapes, all_weights, np.concatenate(centres), max(worst), tolerance)


def _centred(
    vertices: Float[np.ndarray, "rows vertices 3"],
) -> tuple[Float[np.ndarray, "rows numbers"], Float[np.ndarray, "rows 3"]]:
    """Frames around their centres, so that a long way through the world costs nothing."""
    centre = vertices.mean(axis=1)
    return (vertices - centre[:, None]).astype(np.float32).reshape(len(vertices), -1), centre.astype(np.float32)


def _components(
    flat: Float[np.ndarray, "rows numbers"], tolerance: float, most: int, least: int = 0
) -> Float[np.ndarray, "shapes numbers"]:
    """Orthonormal shapes, as many as bring the rows about within the tolerance, `least` to `most` of them."""
    gram = flat.astype(np.float64) @ flat.T.astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    useful = int((values > max(values[0], 1e-300) * 1e-12).sum()) if values[0] > 0 else 0
    # The root mean square of what is left after 0, 1, … shapes; a vertex may be off by several times that.
    left = np.sqrt(np.maximum(values.sum() - np.concatenate([[0.0], np.cumsum(values)]), 0.0) / flat.size)
    enough = int(np.argmax(left <= tolerance / 8)) if left[-1] <= tolerance / 8 else len(values)
    count = min(useful, max(enough, least), most)
    shapes = vectors[:, :count].T.astype(np.float32) @ flat / np.sqrt(values[:count, None]).astype(np.float32)
    return shapes.astype(np.float32)


def _distances(left: Float[np.ndarray, "rows numbers"]) -> Float[np.ndarray, "rows"]:
    """Of each row the largest distance of a vertex."""
    parts = left.reshape(len(left), -1, 3)
    return np.sqrt(np.einsum("fvi,fvi->fv", parts, parts).max(axis=1, initial=0.0))


def _quantised(
    mean: np.ndarray, shapes: np.ndarray, weights: np.ndarray, centre: np.ndarray, worst: float, tolerance: float
) -> LowRank:
    reach = np.abs(weights).max(axis=0, initial=0.0) + 1e-30
    scaled = shapes * reach[:, None]
    step = max(_STEP_SHARE * tolerance, float(np.abs(scaled).max(initial=0.0)) / _TOP, 1e-30)
    whole = np.round(scaled / step).astype(np.int16)
    shares = np.round(weights / reach * _TOP).astype(np.int16)
    # What quantisation adds, at rows spread evenly: alike everywhere, a little more perhaps at a row not looked at.
    look = np.unique(np.linspace(0, len(weights) - 1, min(_LOOKED_AT, len(weights))).astype(int))
    off = (shares[look].astype(np.float32) * (step / _TOP)) @ whole.astype(np.float32) - weights[look] @ shapes
    added = float(_distances(off).max()) * (1.0 if len(look) == len(weights) else 1.3)
    return LowRank(
        mean.reshape(-1, 3), whole.reshape(len(whole), len(mean) // 3, 3), step, shares, centre, worst + added
    )
