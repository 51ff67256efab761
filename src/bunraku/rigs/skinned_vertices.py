"""A skinned character in its own vertices: for dual quaternion skinning, which has no small linear space.

A vertex v follows influences k. The generator X (3×4) of a control at node a moves the bones below a, each by
dM = X·[M; 0 0 0 1], and with E_vk = ∂v/∂X of one influence the vertex by (Σ_{k below a} E_vk)·X. The sums over the
influences below a node are taken once for all of its controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.dual_quaternions import sensitivities
from bunraku.core.skinning import bound, deform, dual_blend

if TYPE_CHECKING:
    from bunraku.rigs.skinned import SkinnedRig


@dataclass(frozen=True, eq=False)
class Followers:
    """The influences below a node, by vertex."""

    pairs: Int[np.ndarray, "pairs"]
    """Index into (vertices × influences), ascending, of all that count."""
    starts: Int[np.ndarray, "touched"]
    """Where each vertex's influences begin in `pairs`."""
    vertices: Int[np.ndarray, "touched"]


@dataclass(frozen=True, eq=False)
class SkinnedVertices:
    """The reduced rig (protocol `core.reduced.ReducedRig`) of a `SkinnedRig` whose coordinates are its vertices."""

    rig: SkinnedRig
    followers: tuple[Followers, ...]
    """Of each controlled node, in the order of `SkinnedRig.joint_slots`."""

    @property
    def concurrent(self) -> bool:
        """Nothing is kept between calls."""
        return True

    @property
    def basis(self) -> None:
        """None: the coordinates are the vertices."""
        return None

    @property
    def axes(self) -> int:
        """A row runs over vertices and axes."""
        return 1

    @cached_property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        """The world's origin."""
        return np.zeros((self.rig.character.vertex_count, 3))

    def evaluate(self, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        """The mesh, flat."""
        return self.rig.evaluate(controls).reshape(len(controls), -1)

    def linearize(
        self, controls: Float[np.ndarray, "frames controls"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames controls coordinates"]]:
        """The mesh and its transposed Jacobian (single precision), frame by frame: its parts are large."""
        count = self.rig.character.vertex_count
        values = np.empty((len(controls), 3 * count))
        jacobian = np.zeros((len(controls), len(self.rig.spec), 3 * count), np.float32)
        for frame in range(len(controls)):
            mesh, rows = self._frame(controls[frame : frame + 1])
            values[frame], jacobian[frame] = mesh.ravel(), rows.reshape(len(rows), -1)
        return values, jacobian

    def jvp(
        self, controls: Float[np.ndarray, "poses controls"], tangents: Float[np.ndarray, "poses controls"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """Jacobian times tangents."""
        rows = (self._frame(controls[i : i + 1])[1] for i in range(len(controls)))
        return np.stack([np.einsum("c,cvi->vi", tangents[i], row) for i, row in enumerate(rows)])

    def vjp(
        self, controls: Float[np.ndarray, "poses controls"], cotangents: Float[np.ndarray, "poses vertices 3"]
    ) -> Float[np.ndarray, "poses controls"]:
        """Transposed Jacobian times cotangents."""
        rows = (self._frame(controls[i : i + 1])[1] for i in range(len(controls)))
        return np.stack([np.einsum("vi,cvi->c", cotangents[i], row) for i, row in enumerate(rows)])

    def _frame(
        self, controls: Float[np.ndarray, "1 controls"]
    ) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "controls vertices 3"]]:
        rig, character = self.rig, self.rig.character
        nodes, morphs = rig.parameters(controls)
        world = rig.transforms(nodes)
        by_influence, by_point = self._derivatives(world, character.shape_weights(morphs))
        flat = by_influence.reshape(-1, 3, 12)
        generators = rig.generators(nodes, world)[0].reshape(-1, 9, 12)
        rows = np.zeros((len(rig.spec), character.vertex_count, 3))
        for (node, columns), below in zip(zip(*rig.joint_slots, strict=True), self.followers, strict=True):
            if len(below.vertices):
                summed = np.add.reduceat(flat[below.pairs], below.starts, axis=0)
                x = generators[node, rig.slots[columns] - 9 * node]
                rows[columns[:, None], below.vertices] = np.moveaxis(summed @ x.T, 2, 0)
        slopes = character.shape_slopes(morphs)[0]
        first = 9 * len(character.skeleton)
        for column in np.flatnonzero(rig.slots >= first):
            shapes = np.flatnonzero(character.shape_morphs == rig.slots[column] - first)
            delta = np.einsum("s,svi->vi", slopes[shapes], character.morph_deltas[shapes])
            rows[column] = np.einsum("vij,vj->vi", by_point, delta)
        return deform(character, rig.matrix, world, morphs)[0], rows

    def _derivatives(
        self, world: Float[np.ndarray, "1 joints 3 4"], shapes: Float[np.ndarray, "1 shapes"]
    ) -> tuple[Float[np.ndarray, "vertices influences 3 3 4"], Float[np.ndarray, "vertices 3 3"]]:
        """∂v/∂X of every influence, and ∂v/∂(rest point)."""
        character = self.rig.character
        count, influences = character.weights.shape
        bone = bound(character, world)[0][character.influences]
        point = character.positions + np.einsum("s,svi->vi", shapes[0], character.morph_deltas)
        # Linear blending: v = Σ w·M·[p; 1], so that ∂v_i/∂X_il = w·(M·[p; 1], 1)_l.
        by_influence = np.zeros((count, influences, 3, 3, 4))
        carried = np.einsum("vkij,vj->vki", bone[..., :3], point) + bone[..., 3]
        moved = character.weights[..., None] * np.concatenate([carried, np.ones((count, influences, 1))], axis=2)
        for axis in range(3):
            by_influence[:, :, axis, axis] = moved
        by_point = np.einsum("vk,vkij->vij", character.weights, bone[..., :3])
        chosen = character.dual_vertices
        parts, blended, points = dual_blend(character, world, shapes)
        of = (character.influences[chosen], character.weights[chosen])
        rigid = not self.rig.scales and bool(np.abs(parts.stretch - np.eye(3)).max() < 1e-9)
        by_influence[chosen] = sensitivities(parts, blended, points, *of, rigid)[0]
        by_point[chosen] = blended.rotation[0] @ blended.stretch[0]
        return by_influence, by_point


def skinned_vertices(rig: SkinnedRig) -> SkinnedVertices:
    """The rig over its vertices, with the influences below each controlled node looked up."""
    character = rig.character
    parents = character.skeleton.parents
    joint = np.where(character.weights > 0, character.binding_joints[character.influences], -1)
    followers: list[Followers] = []
    for node in rig.joint_slots[0]:
        below = np.zeros(len(parents) + 1, bool)  # the last place is that of influences that do not count
        below[node] = True
        for each in character.skeleton.order:
            below[each] |= parents[each] >= 0 and below[parents[each]]
        pairs = np.flatnonzero(below[joint].ravel())
        vertices, starts = np.unique(pairs // joint.shape[1], return_index=True)
        followers.append(Followers(pairs, starts, vertices))
    return SkinnedVertices(rig, tuple(followers))
