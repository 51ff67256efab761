"""How numpy's arrays and scalars look in a pickle, as data: its calls are recognised by their names, never made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
KNOWN = {
    **{(module, "_reconstruct"): "array" for module in _MULTIARRAY},
    **{(module, "scalar"): "scalar" for module in _MULTIARRAY},
    **{(module, "_frombuffer"): "buffer" for module in _NUMERIC},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "bytes",
}
"""The role of each name that numpy's pickles refer to; protocols below 3 spell bytes with `_codecs.encode`."""
_NUMBER_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


@dataclass(frozen=True)
class Known:
    """One of the names of `KNOWN`: never the thing itself."""

    role: str


@dataclass
class Type:
    """numpy's dtype while it is being told its byte order."""

    code: str
    order: str = "="

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the code and the order so far."""
        return np.dtype(self.order + self.code)


@dataclass
class Array:
    """numpy's array while it is being told its content."""

    content: np.ndarray | None = None


def call_as_data(called: object, given: object) -> Any:
    """What a call of a known name with these arguments stands for.

    Raises:
        ValueError: anything but the calls by which numpy describes arrays of numbers; the text says why.
    """
    match called, given:
        case Known("array"), (Known("ndarray"), (0,), bytes()):
            return Array()
        case Known("dtype"), (str(code), 0 | 1, 0 | 1):
            if code not in _NUMBER_TYPES:
                raise ValueError(f"an array of {code[:20]!r}; only numbers are read (objects could run code)")
            return Type(code)
        case Known("buffer"), (bytes(content), Type() as kind, tuple(shape), "C" | "F" as order):
            return Array(_array(content, kind, shape, order == "F"))
        case Known("scalar"), (Type() as kind, bytes(content)):
            return _array(content, kind, (1,), False)[0].item()
        case Known("bytes"), (str(text), "latin1"):
            if text and max(text) > "\xff":
                raise ValueError("bytes that are none")
            return text.encode("latin-1")
        case _:
            raise ValueError("opcode REDUCE calls something with what no array has: a pickled payload; refused")


def build_as_data(target: object, state: object) -> None:
    """Tell a type its byte order, or an array its shape and content.

    Raises:
        ValueError: anything else; the text says why.
    """
    match target, state:
        case Array(None), (int(), tuple(shape), Type() as kind, 0 | 1 as fortran, bytes(content)):
            target.content = _array(content, kind, shape, bool(fortran))
        case Type(), (int(), "<" | ">" | "=" | "|" as order, None, None, None, -1, -1, int()):
            target.order = order
        case _:
            raise ValueError("opcode BUILD fills something that is no array: a pickled payload; refused")


def _array(content: bytes, kind: Type, shape: tuple[Any, ...], fortran: bool) -> np.ndarray:
    if not all(isinstance(length, int) and length > 0 for length in shape) or len(shape) > 4:
        raise ValueError(f"an array of the shape {str(shape)[:60]}; expected up to 4 lengths greater than 0")
    declared = math.prod(shape) * kind.dtype.itemsize
    if declared != len(content):
        size = str(declared)[:20]
        raise ValueError(f"an array declares {shape} of {kind.dtype}, {size} bytes; it has {len(content)}")
    return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C")
