"""Numbers of a glTF file: accessors, dense or sparse, interleaved or not, normalised integers or floats."""

from __future__ import annotations

import numpy as np

from bunraku.formats.gltf_container import Document
from bunraku.formats.gltf_json import Entry

COMPONENTS = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
MAX_ZEROS = 2**24
"""An accessor without a buffer view is zeros, as many as it likes to declare; more numbers than this are refused."""


def accessor_count(document: Document, index: int) -> int:
    """How many elements an accessor declares."""
    return document.accessors[index].integer("count", lowest=1)


def read_floats(document: Document, index: int, kind: str) -> np.ndarray:
    """An accessor's elements as float64 (count, width); normalised integers become their fractions.

    Raises:
        BunrakuError: another type than `kind` ("VEC3"), bytes beyond the buffer, values that are not finite.
    """
    entry = document.accessors[index]
    raw = _read(document, entry, kind)
    if raw.dtype.kind == "f":
        values = raw.astype(np.float64)
        if not np.isfinite(values).all():
            raise entry.wrong(
                f"holds a value that is not finite at element {int(np.argwhere(~np.isfinite(values))[0][0])}"
            )
        return values
    if entry.data.get("normalized") is not True:
        return raw.astype(np.float64)
    # glTF 2.0, section 3.11: unsigned c/max, signed max(c/max, −1).
    return np.maximum(raw / float(np.iinfo(raw.dtype).max), -1.0)


def read_integers(document: Document, index: int, kind: str) -> np.ndarray:
    """An accessor's elements as int64 (count, width).

    Raises:
        BunrakuError: another type than `kind`, components that are not unsigned integers, bytes beyond the buffer.
    """
    entry = document.accessors[index]
    raw = _read(document, entry, kind)
    if raw.dtype.kind != "u":
        raise entry.wrong("has components that are not unsigned integers")
    return raw.astype(np.int64)


def _read(document: Document, entry: Entry, kind: str) -> np.ndarray:
    if entry.data.get("type") != kind:
        raise entry.wrong(f"has type {entry.text('type')}; expected {kind}")
    dtype = _component(entry)
    count, width = entry.integer("count", lowest=1), WIDTHS[kind]
    if "bufferView" in entry.data:
        values = _elements(document, entry, dtype, count, width)
    elif count * width > MAX_ZEROS:
        raise entry.wrong(f"declares {count} elements without data; at most {MAX_ZEROS // width} are read")
    else:
        values = np.zeros((count, width), dtype)
    sparse = entry.entry("sparse")
    return values if sparse is None else _with_sparse(document, sparse, values)


def _with_sparse(document: Document, sparse: Entry, dense: np.ndarray) -> np.ndarray:
    count = sparse.integer("count", lowest=1)
    where, what = sparse.entry("indices"), sparse.entry("values")
    if where is None or what is None:
        raise sparse.wrong("lacks its indices or values")
    if count > len(dense):
        raise sparse.wrong(f"replaces {count} elements of {len(dense)}")
    rows = _elements(document, where, _component(where), count, 1)[:, 0]
    if rows.dtype.kind != "u" or int(rows.max()) >= len(dense):
        raise where.wrong(f"names element {rows.max()}; there are {len(dense)}")
    values = dense.copy()
    values[rows] = _elements(document, what, dense.dtype, count, dense.shape[1])
    return values


def _component(entry: Entry) -> np.dtype:
    kind = entry.integer("componentType")
    if kind not in COMPONENTS:
        raise entry.wrong(f"has componentType {kind}; expected one of {', '.join(map(str, COMPONENTS))}")
    return COMPONENTS[kind]


def _elements(document: Document, entry: Entry, dtype: np.dtype, count: int, width: int) -> np.ndarray:
    """A view of a buffer as (count, width); no memory is taken, and all of it lies inside the buffer view."""
    view = document.views[entry.index("bufferView", document.views, "bufferViews")]
    data = _view_bytes(document, view)
    size = dtype.itemsize * width
    # A stride of 0 is not allowed, but written by some and meant as "packed".
    stride = view.integer("byteStride", 0) or size
    start = entry.integer("byteOffset", 0)
    if stride < size:
        raise view.wrong(f"has byteStride {stride}, less than the {size} bytes of an element of {_short_name(entry)}")
    end = start + stride * (count - 1) + size
    if end > len(data):
        raise entry.wrong(f"ends at byte {end} of {_short_name(view)}, which has {len(data)}")
    return np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))


def _view_bytes(document: Document, view: Entry) -> memoryview:
    index = view.index("buffer", document.buffers, "buffers")
    buffer = document.buffers[index]
    if buffer is None:
        raise view.wrong(f"lies in buffers[{index}], which has no data")
    start, length = view.integer("byteOffset", 0), view.integer("byteLength", lowest=1)
    if start + length > len(buffer):
        raise view.wrong(f"ends at byte {start + length} of buffers[{index}], which has {len(buffer)}")
    return buffer[start : start + length]


def _short_name(entry: Entry) -> str:
    return entry.where.rpartition(": ")[2]
