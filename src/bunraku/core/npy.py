"""numpy's own files (`.npy`, `.npz`) from strangers: sizes are checked before memory is taken, objects are refused."""

from __future__ import annotations

import contextlib
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from bunraku.core.errors import BunrakuError

_PLAIN = "biufU"  # bool, integers, floats, texts
_BOMB_BYTES = 1 << 30
_BOMB_RATIO = 100
"""Members that unpack to more than a gigabyte and a hundredfold are refused; meshes shrink by a fifth, not by that."""


@dataclass(frozen=True)
class Npz:
    """An `.npz` file that was looked at: the names in it; arrays are read one by one, when they are asked for."""

    path: Path
    names: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> np.ndarray:
        """One array.

        Raises:
            BunrakuError: no such array, corrupt, a declared size that is not the file's, or objects in it.
        """
        label = f"{self.path}: {name!r}"
        if name not in self.names:
            raise BunrakuError(f"{self.path}: no {name!r} in it; there are: {', '.join(self.names) or 'none'}")
        with _corrupt(label), zipfile.ZipFile(self.path) as archive:
            member = archive.getinfo(f"{name}.npy")
            if member.file_size > _BOMB_BYTES and member.file_size > _BOMB_RATIO * member.compress_size:
                raise BunrakuError(f"{label}: unpacks from {member.compress_size} to {member.file_size} bytes; refused")
            with archive.open(member) as stream:
                assert isinstance(stream, BufferedIOBase)
                return _read(stream, member.file_size, label)


def open_npz(path: Path) -> Npz:
    """Look into an `.npz` file.

    Raises:
        BunrakuError: missing, truncated, or not a zip file of arrays.
    """
    with _corrupt(str(path)), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    return Npz(path, tuple(names))


def read_npy(path: Path) -> np.ndarray:
    """The array of an `.npy` file, read (not mapped: mapped pages count as memory until the map is gone).

    Raises:
        BunrakuError: missing, truncated, a declared size that is not the file's, or objects in it.
    """
    with _corrupt(str(path)), path.open("rb") as stream:
        return _read(stream, os.fstat(stream.fileno()).st_size, str(path))


def _read(stream: BufferedIOBase, size: int, label: str) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format version {version[0]}.{version[1]}; expected 1.0 or 2.0")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in _PLAIN:
        raise BunrakuError(f"{label}: holds {dtype}; only numbers and texts are read (objects could run code)")
    declared, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or declared != there:
        raise BunrakuError(f"{label}: is corrupt (declares {shape} of {dtype}, {declared} bytes; the file has {there})")
    # Pages are taken as data arrives: a member that is shorter than its directory says costs what is there.
    flat = np.empty(math.prod(shape), dtype)
    target = flat.view(np.uint8)
    filled = 0
    while filled < declared:
        block = stream.read(min(declared - filled, 1 << 24))
        if not block:
            raise EOFError("ends early")
        target[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
        filled += len(block)
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


@contextlib.contextmanager
def _corrupt(label: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BunrakuError(f"{label}: no such file") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        ValueError,
        RuntimeError,
        OSError,
        KeyError,
    ) as error:
        # RuntimeError: an encrypted member, or an unknown compression; MemoryError stays what it is.
        said = " ".join(str(error).split())[:150] or type(error).__name__
        raise BunrakuError(f"{label}: cannot be read ({said})") from None
