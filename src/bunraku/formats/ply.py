"""Stanford .ply, ascii and binary: x, y, z of the vertices, and faces; other elements and properties are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bunraku.core.errors import BunrakuError
from bunraku.formats.triangles import triangulate

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LISTS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class Property:
    """A property of an element; a list has a type for its length."""

    name: str
    type: str
    length: str | None


@dataclass(frozen=True)
class Element:
    """A declared element."""

    name: str
    count: int
    properties: tuple[Property, ...]

    def is_flat(self) -> bool:
        """Whether no property is a list."""
        return all(p.length is None for p in self.properties)


def read_ply(path: Path, faces: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) float64 and triangles (t, 3), which are not read where `faces` is False.

    Raises:
        BunrakuError: missing, not PLY, truncated, more declared than the file can hold, no vertices, a face that names
            no vertex.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    order, elements, start = _header(path, data)
    reader = _ascii(path, data[start:]) if order == "" else None
    at, vertices, triangles = start, None, np.zeros((0, 3), np.int32)
    for element in elements:
        wanted = element.name == "vertex" or (faces and element.name == "face")
        if reader is not None:
            columns = _ascii_element(path, reader, element)
        elif element.is_flat():
            columns, at = _flat(path, data, at, element, order)
        else:
            columns, at = _listed(path, data, at, element, order)
        if wanted and element.name == "vertex":
            vertices = _positions(path, element, columns)
        elif wanted and vertices is not None:
            triangles = _triangles(path, element, columns, len(vertices))
        if vertices is not None and not faces:
            break
    if vertices is None or not len(vertices):
        raise BunrakuError(f"{path}: has no vertices")
    return vertices, triangles


def _header(path: Path, data: bytes) -> tuple[str, list[Element], int]:
    end = data.find(b"end_header")
    newline = data.find(b"\n", end)
    if data[:3] != b"ply" or end < 0 or newline < 0 or end > 1 << 16:
        raise BunrakuError(f"{path}: is not PLY (no header)")
    order: str | None = None
    elements: list[Element] = []
    for line in data[:end].decode("ascii", "replace").splitlines()[1:]:
        words = line.split()
        if words[:1] == ["format"] and len(words) == 3:
            order = _ORDERS.get(words[1])
        elif words[:1] == ["element"] and len(words) == 3 and words[2].isdecimal():
            elements.append(Element(words[1], int(words[2]), ()))
        elif words[:1] == ["property"] and elements:
            last = elements[-1]
            elements[-1] = Element(last.name, last.count, (*last.properties, _property(path, line, words)))
        elif words and words[0] not in ("comment", "obj_info"):
            raise BunrakuError(f"{path}: header line {line[:60]!r} is not understood")
    if order is None:
        raise BunrakuError(f"{path}: has no format line of: {', '.join(_ORDERS)}")
    return order, elements, newline + 1


def _property(path: Path, line: str, words: list[str]) -> Property:
    if len(words) == 5 and words[1] == "list" and words[2] in _TYPES and words[3] in _TYPES:
        return Property(words[4], _TYPES[words[3]], _TYPES[words[2]])
    if len(words) == 3 and words[1] in _TYPES:
        return Property(words[2], _TYPES[words[1]], None)
    raise BunrakuError(f"{path}: header line {line[:60]!r} is not understood")


Columns = dict[str, np.ndarray]
"""Per property its values; a list property has its entries in a row, and its lengths under "#name"."""


def _flat(path: Path, data: bytes, at: int, element: Element, order: str) -> tuple[Columns, int]:
    names = [p.name for p in element.properties]
    if len(set(names)) != len(names):
        raise BunrakuError(f"{path}: {element.name} has a property twice")
    row = np.dtype([(p.name, order + p.type) for p in element.properties])
    size = row.itemsize * element.count
    if at + size > len(data):
        raise _short(path, element, size, len(data) - at)
    table = np.frombuffer(data, row, element.count, at) if row.itemsize else np.zeros(0, row)
    return {name: table[name] for name in names}, at + size


def _listed(path: Path, data: bytes, at: int, element: Element, order: str) -> tuple[Columns, int]:
    if element.count > len(data) - at:
        raise _short(path, element, element.count, len(data) - at)
    if len(element.properties) == 1 and element.count:
        found = _even(data, at, element, order)
        if found is not None:
            return found
    values: dict[str, list[np.ndarray]] = {p.name: [] for p in element.properties}
    lengths: dict[str, list[int]] = {f"#{p.name}": [] for p in element.properties if p.length}
    for _ in range(element.count):
        for p in element.properties:
            count = 1
            if p.length is not None:
                count = int(_take(path, data, at, element, order + p.length, 1)[0])
                at += np.dtype(p.length).itemsize
                lengths[f"#{p.name}"].append(count)
            values[p.name].append(_take(path, data, at, element, order + p.type, count))
            at += count * np.dtype(p.type).itemsize
    joined = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in values.items()}
    return {**joined, **{name: np.array(counts, np.int64) for name, counts in lengths.items()}}, at


def _even(data: bytes, at: int, element: Element, order: str) -> tuple[Columns, int] | None:
    """All lists at once, where they are equally long."""
    p = element.properties[0]
    if p.length is None or at + np.dtype(p.length).itemsize > len(data):
        return None
    width = int(np.frombuffer(data, order + p.length, 1, at)[0])
    row = np.dtype([("n", order + p.length), ("v", order + p.type, (max(width, 0),))])
    if at + row.itemsize * element.count > len(data):
        return None
    table = np.frombuffer(data, row, element.count, at)
    if (table["n"] != width).any():
        return None
    columns = {p.name: table["v"].ravel(), f"#{p.name}": table["n"].astype(np.int64)}
    return columns, at + row.itemsize * element.count


def _take(path: Path, data: bytes, at: int, element: Element, kind: str, count: int) -> np.ndarray:
    size = count * np.dtype(kind).itemsize
    if count < 0 or at + size > len(data):
        raise _short(path, element, size, len(data) - at)
    return np.frombuffer(data, kind, count, at)


def _short(path: Path, element: Element, wanted: int, there: int) -> BunrakuError:
    return BunrakuError(f"{path}: is truncated: {element.count} {element.name} need {wanted} bytes, {there} are left")


def _ascii(path: Path, data: bytes) -> Iterator[list[bytes]]:
    return (words for line in data.splitlines() if (words := line.split()))


def _ascii_element(path: Path, lines: Iterator[list[bytes]], element: Element) -> Columns:
    values: dict[str, list[float]] = {p.name: [] for p in element.properties}
    lengths: dict[str, list[int]] = {f"#{p.name}": [] for p in element.properties if p.length}
    for row in range(element.count):
        words = next(lines, None)
        if words is None:
            raise BunrakuError(f"{path}: is truncated: {row} of {element.count} {element.name} are there")
        try:
            at = 0
            for p in element.properties:
                count = 1
                if p.length is not None:
                    count = int(words[at])
                    at += 1
                    lengths[f"#{p.name}"].append(count)
                if count < 0 or at + count > len(words):
                    raise ValueError
                values[p.name] += [float(word) for word in words[at : at + count]]
                at += count
        except (ValueError, IndexError):
            shown = b" ".join(words)[:40].decode("ascii", "replace")
            raise BunrakuError(f"{path}: {element.name} {row} is {shown!r}; not what its header says") from None
    joined = {name: np.array(column) for name, column in values.items()}
    return {**joined, **{name: np.array(counts, np.int64) for name, counts in lengths.items()}}


def _positions(path: Path, element: Element, columns: Columns) -> np.ndarray:
    missing = [axis for axis in "xyz" if axis not in columns or f"#{axis}" in columns]
    if missing:
        raise BunrakuError(f"{path}: its vertices have no {missing[0]!r}; they have: {', '.join(columns) or 'nothing'}")
    return np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1)


def _triangles(path: Path, element: Element, columns: Columns, count: int) -> np.ndarray:
    name = next((name for name in _LISTS if f"#{name}" in columns), None)
    if name is None:
        return np.zeros((0, 3), np.int32)
    corners = columns[name]
    if corners.size and (not np.isfinite(corners).all() or np.abs(corners).max() > 1 << 40):
        raise BunrakuError(f"{path}: a face names a vertex by a number that is none")
    return triangulate(columns[f"#{name}"], corners.astype(np.int64), count, str(path))
