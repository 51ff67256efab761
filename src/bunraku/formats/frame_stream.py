"""Frames as they come: one line of JSON, then raw positions (docs/stream.md).

The line ends with a newline and says `{"vertices": 2000, "dtype": "float32", "fps": 60}`; each frame after it is
vertices × 3 little-endian numbers x y z x y z …, NaN where a vertex is missing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate

LONGEST_HEADER = 4096
MOST_VERTICES = 10_000_000
DTYPES = {"float32": "<f4", "float64": "<f8"}
_KEYS = ("vertices", "dtype", "fps")


@runtime_checkable
class ByteSource(Protocol):
    """Where bytes come from: a buffered file, pipe or socket."""

    def read(self, size: int, /) -> bytes | None:
        """So many bytes; fewer only at the end."""
        ...

    def readline(self, size: int, /) -> bytes:
        """Bytes up to and with the next newline, at most `size`."""
        ...


@dataclass(frozen=True)
class FrameHeader:
    """What the first line says."""

    vertices: int
    dtype: str
    """float32 or float64."""
    fps: Fraction

    @property
    def frame_bytes(self) -> int:
        """The length of a frame."""
        return 3 * self.vertices * np.dtype(DTYPES[self.dtype]).itemsize

    def line(self) -> bytes:
        """The first line itself."""
        rate = self.fps.numerator if self.fps.denominator == 1 else [self.fps.numerator, self.fps.denominator]
        return json.dumps({"vertices": self.vertices, "dtype": self.dtype, "fps": rate}).encode() + b"\n"


def read_header(source: ByteSource, name: str) -> FrameHeader:
    """The first line; `name` is how messages call the source.

    Raises:
        BunrakuError: nothing, a line too long, not JSON, a key that is missing, unknown or of another kind.
    """
    line = source.readline(LONGEST_HEADER)
    expected = 'expected a first line such as {"vertices": 2000, "dtype": "float32", "fps": 60}'
    if not line:
        raise BunrakuError(f"{name}: is empty; {expected}")
    if not line.endswith(b"\n"):
        raise BunrakuError(f"{name}: its first line does not end within {LONGEST_HEADER} bytes; {expected}")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise BunrakuError(f"{name}: its first line is not JSON; {expected}") from None
    if not isinstance(said, dict):
        raise BunrakuError(f"{name}: its first line is not a JSON object; {expected}")
    wrong = [key for key in _KEYS if key not in said] + [str(key)[:40] for key in said if key not in _KEYS]
    if wrong:
        what = "lacks" if wrong[0] in _KEYS else "has an unknown"
        raise BunrakuError(f"{name}: its first line {what} {wrong[0]!r}; {expected}")
    return FrameHeader(_count(said["vertices"], name), _dtype(said["dtype"], name), _rate(said["fps"], name))


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_VERTICES:
        raise BunrakuError(f"{name}: vertices is {str(value)[:40]}; expected a whole number from 1 to {MOST_VERTICES}")
    return value


def _dtype(value: Any, name: str) -> str:
    if value not in list(DTYPES):
        raise BunrakuError(f"{name}: dtype is {str(value)[:40]!r}; expected {' or '.join(DTYPES)}")
    return str(value)


def _rate(value: Any, name: str) -> Fraction:
    pair = value if isinstance(value, list) else [value, 1]
    if len(pair) != 2 or any(isinstance(part, bool) or not isinstance(part, int | float) for part in pair):
        raise BunrakuError(f"{name}: fps is {str(value)[:40]}; expected a number, or [numerator, denominator]")
    if isinstance(value, list):
        if not all(isinstance(part, int) and part > 0 for part in pair):
            raise BunrakuError(f"{name}: fps is {str(value)[:40]}; expected two whole numbers above 0")
        return Fraction(pair[0], pair[1])
    return frame_rate(value, name)


def read_frames(source: ByteSource, header: FrameHeader, name: str) -> Iterator[Float[np.ndarray, "vertices 3"]]:
    """Frame after frame until the source ends, in float64.

    Raises:
        BunrakuError: it ends within a frame, or breaks off.
    """
    number = 0
    while True:
        try:
            data = source.read(header.frame_bytes)
        except OSError as error:
            raise BunrakuError(f"{name}: breaks off at frame {number} ({error.strerror})") from None
        if not data:
            return
        if len(data) < header.frame_bytes:
            raise BunrakuError(f"{name}: ends within frame {number}, after {len(data)} of {header.frame_bytes} bytes")
        yield np.frombuffer(data, DTYPES[header.dtype]).reshape(header.vertices, 3).astype(np.float64)
        number += 1


def write_frames(target: io.BufferedIOBase, header: FrameHeader, frames: np.ndarray) -> None:
    """The first line and frames (frames, vertices, 3), as `read_header` and `read_frames` have them."""
    assert frames.shape[1:] == (header.vertices, 3), "frames do not fit the header"
    target.write(header.line())
    target.write(np.ascontiguousarray(frames, DTYPES[header.dtype]).tobytes())
    target.flush()
