"""The node tree of a glTF file as a skeleton: every node is a joint, its index the node's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import quat_from_matrix
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.formats.gltf_container import Document
from bunraku.formats.gltf_json import Entry

TINY_SCALE = 1e-6
"""What a rest scale of 0 is read as where an animation scales that node: a factor needs something to act on."""


def read_skeleton(document: Document) -> Skeleton:
    """All nodes with their rest transforms, named as in the file ("node{i}" without a name, "#2" behind repeated ones).

    A matrix node is split into translation, rotation and stretch (`split_matrix`).

    Raises:
        BunrakuError: a child that does not exist, a node with two parents, a cycle, transforms that are not finite.
    """
    nodes = document.nodes
    names = unique_names([node.text("name") or f"node{i}" for i, node in enumerate(nodes)])
    parents = _parents(nodes)
    translation, quat, stretch = (np.zeros((len(nodes), *shape)) for shape in ((3,), (4,), (3, 3)))
    for i, node in enumerate(nodes):
        translation[i], quat[i], stretch[i] = local_rest(node)
    for i in _scaled_nodes(document):
        diagonal = np.diagonal(stretch[i])
        stretch[i] += np.diag(np.where(diagonal == 0, TINY_SCALE, 0.0))
    return skeleton(names, parents, translation, quat, stretch, str(document.path))


def _parents(nodes: Sequence[Entry]) -> list[int]:
    parents = [-1] * len(nodes)
    for i, node in enumerate(nodes):
        for child in node.indices("children", nodes, "nodes"):
            if parents[child] >= 0:
                raise nodes[child].wrong(f"has two parents, nodes {parents[child]} and {i}")
            parents[child] = i
    return parents


def _scaled_nodes(document: Document) -> set[int]:
    targets = [c.entry("target") for animation in document.animations for c in animation.entries("channels")]
    scaled = [t for t in targets if t is not None and t.data.get("path") == "scale" and "node" in t.data]
    return {target.index("node", document.nodes, "nodes") for target in scaled}


def local_rest(node: Entry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation (3,), rotation (4,) wxyz and stretch (3, 3) of a node; a matrix goes before the rest.

    Raises:
        BunrakuError: another number of components, or not finite.
    """
    if "matrix" in node.data:
        matrix = node.numbers("matrix", 16, []).reshape(4, 4).T
        rotation, stretch = split_matrix(matrix[:3, :3])
        return matrix[:3, 3], quat_from_matrix(rotation), stretch
    translation = node.numbers("translation", 3, (0, 0, 0))
    x, y, z, w = node.numbers("rotation", 4, (0, 0, 0, 1))
    return translation, np.array([w, x, y, z]), np.diag(node.numbers("scale", 3, (1, 1, 1)))


def split_matrix(
    matrix: Float[np.ndarray, "3 3"],
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 3"]]:
    """Rotation R and symmetric stretch P with R·P = matrix, by polar decomposition; singular matrices too.

    P is ± the positive semi-definite root of MᵀM, minus for a mirroring M so that R stays a rotation. It is diagonal
    exactly where M is a rotation times a scale (mirrored along all axes or none).
    """
    u, sigma, vt = np.linalg.svd(matrix)
    sign = 1.0 if np.linalg.det(u @ vt) > 0 else -1.0
    return sign * (u @ vt), sign * (vt.T * sigma) @ vt


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """The same names with "#2", "#3" … behind those that were there before."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    reserved = set(names)
    out: list[str] = []
    for name in names:
        chosen, number = name, counts.get(name, 1)
        while chosen in taken or (chosen != name and chosen in reserved):
            number += 1
            chosen = f"{name}#{number}"
        counts[name] = number
        taken.add(chosen)
        out.append(chosen)
    return tuple(out)
