"""Captured points that are not the rig's vertices one by one: each a fixed linear combination of them.

A vertex map has one 1 in a row, a marker on the surface the barycentric weights of its triangle. What is linear in
the vertices is linear in a rig's reduced coordinates too, so that a rig seen through an attachment is again a rig, and
every solver takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.reduced import ReducedRig
from bunraku.core.rig import DifferentiableRig, GuessingRig, Rig

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BATCH_BYTES = 64 * 2**20  # of the inner rig's Jacobian held at once: it may be far larger than the points'
RANK = 1e-11  # singular values below this share of the largest are rounding
ALL_BUT = 0.9  # a weight above which a point is where that vertex is, for a first guess
SUM = 1e-6  # how far from 1 a row of weights may sum


@dataclass(frozen=True, eq=False)
class Attachment:
    """points = matrix · vertices + offset. Build with `attachment`, or with what `inversion.correspondence` offers."""

    matrix: csr_matrix
    """(points, rig vertices); rows are non-negative and sum to 1."""
    taken: Int[np.ndarray, "points"]
    """Which of the capture's vertices (or markers) each point is; the others correspond to nothing."""
    captured: int
    """How many vertices (or markers) the capture has."""
    offset: Float[np.ndarray, "points 3"]
    """Constant, in the rig's space and unit: markers that stand off the surface. It does not turn with the surface."""

    @property
    def points(self) -> int:
        """How many points."""
        return len(self.offset)

    @property
    def vertices(self) -> int:
        """How many vertices the rig has."""
        return int(self.matrix.get_shape()[1])

    @property
    def shown(self) -> Bool[np.ndarray, "vertices"]:
        """The rig's vertices that any point tells about."""
        out = np.zeros(self.vertices, bool)
        out[self.matrix.indices] = True
        return out

    @property
    def is_identity(self) -> bool:
        """The capture's vertices are the rig's, in their order."""
        everything = self.captured == self.points == self.vertices == self.matrix.nnz
        order = np.arange(self.points)
        return bool(
            everything
            and np.array_equal(self.taken, order)
            and np.array_equal(self.matrix.indices, order)
            and not self.offset.any()
        )

    def apply(self, meshes: Float[np.ndarray, "poses vertices 3"]) -> Float[np.ndarray, "poses points 3"]:
        """The points of the rig's meshes."""
        return self.mix(meshes) + self.offset

    def mix(self, meshes: Float[np.ndarray, "poses vertices 3"]) -> Float[np.ndarray, "poses points 3"]:
        """The same without the offset: what is linear of it."""
        return _mixed(self.matrix, meshes)

    def spread(self, points: Float[np.ndarray, "poses points 3"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The transpose of `mix`."""
        return _mixed(self.matrix.T, points)

    def of(self, capture: MeshSequence) -> MeshSequence:
        """What corresponds of a capture, in the order of the points, with the faces of which all corners do.

        Raises:
            BunrakuError: a capture of another number of vertices than the attachment was made for.
        """
        if capture.vertex_count != self.captured:
            raise BunrakuError(
                f"the capture has {capture.vertex_count} vertices; its correspondence was made for {self.captured}"
            )
        place = np.full(self.captured, -1)
        place[self.taken] = np.arange(self.points)
        faces = place[capture.faces] if len(capture.faces) else np.zeros((0, 3), np.int64)
        faces = faces[(faces >= 0).all(axis=1)]
        weights = None if capture.weights is None else capture.weights[self.taken]
        valid = None if capture.valid is None else capture.valid[:, self.taken]
        if valid is not None and not valid.any():
            raise BunrakuError("every vertex of the capture that corresponds to the rig is missing in every frame")
        if weights is not None and not (weights > 0).any():
            raise BunrakuError("every vertex of the capture that corresponds to the rig has weight 0")
        return replace(
            capture,
            vertices=capture.vertices[:, self.taken],
            faces=faces.astype(np.int32),
            weights=weights,
            valid=valid,
        )

    def on_vertices(self, points: MeshSequence) -> MeshSequence:
        """Points that all but are a vertex, carried to it, all other vertices missing: enough for a first guess.

        Where several meet at one vertex, their mean.
        """
        strongest = np.asarray(self.matrix.argmax(axis=1)).ravel()
        near = np.flatnonzero(self.matrix.max(axis=1).toarray().ravel() > ALL_BUT)
        valid = np.ones(points.vertices.shape[:2], bool) if points.valid is None else points.valid
        count = np.zeros((points.frames, self.vertices))
        total = np.zeros((points.frames, self.vertices, 3))
        for point in near:
            shown = valid[:, point]
            count[:, strongest[point]] += shown
            total[shown, strongest[point]] += points.vertices[shown, point] - self.offset[point]
        return replace(
            points,
            vertices=total / np.maximum(count, 1)[..., None],
            faces=np.zeros((0, 3), np.int32),
            weights=None,
            valid=count > 0,
        )


def _mixed(matrix: csr_matrix, meshes: np.ndarray) -> np.ndarray:
    """A sparse matrix on the second axis of (poses, n, 3)."""
    flat = np.moveaxis(np.asarray(meshes, np.float64), 0, 1).reshape(meshes.shape[1], -1)
    mixed = (matrix @ flat).reshape(-1, len(meshes), 3)
    return np.ascontiguousarray(np.moveaxis(mixed, 0, 1))


def attachment(
    corners: Int[np.ndarray, "points corners"],
    weights: Float[np.ndarray, "points corners"],
    vertices: int,
    *,
    taken: Int[np.ndarray, "points"] | None = None,
    captured: int | None = None,
    offset: Float[np.ndarray, "points 3"] | None = None,
    name: str = "attachment",
) -> Attachment:
    """A checked `Attachment` from the rig's vertices that each point hangs on, and their weights (0: not used).

    Without `taken` the points are the capture's vertices in their order.

    Raises:
        BunrakuError: no point, a vertex that the rig does not have, weights that are negative, not finite or do not
            sum to 1.
    """
    from scipy.sparse import csr_matrix

    count = len(corners)
    if count == 0:
        raise BunrakuError(f"{name}: attaches nothing; it needs at least one point")
    if corners.min() < 0 or corners.max() >= vertices:
        worst = int(corners.min() if corners.min() < 0 else corners.max())
        raise BunrakuError(f"{name}: names rig vertex {worst}; the rig has {vertices} (0 to {vertices - 1})")
    total = weights.sum(axis=1)
    wrong = np.flatnonzero(~(np.isfinite(weights).all(axis=1) & (weights >= 0).all(axis=1) & (abs(total - 1) < SUM)))
    if len(wrong):
        shown = ", ".join(f"{w:g}" for w in weights[wrong[0]])
        raise BunrakuError(f"{name}: point {wrong[0]} has weights {shown}; expected none negative, with the sum 1")
    row = np.repeat(np.arange(count), corners.shape[1])
    matrix = csr_matrix(((weights / total[:, None]).ravel(), (row, corners.ravel())), shape=(count, vertices))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    taken = np.arange(count) if taken is None else np.asarray(taken, np.int64)
    captured = count if captured is None else captured
    assert len(taken) == count
    assert 0 <= taken.min() <= taken.max() < captured, "points are vertices of the capture"
    return Attachment(matrix, taken, captured, np.zeros((count, 3)) if offset is None else offset)


@dataclass(frozen=True, eq=False)
class Attached:
    """A rig whose vertices are the points of an attachment. Build with `attached`."""

    whole: Rig
    to: Attachment

    @property
    def spec(self) -> ControlSpec:
        """The rig's own."""
        return self.whole.spec

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """None: points have no faces of their own."""
        return np.zeros((0, 3), np.int32)

    @property
    def neutral(self) -> Float[np.ndarray, "points 3"]:
        """The points of the neutral mesh."""
        return self.to.apply(self.whole.neutral[None])[0]

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses points 3"]:
        """The points of every pose."""
        return self.to.apply(self.whole.evaluate(controls))


@dataclass(frozen=True, eq=False)
class AttachedDifferentiable(Attached):
    """The same around a rig that knows its derivatives."""

    whole: DifferentiableRig  # pyright: ignore[reportIncompatibleVariableOverride]

    def jvp(
        self, controls: Float[np.ndarray, "poses controls"], tangents: Float[np.ndarray, "poses controls"]
    ) -> Float[np.ndarray, "poses points 3"]:
        """Jacobian times tangents."""
        return self.to.mix(self.whole.jvp(controls, tangents))

    def vjp(
        self, controls: Float[np.ndarray, "poses controls"], cotangents: Float[np.ndarray, "poses points 3"]
    ) -> Float[np.ndarray, "poses controls"]:
        """Transposed Jacobian times cotangents."""
        return self.whole.vjp(controls, self.to.spread(cotangents))

    def guess(self, capture: MeshSequence) -> Float[np.ndarray, "frames controls"]:
        """The rig's guess from the points at the vertices that they hang on; neutral where it has none."""
        if isinstance(self.whole, GuessingRig):
            return self.whole.guess(self.to.on_vertices(capture))
        return np.tile(self.spec.neutral, (capture.frames, 1))

    def reduce(self) -> AttachedCoordinates:
        """The points in few coordinates: the image of the rig's own, or the points themselves where they are fewer."""
        return _attached_coordinates(self.to, self.whole.reduce(), len(self.spec))


@dataclass(frozen=True, eq=False)
class AttachedCoordinates:
    """A `ReducedRig` of points. With z the inner coordinates the points are lift·z + origin.

    The image of an orthonormal basis is not orthonormal, as a solver's metric wants it. With the thin QR lift = Q·R the
    coordinates are R·z in the basis Q. Where there are no more points than components they are lift·z, the points.
    """

    to: Attachment
    inner: ReducedRig
    controls: int
    turn: Float[np.ndarray, "components inner"] | None
    """R, or `lift` itself, for each axis or for all three together; None where the inner coordinates are vertices."""
    basis: Float[np.ndarray, "components rows"] | None
    """Qᵀ."""

    @property
    def concurrent(self) -> bool:
        """As the inner coordinates."""
        return self.inner.concurrent

    @property
    def axes(self) -> int:
        """3 only where there is a basis, and it serves all three."""
        return 1 if self.basis is None else self.inner.axes

    @property
    def origin(self) -> Float[np.ndarray, "points 3"]:
        """The points of the inner origin."""
        return self.to.apply(self.inner.origin[None])[0]

    def evaluate(self, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        """The coordinates at given controls."""
        return self._turned(self.inner.evaluate(controls))

    def linearize(
        self, controls: Float[np.ndarray, "frames controls"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames controls coordinates"]]:
        """Coordinates and transposed Jacobian, a few frames at a time."""
        size = max(1, BATCH_BYTES // (8 * self.controls * self._inner_coordinates))
        values: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        for start in range(0, len(controls), size):
            value, jacobian = self.inner.linearize(controls[start : start + size])
            values.append(self._turned(value))
            rows.append(self._turned(jacobian))
        return np.concatenate(values), np.concatenate(rows)

    @property
    def _inner_coordinates(self) -> int:
        return self.inner.origin.size if self.inner.basis is None else self.inner.axes * len(self.inner.basis)

    def _turned(self, inner: np.ndarray) -> np.ndarray:
        """Inner coordinates, or rows of their Jacobian, in the points' coordinates; in the precision given."""
        before = inner.shape[:-1]
        if self.turn is None:
            meshes = inner.reshape(-1, self.to.vertices, 3)
            return self.to.mix(meshes).reshape(*before, -1).astype(inner.dtype, copy=False)
        turn = self.turn.T.astype(inner.dtype, copy=False)
        if self.inner.axes == 1:
            return inner @ turn
        turned = inner.reshape(*before, 3, -1) @ turn
        if self.basis is None:
            turned = np.swapaxes(turned, -1, -2)  # vertex by vertex, as plain meshes are
        return turned.reshape(*before, -1)


def _attached_coordinates(to: Attachment, inner: ReducedRig, controls: int) -> AttachedCoordinates:
    basis = inner.basis
    if basis is None:
        return AttachedCoordinates(to, inner, controls, None, None)
    if inner.axes == 3:
        lift = np.asarray(to.matrix @ basis.T)
    else:
        lift = to.mix(basis.reshape(len(basis), -1, 3)).reshape(len(basis), -1).T
    if len(lift) <= len(basis):
        return AttachedCoordinates(to, inner, controls, lift, None)
    orthogonal, upper = np.linalg.qr(lift)
    left, singular, right = np.linalg.svd(upper)
    rank = max(1, int((singular > RANK * singular[0]).sum()))
    turn = singular[:rank, None] * right[:rank]
    return AttachedCoordinates(to, inner, controls, turn, np.ascontiguousarray((orthogonal @ left[:, :rank]).T))


def attached(rig: Rig, to: Attachment) -> Rig:
    """The rig as its capture sees it: with the attachment's points in place of its vertices.

    Raises:
        BunrakuError: an attachment to a rig of another number of vertices.
    """
    if to.vertices != len(rig.neutral):
        raise BunrakuError(f"the attachment is to a rig of {to.vertices} vertices; this one has {len(rig.neutral)}")
    if to.is_identity:
        return rig
    return AttachedDifferentiable(rig, to) if isinstance(rig, DifferentiableRig) else Attached(rig, to)
