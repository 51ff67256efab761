"""A clip as a .glb: its joints as a tree of nodes that one animation turns, with shapes to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.core.animation import Animation, Channel
from bunraku.core.artifact import write_bytes
from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import Skeleton
from bunraku.core.solid import Solid, joined, surface
from bunraku.formats.gltf_container import BIN_CHUNK, glb_bytes
from bunraku.formats.gltf_pack import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Packer, pack_animation

LOOP = "loop"
"""The key of an animation's extras under which "wrap" or "none" stands."""

_Y_UP_XYZW = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]
"""The turn by −90° about X takes Z up to Y up."""
_TOP = "z_up"
_MATERIAL = {
    "name": "body",
    "pbrMetallicRoughness": {"baseColorFactor": [0.75, 0.74, 0.71, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7},
}


def save_gltf_clip(path: Path, saved: Clip, solids: Sequence[Solid] = ()) -> None:
    """Write a clip as a .glb, atomically. `solids` are drawn on the joints that carry them.

    Joints are nodes in the clip's own frames, below one node that turns Z up into the format's Y up. Every joint's
    rotation has a key for each of the clip's frames, whatever their distances; between keys readers slerp. Numbers are
    float32. Whether the clip loops stands in the animation's extras.

    Raises:
        BunrakuError: several roots, stretched joints, frames closer than float32 can tell apart; the file cannot be
            written.
    """
    bones = saved.skeleton
    _check_bones(bones, path)
    root: dict[str, Any] = {"asset": {"version": "2.0", "generator": "bunraku"}, "scene": 0}
    packer = Packer(root, 0)
    nodes = [_node(bones, joint) for joint in range(len(bones))]
    _draw(packer, nodes, solids)
    nodes.append({"name": _TOP, "rotation": _Y_UP_XYZW, "children": [int(bones.order[0])]})
    root |= {"scenes": [{"nodes": [len(nodes) - 1]}], "nodes": nodes}
    packed = pack_animation(packer, _animation(saved, path.stem), len(nodes), [])
    root["animations"] = [{**packed, "extras": {LOOP: saved.loop}}]
    root["buffers"] = [{"byteLength": len(packer.data)}]
    write_bytes(path, glb_bytes(root, [(BIN_CHUNK, bytes(packer.data))]))


def _check_bones(bones: Skeleton, path: Path) -> None:
    roots = int((bones.parents < 0).sum())
    if roots != 1:
        raise BunrakuError(f"{path}: a clip in a .glb has one root; this one has {roots}")
    stretched = np.abs(bones.rest_stretch - np.eye(3)).max(axis=(1, 2)) > 1e-6
    if stretched.any():
        raise BunrakuError(f"{path}: joint {bones.names[int(np.argmax(stretched))]!r} is scaled; a clip has no scale")


def _node(bones: Skeleton, joint: int) -> dict[str, Any]:
    rest = {"translation": bones.rest_translation[joint], "rotation": bones.rest_quat[joint, [1, 2, 3, 0]]}
    children = np.flatnonzero(bones.parents == joint).tolist()
    below = {"children": children} if children else {}
    return {"name": bones.names[joint], **{key: value.tolist() for key, value in rest.items()}, **below}


def _draw(packer: Packer, nodes: list[dict[str, Any]], solids: Sequence[Solid]) -> None:
    """One mesh for each joint that carries something; it moves with the node, without a skin."""
    for joint in sorted({solid.joint for solid in solids}):
        whole = joined([surface(solid) for solid in solids if solid.joint == joint])
        attributes = {
            "POSITION": packer.add(whole.positions.astype("<f4"), target=ARRAY_BUFFER, bounds=True),
            "NORMAL": packer.add(whole.normals.astype("<f4"), target=ARRAY_BUFFER),
        }
        corners = packer.add(whole.triangles.reshape(-1, 1).astype("<u4"), target=ELEMENT_ARRAY_BUFFER)
        meshes = packer.root.setdefault("meshes", [])
        nodes[joint]["mesh"] = len(meshes)
        primitive = {"attributes": attributes, "indices": corners, "material": 0, "mode": 4}
        meshes.append({"name": nodes[joint]["name"], "primitives": [primitive]})
        packer.root["materials"] = [_MATERIAL]


def _animation(saved: Clip, name: str) -> Animation:
    root = int(saved.skeleton.order[0])
    moved = [Channel(root, "translation", "LINEAR", saved.times_s, saved.root_pos_w[:, None])]
    quats = _one_sign(saved.joint_quat)
    turned = [Channel(i, "rotation", "LINEAR", saved.times_s, quats[:, i, None]) for i in range(len(saved.skeleton))]
    return Animation(name, (*moved, *turned))


def _one_sign(quats: Float[np.ndarray, "frames joints 4"]) -> Float[np.ndarray, "frames joints 4"]:
    """Without jumps to the opposite quaternion: programs that blend components would turn the long way round."""
    along = (quats[1:] * quats[:-1]).sum(axis=-1)
    signs = np.cumprod(np.where(along < 0, -1.0, 1.0), axis=0)
    return np.concatenate([quats[:1], quats[1:] * signs[..., None]])
