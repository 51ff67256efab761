"""A skinned character in coordinates: V' = A·T with A constant, so with A = QR the mesh is R·T in the basis Q.

The Jacobian needs no vertex either. A control at node a with generator X moves the mesh by H_a·Xᵀ, where
H_a = Σ_j R_j [G_j; 0 0 0 1]ᵀ runs over the nodes j below a and is summed from the leaves up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from bunraku.rigs.skinned import SkinnedRig

RANK = 1e-11  # singular values of A below this share of the largest are rounding, not shape


@dataclass(frozen=True, eq=False)
class SkinnedCoordinates:
    """The reduced rig of a `SkinnedRig` (protocol `core.reduced.ReducedRig`)."""

    rig: SkinnedRig
    factor: Float[np.ndarray, "components rows"]
    """R, over the rows of T (see `core.skinning.SkinningMatrix`)."""
    basis: Float[np.ndarray, "components vertices"]
    """Qᵀ."""
    precision: type[np.floating] = np.float32
    """Of the Jacobian. Single: it only steers a solver's steps, the residual that decides where they end is double."""

    @cached_property
    def _columns(self) -> Float[np.ndarray, "components rows"]:
        return self.factor.astype(self.precision)

    @property
    def concurrent(self) -> bool:
        """Nothing is kept between calls."""
        return True

    @property
    def axes(self) -> int:
        """x, y and z share the basis."""
        return 3

    @property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        """The world's origin: the mesh is linear, not affine, in T."""
        return np.zeros((self.basis.shape[1], 3))

    def evaluate(self, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        """R·T, axis by axis."""
        nodes, morphs = self.rig.parameters(controls)
        shapes = self.rig.character.shape_weights(morphs)
        return self._coordinates(self.rig.matrix.rows(self.rig.transforms(nodes), shapes))

    def _coordinates(self, rows: Float[np.ndarray, "frames rows 3"]) -> Float[np.ndarray, "frames coordinates"]:
        return (np.swapaxes(rows, 1, 2) @ self.factor.T).reshape(len(rows), -1)

    def linearize(
        self, controls: Float[np.ndarray, "frames controls"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames controls coordinates"]]:
        """Coordinates and transposed Jacobian."""
        rig = self.rig
        nodes, morphs = rig.parameters(controls)
        world = rig.transforms(nodes)
        frames, joints = world.shape[:2]
        components = self.factor.shape[0]
        shapes = rig.character.shape_weights(morphs)
        below = self._subtrees(world.astype(self.precision), shapes.astype(self.precision))
        generators = rig.generators(nodes, world).reshape(frames, joints, 27, 4).astype(self.precision)
        jacobian = np.empty((frames, len(rig.spec), 3 * components), self.precision)
        for node, columns in zip(*rig.joint_slots, strict=True):
            of_node = rig.slots[columns] - 9 * node
            picked = (3 * of_node[:, None] + np.arange(3)).ravel()
            # (3k, 4) @ (4, M): every control's move of x, y and z in every component.
            moved = generators[:, node, picked] @ below[node]
            jacobian[:, columns] = moved.reshape(frames, len(columns), 3 * components)
        for column in np.flatnonzero(rig.slots >= 9 * joints):
            jacobian[:, column] = self._morph(world, morphs, int(rig.slots[column]) - 9 * joints)
        return self._coordinates(rig.matrix.rows(world, shapes)), jacobian

    def _subtrees(
        self, world: Float[np.ndarray, "frames joints 3 4"], shapes: Float[np.ndarray, "frames shapes"]
    ) -> Float[np.ndarray, "joints frames 4 components"]:
        """H_aᵀ of every node; a node's frames lie together."""
        skeleton, matrix = self.rig.character.skeleton, self.rig.matrix
        frames, joints = world.shape[:2]
        affine = np.zeros((joints, frames, 4, 4), self.precision)
        affine[..., :3, :] = np.swapaxes(world, 0, 1)
        affine[..., 3, 3] = 1
        by_joint = self._columns[:, : 4 * joints].T.reshape(joints, 4, -1)
        below = (affine.reshape(joints, 4 * frames, 4) @ by_joint).reshape(joints, frames, 4, -1)
        for pair, (morph, joint) in enumerate(zip(matrix.pair_morphs, matrix.pair_joints, strict=True)):
            first = 4 * joints + 3 * pair
            part = world[:, joint, :, :3] @ self._columns[:, first : first + 3].T
            below[joint, :, :3] += shapes[:, morph, None, None] * part
        for joint in skeleton.order[::-1]:
            parent = skeleton.parents[joint]
            if parent >= 0:
                below[parent] += below[joint]
        return below

    def _morph(
        self, world: Float[np.ndarray, "frames joints 3 4"], morphs: Float[np.ndarray, "frames morphs"], morph: int
    ) -> Float[np.ndarray, "frames coordinates"]:
        character = self.rig.character
        slopes = character.shape_slopes(morphs)
        shapes = np.flatnonzero(character.shape_morphs == morph)
        parts = [slopes[:, shape, None] * self._shape(world, int(shape)) for shape in shapes]
        return np.sum(parts, axis=0) if parts else np.zeros((len(world), 3 * self.factor.shape[0]))

    def _shape(
        self, world: Float[np.ndarray, "frames joints 3 4"], morph: int
    ) -> Float[np.ndarray, "frames coordinates"]:
        matrix = self.rig.matrix
        moved = np.zeros((len(world), 3, self.factor.shape[0]))
        for pair in np.flatnonzero(matrix.pair_morphs == morph):
            first = 4 * matrix.joint_count + 3 * int(pair)
            moved += world[:, matrix.pair_joints[pair], :, :3] @ self.factor[:, first : first + 3].T
        return moved.reshape(len(world), -1)


def skinned_coordinates(rig: SkinnedRig) -> SkinnedCoordinates:
    """Q and R of the rig's skinning matrix, of the rank that it has (QR, then SVD of the small factor)."""
    matrix = np.asarray(rig.matrix.matrix.todense())
    used = np.flatnonzero(matrix.any(axis=0))
    orthogonal, upper = np.linalg.qr(matrix[:, used])
    left, singular, right = np.linalg.svd(upper, full_matrices=False)
    rank = max(1, int((singular > RANK * singular[0]).sum()))
    factor = np.zeros((rank, matrix.shape[1]))
    factor[:, used] = singular[:rank, None] * right[:rank]
    return SkinnedCoordinates(rig, factor, np.ascontiguousarray((orthogonal @ left[:, :rank]).T))
