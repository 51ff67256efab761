"""One frame's mesh term with whatever of the mesh is missing: no factorisation per frame, so that it keeps pace.

‖W^½(Bᵀz + o − Y)‖² = s − 2·zᵀm + zᵀGz with G = BWBᵀ, m = BW(Y − o), s = ‖W^½(Y − o)‖²: of a few missing vertices G is
the identity less what they carried, of many what is left carries; the last pattern's G is kept for the next frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.reduced import MeshBasis


@dataclass(frozen=True, eq=False)
class FrameTerm:
    """s − 2·zᵀm + zᵀGz for each of the basis's axes; see above."""

    metric: Float[np.ndarray, "components components"] | Float[np.ndarray, "components"] | None
    """G, its diagonal where it is one; None for the identity."""
    moment: Float[np.ndarray, "coordinates"]
    seen: int
    """Numbers captured: three for each vertex."""

    def through(self, rows: Float[np.ndarray, "rows coordinates"]) -> Float[np.ndarray, "rows coordinates"]:
        """Rows times G."""
        if self.metric is None:
            return rows
        if self.metric.ndim == 1:
            return rows * self.metric
        return (rows.reshape(-1, len(self.metric)) @ self.metric.astype(rows.dtype)).reshape(rows.shape)

    def normal(
        self, z: Float[np.ndarray, "coordinates"], rows: Float[np.ndarray, "controls coordinates"]
    ) -> tuple[Float[np.ndarray, "controls controls"], Float[np.ndarray, "controls"]]:
        """JᵀGJ and Jᵀ(Gz − m), where `rows` is the transposed Jacobian of z."""
        off = self.through(z[None])[0] - self.moment
        return (self.through(rows) @ rows.T).astype(np.float64), (rows @ off.astype(rows.dtype)).astype(np.float64)


class Lens:
    """Sees frames in a basis; remembers the metric of the last pattern of missing vertices."""

    def __init__(self, basis: MeshBasis) -> None:
        self.axes = basis.axes
        self.origin = basis.origin
        self.basis = basis.basis
        # Vertices in rows and single precision: picking out the missing ones is then a copy of whole rows.
        self._columns = None if basis.basis is None else np.ascontiguousarray(basis.basis.T, np.float32)
        self._pattern: np.ndarray | None = None
        self._metric: np.ndarray | None = None

    def look(self, vertices: Float[np.ndarray, "vertices 3"], valid: Bool[np.ndarray, "vertices"]) -> FrameTerm:
        """The term of a frame; positions of vertices that are not valid are not read."""
        offset = np.where(valid[:, None], vertices - self.origin, 0.0)
        metric = None if bool(valid.all()) else self._weighing(valid)
        if self.basis is None:
            moment = offset.ravel()
        elif self.axes == 1:
            moment = self.basis @ offset.ravel()
        else:
            moment = (offset.T @ self.basis.T).ravel()
        return FrameTerm(metric, moment, 3 * int(valid.sum()))

    def _weighing(self, valid: Bool[np.ndarray, "vertices"]) -> np.ndarray:
        rows = np.repeat(valid, 3) if self.axes == 1 else valid
        if self._columns is None:
            return rows.astype(np.float64)
        if self._metric is None or self._pattern is None or not np.array_equal(self._pattern, valid):
            few = bool(2 * rows.sum() > len(rows))
            chosen = self._columns[~rows if few else rows]
            seen = (chosen.T @ chosen).astype(np.float64)
            self._metric = np.eye(len(seen)) - seen if few else seen
            self._pattern = valid.copy()
        return self._metric
