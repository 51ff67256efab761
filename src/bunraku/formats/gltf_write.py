"""A skinned character as a .glb file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core.animation import Animation
from bunraku.core.artifact import write_bytes
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import matrix_from_quat
from bunraku.core.skeleton import Skeleton
from bunraku.core.skinning import SkinnedCharacter
from bunraku.formats.gltf_container import BIN_CHUNK, glb_bytes
from bunraku.formats.gltf_mesh import MorphGroup
from bunraku.formats.gltf_pack import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Packer, pack_animation


def write_gltf(path: Path, character: SkinnedCharacter, animations: Sequence[Animation] = ()) -> None:
    """Write a character as a .glb: its joints as nodes 0 …, then one mesh node with one skin, and the animations.

    Numbers are float32. A joint that serves several bindings gets a child node that stands still for each further one
    (a skin names a joint once). Morph names "mesh.target" with one and the same mesh give the mesh its name.

    Raises:
        BunrakuError: another ending than .glb, an animation that glTF cannot hold or that moves a sheared joint.
    """
    if path.suffix.lower() != ".glb":
        raise BunrakuError(f"{path}: ends in {path.suffix!r}; expected .glb")
    if character.ramps is not None or len(character.dual_vertices):
        what = "in-between shapes" if character.ramps is not None else "dual quaternion skinning"
        raise BunrakuError(f"{path}: glTF has no {what}, which this character has")
    nodes = _joint_nodes(character.skeleton)
    skin_joints = _skin_joints(character, nodes)
    root: dict[str, Any] = {"asset": {"version": "2.0", "generator": "bunraku"}, "scene": 0}
    packer = Packer(root, 0)
    mesh_name, targets = _mesh_name(character, path)
    binds = np.swapaxes(character.inverse_binds, 1, 2).reshape(-1, 16).astype("<f4")
    skin = {"joints": skin_joints, "inverseBindMatrices": packer.add(binds)}
    mesh: dict[str, Any] = {"name": mesh_name, "primitives": [_primitive(packer, character)]}
    if targets:
        mesh |= {"weights": character.morph_rest.tolist(), "extras": {"targetNames": targets}}
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [i for i in range(len(nodes) + 1) if i not in children]
    nodes.append({"name": mesh_name, "mesh": 0, "skin": 0})
    root |= {"scenes": [{"nodes": roots}], "nodes": nodes, "skins": [skin], "meshes": [mesh]}
    groups = [MorphGroup(len(nodes) - 1, 0, tuple(targets), character.morph_rest)] if targets else []
    _check_moved(character.skeleton, animations, path)
    if animations:
        root["animations"] = [pack_animation(packer, animation, len(nodes), groups) for animation in animations]
    root["buffers"] = [{"byteLength": len(packer.data)}]
    write_bytes(path, glb_bytes(root, [(BIN_CHUNK, bytes(packer.data))]))


def _joint_nodes(skeleton: Skeleton) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for i, name in enumerate(skeleton.names):
        translation, quat, stretch = skeleton.rest_translation[i], skeleton.rest_quat[i], skeleton.rest_stretch[i]
        node: dict[str, Any] = {"name": name}
        if _is_diagonal(stretch):
            node |= {"translation": translation.tolist(), "rotation": quat[[1, 2, 3, 0]].tolist()}
            node["scale"] = np.diagonal(stretch).tolist()
        else:
            node["matrix"] = _matrix(translation, quat, stretch)
        if children := np.flatnonzero(skeleton.parents == i).tolist():
            node["children"] = children
        nodes.append(node)
    return nodes


def _is_diagonal(stretch: np.ndarray) -> bool:
    return np.array_equal(stretch, np.diag(np.diagonal(stretch)))


def _matrix(translation: np.ndarray, quat: np.ndarray, stretch: np.ndarray) -> list[float]:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = matrix_from_quat(quat) @ stretch, translation
    return matrix.T.ravel().tolist()


def _skin_joints(character: SkinnedCharacter, nodes: list[dict[str, Any]]) -> list[int]:
    """A node for each binding; a joint's second binding gets a child that stands still (added to `nodes`)."""
    taken: set[int] = set()
    joints: list[int] = []
    for joint in (int(j) for j in character.binding_joints):
        if joint in taken:
            nodes[joint].setdefault("children", []).append(len(nodes))
            nodes.append({"name": f"{nodes[joint]['name']}.bind{len(nodes)}"})
            joint = len(nodes) - 1
        taken.add(joint)
        joints.append(joint)
    return joints


def _mesh_name(character: SkinnedCharacter, path: Path) -> tuple[str, list[str]]:
    owners = {name.partition(".")[0] for name in character.morph_names}
    if len(owners) == 1 and all(name.partition(".")[2] for name in character.morph_names):
        return owners.pop(), [name.partition(".")[2] for name in character.morph_names]
    return path.stem, list(character.morph_names)


def _primitive(packer: Packer, character: SkinnedCharacter) -> dict[str, Any]:
    attributes = {"POSITION": packer.add(character.positions.astype("<f4"), target=ARRAY_BUFFER, bounds=True)}
    if len(character.faces):
        attributes["NORMAL"] = packer.add(_normals(character).astype("<f4"), target=ARRAY_BUFFER)
    # glTF counts influences in fours; a joint must not be named with weight 0 other than as 0.
    sets = -(-character.weights.shape[1] // 4)
    pad = ((0, 0), (0, 4 * sets - character.weights.shape[1]))
    weights = np.pad(character.weights, pad).astype("<f4")
    joints = np.where(weights > 0, np.pad(character.influences, pad), 0).astype("<u2")
    for i in range(sets):
        attributes[f"JOINTS_{i}"] = packer.add(joints[:, 4 * i : 4 * i + 4], target=ARRAY_BUFFER)
        attributes[f"WEIGHTS_{i}"] = packer.add(weights[:, 4 * i : 4 * i + 4], target=ARRAY_BUFFER)
    primitive: dict[str, Any] = {"attributes": attributes, "mode": 4 if len(character.faces) else 0}
    if len(character.faces):
        primitive["indices"] = packer.add(character.faces.reshape(-1, 1).astype("<u4"), target=ELEMENT_ARRAY_BUFFER)
    if len(character.morph_deltas):
        deltas = character.morph_deltas.astype("<f4")
        primitive["targets"] = [{"POSITION": packer.add(delta, target=ARRAY_BUFFER, bounds=True)} for delta in deltas]
    return primitive


def _normals(character: SkinnedCharacter) -> np.ndarray:
    """Unit vertex normals: the mean of the normals of the triangles around, weighted by area."""
    corners = character.positions[character.faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(character.positions)
    for corner in range(3):
        np.add.at(normals, character.faces[:, corner], area)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])


def _check_moved(skeleton: Skeleton, animations: Sequence[Animation], path: Path) -> None:
    for animation in animations:
        for channel in animation.channels:
            joint = channel.target
            if channel.path != "morphs" and joint < len(skeleton) and not _is_diagonal(skeleton.rest_stretch[joint]):
                name = skeleton.names[joint]
                raise BunrakuError(f"{path}: joint {name!r} is sheared at rest, which a glTF animation cannot move")
