"""Point caches in USD files: meshes whose points or places change with time, as mesh sequences in world space."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.formats.usd_mesh import affine, faces, meshes, points
from bunraku.formats.usd_stage import UsdFile, open_stage

_MOST_NUMBERS = 2 * 10**9


def load_usd_sequence(path: Path, inside: str | None = None) -> MeshSequence:
    """The mesh of a point cache, or all meshes at and below the prim `inside`, one after the other.

    Frames are the whole time codes from the first to the last sample, at timeCodesPerSecond; where samples lie between
    whole codes the smallest distance of samples is a frame. Between samples USD's own interpolation serves. Without
    `inside` the only mesh is taken, or the only one that moves.

    Raises:
        BunrakuError: as `open_stage`; no such prim, no mesh, or several and none chosen (the message lists them);
            points that come and go.
    """
    file = open_stage(path)
    chosen = _chosen(file, inside)
    codes, rate = _codes(file, chosen)
    counts = [len(points(file, prim, codes[0])) for prim in chosen]
    if len(codes) * sum(counts) * 3 > _MOST_NUMBERS:
        raise BunrakuError(f"{path}: {len(codes)} frames of {sum(counts)} points are more than this reader takes")
    vertices = np.empty((len(codes), sum(counts), 3))
    for row, code in enumerate(codes):
        vertices[row] = _world_points(file, chosen, counts, float(code))
    starts = np.cumsum([0, *counts[:-1]])
    triangles = [faces(file, prim, n) + start for prim, n, start in zip(chosen, counts, starts, strict=True)]
    start_frame = round(float(codes[0]) * float(rate / file.codes_per_s))
    about = {"unit_m": file.unit_m, "up_axis": file.up_axis}
    name = f"{path}#{inside}" if inside else str(path)
    return mesh_sequence(vertices, np.concatenate(triangles), rate, start_frame, name=name, about=about)


def _chosen(file: UsdFile, inside: str | None) -> list[Any]:
    found = meshes(file)
    names = [str(prim.GetPath()) for prim in found]
    if inside is not None:
        below = [
            prim for prim, name in zip(found, names, strict=True) if f"{name}/".startswith(f"{inside.rstrip('/')}/")
        ]
        if not below:
            raise unknown_name("mesh", inside, names, f"{file.path} has the meshes")
        return below
    moving = [prim for prim in found if len(_samples(prim)) > 1]
    if len(found) == 1 or len(moving) == 1:
        return moving if len(moving) == 1 else found
    if not found:
        raise BunrakuError(f"{file.path}: holds no mesh")
    shown = [str(prim.GetPath()) for prim in moving or found]
    more = f", … ({len(shown) - 10} more)" if len(shown) > 10 else ""
    listed = ", ".join(shown[:10]) + more
    raise BunrakuError(f"{file.path}: holds {len(shown)} meshes; choose with {file.path}#PRIM: {listed}")


def _samples(prim: Any) -> set[float]:
    """Time codes at which a mesh's points or its place have samples."""
    from pxr import UsdGeom

    codes = set(UsdGeom.Mesh(prim).GetPointsAttr().GetTimeSamples())
    above = prim
    while above and not above.IsPseudoRoot():
        if above.IsA(UsdGeom.Xformable):
            codes |= set(UsdGeom.Xformable(above).GetTimeSamples())
        above = above.GetParent()
    return codes


def _codes(file: UsdFile, chosen: list[Any]) -> tuple[np.ndarray, Fraction]:
    """Time codes of the frames, and how many frames a second has."""
    codes = np.array(sorted(set().union(*(_samples(prim) for prim in chosen))) or [file.start], np.float64)
    if not np.isfinite(codes).all():
        raise BunrakuError(f"{file.path}: has a time sample at a time code that is not finite")
    if len(codes) == 1:
        return codes, file.codes_per_s
    step = 1.0 if np.abs(codes - np.rint(codes)).max() < 1e-6 else float(np.diff(codes).min())
    count = round((codes[-1] - codes[0]) / step) + 1
    if count > 100 * len(codes) + 1000:
        raise BunrakuError(
            f"{file.path}: {len(codes)} samples over {count} frames are more frames than this reader takes"
        )
    rate = file.codes_per_s if step == 1.0 else file.codes_per_s / Fraction(step).limit_denominator(10_000)
    return codes[0] + step * np.arange(count), rate


def _world_points(file: UsdFile, chosen: list[Any], counts: list[int], code: float) -> np.ndarray:
    from pxr import Usd, UsdGeom

    time = Usd.TimeCode(code)
    cache = UsdGeom.XformCache(time)
    out: list[np.ndarray] = []
    for prim, count in zip(chosen, counts, strict=True):
        own = points(file, prim, time)
        if len(own) != count:
            counts_differ = f"has {len(own)} points at time code {code:g}, {count} before"
            raise BunrakuError(f"{file.path}: {prim.GetPath()} {counts_differ}; every frame needs the same")
        world = affine(cache.GetLocalToWorldTransform(prim))
        out.append(own @ world[:, :3].T + world[:, 3])
    return np.concatenate(out)
