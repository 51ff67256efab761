"""Mesh sequences as folders of .obj or .ply files, one a frame, numbered in their names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.formats.ply import read_ply
from bunraku.formats.wavefront import read_obj

ENDINGS = (".obj", ".ply")
_MOST_MISSING = 240


def mesh_files(folder: Path) -> dict[int, Path]:
    """The files of a folder by frame number, in order: the last number in the name counts ("head.0012.obj" is 12).

    Raises:
        BunrakuError: none, both kinds, names without a number or that differ in more than it, a number twice.
    """
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    except OSError as error:
        raise BunrakuError(f"{folder}: cannot be read ({error.strerror})") from None
    if not found:
        raise BunrakuError(f"{folder}: holds no mesh sequence: no {' or '.join(ENDINGS)} files are in it")
    kinds = {p.suffix.lower() for p in found}
    if len(kinds) > 1:
        raise BunrakuError(f"{folder}: holds {' and '.join(sorted(kinds))} files; one sequence is of one kind")
    numbered: dict[int, Path] = {}
    names: set[tuple[str, str]] = set()
    for file in found:
        match = re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", file.stem)
        if match is None:
            raise BunrakuError(f"{file}: has no frame number in its name")
        before, number, after = match.groups()
        names.add((before, after))
        if int(number) in numbered:
            raise BunrakuError(f"{file}: is frame {int(number)}, as {numbered[int(number)].name} is")
        numbered[int(number)] = file
    if len(names) > 1:
        some = sorted(f"{before}…{after}" for before, after in names)
        raise BunrakuError(f"{folder}: holds {len(names)} sequences, {', '.join(some[:4])}; one a folder is read")
    return dict(sorted(numbered.items()))


def load_mesh_folder(folder: Path) -> MeshSequence:
    """A mesh sequence at 24 frames per second (the files know no rate); missing numbers are missing frames.

    Triangles are those of the first file, and all files have its vertices in its order.

    Raises:
        BunrakuError: as `mesh_files`; a file that cannot be read or has another number of vertices, numbers with more
            gaps than a shot has.
    """
    numbered = mesh_files(folder)
    first, last = min(numbered), max(numbered)
    frames = last - first + 1
    if frames - len(numbered) > max(_MOST_MISSING, 10 * len(numbered)):
        raise BunrakuError(f"{folder}: its numbers run from {first} to {last}, but it holds {len(numbered)} files only")
    whole, triangles = _read(numbered[first], faces=True)
    vertices = np.full((frames, *whole.shape), np.nan)
    for number, file in numbered.items():
        points = whole if number == first else _read(file, faces=False)[0]
        if len(points) != len(whole):
            counts = f"has {len(points)} vertices, {numbered[first].name} has {len(whole)}"
            raise BunrakuError(f"{file}: {counts}; every frame needs the same vertices")
        vertices[number - first] = points
    return mesh_sequence(vertices, triangles, 24, first, name=str(folder))


def _read(file: Path, faces: bool) -> tuple[np.ndarray, np.ndarray]:
    return read_obj(file, faces) if file.suffix.lower() == ".obj" else read_ply(file, faces)
