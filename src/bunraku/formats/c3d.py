"""Optical markers from C3D files, by the public description of the format (c3d.org): a header, parameters, frames.

Written by three families of computers: Intel (little-endian), DEC (little-endian, floating point of the VAX) and MIPS
(big-endian); positions are 16-bit integers with a scale, or floating point. Force plates and other analogue channels
are passed over.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence

BLOCK = 512
KEY = 0x50
PROCESSORS = {84: "Intel", 85: "DEC", 86: "MIPS"}
MOST = 65535
"""Frames that 16 bits can count; a file with more says so elsewhere."""

Value = np.ndarray | list[str]
Parameters = dict[str, Value]
"""By "GROUP:NAME"; numbers as flat arrays, texts as lists."""


@dataclass(frozen=True, eq=False)
class Markers:
    """What a C3D file says about its markers."""

    labels: tuple[str, ...]
    """In the file's order; "point7" for a marker without one."""
    capture: MeshSequence
    """The markers as vertices without faces; what the cameras lost is missing."""
    unit: str
    """As the file writes it ("mm"), "" where it does not."""


def load_c3d(path: Path | str) -> Markers:
    """Labels, positions, unit and rate of the markers in a C3D file.

    Raises:
        BunrakuError: missing, not C3D, truncated, no markers, a scale of 0, a rate that is not positive, every
            marker missing.
    """
    path = Path(path)
    data = _bytes(path)
    order, processor, parameters = _parameters(path, data)
    header = np.frombuffer(data, f"{order}u2", 12)
    first, last = int(header[3]), int(header[4])
    points = _whole(parameters, "POINT:USED", int(header[1]))
    if points == 0:
        raise BunrakuError(f"{path}: has no markers")
    scale = _number(parameters, "POINT:SCALE", _float_at(data, 12, order, processor))
    if scale == 0:
        raise BunrakuError(f"{path}: has a scale of 0; every marker would be at the origin")
    frames = _frames(parameters, first, last)
    start = (int(header[8]) or _whole(parameters, "POINT:DATA_START", 0)) - 1
    if start < 1:
        raise BunrakuError(f"{path}: does not say where its frames begin")
    kind = np.dtype(f"{order}f4" if scale < 0 else f"{order}i2")
    width = (4 * points + int(header[2])) * kind.itemsize
    room = max(0, len(data) - start * BLOCK) // width
    if frames == MOST and "POINT:LONG_FRAMES" not in parameters:
        frames = min(room, MOST)
    if frames < 1 or frames > room:
        raise BunrakuError(f"{path}: says {frames} frames of {points} markers; there is room for {room}")
    rows = np.frombuffer(data, np.uint8, frames * width, start * BLOCK).reshape(frames, width)
    words = np.ascontiguousarray(rows[:, : 4 * points * kind.itemsize])
    positions = _positions(words, kind, processor, scale, points)
    rate = _number(parameters, "POINT:RATE", _float_at(data, 20, order, processor))
    capture = mesh_sequence(positions, fps=rate, start_frame=_first(parameters, first), name=str(path))
    return Markers(_labels(parameters, points), capture, " ".join(_texts(parameters, "POINT:UNITS")[:1]))


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BunrakuError(f"{path}: no such file") from None
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) < 2 or data[1] != KEY:
        raise BunrakuError(f"{path}: is not a C3D file; its second byte would be 0x50")
    if len(data) < 2 * BLOCK:
        raise BunrakuError(f"{path}: ends within its header ({len(data)} bytes)")
    return data


def _parameters(path: Path, data: bytes) -> tuple[str, str, Parameters]:
    """Byte order, processor and all parameters."""
    begin = (data[0] - 1) * BLOCK
    if begin < BLOCK or begin + 4 > len(data):
        raise BunrakuError(f"{path}: its parameters would begin at block {data[0]}; the file ends before")
    processor = PROCESSORS.get(data[begin + 3])
    if processor is None:
        known = ", ".join(f"{number} ({name})" for number, name in PROCESSORS.items())
        raise BunrakuError(f"{path}: was written by processor {data[begin + 3]}; known are {known}")
    order = ">" if processor == "MIPS" else "<"
    end = min(len(data), begin + BLOCK * data[begin + 2]) if data[begin + 2] else len(data)
    try:
        return order, processor, _records(data[begin + 4 : end], order, processor)
    except (IndexError, struct.error, ValueError):
        raise BunrakuError(f"{path}: its parameters are damaged, or cut off") from None


def _records(section: bytes, order: str, processor: str) -> Parameters:
    """Raises IndexError, ValueError or struct.error where a record leaves the section."""
    groups: dict[int, str] = {}
    found: dict[tuple[int, str], Value] = {}
    at = 0
    while at + 2 <= len(section) and section[at] != 0:
        length, group = abs(struct.unpack_from("b", section, at)[0]), struct.unpack_from("b", section, at + 1)[0]
        name = section[at + 2 : at + 2 + length].decode("latin-1").strip().upper()
        field = at + 2 + length
        step = struct.unpack_from(f"{order}H", section, field)[0]
        if group < 0:
            groups[-group] = name
        elif group > 0:
            found[group, name] = _value(section, field + 2, order, processor)
        if step == 0:
            break
        at = field + step
        if at > len(section):
            raise ValueError("a record that leaves the section")
    return {f"{groups.get(group, group)}:{name}": value for (group, name), value in found.items()}


