"""Plain data as pickles, without the machinery that makes pickles of anything else."""

from __future__ import annotations

import struct
from collections.abc import Mapping


def pickle_of(value: Mapping[str, int | float | list[list[float]]]) -> bytes:
    """A dict of numbers and tables as a pickle of protocol 2, which any Python reads."""
    parts = [b"\x80\x02}("]
    for key, held in value.items():
        parts.append(b"X" + struct.pack("<I", len(key.encode())) + key.encode())
        if isinstance(held, list):
            rows = (b"](" + b"".join(b"G" + struct.pack(">d", number) for number in row) + b"e" for row in held)
            parts += [b"](", *rows, b"e"]
        else:
            parts.append(b"J" + struct.pack("<i", held) if isinstance(held, int) else b"G" + struct.pack(">d", held))
    return b"".join([*parts, b"u."])
