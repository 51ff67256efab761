"""Clips in glTF 2.0 files: the nodes that an animation moves, as a skeleton of their own.

The world is turned from Y up to Z up; joints keep the frames that the file gives them. What lies above the topmost
joint and does not move is folded into it, scales (uniform ones) into the bones' lengths.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core.animation import Animation, NodePoses, poses_at
from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.rotations import quat_multiply, quat_rotate
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.formats.gltf_animation import read_animations
from bunraku.formats.gltf_clip_write import LOOP
from bunraku.formats.gltf_clip_write import save_gltf_clip as save_gltf_clip
from bunraku.formats.gltf_container import Document, read_document
from bunraku.formats.gltf_mesh import skin_joints
from bunraku.formats.gltf_scene import read_skeleton
from bunraku.formats.plain_text import check_poses

ENDINGS = (".glb", ".gltf")
WRITTEN_ENDINGS = (".glb",)

_Z_UP = np.array([0.5**0.5, 0.5**0.5, 0.0, 0.0])
"""The turn by +90° about X takes Y up to Z up."""
_SPLINE_HZ = 60.0
"""Splines are sampled so often; other animations are taken at their own keys."""
_SAME_S = 1e-5
"""Keys of different joints closer than this are one frame."""
_STEADY = 1e-3
"""Joints other than the root may wander in their parents by this part of the longest bone; scales by this part."""


@dataclass(frozen=True, eq=False)
class _Tree:
    """Some nodes of a file, and where they are at every frame."""

    path: Path
    nodes: Skeleton
    poses: NodePoses
    scale: Float[np.ndarray, "nodes"]
    """Of each node's own frame in its parent's."""

    def above(self, node: int) -> list[int]:
        """A node and all its ancestors, upwards."""
        line = [node]
        while (parent := int(self.nodes.parents[line[-1]])) >= 0:
            line.append(parent)
        return line


def load_gltf_clip(path: Path, animation: str | None = None) -> Clip:
    """The clip of an animation of a .glb or .gltf file, Z up: the first one, or the one of that name.

    Its joints are the nodes that the animation turns or moves, joints of skins below them, and what lies between.
    A moving joint with one child that moves in it, as root bones above hips do, is folded into that child. Frames are
    the animation's keys, of all joints together; a file with splines is sampled 60 times a second.

    Raises:
        BunrakuError: as `read_gltf`; no animation, none of that name, one that turns or moves nothing or moves nodes
            without a common ancestor, a joint other than the root that moves in its parent, scales that are not
            uniform or change.
    """
    document = read_document(path)
    nodes = read_skeleton(document)
    chosen = _chosen(document, animation)
    loop = _loop(document, chosen[0])
    moved = {channel.target for channel in chosen[1].channels if channel.path in ("rotation", "translation")}
    if not moved:
        raise BunrakuError(f"{path}: animation {chosen[1].name!r} neither turns nor moves a node; it is no clip")
    times = _times(chosen[1], path)
    check_poses(len(times), len(nodes), path)
    poses = poses_at(chosen[1], nodes, np.zeros(0), times)
    tree = _Tree(path, nodes, poses, np.ones(len(nodes)))
    joints = _joints(tree, moved, {int(joint) for joint in skin_joints(document)})
    return _clip(_scaled(tree, joints), joints, times, loop)


def _chosen(document: Document, name: str | None) -> tuple[int, Animation]:
    # Morphs are of no interest here: without groups their channels are left out.
    animations = read_animations(document, ())
    if not animations:
        raise BunrakuError(f"{document.path}: has no animation; a clip is one")
    names = [each.name for each in animations]
    if name is not None and name not in names:
        raise unknown_name("animation", name, names, f"{document.path} has")
    index = 0 if name is None else names.index(name)
    return index, animations[index]


def _loop(document: Document, index: int) -> bool:
    extras = document.animations[index].data.get("extras")
    return isinstance(extras, dict) and extras.get(LOOP) == "wrap"


def _times(animation: Animation, path: Path) -> Float[np.ndarray, "frames"]:
    channels = [channel for channel in animation.channels if channel.path != "morphs"]
    keys = np.unique(np.concatenate([channel.times_s for channel in channels]))
    if any(channel.interpolation == "CUBICSPLINE" for channel in channels):
        count = 1 + np.ceil((keys[-1] - keys[0]) * _SPLINE_HZ - 1e-3)
        if not count < 1e8:
            raise BunrakuError(f"{path}: animation {animation.name!r} lasts {keys[-1] - keys[0]:g} s; that is no clip")
        return np.linspace(keys[0], keys[-1], max(1, int(count)))
    return keys[np.concatenate([[True], np.diff(keys) > _SAME_S])]


def _joints(tree: _Tree, moved: Set[int], skinned: Set[int]) -> list[int]:
    """The nodes that become joints, in the file's order."""
    top = _common_ancestor(tree, sorted(moved))
    wanted = set[int]()
    for node in sorted(moved | skinned):
        line = tree.above(node)
        if top in line:
            wanted |= set(line[: line.index(top) + 1])
    while len(below := [node for node in wanted if tree.nodes.parents[node] == top]) == 1 and _wanders(
        tree, below[0], wanted
    ):
        wanted.remove(top)
        top = below[0]
    return sorted(wanted)


