"""Alembic caches (.abc, Ogawa) as mesh sequences, in world space; their axes and unit are not recorded in them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.formats.sample_times import frames_of
from bunraku.formats.triangles import triangulate

_OGAWA = b"Ogawa"
_CLOSED = 0xFF
_MOST_DEPTH = 200


def load_alembic(path: Path, inside: str | None = None) -> MeshSequence:
    """The mesh of a cache (`inside`: its path in the file, where there are several), at the times of its own sampling.

    Gaps between samples are missing frames; a start between two frames is rounded.

    Raises:
        BunrakuError: alembic3d is not installed; missing, truncated, not Alembic; no mesh, or several and none chosen
            (the message lists them); vertices that come and go; times on no frame rate.
    """
    _look(path)
    try:
        from alembic3d import Abc
    except ImportError:
        raise BunrakuError(f"{path}: Alembic files need alembic3d; pip install 'bunraku[alembic]'") from None
    try:
        archive = Abc.IArchive(str(path))
        found = dict(_meshes(archive.getTop(), (), path))
    except (RuntimeError, ValueError) as error:
        raise _broken(path, error) from None
    chosen = _chosen(path, found, inside)
    try:
        return _sequence(found[chosen], f"{path}{'#' + chosen if inside else ''}")
    except (RuntimeError, ValueError) as error:
        raise _broken(path, error) from None


def _look(path: Path) -> None:
    """Refuse what is cut off before the library sees it: a closed archive says so, and its root lies inside it."""
    try:
        with path.open("rb") as handle:
            head = handle.read(16)
    except FileNotFoundError:
        raise BunrakuError(f"{path}: no such file") from None
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    if head[:4] == b"\x89HDF":
        raise BunrakuError(f"{path}: is an HDF5 Alembic of before 2013; only Ogawa is read. Convert it (abcconvert)")
    if head[:5] != _OGAWA or len(head) < 16:
        raise BunrakuError(f"{path}: is not Alembic, or is truncated")
    if head[5] != _CLOSED:
        raise BunrakuError(f"{path}: was not closed by the program that wrote it; it is incomplete")
    if int.from_bytes(head[8:16], "little") + 8 > path.stat().st_size:
        raise BunrakuError(f"{path}: is truncated (its root lies beyond its {path.stat().st_size} bytes)")


def _broken(path: Path, error: Exception) -> BunrakuError:
    said = [line.strip() for line in str(error).splitlines() if line.strip() and line.strip() != "ERROR: EXCEPTION:"]
    return BunrakuError(f"{path}: is corrupt or truncated ({said[-1][:120] if said else type(error).__name__})")


def _meshes(parent: Any, above: tuple[Any, ...], path: Path) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every mesh by its path, as (the transforms above it from the top, its schema)."""
    from alembic3d import AbcGeom

    if len(above) > _MOST_DEPTH:
        raise BunrakuError(f"{path}: its objects are nested more than {_MOST_DEPTH} deep")
    for index in range(parent.getNumChildren()):
        child = parent.getChild(index)
        header, name = child.getHeader(), child.getName()
        if AbcGeom.IPolyMesh.matches(header):
            yield child.getFullName(), (*above, AbcGeom.IPolyMesh(parent, name).getSchema())
        elif AbcGeom.ISubD.matches(header):
            yield child.getFullName(), (*above, AbcGeom.ISubD(parent, name).getSchema())
        placed = (*above, AbcGeom.IXform(parent, name).getSchema()) if AbcGeom.IXform.matches(header) else above
        yield from _meshes(child, placed, path)


def _chosen(path: Path, found: dict[str, Any], inside: str | None) -> str:
    if not found:
        raise BunrakuError(f"{path}: holds no mesh")
    if inside is not None:
        if inside not in found:
            raise unknown_name("mesh", inside, found, f"{path} has")
        return inside
    if len(found) > 1:
        raise BunrakuError(
            f"{path}: holds {len(found)} meshes; choose one: {path}#{f', {path}#'.join(list(found)[:10])}"
        )
    return next(iter(found))


def _sequence(above: tuple[Any, ...], name: str) -> MeshSequence:
    from alembic3d import Abc

    *transforms, mesh = above
    times = _times(above, name)
    # A selector made of a whole number means seconds too: times come from the sampling, as floating point.
    first = mesh.getValue(Abc.ISampleSelector(float(times[0])))
    count = len(first.getPositions())
    rate, numbers = frames_of(times, name) if len(times) > 1 else (Fraction(24), np.zeros(1, np.int64))
    frames = int(numbers[-1] - numbers[0]) + 1
    counts, corners = np.array(first.getFaceCounts(), np.int64), np.array(first.getFaceIndices(), np.int64)
    faces = triangulate(counts, corners, count, name)
    vertices = np.full((frames, count, 3), np.nan)
    for number, time in zip(numbers, times, strict=True):
        selector = Abc.ISampleSelector(float(time))
        points = np.array(mesh.getValue(selector).getPositions(), np.float64).reshape(-1, 3)
        if len(points) != count:
            counts = f"has {len(points)} vertices at {time:g} s, {count} at {times[0]:g} s"
            raise BunrakuError(f"{name}: {counts}; every frame needs the same")
        world = _world(transforms, selector)
        vertices[number - numbers[0]] = points @ world[:3, :3] + world[3, :3]
    # Alembic's faces turn the other way round from those of other formats.
    return mesh_sequence(vertices, faces[:, ::-1].copy(), rate, int(numbers[0]), name=name)


def _times(above: tuple[Any, ...], name: str) -> np.ndarray:
    """The sample times of whatever moves: the mesh, or else the transform above it with the most samples."""
    moving = max(reversed(above), key=lambda schema: schema.getNumSamples())
    chosen = above[-1] if above[-1].getNumSamples() > 1 else moving
    count = chosen.getNumSamples()
    if count < 1:
        raise BunrakuError(f"{name}: has no samples")
    sampling = chosen.getTimeSampling()
    return np.array([sampling.getSampleTime(i) for i in range(count)], np.float64)


def _world(transforms: list[Any], selector: Any) -> np.ndarray:
    """The matrix of rows from the mesh's space to the world's."""
    world = np.eye(4)
    for schema in transforms:
        own = np.array(schema.getValue(selector).getMatrix(), np.float64).reshape(4, 4)
        world = own @ world if schema.getInheritsXforms(selector) else own
    return world
