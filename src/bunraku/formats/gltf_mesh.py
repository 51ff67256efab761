"""The meshes of a glTF file on its nodes: one `SkinnedCharacter` of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import Skeleton
from bunraku.core.skinning import SkinnedCharacter
from bunraku.formats.gltf_accessors import accessor_count, read_floats
from bunraku.formats.gltf_container import Document
from bunraku.formats.gltf_json import Entry
from bunraku.formats.gltf_primitive import Primitive, read_primitive
from bunraku.formats.gltf_scene import unique_names

MAX_NUMBERS = 2**28
"""Meshes may be instanced and morphs are kept dense: a small file can ask for more numbers than this; it is refused."""


@dataclass(frozen=True, eq=False)
class MorphGroup:
    """The morph columns of one mesh node."""

    node: int
    first: int
    """The group's first column among all morphs."""
    names: tuple[str, ...]
    """"mesh.target", not yet made unique."""
    rest: Float[np.ndarray, "morphs"]


@dataclass(frozen=True, eq=False)
class Skin:
    """Joints with their inverse bind matrices, and where they start among all bindings."""

    joints: list[int]
    inverse_binds: Float[np.ndarray, "joints 4 4"]
    first: int


def mesh_nodes(document: Document) -> list[int]:
    """The nodes that carry a mesh, ascending."""
    return [i for i, node in enumerate(document.nodes) if "mesh" in node.data]


def used_skins(document: Document) -> list[int]:
    """The skins that some mesh node uses, ascending."""
    used = (document.nodes[i] for i in mesh_nodes(document))
    return sorted({node.index("skin", document.skins, "skins") for node in used if "skin" in node.data})


def skin_joints(document: Document) -> Int[np.ndarray, "joints"]:
    """The nodes that are a joint of a used skin, ascending."""
    used = (document.skins[s].indices("joints", document.nodes, "nodes") for s in used_skins(document))
    return np.array(sorted({joint for joints in used for joint in joints}), np.int64)


def morph_groups(document: Document) -> tuple[MorphGroup, ...]:
    """The morph columns of every mesh node that has some: each instance of a mesh has its own.

    Raises:
        BunrakuError: default weights that are not one finite number for each target.
    """
    groups: list[MorphGroup] = []
    first = 0
    for node in mesh_nodes(document):
        entry = document.nodes[node]
        index = entry.index("mesh", document.meshes, "meshes")
        mesh = document.meshes[index]
        count = _target_count(mesh)
        if count:
            owner = mesh.text("name") or entry.text("name") or f"mesh{index}"
            names = tuple(f"{owner}.{target}" for target in _target_names(mesh, count))
            rest = (entry if "weights" in entry.data else mesh).numbers("weights", count, (0.0,) * count)
            groups.append(MorphGroup(node, first, names, rest))
            first += count
    return tuple(groups)


def _target_count(mesh: Entry) -> int:
    return max((len(primitive.entries("targets")) for primitive in mesh.entries("primitives")), default=0)


def _target_names(mesh: Entry, count: int) -> list[str]:
    extras = mesh.data.get("extras")
    given = extras.get("targetNames") if isinstance(extras, dict) else None
    given = given if isinstance(given, list) else []
    return [
        given[i] if i < len(given) and isinstance(given[i], str) and given[i] else f"target{i}" for i in range(count)
    ]


def read_character(document: Document, skeleton: Skeleton) -> SkinnedCharacter:
    """The vertices of all mesh nodes in ascending order, then primitive order, with faces, influences and morphs.

    A vertex of a skinned mesh whose weights are all 0 follows the skin's first joint; a primitive without JOINTS_0
    follows its node, skinned or not. Weights are scaled to sum 1.

    Raises:
        BunrakuError: no mesh on any node, more than memory should be taken for, accessors that do not fit together.
    """
    nodes = mesh_nodes(document)
    if not nodes:
        raise BunrakuError(f"{document.path}: has no node with a mesh")
    groups = morph_groups(document)
    _check_size(document, nodes, sum(len(group.names) for group in groups))
    meshes: dict[int, list[Primitive]] = {}
    for node in nodes:
        index = document.nodes[node].index("mesh", document.meshes, "meshes")
        if index not in meshes:
            meshes[index] = _read_mesh(document, document.meshes[index])
    skins = _read_skins(document)
    rigid = max((skin.first + len(skin.joints) for skin in skins.values()), default=0)
    parts = [
        (primitive, node, rigid + i, _skin_of(document, node, skins))
        for i, node in enumerate(nodes)
        for primitive in meshes[document.nodes[node].integer("mesh")]
    ]
    if not sum(len(primitive.positions) for primitive, *_ in parts):
        raise BunrakuError(f"{document.path}: its meshes have no vertices")
    starts = np.cumsum([0] + [len(primitive.positions) for primitive, *_ in parts])
    influences, weights = _bind(document, parts, int(starts[-1]))
    binds = [skin.inverse_binds for skin in skins.values()]
    return SkinnedCharacter(
        skeleton,
        np.concatenate([primitive.positions for primitive, *_ in parts]),
        np.concatenate([primitive.triangles + start for (primitive, *_), start in zip(parts, starts, strict=False)]),
        np.array([joint for skin in skins.values() for joint in skin.joints] + nodes, np.int64),
        np.concatenate([*binds, np.tile(np.eye(4), (len(nodes), 1, 1))]),
        influences,
        weights,
        unique_names([name for group in groups for name in group.names]),
        _morphs(groups, parts, starts),
        np.concatenate([np.zeros(0), *(group.rest for group in groups)]),
    )


