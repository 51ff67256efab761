"""Meshes as few numbers: a principal basis found while samples stream past, never held all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.progress import Progress, silent
from bunraku.inversion.dataset import SampleSet

ROWS = 512
"""Meshes held at a time."""
_OVERSAMPLING = 16
_SKETCH_BYTES = 256 * 2**20
_LEAST_WEIGHT = 1e-3
"""Vertex weights below this share of the largest are raised to it: the basis must still say where they
are."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A sample set in coordinates: mesh ≈ mean + z·basis."""

    mean: Float[np.ndarray, "coordinates3"]
    basis: Float[np.ndarray, "components coordinates3"] | None
    left: float
    """Root of the squares that the basis leaves, as a share of the motion about the mean."""
    train_controls: Float[np.ndarray, "train controls"]
    train_z: Float[np.ndarray, "train components"]
    validation_controls: Float[np.ndarray, "validation controls"]
    validation_z: Float[np.ndarray, "validation components"]


def unreduced(samples: SampleSet) -> Reduced:
    """The meshes themselves as coordinates, about 0: what the published recipe trains on. Held in memory."""
    splits = [_gather(samples, split, None, np.zeros(samples.neutral.size)) for split in ("train", "validation")]
    return Reduced(np.zeros(samples.neutral.size), None, 0.0, *splits[0], *splits[1])


def reduce_samples(
    samples: SampleSet,
    components: int,
    explained: float,
    seed: int,
    weights: Float[np.ndarray, "vertices"] | None = None,
    progress: Progress = silent,
) -> Reduced:
    """The principal basis of a set and every sample's coordinates in it, in two passes over the batches.

    Randomised range finder with one power iteration (Halko, Martinsson, Tropp 2011, algorithms 4.4 and 5.1)
    on a random part of the meshes, then an exact rotation from the coordinates of all of them. As few
    components are kept as leave at most `explained` of the motion (root of squares), at most `components`.
    With vertex weights the motion is weighted; the basis that comes back is orthonormal in plain vertices
    all the same.
    """
    origin = samples.neutral.reshape(-1).astype(np.float64)
    root = _root_weights(weights, samples.neutral.shape[0])
    width = min(components + _OVERSAMPLING, origin.size, samples.count)
    sketch, mean, energy = _sketch(samples, origin, root, width, seed, progress)
    q = _range(sketch, width, seed)
    controls, b = _gather(samples, "train", (root[:, None] * q.T).astype(np.float32), origin, progress)
    centre, gram = _moments(b)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    left = np.maximum(energy - np.cumsum(values), 0) / max(energy, 1e-300)
    enough = np.flatnonzero(left <= explained**2)
    kept = min(components, int(enough[0]) + 1 if len(enough) else len(values))
    # Rows of `principal` are orthonormal in weighted coordinates; QR makes their unweighted span orthonormal.
    principal = (q.T @ vectors[:, :kept]) / root[:, None]
    orthonormal, r = np.linalg.qr(principal)
    turn = (vectors[:, :kept] @ r.T).astype(np.float32)
    z = b @ turn
    z -= (centre @ turn).astype(np.float32)
    validation = _gather(samples, "validation", orthonormal.astype(np.float32), mean)
    return Reduced(mean, orthonormal.T.copy(), float(np.sqrt(left[kept - 1])), controls, z, *validation)


def _root_weights(weights: np.ndarray | None, vertices: int) -> np.ndarray:
    if weights is None:
        return np.ones(3 * vertices)
    return np.repeat(np.sqrt(np.maximum(weights, _LEAST_WEIGHT * weights.max())), 3)


def _sketch(
    samples: SampleSet, origin: np.ndarray, root: np.ndarray, width: int, seed: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, float]:
    """Random weighted offsets to find the range in; the exact mean mesh; the weighted squares about it."""
    rng = np.random.default_rng([seed, 0])
    rows = max(2 * width, min(8 * width, _SKETCH_BYTES // (4 * origin.size)))
    share = min(1.0, rows / max(samples.count, 1))
    picked: list[np.ndarray] = []
    total, squares, seen = np.zeros(origin.size), 0.0, 0
    for _, vertices in samples.batches("train", ROWS):
        offset = (vertices.reshape(len(vertices), -1) - origin).astype(np.float32)
        total += offset.sum(axis=0, dtype=np.float64)
        offset *= root.astype(np.float32)
        squares += float(np.einsum("ij,ij->i", offset, offset).sum(dtype=np.float64))
        picked.append(offset[rng.random(len(offset)) < share])
        seen += len(offset)
        progress("basis", seen / 2, samples.count)
    mean = total / seen
    energy = squares - seen * float(((mean * root) ** 2).sum())
    return np.concatenate(picked), origin + mean, energy


def _range(sketch: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Orthonormal rows that nearly span the sketch's rows."""
    width = min(width, len(sketch))
    probe = np.random.default_rng([seed, 1]).standard_normal((width, len(sketch))).astype(np.float32)
    q = np.linalg.qr((probe @ sketch).T)[0]
    return np.linalg.qr(((q.T @ sketch.T) @ sketch).T)[0].T


def _moments(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the rows and the sum of their outer products about it, in float64 but without a float64 copy of all."""
    mean = b.mean(axis=0, dtype=np.float64)
    gram = np.zeros((b.shape[1], b.shape[1]))
    for start in range(0, len(b), 8 * ROWS):
        part = b[start : start + 8 * ROWS] - mean
        gram += part.T @ part
    return mean, gram


def _gather(
    samples: SampleSet, split: str, projection: np.ndarray | None, origin: np.ndarray, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Controls (N, C) and projected offsets (N, K) of a whole split, float32 coordinates."""
    wanted = len(samples.split(split))
    controls = np.empty((wanted, len(samples.spec)))
    coordinates = np.empty((wanted, origin.size if projection is None else projection.shape[1]), np.float32)
    filled = 0
    for values, vertices in samples.batches(split, ROWS):
        offset = (vertices.reshape(len(vertices), -1) - origin).astype(np.float32)
        rows = slice(filled, filled + len(offset))
        controls[rows] = values
        coordinates[rows] = offset if projection is None else offset @ projection
        filled += len(offset)
        progress("basis", (samples.count + filled) / 2, samples.count)
    return controls[:filled], coordinates[:filled]