def _common_ancestor(tree: _Tree, nodes: Sequence[int]) -> int:
    shared = tree.above(nodes[0])
    for node in nodes[1:]:
        line = set(tree.above(node))
        shared = [above for above in shared if above in line]
        if not shared:
            one, other = tree.nodes.names[nodes[0]], tree.nodes.names[node]
            raise BunrakuError(
                f"{tree.path}: {one!r} and {other!r} move and have no common ancestor; expected one body"
            )
    return shared[0]


def _wander(tree: _Tree, node: int) -> Float[np.ndarray, "frames"]:
    moves = tree.poses.translation[:, node]
    return np.linalg.norm(moves - np.median(moves, axis=0), axis=-1)


def _wanders(tree: _Tree, node: int, joints: Set[int]) -> bool:
    inner = [joint for joint in joints if int(tree.nodes.parents[joint]) in joints]
    longest = np.linalg.norm(tree.nodes.rest_translation[inner], axis=-1).max(initial=0)
    return bool((_wander(tree, node) > _STEADY * longest).any())


def _scaled(tree: _Tree, joints: Sequence[int]) -> _Tree:
    """With each node's scale, which must be one number that does not change, on joints and above them."""
    scale = np.ones(len(tree.nodes))
    carried = {node for joint in joints for node in tree.above(joint)}
    bearing = carried & {int(tree.nodes.parents[joint]) for joint in carried}
    for node in bearing:
        stretch = tree.nodes.rest_stretch[node]
        size = np.diagonal(stretch) * tree.poses.scale[:, node]
        own = float(np.median(size))
        if np.abs(stretch - np.diag(np.diagonal(stretch))).max() > _STEADY * abs(own):
            raise BunrakuError(f"{tree.path}: node {tree.nodes.names[node]!r} is sheared; a clip has no scale")
        if not own > 0 or np.abs(size - own).max() > _STEADY * own:
            name = tree.nodes.names[node]
            raise BunrakuError(
                f"{tree.path}: node {name!r} is scaled unevenly or changes its size; a clip has no scale"
            )
        scale[node] = own
    return _Tree(tree.path, tree.nodes, tree.poses, scale)


def _clip(tree: _Tree, joints: list[int], times: Float[np.ndarray, "frames"], loop: bool) -> Clip:
    nodes, names = tree.nodes, [tree.nodes.names[joint] for joint in joints]
    place = {joint: i for i, joint in enumerate(joints)}
    parents = np.array([place.get(int(nodes.parents[joint]), -1) for joint in joints])
    root = int(np.flatnonzero(parents < 0)[0])
    size = _sizes(tree, joints)
    _check_steady(tree, joints, root)
    bones = np.median(tree.poses.translation[:, joints], axis=0) * size[:, None]
    quats = tree.poses.quat[:, joints].copy()
    rest = nodes.rest_quat[joints].copy()
    moved_pos, moved_quat = _root(tree, joints[root], tree.poses.translation, tree.poses.quat)
    resting = _root(tree, joints[root], nodes.rest_translation[None], nodes.rest_quat[None])
    quats[:, root], (bones[root], rest[root]) = moved_quat, (resting[0][0], resting[1][0])
    made = skeleton(names, parents, bones, rest, name=str(tree.path))
    return clip(made, times, moved_pos, quats, "wrap" if loop else "none", name=str(tree.path))


def _sizes(tree: _Tree, joints: Sequence[int]) -> Float[np.ndarray, "joints"]:
    """How long one unit of the space that each joint's translation is in is in the world."""
    return np.array([np.prod(tree.scale[tree.above(joint)[1:]]) for joint in joints])


def _root(
    tree: _Tree,
    joint: int,
    translation: Float[np.ndarray, "frames nodes 3"],
    quat: Float[np.ndarray, "frames nodes 4"],
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, "frames 4"]]:
    """World position and rotation of the root, Z up: all that is above it, folded in."""
    pos, turn = translation[:, joint], quat[:, joint]
    for node in tree.above(joint)[1:]:
        pos = translation[:, node] + quat_rotate(quat[:, node], tree.scale[node] * pos)
        turn = quat_multiply(quat[:, node], turn)
    up = np.broadcast_to(_Z_UP, turn.shape)
    return quat_rotate(up, pos), quat_multiply(up, turn)


def _check_steady(tree: _Tree, joints: Sequence[int], root: int) -> None:
    """The rule of BVH files: what the joints' bones do not do is refused, not dropped."""
    inner = [joint for i, joint in enumerate(joints) if i != root]
    moves = np.array([_wander(tree, joint).max() for joint in inner])
    size = _sizes(tree, inner)
    longest = float((np.linalg.norm(tree.nodes.rest_translation[inner], axis=-1) * size).max(initial=0))
    for joint, moved in zip(inner, moves * size, strict=True):
        if moved > _STEADY * longest:
            frame = int(np.argmax(_wander(tree, joint)))
            raise BunrakuError(
                f"{tree.path}: joint {tree.nodes.names[joint]!r} moves against its parent (by {moved:.3g} at frame "
                f"{frame}); only the root's position may change in a clip"
            )