def _value(section: bytes, at: int, order: str, processor: str) -> Value:
    kind, count = struct.unpack_from("bB", section, at)
    shape = section[at + 2 : at + 2 + count]
    size = math.prod(shape)  # 1 for a scalar, which has no dimensions
    begin = at + 2 + count
    if len(shape) < count or begin + size * abs(kind) > len(section):
        raise ValueError("a parameter larger than what is left")
    if kind == -1:
        return _split(section[begin : begin + size], shape)
    if kind == 4:
        return _floats(np.frombuffer(section, np.uint8, 4 * size, begin), order, processor)
    if kind not in (1, 2):
        raise ValueError("a parameter of no known kind")
    return np.frombuffer(section, {1: "u1", 2: f"{order}u2"}[kind], size, begin)


def _split(text: bytes, shape: bytes) -> list[str]:
    """Texts of equal length, the first dimension."""
    length = max(1, shape[0] if shape else 1)
    parts = [text[i : i + length] for i in range(0, len(text), length)]
    return [part.decode("utf-8", "replace").strip(" \0\t\r\n") for part in parts]


def _floats(raw: np.ndarray, order: str, processor: str) -> Float[np.ndarray, "n"]:
    """Floating point of any of the processors in float64, from bytes."""
    if processor != "DEC":
        return np.ascontiguousarray(raw).view(f"{order}f4").astype(np.float64).reshape(-1)
    words = np.ascontiguousarray(raw).view("<u2").reshape(-1, 2).astype(np.int64)
    bits = (words[:, 0] << 16) | words[:, 1]  # the more significant word comes first
    sign, exponent, fraction = bits >> 31, (bits >> 23) & 0xFF, bits & 0x7FFFFF
    # VAX F: (−1)ˢ · 0.1f · 2^(e − 128); e = 0 is zero, and with a sign no number.
    values = np.ldexp((1 - 2 * sign) * (0.5 + fraction / 2**24), exponent - 128)
    return np.where(exponent > 0, values, np.where(sign == 1, np.nan, 0.0))


def _float_at(data: bytes, at: int, order: str, processor: str) -> float:
    """A number of the header; 0 if it is none."""
    value = float(_floats(np.frombuffer(data, np.uint8, 4, at), order, processor)[0])
    return value if np.isfinite(value) else 0.0


def _number(parameters: Parameters, name: str, otherwise: float) -> float:
    value = parameters.get(name)
    if isinstance(value, np.ndarray) and value.size and np.isfinite(value[0]):
        return float(value[0])
    return otherwise


def _whole(parameters: Parameters, name: str, otherwise: int) -> int:
    return round(_number(parameters, name, otherwise))


def _texts(parameters: Parameters, name: str) -> list[str]:
    value = parameters.get(name)
    return value if isinstance(value, list) else []


def _frames(parameters: Parameters, first: int, last: int) -> int:
    """How many frames: the header and POINT:FRAMES have 16 bits for it, so that others go before them."""
    if "POINT:LONG_FRAMES" in parameters:
        return _whole(parameters, "POINT:LONG_FRAMES", 0)
    begin, end = (_long(parameters, f"TRIAL:ACTUAL_{side}_FIELD") for side in ("START", "END"))
    if begin is not None and end is not None and end - begin + 1 > MOST:
        return end - begin + 1
    return _whole(parameters, "POINT:FRAMES", last - first + 1)


def _first(parameters: Parameters, first: int) -> int:
    begin = _long(parameters, "TRIAL:ACTUAL_START_FIELD")
    return first if begin is None else begin


def _long(parameters: Parameters, name: str) -> int | None:
    """A number in two words, the less significant first."""
    value = parameters.get(name)
    if not isinstance(value, np.ndarray) or value.size != 2:
        return None
    return int(value[0]) + 65536 * int(value[1])


def _positions(
    words: np.ndarray, kind: np.dtype, processor: str, scale: float, points: int
) -> Float[np.ndarray, "frames points 3"]:
    """NaN where the fourth word, which holds the residual and the cameras, is negative."""
    if kind.kind == "f":
        values = _floats(words.reshape(-1), kind.str[0], processor).reshape(len(words), points, 4)
        factor = 1.0
    else:
        values = words.view(kind).astype(np.float64).reshape(len(words), points, 4)
        factor = scale
    lost = ~(values[..., 3] >= 0)
    return np.where(lost[..., None], np.nan, values[..., :3] * factor)


def _labels(parameters: Parameters, points: int) -> tuple[str, ...]:
    """POINT:LABELS holds 255 at most; the others are in LABELS2, LABELS3, …"""
    found = list(_texts(parameters, "POINT:LABELS"))
    more = 2
    while f"POINT:LABELS{more}" in parameters:
        found += _texts(parameters, f"POINT:LABELS{more}")
        more += 1
    found += [""] * (points - len(found))
    return tuple(label or f"point{index}" for index, label in enumerate(found[:points]))
