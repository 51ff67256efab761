"""A rig seen in few coordinates, and a capture seen in the same.

All meshes that a rig makes lie (nearly) in a linear space with an orthonormal basis B and an origin o. With z = B(Y
− o) the squared
distance of the rig's mesh to a captured Y and that of their coordinates differ by a constant, so that a solver's
cost does not
depend on the number of vertices. Where vertices count differently, or are missing, the metric of the coordinates
changes:
‖W^½(Bᵀz + o − Y)‖² = ‖L(z − z*)‖² + constant, with LᵀL = B W Bᵀ and z* the weighted fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

AT_ONCE = 256  # frames of a capture that are held in double precision


@runtime_checkable
class MeshBasis(Protocol):
    """A space of meshes with an orthonormal basis."""

    @property
    def basis(self) -> Float[np.ndarray, "components rows"] | None:
        """Orthonormal rows; None where the coordinates are the vertices themselves (`axes` 1). With `axes` 1 a row
        runs over vertices·3; with `axes` 3 over vertices, and serves x, y and z alike.
        """
        ...

    @property
    def axes(self) -> int:
        """1 or 3; there are axes · components coordinates, axis by axis."""
        ...

    @property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh whose coordinates are 0."""
        ...


@runtime_checkable
class ReducedRig(MeshBasis, Protocol):
    """A rig's coordinates and their derivatives."""

    @property
    def concurrent(self) -> bool:
        """It may be asked by several threads at once."""
        ...

    def evaluate(self, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        """The coordinates at given controls."""
        ...

    def linearize(
        self, controls: Float[np.ndarray, "frames controls"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames controls coordinates"]]:
        """The coordinates at given controls, and their *transposed* Jacobian (a row per control, as solvers want
        it), which may come in single precision.
        """
        ...


@dataclass(frozen=True, eq=False)
class Observation:
    """A capture in a rig's coordinates: where to go (`target`) and in which metric."""

    target: Float[np.ndarray, "frames coordinates"]
    roots: Float[np.ndarray, "patterns components components"] | Float[np.ndarray, "patterns components"] | None
    """L for each distinct weighting of the vertices, its diagonal where it is one; None where all vertices count 1."""
    pattern: Int[np.ndarray, "frames"]
    """Which root each frame uses."""
    axes: int
    confidence: Float[np.ndarray, "frames"] | None = None
    """How much each frame counts, > 0; None where all count 1."""

    def whiten(self, frames: Int[np.ndarray, "chosen"], values: np.ndarray) -> np.ndarray:
        """L times coordinate differences (chosen, coordinates) or Jacobian rows (chosen, controls, coordinates)."""
        if self.confidence is not None:
            share = np.sqrt(self.confidence[frames]).astype(values.dtype)
            values = values * share.reshape(-1, *[1] * (values.ndim - 1))
        if self.roots is None:
            return values
        if self.roots.ndim == 2:
            own = self.roots[self.pattern[frames]]
            return values * (own if values.ndim == 2 else own[:, None])
        roots = np.swapaxes(self.roots[self.pattern[frames]], 1, 2)
        split = values.reshape(len(frames), -1, roots.shape[1])
        return (split @ roots).reshape(values.shape)


def project(
    reduced: MeshBasis, vertices: Float[np.ndarray, "frames vertices 3"]
) -> Float[np.ndarray, "frames coordinates"]:
    """z = B(Y − o) of every frame."""
    parts = [_projected(reduced, vertices[first : first + AT_ONCE]) for first in range(0, len(vertices), AT_ONCE)]
    return np.concatenate(parts) if parts else _projected(reduced, vertices)


def _projected(
    reduced: MeshBasis, vertices: Float[np.ndarray, "frames vertices 3"]
) -> Float[np.ndarray, "frames coordinates"]:
    offset = np.asarray(vertices, np.float64) - reduced.origin
    if reduced.basis is None:
        return offset.reshape(len(offset), -1)
    if reduced.axes == 1:
        return offset.reshape(len(offset), -1) @ reduced.basis.T
    return (np.ascontiguousarray(np.swapaxes(offset, 1, 2)) @ reduced.basis.T).reshape(len(offset), -1)


def unproject(
    reduced: MeshBasis, coordinates: Float[np.ndarray, "frames coordinates"]
) -> Float[np.ndarray, "frames vertices 3"]:
    """Bᵀz + o of every frame."""
    frames = len(coordinates)
    if reduced.basis is None:
        return coordinates.reshape(frames, -1, 3) + reduced.origin
    if reduced.axes == 1:
        return (coordinates @ reduced.basis).reshape(frames, -1, 3) + reduced.origin
    split = coordinates.reshape(frames, 3, -1) @ reduced.basis
    return np.swapaxes(split, 1, 2) + reduced.origin


def observe(
    reduced: MeshBasis,
    vertices: Float[np.ndarray, "frames vertices 3"],
    weights: Float[np.ndarray, "#frames vertices"] | None = None,
    confidence: Float[np.ndarray, "frames"] | None = None,
) -> Observation:
    """A capture in the rig's coordinates; `weights` ≥ 0 say how much a vertex counts in the squared error (0: missing),
    `confidence` > 0 how much a frame does.

    Frames of equal weights share one factorisation; one row of weights serves all frames.
    """
    frames = len(vertices)
    if weights is None or bool((weights == 1).all()):
        return Observation(project(reduced, vertices), None, np.zeros(frames, np.int64), reduced.axes, confidence)
    distinct, pattern = np.unique(weights, axis=0, return_inverse=True)
    pattern = np.array(np.broadcast_to(pattern.reshape(-1), (frames,)))
    if reduced.basis is None:
        return Observation(project(reduced, vertices), np.sqrt(np.repeat(distinct, 3, axis=1)), pattern, 1, confidence)
    components = reduced.basis.shape[0]
    roots = np.empty((len(distinct), components, components))
    target = np.empty((frames, reduced.axes * components))
    for index, row in enumerate(distinct):
        where = np.flatnonzero(pattern == index)
        roots[index], target[where] = _weighted(reduced, reduced.basis, vertices[where], row)
    return Observation(target, roots, pattern, reduced.axes, confidence)


def _weighted(
    reduced: MeshBasis, basis: np.ndarray, vertices: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.repeat(weights, 3) if reduced.axes == 1 else weights
    weighted = basis * rows
    values, vectors = np.linalg.eigh(weighted @ basis.T)
    # Directions that no counting vertex sees have no metric, and no say in the target.
    seen = values > 1e-10 * max(float(values[-1]), 1e-300)
    scale = np.where(seen, np.sqrt(np.maximum(values, 0)), 0.0)
    inverse = (vectors * np.where(seen, 1 / np.where(seen, values, 1), 0.0)) @ vectors.T
    offset = np.where(weights[:, None] > 0, np.asarray(vertices, np.float64) - reduced.origin, 0.0)
    if reduced.axes == 1:
        moment = offset.reshape(len(offset), -1) @ weighted.T
        return scale[:, None] * vectors.T, moment @ inverse
    moment = np.ascontiguousarray(np.swapaxes(offset, 1, 2)) @ weighted.T
    return scale[:, None] * vectors.T, (moment @ inverse).reshape(len(offset), -1)
