"""A mesh on a skeleton, and linear blend skinning as the matrix that it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.skeleton import Skeleton

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class SkinnedCharacter:
    """Rest vertices, which joints carry them, and morph targets.

    A *binding* is a joint together with an inverse bind matrix: one joint may serve several skins, each with
    its own. A vertex that follows a node rigidly has one influence of weight 1 on a binding whose matrix is
    the identity.
    """

    skeleton: Skeleton
    positions: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "triangles 3"]
    binding_joints: Int[np.ndarray, "bindings"]
    inverse_binds: Float[np.ndarray, "bindings 4 4"]
    influences: Int[np.ndarray, "vertices influences"]
    """Binding index of each influence; where the weight is 0 it does not matter."""
    weights: Float[np.ndarray, "vertices influences"]
    """Non-negative, summing to 1 per vertex."""
    morph_names: tuple[str, ...]
    morph_deltas: Float[np.ndarray, "morphs vertices 3"]
    """Offsets of the rest vertices at morph weight 1."""
    morph_rest: Float[np.ndarray, "morphs"]
    """The file's default morph weights, which are the neutral ones."""

    @property
    def vertex_count(self) -> int:
        """How many vertices."""
        return self.positions.shape[0]


@dataclass(frozen=True, eq=False)
class SkinningMatrix:
    """Linear blend skinning as one sparse product, V' = A·T.

    V'_v = Σ_k w_k G_{j_k} B_k [p_v + Σ_m μ_m δ_{m,v}; 1] is linear in the world transforms G_j (3×4) and in
    the products μ_m G_j. The rows of T are, for each joint, the four columns of G_j, then for each (morph,
    joint) pair that meets in some vertex the three columns of μ_m times G_j's linear part; each row has 3
    entries, the world axes.
    """

    matrix: csr_matrix
    """A, (vertices, 4·joints + 3·pairs)."""
    joint_count: int
    pair_morphs: Int[np.ndarray, "pairs"]
    pair_joints: Int[np.ndarray, "pairs"]

    def rows(
        self, transforms: Float[np.ndarray, "poses joints 3 4"], morphs: Float[np.ndarray, "poses morphs"]
    ) -> Float[np.ndarray, "poses rows 3"]:
        """T of every pose, from the joints' world transforms and the morph weights."""
        poses = len(transforms)
        joints = np.swapaxes(transforms, 2, 3).reshape(poses, 4 * self.joint_count, 3)
        if len(self.pair_morphs) == 0:
            return joints
        linear = np.swapaxes(transforms[:, self.pair_joints, :, :3], 2, 3) * morphs[:, self.pair_morphs, None, None]
        return np.concatenate([joints, linear.reshape(poses, -1, 3)], axis=1)

    def skin(
        self, transforms: Float[np.ndarray, "poses joints 3 4"], morphs: Float[np.ndarray, "poses morphs"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """The skinned vertices of every pose, in world space."""
        rows = self.rows(transforms, morphs)
        flat = np.moveaxis(rows, 0, 1).reshape(rows.shape[1], -1)
        skinned = (self.matrix @ flat).reshape(-1, len(rows), 3)
        return np.ascontiguousarray(np.moveaxis(skinned, 0, 1))


def skinning_matrix(character: SkinnedCharacter) -> SkinningMatrix:
    """The matrix A of a character, float64."""
    from scipy.sparse import csr_matrix

    joints = len(character.skeleton)
    vertices, influences = character.weights.shape
    vertex = np.repeat(np.arange(vertices), influences)
    binding, weight = character.influences.ravel(), character.weights.ravel()
    kept = weight > 0
    vertex, binding, weight = vertex[kept], binding[kept], weight[kept]
    joint = character.binding_joints[binding]
    # B_k [p; 1] by influence: the bound point in the joint's own frame, homogeneous: weights scale all of it.
    bind = character.inverse_binds[binding]
    point = np.einsum("kij,kj->ki", bind[:, :3, :3], character.positions[vertex]) + bind[:, :3, 3]
    bound = np.concatenate([point, np.ones((len(point), 1))], axis=1) * weight[:, None]
    entries = [(np.repeat(vertex, 4), (4 * joint[:, None] + np.arange(4)).ravel(), bound.ravel())]
    width = 4 * joints
    pair_morphs: list[int] = []
    pair_joints: list[int] = []
    for morph, deltas in enumerate(character.morph_deltas):
        moved = np.abs(deltas[vertex]).max(axis=1) > 0
        if not moved.any():
            continue
        delta = np.einsum("kij,kj->ki", bind[moved, :3, :3], deltas[vertex[moved]]) * weight[moved, None]
        met, position = np.unique(joint[moved], return_inverse=True)
        column = width + 3 * (len(pair_morphs) + position)
        entries.append((np.repeat(vertex[moved], 3), (column[:, None] + np.arange(3)).ravel(), delta.ravel()))
        pair_morphs += [morph] * len(met)
        pair_joints += [int(j) for j in met]
    row, column, value = (np.concatenate([entry[i] for entry in entries]) for i in range(3))
    shape = (vertices, width + 3 * len(pair_morphs))
    matrix = csr_matrix((value, (row, column)), shape=shape)
    return SkinningMatrix(matrix, joints, np.array(pair_morphs, np.int64), np.array(pair_joints, np.int64))