def _check_size(document: Document, nodes: list[int], morphs: int) -> None:
    """Refuse what would take more memory than is reasonable, by counts that accessors declare."""
    vertices, corners, sets = 0, 0, 0
    for node in nodes:
        mesh = document.meshes[document.nodes[node].index("mesh", document.meshes, "meshes")]
        for primitive in mesh.entries("primitives"):
            attributes = primitive.entry("attributes")
            if attributes is None or "POSITION" not in attributes.data:
                continue
            vertices += accessor_count(document, attributes.index("POSITION", document.accessors, "accessors"))
            sets = max(sets, sum(key.startswith("JOINTS_") for key in attributes.data))
            if "indices" in primitive.data:
                corners += accessor_count(document, primitive.index("indices", document.accessors, "accessors"))
    # Positions and morphs by 3, joints and weights by 4 each, and the corners of triangles (three for one in a strip).
    if vertices * (3 + 3 * morphs + 8 * sets) + 3 * corners > MAX_NUMBERS:
        raise BunrakuError(
            f"{document.path}: declares {vertices} vertices and {corners} indices on its nodes, "
            f"{morphs} morph targets and {4 * sets} joints a vertex; too much to read"
        )


def _skin_of(document: Document, node: int, skins: dict[int, Skin]) -> Skin | None:
    entry = document.nodes[node]
    return skins[entry.integer("skin")] if "skin" in entry.data else None


def _read_skins(document: Document) -> dict[int, Skin]:
    skins: dict[int, Skin] = {}
    first = 0
    for index in used_skins(document):
        entry = document.skins[index]
        joints = entry.indices("joints", document.nodes, "nodes")
        if not joints:
            raise entry.wrong("has no joints")
        binds = np.tile(np.eye(4), (len(joints), 1, 1))
        if "inverseBindMatrices" in entry.data:
            accessor = entry.index("inverseBindMatrices", document.accessors, "accessors")
            count = accessor_count(document, accessor)
            if count < len(joints):
                raise entry.wrong(f"has {count} inverse bind matrices for {len(joints)} joints")
            columns = read_floats(document, accessor, "MAT4")[: len(joints)].reshape(-1, 4, 4)
            binds = np.ascontiguousarray(np.swapaxes(columns, 1, 2))
        skins[index] = Skin(joints, binds, first)
        first += len(joints)
    return skins


def _read_mesh(document: Document, mesh: Entry) -> list[Primitive]:
    targets = _target_count(mesh)
    read = [read_primitive(document, primitive, targets) for primitive in mesh.entries("primitives")]
    return [primitive for primitive in read if primitive is not None]


def _bind(
    document: Document, parts: list[tuple[Primitive, int, int, Skin | None]], vertices: int
) -> tuple[np.ndarray, np.ndarray]:
    width = max(1, *(primitive.joints.shape[1] for primitive, *_ in parts))
    influences, weights = np.zeros((vertices, width), np.int64), np.zeros((vertices, width))
    start = 0
    for primitive, node, rigid, skin in parts:
        rows = slice(start, start + len(primitive.positions))
        start = rows.stop
        slots = primitive.joints.shape[1]
        if skin is None or slots == 0:
            influences[rows, 0], weights[rows, 0] = rigid, 1.0
            continue
        used = primitive.weights > 0
        beyond = used & (primitive.joints >= len(skin.joints))
        if beyond.any():
            joint = int(primitive.joints[beyond].max())
            raise document.nodes[node].wrong(f"has a vertex on joint {joint} of its skin of {len(skin.joints)} joints")
        influences[rows, :slots] = skin.first + np.where(used, primitive.joints, 0)
        weights[rows, :slots] = primitive.weights
        weights[rows, 0] += ~used.any(axis=1)
    return influences, weights / weights.sum(axis=1, keepdims=True)


def _morphs(
    groups: tuple[MorphGroup, ...], parts: list[tuple[Primitive, int, int, Skin | None]], starts: np.ndarray
) -> np.ndarray:
    columns = {group.node: slice(group.first, group.first + len(group.names)) for group in groups}
    deltas = np.zeros((sum(len(group.names) for group in groups), int(starts[-1]), 3))
    for (primitive, node, *_), start in zip(parts, starts, strict=False):
        if node in columns:
            deltas[columns[node], start : start + len(primitive.positions)] = primitive.deltas
    return deltas
