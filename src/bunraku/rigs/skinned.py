"""Rigs made of joints and morphs: a skinned character whose nodes and morph weights are the controls.

A control vector sets, for each controlled node, an offset t from its rest translation, a rotation vector r with
R_local = R_rest·exp(r), factors s on its rest scale, and the weights of morphs. Derivatives are analytic: a control
at node a
moves every world transform below a by one affine generator X (3×4), dG_j = X·[G_j; 0 0 0 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.animation import Animation, Channel
from bunraku.core.controls import ControlSpec
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import unknown_name
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.core.rotations import left_jacobian, matrix_from_quat, quat_from_rotvec, quat_multiply, skew
from bunraku.core.skinning import SkinnedCharacter, SkinningMatrix, deform, skinning_matrix
from bunraku.core.transforms import rest_transforms, world_transforms
from bunraku.formats.gltf import read_gltf
from bunraku.rigs.skinned_controls import discover, node_curves
from bunraku.rigs.skinned_coordinates import SkinnedCoordinates, skinned_coordinates
from bunraku.rigs.skinned_guess import Shown, guess, shown_by_nodes
from bunraku.rigs.skinned_vertices import SkinnedVertices, skinned_vertices

FRAMES_AT_ONCE = 64  # bounds the memory of a batch; larger batches are no faster


@dataclass(frozen=True, eq=False)
class SkinnedRig:
    """A skinned character as a rig. Build with `skinned_rig` or `open_gltf_rig`."""

    character: SkinnedCharacter
    spec: ControlSpec
    slots: Int[np.ndarray, "controls"]
    """Where each control goes in the parameter row: 9 per node (translation, rotation vector, scale factor), then
    the morphs.
    """
    animations: tuple[Animation, ...]
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the file says of its unit, axes and frame rate, where it does."""

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """The character's triangles."""
        return self.character.faces

    @cached_property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh at the file's rest transforms."""
        return self.evaluate(self.spec.neutral[None])[0]

    @cached_property
    def rest_world(self) -> Float[np.ndarray, "joints 3 4"]:
        """World transforms of every node at rest."""
        return rest_transforms(self.character.skeleton)

    @cached_property
    def matrix(self) -> SkinningMatrix:
        """Linear blend skinning of the character as one sparse matrix."""
        return skinning_matrix(self.character)

    @cached_property
    def scales(self) -> bool:
        """Whether any control scales a node."""
        of_nodes = self.slots[self.slots < 9 * len(self.character.skeleton)]
        return bool((of_nodes % 9 >= 6).any())

    @cached_property
    def shown(self) -> dict[int, Shown]:
        """What each controlled node shows of its motion, for the first guess."""
        return shown_by_nodes(self)

    @cached_property
    def joint_slots(self) -> tuple[Int[np.ndarray, "nodes"], tuple[Int[np.ndarray, "columns"], ...]]:
        """The controlled nodes and, for each, the columns of its controls."""
        joints = len(self.character.skeleton)
        node = np.where(self.slots < 9 * joints, self.slots // 9, -1)
        nodes = np.unique(node[node >= 0])
        return nodes, tuple(np.flatnonzero(node == a) for a in nodes)

    def parameters(
        self, controls: Float[np.ndarray, "poses controls"]
    ) -> tuple[Float[np.ndarray, "poses joints 9"], Float[np.ndarray, "poses morphs"]]:
        """Node parameters and morph weights of every pose, those without a control at rest."""
        joints = len(self.character.skeleton)
        rest = np.concatenate([np.tile([0.0] * 6 + [1.0] * 3, joints), self.character.morph_rest])
        rows = np.tile(rest, (len(controls), 1))
        rows[:, self.slots] = controls
        return rows[:, : 9 * joints].reshape(-1, joints, 9), rows[:, 9 * joints :]

    def transforms(self, nodes: Float[np.ndarray, "poses joints 9"]) -> Float[np.ndarray, "poses joints 3 4"]:
        """World transforms of every node."""
        skeleton = self.character.skeleton
        rest = np.broadcast_to(skeleton.rest_quat, (*nodes.shape[:2], 4))
        quat = quat_multiply(rest, quat_from_rotvec(nodes[..., 3:6]))
        return world_transforms(skeleton, skeleton.rest_translation + nodes[..., :3], quat, nodes[..., 6:9])

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The mesh of every pose, world space, float64."""
        out = np.empty((len(controls), self.character.vertex_count, 3))
        for start in range(0, len(controls), FRAMES_AT_ONCE):
            part = slice(start, start + FRAMES_AT_ONCE)
            nodes, morphs = self.parameters(controls[part])
            out[part] = deform(self.character, self.matrix, self.transforms(nodes), morphs)
        return out

    def generators(
        self, nodes: Float[np.ndarray, "poses joints 9"], world: Float[np.ndarray, "poses joints 3 4"]
    ) -> Float[np.ndarray, "poses joints 9 3 4"]:
        """X of every node parameter: dG_j = X·[G_j; 0 0 0 1] for the node itself and all nodes below it."""
        skeleton = self.character.skeleton
        parents = skeleton.parents
        above = np.where((parents >= 0)[:, None, None], world[:, parents, :, :3], np.eye(3))
        x = np.zeros((*nodes.shape[:2], 9, 3, 4))
        x[..., 0:3, :, 3] = np.swapaxes(above, -1, -2)  # translation k: the parent's k-th axis
        # Rotation k: exp(r + δ) = exp(Jδ)·exp(r) turns about ω = J e_k in the frame W = parent·R_rest: X = W [ω]× W⁻¹.
        frame = above @ matrix_from_quat(skeleton.rest_quat)
        omega = np.swapaxes(left_jacobian(nodes[..., 3:6]), -1, -2)
        x[..., 3:6, :, :3] = frame[..., None, :, :] @ skew(omega) @ _inverse(frame)[..., None, :, :]
        if self.scales:
            # Scale k: the k-th column of G_a's linear part is scaled: X = (G_a e_k)(e_kᵀ G_a⁻¹)/s_k.
            linear = world[..., :3]
            columns = np.swapaxes(linear, -1, -2) / nodes[..., 6:9, None]
            x[..., 6:9, :, :3] = columns[..., :, None] * _inverse(linear)[..., :, None, :]
        origin = world[..., None, :, 3:]
        x[..., 3:9, :, 3:] -= x[..., 3:9, :, :3] @ origin
        return x

    def jvp(
        self, controls: Float[np.ndarray, "poses controls"], tangents: Float[np.ndarray, "poses controls"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """Jacobian times tangents."""
        if len(self.character.dual_vertices):
            return self._over_vertices.jvp(controls, tangents)
        nodes, morphs = self.parameters(controls)
        world = self.transforms(nodes)
        step = np.zeros((len(controls), nodes[0].size + morphs.shape[1]))
        step[:, self.slots] = tangents
        node_step, morph_step = step[:, : nodes[0].size].reshape(nodes.shape), step[:, nodes[0].size :]
        x = (self.generators(nodes, world) * node_step[..., None, None]).sum(axis=2)
        for joint in self.character.skeleton.order:
            parent = self.character.skeleton.parents[joint]
            if parent >= 0:
                x[:, joint] += x[:, parent]
        moved = x[..., :3] @ world
        moved[..., 3] += x[..., 3]
        shapes = self.character.shape_weights(morphs)
        out = self.matrix.skin(moved, shapes)
        if morphs.shape[1]:
            step = self.character.shape_slopes(morphs) * morph_step[:, self.character.shape_morphs]
            out += self.matrix.skin(world, shapes + step) - self.matrix.skin(world, shapes)
        return out

    def vjp(
        self, controls: Float[np.ndarray, "poses controls"], cotangents: Float[np.ndarray, "poses vertices 3"]
    ) -> Float[np.ndarray, "poses controls"]:
        """Transposed Jacobian times cotangents."""
        if len(self.character.dual_vertices):
            return self._over_vertices.vjp(controls, cotangents)
        poses = len(controls)
        flat = np.moveaxis(cotangents, 0, 1).reshape(cotangents.shape[1], -1)
        rows = np.moveaxis((self.matrix.matrix.T @ flat).reshape(-1, poses, 3), 1, 0)
        plain = SkinnedCoordinates(self, np.eye(rows.shape[1]), np.zeros((rows.shape[1], 0)), np.float64)
        _, jacobian = plain.linearize(controls)
        return np.einsum("nck,nk->nc", jacobian, np.swapaxes(rows, 1, 2).reshape(poses, -1))

    def guess(self, capture: MeshSequence) -> Float[np.ndarray, "frames controls"]:
        """Where the controls roughly stand, from the vertices that follow each node."""
        return guess(self, capture)

    @cached_property
    def _coordinates(self) -> SkinnedCoordinates:
        return skinned_coordinates(self)

    @cached_property
    def _over_vertices(self) -> SkinnedVertices:
        return skinned_vertices(self)

    def reduce(self) -> SkinnedCoordinates | SkinnedVertices:
        """The rig in coordinates whose number depends on joints and morphs, not on vertices; dual quaternions are not
        linear in anything that small: with them the coordinates are the vertices themselves.
        """
        return self._over_vertices if len(self.character.dual_vertices) else self._coordinates


def _inverse(matrices: np.ndarray) -> np.ndarray:
    # A node scaled to nothing has no inverse; the pseudo-inverse lets its controls move what still can move.
    return (
        np.linalg.pinv(matrices) if bool((np.abs(np.linalg.det(matrices)) < 1e-30).any()) else np.linalg.inv(matrices)
    )


@runtime_checkable
class CharacterFile(Protocol):
    """What a file that was read says about meshes that move."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def character(self) -> SkinnedCharacter:
        """Its meshes and nodes."""
        ...

    @property
    def animations(self) -> tuple[Animation, ...]:
        """Its animations."""
        ...

    @property
    def skin_joints(self) -> Int[np.ndarray, "joints"]:
        """Nodes that meshes are skinned to."""
        ...


def open_usd_rig(path: Path, prim: str | None = None) -> SkinnedRig:
    """The rig of a `.usd`, `.usda`, `.usdc` or `.usdz` file (at or below `prim`), controls as for glTF.

    Raises:
        BunrakuError: what `formats.usd.read_usd` refuses; a file in which nothing can be controlled.
    """
    from bunraku.formats.usd import read_usd

    file = read_usd(path, prim)
    return replace(skinned_rig(file), about=file.about)


def open_gltf_rig(path: Path) -> SkinnedRig:
    """The rig of a `.glb` or `.gltf` file, with the controls, ranges and names of `docs/rigs.md`.

    Raises:
        BunrakuError: what `formats.gltf.read_gltf` refuses; a file in which nothing can be controlled.
    """
    return skinned_rig(read_gltf(path))


def skinned_rig(file: CharacterFile) -> SkinnedRig:
    """The rig of a file that was read.

    Raises:
        BunrakuError: nothing in it can be controlled.
    """
    slots, spec = discover(file.character, file.animations, file.skin_joints, str(file.path))
    return SkinnedRig(file.character, spec, slots, file.animations)


def keyed(rig: SkinnedRig, solved: Curves, name: str) -> Animation:
    """Curves as keys on the rig's nodes, one a frame, ready to be written into its file.

    Only what is controlled is keyed. The first key is at time start_frame / fps, or at 0 where that is negative (glTF
    has no time before 0).

    Raises:
        BunrakuError: a curve that the rig has no control for.
    """
    skeleton = rig.character.skeleton
    nodes, morphs = rig.parameters(solved.ordered_as(rig.spec))
    times = (np.arange(solved.frames) + max(solved.start_frame, 0)) / float(solved.fps)
    rest = np.broadcast_to(skeleton.rest_quat, (*nodes.shape[:2], 4))
    quat = quat_multiply(rest, quat_from_rotvec(nodes[..., 3:6]))
    scale = nodes[..., 6:9] * np.diagonal(skeleton.rest_stretch, axis1=1, axis2=2)
    values = {"translation": skeleton.rest_translation + nodes[..., :3], "rotation": quat, "scale": scale}
    channels: list[Channel] = []
    for slot in rig.slots[rig.slots < 9 * len(skeleton)]:
        if slot % 3 == 0:
            path = ("translation", "rotation", "scale")[(slot % 9) // 3]
            channels.append(Channel(int(slot // 9), path, "LINEAR", times, values[path][:, slot // 9, None]))
    if morphs.shape[1]:
        channels.append(Channel(0, "morphs", "LINEAR", times, morphs[:, None]))
    return Animation(name, tuple(channels))


def bake(rig: SkinnedRig, animation: str, fps: Fraction) -> tuple[MeshSequence, Curves]:
    """The rig's own animation at frames k/fps, as a mesh sequence and as the curves that made it.

    Raises:
        BunrakuError: no animation of that name; the message lists those that exist.
    """
    names = [a.name for a in rig.animations]
    if animation not in names:
        raise unknown_name("animation", animation, names, "this rig has")
    chosen = rig.animations[names.index(animation)]
    # The last key belongs to the animation: rounding (of times to float32, in files) must not drop its frame.
    last = chosen.duration_s * float(fps)
    frames = max(0, int(np.floor(last + 1e-6 + abs(last) * 2.0**-23))) + 1
    nodes, morphs = node_curves(chosen, rig.character, np.arange(frames) / float(fps))
    values = np.concatenate([nodes.reshape(frames, -1), morphs], axis=1)[:, rig.slots]
    sequence = mesh_sequence(rig.evaluate(values), rig.faces, fps, name=f"animation {animation!r}")
    return sequence, curves(rig.spec.names, values, fps)
