"""TensorBoard's event files, scalars alone: TFRecord framing around hand-written protocol buffers.

Their format is small and has not changed for years; TensorBoard itself, with what it brings along, is only needed by
those who look at the files.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from bunraku.core.artifact import disk_errors

_POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), reversed."""


def _table() -> tuple[int, ...]:
    entries: list[int] = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_TABLE = _table()


def checksum(data: bytes) -> int:
    """CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class EventFile:
    """A new event file in a folder; scalars are appended to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.out.tfevents.0.bunraku"
        with disk_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("wb")
        # Event.file_version = 3
        self._record(_text(3, b"brain.Event:2"))

    def scalars(self, step: int, wall_s: float, values: Mapping[str, float]) -> None:
        """Append named values at a step; `wall_s` is what TensorBoard shows as time."""
        # Summary.value = 1, of Value.tag = 1 and Value.simple_value = 2
        parts = [_text(1, _text(1, tag.encode()) + b"\x15" + struct.pack("<f", value)) for tag, value in values.items()]
        # Event.wall_time = 1 (double), .step = 2 (varint), .summary = 5
        self._record(b"\x09" + struct.pack("<d", wall_s) + b"\x10" + _varint(step) + _text(5, b"".join(parts)))

    def close(self) -> None:
        """Nothing more is coming."""
        self._file.close()

    def _record(self, data: bytes) -> None:
        length = struct.pack("<Q", len(data))
        framed = length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))
        with disk_errors(self.path):
            self._file.write(framed)
            self._file.flush()


def masked(data: bytes) -> int:
    """TFRecord's checksum of a checksum, for records that contain records."""
    crc = checksum(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(data)) + data
