"""A first guess of a skinned character's pose from a mesh: joint by joint from the root, the rotation that its own
vertices show.

The solver's Gauss–Newton finds the exact pose from anywhere near; large turns (a character on its back, an arm
overhead) are
what it needs to be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.rotations import matrix_from_quat, matrix_from_rotvec, rotvec_from_matrix
from bunraku.core.transforms import apply, compose

if TYPE_CHECKING:
    from bunraku.rigs.skinned import SkinnedRig

OWN = 0.5  # a vertex shows a joint's motion when it follows it by more than this weight
# how strongly an undecided rotation (vertices on a line, or none) is drawn to rest, against the vertices' moment
ENOUGH = 100  # vertices tell a rotation as well as thousands do
TO_REST = 1e-3


@dataclass(frozen=True, eq=False)
class Shown:
    """Vertices that follow a node, where they are in its frame, and how much they follow it."""

    vertices: Int[np.ndarray, "points"]
    points: Float[np.ndarray, "points 3"]
    weights: Float[np.ndarray, "points"]


def guess(rig: SkinnedRig, capture: MeshSequence) -> Float[np.ndarray, "frames controls"]:
    """Node rotations, and translations where there are controls for them; scales and morphs stay at rest."""
    skeleton = rig.character.skeleton
    nodes = np.tile(np.repeat([0.0, 0.0, 1.0], 3), (capture.frames, len(skeleton), 1))
    world = np.zeros((capture.frames, len(skeleton), 3, 4))
    controlled = set(rig.slots.tolist())
    rest_rotation = matrix_from_quat(skeleton.rest_quat)
    for node in skeleton.order:
        parent = int(skeleton.parents[node])
        above = world[:, parent] if parent >= 0 else np.eye(4)[None, :3].repeat(capture.frames, axis=0)
        shifts = 9 * int(node) in controlled
        seen = rig.shown.get(int(node))
        if seen is not None:
            local = _in_parent(above, capture.vertices[:, seen.vertices])
            stretched = seen.points @ skeleton.rest_stretch[node].T
            counts = seen.weights if capture.valid is None else seen.weights * capture.valid[:, seen.vertices]
            rotation, shift = _rigid(
                local, stretched, counts, rest_rotation[node], skeleton.rest_translation[node], shifts
            )
            nodes[:, node, 3:6] = rotvec_from_matrix(rest_rotation[node].T @ rotation)
            nodes[:, node, :3] = shift - skeleton.rest_translation[node]
        turned = rest_rotation[node] @ matrix_from_rotvec(nodes[:, node, 3:6]) @ skeleton.rest_stretch[node]
        moved = skeleton.rest_translation[node] + nodes[:, node, :3]
        world[:, node] = compose(above, np.concatenate([turned, moved[..., None]], axis=-1))
    rows = np.concatenate(
        [nodes.reshape(capture.frames, -1), np.tile(rig.character.morph_rest, (capture.frames, 1))], axis=1
    )
    return rows[:, rig.slots]


def shown_by_nodes(rig: SkinnedRig) -> dict[int, Shown]:
    """What each node with a rotation control shows; nodes that fewer than three vertices follow are left out.

    For a node that also shifts, everything below it serves where it has no vertices of its own.
    """
    character = rig.character
    joint = character.binding_joints[character.influences]
    controlled = set(rig.slots.tolist())
    out: dict[int, Shown] = {}
    for node in range(len(character.skeleton)):
        if 9 * node + 3 not in controlled:
            continue
        own = np.where(joint == node, character.weights, 0.0)
        share = own.sum(axis=1)
        vertices = _some(np.flatnonzero(share > OWN))
        if len(vertices) >= 3:
            strongest = own[vertices].argmax(axis=1)
            bind = character.inverse_binds[character.influences[vertices, strongest]][:, :3]
            points = apply(bind, character.positions[vertices][:, None])[:, 0]
            out[node] = Shown(vertices, points, share[vertices])
        elif 9 * node in controlled:
            share = np.where(np.isin(joint, _below(rig, node)), character.weights, 0.0).sum(axis=1)
            vertices = _some(np.flatnonzero(share > OWN))
            if len(vertices) >= 3:
                linear, shift = rig.rest_world[node, :, :3], rig.rest_world[node, :, 3]
                points = np.linalg.lstsq(linear, (rig.neutral[vertices] - shift).T, rcond=None)[0].T
                out[node] = Shown(vertices, points, share[vertices])
    return out


def _some(vertices: np.ndarray) -> np.ndarray:
    """Enough of them, spread evenly over the file's order."""
    return vertices[:: max(1, len(vertices) // ENOUGH)]


def _below(rig: SkinnedRig, node: int) -> np.ndarray:
    parents = rig.character.skeleton.parents
    inside = np.zeros(len(parents), bool)
    inside[node] = True
    for joint in rig.character.skeleton.order:
        inside[joint] |= parents[joint] >= 0 and inside[parents[joint]]
    return np.flatnonzero(inside)


def _in_parent(above: Float[np.ndarray, "frames 3 4"], points: Float[np.ndarray, "frames points 3"]) -> np.ndarray:
    inverse = np.linalg.pinv(above[..., :3])
    return (points - above[:, None, :, 3]) @ np.swapaxes(inverse, 1, 2)


def _rigid(
    target: Float[np.ndarray, "frames points 3"],
    source: Float[np.ndarray, "points 3"],
    weights: Float[np.ndarray, "*#frames points"],
    rest_rotation: Float[np.ndarray, "3 3"],
    rest_shift: Float[np.ndarray, "3"],
    shifts: bool,
) -> tuple[Float[np.ndarray, "frames 3 3"], Float[np.ndarray, "frames 3"]]:
    """The rotation, and the shift where it is free, with target ≈ R·source + t (Kabsch 1976, Umeyama 1991)."""
    w = np.broadcast_to(weights, target.shape[:2])[..., None]
    total = np.maximum(w.sum(axis=1), 1e-12)
    center = (w * target).sum(axis=1) / total if shifts else np.broadcast_to(rest_shift, (len(target), 3))
    source_center = (w * source).sum(axis=1) / total if shifts else np.zeros((len(target), 3))
    moment = np.swapaxes(w * (target - center[:, None]), 1, 2) @ (source - source_center[:, None])
    # Where nothing was captured there is no moment at all, and rest is the whole answer.
    length = np.linalg.norm(moment, axis=(1, 2))[:, None, None]
    moment += np.where(length > 0, TO_REST * length, 1.0) * rest_rotation
    left, _, right = np.linalg.svd(moment)
    flip = np.sign(np.linalg.det(left @ right))
    left[..., 2] *= np.where(flip == 0, 1, flip)[:, None]
    rotation = left @ right
    shift = center - (rotation @ source_center[..., None])[..., 0]
    shift = np.where(w.any(axis=1), shift, rest_shift)
    return rotation, shift
