"""A copy of a glTF file with one more animation."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core.animation import Animation
from bunraku.core.artifact import write_bytes
from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf_container import (
    BIN_CHUNK,
    Document,
    data_uri,
    glb_bytes,
    json_bytes,
    read_document,
    resolve_inside,
)
from bunraku.formats.gltf_json import Entry
from bunraku.formats.gltf_mesh import morph_groups
from bunraku.formats.gltf_pack import Packer, pack_animation
from bunraku.formats.gltf_scene import local_rest

_IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".ktx2": "image/ktx2",
}


def append_animation(source: Path, animation: Animation, out: Path) -> None:
    """Write a copy of a glTF file with an animation appended as the last one.

    Joint indices and morph columns are those of `read_gltf(source)`; values are absolute and local, as
    `read_animations` gives them, and are stored as float32. Everything else keeps its place: buffers only grow at
    their end, textures, extras, extensions and unknown chunks are carried over as they are. A matrix node that the
    animation moves becomes translation, rotation and scale.

    The ending of `out` decides its container, .glb or .gltf. What the file refers to outside itself is embedded when
    the copy goes to another folder.

    Raises:
        BunrakuError: another ending; a source that cannot be read; an animation that glTF cannot hold
            (`pack_animation`), or that moves a node with a sheared matrix.
    """
    if out.suffix.lower() not in (".glb", ".gltf"):
        raise BunrakuError(f"{out}: ends in {out.suffix!r}; expected .glb or .gltf")
    document = read_document(source)
    root = copy.deepcopy(document.json)
    if out.parent.resolve() != source.parent.resolve():
        _embed(document, root)
    binary = out.suffix.lower() == ".glb"
    chunks = list(document.chunks)
    if document.has_binary_chunk and not binary:
        root["buffers"][0]["uri"] = data_uri(document.buffers[0] or b"")
        chunks = []
    elif binary and not document.chunks and document.buffers and document.buffers[0] is not None:
        root["buffers"][0].pop("uri", None)
        chunks = [(BIN_CHUNK, bytes(document.buffers[0]))]
    inside = bool(chunks) and chunks[0][0] == BIN_CHUNK and "uri" not in root["buffers"][0]
    start = len(chunks[0][1]) + -len(chunks[0][1]) % 4 if inside else 0
    packer = Packer(root, 0 if inside else len(root.setdefault("buffers", [])), start)
    _free_matrices(document, root, animation)
    packed = pack_animation(packer, animation, len(document.nodes), morph_groups(document))
    root.setdefault("animations", []).append(packed)
    if inside:
        chunks[0] = (BIN_CHUNK, chunks[0][1].ljust(start, b"\0") + bytes(packer.data))
        root["buffers"][0]["byteLength"] = len(chunks[0][1])
    else:
        root["buffers"].append({"byteLength": len(packer.data), "uri": data_uri(bytes(packer.data))})
    write_bytes(out, glb_bytes(root, chunks) if binary else json_bytes(root))


def _embed(document: Document, root: dict[str, Any]) -> None:
    for entry, data in zip(root.get("buffers", []), document.buffers, strict=True):
        if data is not None and _is_relative(entry):
            entry["uri"] = data_uri(data)
    for image in Entry(root, f"{document.path}:").entries("images"):
        if _is_relative(image.data):
            _embed_image(document, image)


def _embed_image(document: Document, image: Entry) -> None:
    uri = image.data["uri"]
    media_type = image.text("mimeType") or _IMAGE_TYPES.get(Path(uri).suffix.lower())
    try:
        file = resolve_inside(document.path, uri, image)
    except BunrakuError:
        return  # A picture is nothing that we read: what is missing in the source stays missing in its copy.
    if media_type is not None:
        image.data["uri"] = data_uri(file.read_bytes(), media_type)


def _is_relative(entry: dict[str, Any]) -> bool:
    uri = entry.get("uri")
    return isinstance(uri, str) and not uri.startswith("data:")


def _free_matrices(document: Document, root: dict[str, Any], animation: Animation) -> None:
    """Nodes that an animation moves must have translation, rotation and scale (glTF 2.0, section 3.11)."""
    moved = {channel.target for channel in animation.channels if channel.path != "morphs"}
    for i, node in enumerate(document.nodes):
        if i in moved and "matrix" in node.data:
            translation, quat, stretch = local_rest(node)
            scale = np.diagonal(stretch)
            if np.abs(stretch - np.diag(scale)).max() > 1e-5 * np.abs(stretch).max():
                raise node.wrong("has a sheared matrix, which a glTF animation cannot move")
            del root["nodes"][i]["matrix"]
            root["nodes"][i] |= {
                "translation": translation.tolist(),
                "rotation": quat[[1, 2, 3, 0]].tolist(),
                "scale": scale.tolist(),
            }
