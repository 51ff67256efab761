"""A mesh on a skeleton: linear blend skinning as the matrix that it is, dual quaternions, morphs with in-betweens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.dual_quaternions import Blend, Bones, blend, bones
from bunraku.core.skeleton import Skeleton

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class Ramps:
    """Morphs of several shapes: each shape is reached at some weight of its morph, and between them it is linear.

    At weight 0 no shape shows; beyond the outermost shapes the outermost segments go on.
    """

    morphs: Int[np.ndarray, "shapes"]
    """Which morph drives each shape."""
    full_at: Float[np.ndarray, "shapes"]
    """The weight of the morph at which the shape is there in full; not 0, and different within a morph."""

    def weights(self, morphs: Float[np.ndarray, "poses morphs"]) -> Float[np.ndarray, "poses shapes"]:
        """How much of each shape shows."""
        return self._at(morphs, slopes=False)

    def slopes(self, morphs: Float[np.ndarray, "poses morphs"]) -> Float[np.ndarray, "poses shapes"]:
        """The derivative of each shape's weight by its morph's; at a shape that of the segment above."""
        return self._at(morphs, slopes=True)

    def _at(self, morphs: np.ndarray, slopes: bool) -> np.ndarray:
        out = np.zeros((len(morphs), len(self.morphs)))
        for morph in np.unique(self.morphs):
            shapes = np.flatnonzero(self.morphs == morph)
            order = np.argsort(np.append(self.full_at[shapes], 0.0))
            knots = np.append(self.full_at[shapes], 0.0)[order]
            w = morphs[:, morph]
            left = np.clip(np.searchsorted(knots, w, side="right") - 1, 0, len(knots) - 2)
            span = knots[left + 1] - knots[left]
            u = 1 / span if slopes else (w - knots[left]) / span
            # The last column is the rest, at weight 0.
            table = np.zeros((len(w), len(knots)))
            rows = np.arange(len(w))
            table[rows, order[left]] = -u if slopes else 1 - u
            table[rows, order[left + 1]] = u
            out[:, shapes] = table[:, :-1]
        return out


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
    morph_deltas: Float[np.ndarray, "shapes vertices 3"]
    """Offsets of the rest vertices: one shape for each morph, at weight 1, unless there are `ramps`."""
    morph_rest: Float[np.ndarray, "morphs"]
    """The file's default morph weights, which are the neutral ones."""
    ramps: Ramps | None = None
    """How morphs with in-between shapes drive `morph_deltas`."""
    dual: Bool[np.ndarray, "vertices"] | None = None
    """Vertices that are skinned by dual quaternions; None: all by linear blending."""

    @property
    def vertex_count(self) -> int:
        """How many vertices."""
        return self.positions.shape[0]

    @property
    def dual_vertices(self) -> Int[np.ndarray, "dual"]:
        """Indices of the vertices that are skinned by dual quaternions."""
        return np.flatnonzero(self.dual) if self.dual is not None else np.zeros(0, np.int64)

    def shape_weights(self, morphs: Float[np.ndarray, "poses morphs"]) -> Float[np.ndarray, "poses shapes"]:
        """Weights of the shapes in `morph_deltas`."""
        return morphs if self.ramps is None else self.ramps.weights(morphs)

    def shape_slopes(self, morphs: Float[np.ndarray, "poses morphs"]) -> Float[np.ndarray, "poses shapes"]:
        """Derivative of each shape's weight by the weight of the morph that drives it."""
        return np.ones_like(morphs) if self.ramps is None else self.ramps.slopes(morphs)

    @property
    def shape_morphs(self) -> Int[np.ndarray, "shapes"]:
        """Which morph drives each shape."""
        return np.arange(len(self.morph_deltas)) if self.ramps is None else self.ramps.morphs


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
        self, transforms: Float[np.ndarray, "poses joints 3 4"], morphs: Float[np.ndarray, "poses shapes"]
    ) -> Float[np.ndarray, "poses rows 3"]:
        """T of every pose, from the joints' world transforms and the weights of the shapes."""
        poses = len(transforms)
        joints = np.swapaxes(transforms, 2, 3).reshape(poses, 4 * self.joint_count, 3)
        if len(self.pair_morphs) == 0:
            return joints
        linear = np.swapaxes(transforms[:, self.pair_joints, :, :3], 2, 3) * morphs[:, self.pair_morphs, None, None]
        return np.concatenate([joints, linear.reshape(poses, -1, 3)], axis=1)

    def skin(
        self, transforms: Float[np.ndarray, "poses joints 3 4"], morphs: Float[np.ndarray, "poses shapes"]
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


def deform(
    character: SkinnedCharacter,
    matrix: SkinningMatrix,
    transforms: Float[np.ndarray, "poses joints 3 4"],
    morphs: Float[np.ndarray, "poses morphs"],
) -> Float[np.ndarray, "poses vertices 3"]:
    """The skinned vertices of every pose, in world space: `matrix` is the character's own."""
    shapes = character.shape_weights(morphs)
    mesh = matrix.skin(transforms, shapes)
    chosen = character.dual_vertices
    if len(chosen):
        mesh[:, chosen] = dual_blend(character, transforms, shapes)[1].vertices
    return mesh


def dual_blend(
    character: SkinnedCharacter,
    transforms: Float[np.ndarray, "poses joints 3 4"],
    shapes: Float[np.ndarray, "poses shapes"],
) -> tuple[Bones, Blend, Float[np.ndarray, "poses dual 3"]]:
    """Bones, blended motion and morphed rest points of the vertices that are skinned by dual quaternions."""
    chosen = character.dual_vertices
    parts = bones(bound(character, transforms))
    points = character.positions[chosen] + np.einsum("ps,svi->pvi", shapes, character.morph_deltas[:, chosen])
    return parts, blend(parts, points, character.influences[chosen], character.weights[chosen]), points


def bound(
    character: SkinnedCharacter, transforms: Float[np.ndarray, "poses joints 3 4"]
) -> Float[np.ndarray, "poses bindings 3 4"]:
    """World transform of every binding after its inverse bind matrix, G_j·B."""
    return transforms[:, character.binding_joints] @ character.inverse_binds
