"""Wavefront .obj: vertices and faces; all else (texture coordinates, normals, materials, groups) is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bunraku.core.errors import BunrakuError
from bunraku.formats.triangles import triangulate


def read_obj(path: Path, faces: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) float64 and triangles (t, 3), which are not read where `faces` is False.

    Raises:
        BunrakuError: missing, a vertex without three numbers, a face that names no vertex, no vertex at all.
    """
    try:
        lines = path.read_bytes().replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines()
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    rows = [line.split()[1:4] for line in lines if line[:2] in (b"v ", b"v\t")]
    if not rows:
        raise BunrakuError(f"{path}: has no vertices; expected Wavefront OBJ")
    try:
        vertices = np.array(rows, np.float64)
    except ValueError:
        raise BunrakuError(f"{path}: {_culprit(lines)}") from None
    if vertices.shape[1:] != (3,):
        raise BunrakuError(f"{path}: {_culprit(lines)}")
    return vertices, _faces(path, lines, len(vertices)) if faces else np.zeros((0, 3), np.int32)


def _culprit(lines: list[bytes]) -> str:
    for number, line in enumerate(lines, 1):
        if line[:2] in (b"v ", b"v\t"):
            try:
                if len([float(word) for word in line.split()[1:4]]) == 3:
                    continue
            except ValueError:
                pass
            return f"line {number}: {line[:40].decode('utf-8', 'replace')!r}; expected v and three numbers"
    return "its vertices are not three numbers each"


def _faces(path: Path, lines: list[bytes], count: int) -> np.ndarray:
    counts: list[int] = []
    corners: list[int] = []
    seen = 0
    for number, line in enumerate(lines, 1):
        if line[:2] in (b"v ", b"v\t"):
            seen += 1
        elif line[:2] in (b"f ", b"f\t"):
            try:
                named = [int(word.partition(b"/")[0]) for word in line.split()[1:]]
            except ValueError:
                raise BunrakuError(f"{path}: line {number}: {line[:40]!r}; expected f and vertex numbers") from None
            if 0 in named:
                raise BunrakuError(f"{path}: line {number}: a face names vertex 0; they are counted from 1")
            # Negative numbers count back from the last vertex so far.
            corners += [n - 1 if n > 0 else seen + n for n in named]
            counts.append(len(named))
    return triangulate(np.array(counts, np.int64), np.array(corners, np.int64), count, str(path))
