"""The outside of a glTF 2.0 file: its JSON and its buffers, from .glb or .gltf, and back to bytes.

Read here and not through a library: the container is two length-prefixed chunks, a copy of a file must keep what nobody
here knows of, and declared lengths have to be checked before memory is taken.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf_json import Entry

MAGIC = b"glTF"
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942

# Extensions that change nothing of what is read here: where vertices are and how they move. KHR_mesh_quantization only
# widens the component types of accessors, and all of them are read.
_HARMLESS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "KHR_lights_", "EXT_lights_", "KHR_xmp")
_KNOWN = ("KHR_mesh_quantization", "KHR_node_visibility")


@dataclass(frozen=True, eq=False)
class Document:
    """A glTF file's JSON with its lists, and its buffers' bytes."""

    path: Path
    json: dict[str, Any]
    buffers: tuple[memoryview | None, ...]
    """None for a buffer that the file declares without data (the fallback of a compression extension)."""
    chunks: tuple[tuple[int, bytes], ...]
    """What stands behind the JSON chunk of a .glb, in order; empty for a .gltf."""
    accessors: tuple[Entry, ...]
    views: tuple[Entry, ...]
    nodes: tuple[Entry, ...]
    meshes: tuple[Entry, ...]
    skins: tuple[Entry, ...]
    animations: tuple[Entry, ...]

    @property
    def has_binary_chunk(self) -> bool:
        """Whether buffer 0 is the BIN chunk of a .glb."""
        declared = self.json.get("buffers") or [{"uri": ""}]
        return bool(self.chunks) and self.chunks[0][0] == BIN_CHUNK and "uri" not in declared[0]


def read_document(path: Path) -> Document:
    """Read a .glb or .gltf file (told apart by their first bytes) and every buffer that it names.

    Raises:
        BunrakuError: missing, empty, truncated, another format or version; a required extension that changes meshes or
            motion and is not supported; a buffer that is missing, too short, or outside the file's folder.
    """
    data = _read_file(path)
    text, chunks = _split_glb(path, data) if data[:4] == MAGIC else (data, ())
    root = _parse_json(path, text)
    _check_extensions(path, root.data)
    buffers = tuple(_read_buffer(path, i, entry, chunks) for i, entry in enumerate(root.entries("buffers")))
    keys = ("accessors", "bufferViews", "nodes", "meshes", "skins", "animations")
    return Document(path, root.data, buffers, chunks, *(root.entries(key) for key in keys))


def _read_file(path: Path) -> bytes:
    if not path.exists():
        raise BunrakuError(f"{path}: no such file")
    if not path.is_file():
        raise BunrakuError(f"{path}: is not a file; expected a .glb or .gltf")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise BunrakuError(f"{path}: is empty; expected a .glb or .gltf")
    return data


def _split_glb(path: Path, data: bytes) -> tuple[bytes, tuple[tuple[int, bytes], ...]]:
    if len(data) < 20:
        raise BunrakuError(f"{path}: is truncated: {len(data)} bytes, less than the header of a .glb")
    _, version, length = struct.unpack_from("<4sII", data)
    if version != 2:
        raise BunrakuError(f"{path}: is a .glb of version {version}; expected version 2")
    if length > len(data):
        raise BunrakuError(f"{path}: is truncated: its header declares {length} bytes, it has {len(data)}")
    chunks: list[tuple[int, bytes]] = []
    start = 12
    while start + 8 <= length:
        size, kind = struct.unpack_from("<II", data, start)
        if start + 8 + size > length:
            raise BunrakuError(f"{path}: chunk {len(chunks)} declares {size} bytes; {length - start - 8} are left")
        chunks.append((kind, data[start + 8 : start + 8 + size]))
        start += 8 + size
    if not chunks or chunks[0][0] != JSON_CHUNK:
        raise BunrakuError(f"{path}: its first chunk is not JSON; not a glTF 2.0 file")
    return chunks[0][1], tuple(chunks[1:])


def _parse_json(path: Path, text: bytes) -> Entry:
    try:
        root = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BunrakuError(f"{path}: is not a glTF file (neither a .glb nor valid JSON)") from None
    asset = root.get("asset") if isinstance(root, dict) else None
    if not isinstance(asset, dict) or not isinstance(asset.get("version"), str):
        raise BunrakuError(f"{path}: is JSON without asset.version; not a glTF file")
    if asset["version"].split(".")[0] != "2":
        raise BunrakuError(f"{path}: is glTF version {asset['version'][:20]!r}; expected 2.0")
    return Entry(root, f"{path}:")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check_extensions(path: Path, root: dict[str, Any]) -> None:
    required = root.get("extensionsRequired", [])
    for name in required if isinstance(required, list) else [required]:
        if name not in _KNOWN and not str(name).startswith(_HARMLESS):
            raise BunrakuError(f"{path}: requires the extension {str(name)[:80]}, which is not supported")


def _read_buffer(path: Path, index: int, entry: Entry, chunks: Sequence[tuple[int, bytes]]) -> memoryview | None:
    length = entry.integer("byteLength")
    uri = entry.data.get("uri")
    if uri is None:
        if index > 0 or not chunks or chunks[0][0] != BIN_CHUNK:
            return None
        data, source = chunks[0][1], "the BIN chunk"
    elif not isinstance(uri, str):
        raise entry.wrong("has a uri that is not a string")
    elif uri.startswith("data:"):
        data, source = _decode(uri, entry), "its data: URI"
    else:
        file = resolve_inside(path, uri, entry)
        if file.stat().st_size < length:
            raise entry.wrong(f"declares {length} bytes; {uri!r} has {file.stat().st_size}")
        data, source = file.read_bytes(), repr(uri)
    if len(data) < length:
        raise entry.wrong(f"declares {length} bytes; {source} has {len(data)}")
    return memoryview(data)[:length]


def _decode(uri: str, entry: Entry) -> bytes:
    head, comma, body = uri.partition(",")
    try:
        if comma and head.endswith(";base64"):
            return base64.b64decode(unquote(body), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise entry.wrong("has a data: URI that is not valid base64")


def resolve_inside(path: Path, uri: str, entry: Entry) -> Path:
    """The existing file that a relative URI names, which must lie in the glTF file's folder, links followed.

    Raises:
        BunrakuError: an absolute path or URL, outside the folder, missing, not a plain file.
    """
    shown = repr(uri if len(uri) <= 80 else f"{uri[:80]}…")
    relative = unquote(uri)
    if "\0" in relative or ":" in relative.split("/")[0] or relative.startswith(("/", "\\")):
        raise entry.wrong(f"names {shown}; expected a path relative to the file's own folder")
    folder = path.parent.resolve()
    try:
        file = (folder / relative).resolve()
        there = file.is_file()
    except (OSError, RuntimeError):  # a name too long, a loop of links
        raise entry.wrong(f"names {shown}; no such file in {folder}") from None
    if not file.is_relative_to(folder):
        raise entry.wrong(f"names {shown}, which lies outside the file's folder")
    if not there:
        raise entry.wrong(f"names {shown}; no such file in {folder}")
    return file


def data_uri(data: bytes | memoryview, media_type: str = "application/octet-stream") -> str:
    """Bytes as a data: URI."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def glb_bytes(root: dict[str, Any], chunks: Sequence[tuple[int, bytes]]) -> bytes:
    """A .glb of a JSON root and the chunks behind it, each padded to 4 bytes."""
    parts: list[bytes] = []
    for kind, data in [(JSON_CHUNK, json_bytes(root)), *chunks]:
        padded = data + (b" " if kind == JSON_CHUNK else b"\0") * (-len(data) % 4)
        parts += [struct.pack("<II", len(padded), kind), padded]
    return struct.pack("<4sII", MAGIC, 2, 12 + sum(map(len, parts))) + b"".join(parts)


def json_bytes(root: dict[str, Any]) -> bytes:
    """A JSON root as compact UTF-8; keys keep their order, numbers their values."""
    return json.dumps(root, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
