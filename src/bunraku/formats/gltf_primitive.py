"""One primitive of a glTF mesh: positions, triangles, influences and morph targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.formats.gltf_accessors import accessor_count, read_floats, read_integers
from bunraku.formats.gltf_container import Document
from bunraku.formats.gltf_json import Entry


@dataclass(frozen=True, eq=False)
class Primitive:
    """One primitive as it stands in the file."""

    positions: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    joints: Int[np.ndarray, "vertices influences"]
    """Indices into the joints of whichever skin the mesh is used with."""
    weights: Float[np.ndarray, "vertices influences"]
    deltas: Float[np.ndarray, "morphs vertices 3"]


def read_primitive(document: Document, entry: Entry, targets: int) -> Primitive | None:
    """A primitive; None for one without positions, which the specification allows and nothing can be made of.

    Raises:
        BunrakuError: accessors of other types or counts, negative weights, an index without a vertex, a mesh that only
            a compression extension holds.
    """
    attributes = entry.entry("attributes")
    if attributes is None or "POSITION" not in attributes.data:
        return None
    index = attributes.index("POSITION", document.accessors, "accessors")
    extensions = entry.entry("extensions")
    compressed = [name for name in extensions.data if "compression" in name] if extensions else []
    if compressed and "bufferView" not in document.accessors[index].data:
        raise entry.wrong(f"holds its mesh in the extension {compressed[0]} alone, which is not supported")
    positions = read_floats(document, index, "VEC3")
    joints, weights = _read_influences(document, attributes, len(positions))
    deltas = np.zeros((targets, len(positions), 3))
    for i, target in enumerate(entry.entries("targets")):
        if "POSITION" in target.data:
            accessor = target.index("POSITION", document.accessors, "accessors")
            _check_count(document, target, "POSITION", accessor, len(positions))
            deltas[i] = read_floats(document, accessor, "VEC3")
    return Primitive(positions, _triangles(document, entry, len(positions)), joints, weights, deltas)


def _check_count(document: Document, entry: Entry, key: str, accessor: int, vertices: int) -> None:
    count = accessor_count(document, accessor)
    if count != vertices:
        raise entry.wrong(f"has {count} elements in {key} for {vertices} vertices")


def _read_influences(document: Document, attributes: Entry, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    joints: list[np.ndarray] = [np.zeros((vertices, 0), np.int64)]
    weights: list[np.ndarray] = [np.zeros((vertices, 0))]
    while f"JOINTS_{len(joints) - 1}" in attributes.data:
        names = [f"{kind}_{len(joints) - 1}" for kind in ("JOINTS", "WEIGHTS")]
        joint, weight = (attributes.index(name, document.accessors, "accessors") for name in names)
        for name, accessor in zip(names, (joint, weight), strict=True):
            _check_count(document, attributes, name, accessor, vertices)
        joints.append(read_integers(document, joint, "VEC4"))
        weights.append(read_floats(document, weight, "VEC4"))
        if (weights[-1] < -1e-6).any():
            raise document.accessors[weight].wrong(f"holds a negative weight, {weights[-1].min():g}")
    return np.concatenate(joints, axis=1), np.maximum(np.concatenate(weights, axis=1), 0.0)


def _triangles(document: Document, entry: Entry, vertices: int) -> np.ndarray:
    """The primitive's triangles (glTF 2.0, section 3.7.2.1); points and lines have none."""
    mode = entry.integer("mode", 4)
    if mode not in (4, 5, 6):
        return np.zeros((0, 3), np.int64)
    corners = np.arange(vertices)
    if "indices" in entry.data:
        accessor = entry.index("indices", document.accessors, "accessors")
        corners = read_integers(document, accessor, "SCALAR")[:, 0]
        if int(corners.max()) >= vertices:
            raise entry.wrong(f"has an index {int(corners.max())}; there are {vertices} vertices")
    if mode == 4:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    i = np.arange(max(len(corners) - 2, 0))
    if mode == 5:
        return corners[np.stack([i, i + 1 + i % 2, i + 2 - i % 2], axis=1)]
    return corners[np.stack([i + 1, i + 2, np.zeros_like(i)], axis=1)]
