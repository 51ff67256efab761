"""Messages between a process and its workers: a JSON header, then the arrays' bytes. Nothing in it can run code."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from io import BufferedIOBase
from typing import Any

import numpy as np

Message = Mapping[str, Any]

_LENGTH = struct.Struct("<Q")


def send(stream: BufferedIOBase, message: Message) -> None:
    """Write a message; its top-level arrays go as they are, all else as JSON."""
    arrays = {name: np.ascontiguousarray(v) for name, v in message.items() if isinstance(v, np.ndarray)}
    plain = {name: v for name, v in message.items() if name not in arrays}
    shapes = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"plain": plain, "arrays": shapes}, default=_number).encode()
    stream.write(_LENGTH.pack(len(header)) + header)
    for array in arrays.values():
        assert not array.dtype.hasobject, "only plain arrays can be sent"
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: BufferedIOBase) -> dict[str, Any] | None:
    """The next message; None where the other side is gone, in the middle of a message too."""
    head = _read(stream, _LENGTH.size)
    text = _read(stream, _LENGTH.unpack(head)[0]) if head is not None else None
    if text is None:
        return None
    header = json.loads(bytes(text))
    message: dict[str, Any] = dict(header["plain"])
    for name, dtype, shape in header["arrays"]:
        array = np.empty(shape, np.dtype(dtype))
        if array.size and not _read_into(stream, array.reshape(-1).view(np.uint8).data):
            return None
        message[name] = array
    return message


def _read(stream: BufferedIOBase, size: int) -> bytearray | None:
    data = bytearray(size)
    return data if _read_into(stream, memoryview(data)) else None


def _read_into(stream: BufferedIOBase, target: memoryview) -> bool:
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled:])
        if not count:
            return False
        filled += count
    return True


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent; numbers, texts, lists of them and top-level arrays can")
