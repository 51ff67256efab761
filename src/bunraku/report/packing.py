"""Arrays as text inside a page: byte planes, deflated together, in base64. report/assets/unpack.js reads them again."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_LEVEL = 6
_TYPES = {"i1": "i8", "u1": "u8", "i2": "i16", "u2": "u16", "i4": "i32", "u4": "u32", "f4": "f32"}


@dataclass(frozen=True, eq=False)
class Packed:
    """Arrays as a page holds them."""

    index: list[dict[str, Any]]
    """Per array: name, type, shape, whether rows are differences to the row before, where its bytes begin."""
    text: str
    """Base64 of one deflated stream."""


@dataclass(frozen=True, eq=False)
class Steady:
    """Whole numbers that change little from row to row: kept as differences, which deflate better."""

    array: np.ndarray


def packed(arrays: Mapping[str, np.ndarray | Steady]) -> Packed:
    """Named arrays of 8, 16 and 32-bit integers and 32-bit floats."""
    index, parts, offset = list[dict[str, Any]](), list[bytes](), 0
    for name, given in arrays.items():
        steady = isinstance(given, Steady)
        array = np.ascontiguousarray(given.array if isinstance(given, Steady) else given)
        code = array.dtype.newbyteorder("<").str[1:]
        assert code in _TYPES, f"{name}: a page holds no {array.dtype}"
        assert not (steady and code == "f4"), f"{name}: differences of floats are not exact"
        # Overflow wraps around, and back again when the differences are added up.
        rows = np.diff(array, axis=0, prepend=np.zeros_like(array[:1])) if steady else array
        planes = rows.astype(f"<{code}").reshape(-1, 1).view(np.uint8).T
        index.append({"name": name, "type": _TYPES[code], "shape": list(array.shape), "steady": steady, "at": offset})
        parts.append(planes.tobytes())
        offset += array.nbytes
    return Packed(index, base64.b64encode(zlib.compress(b"".join(parts), _LEVEL)).decode("ascii"))


def deflated_size(array: np.ndarray | Steady) -> int:
    """How many bytes an array takes before base64."""
    return len(packed({"": array}).text) * 3 // 4
