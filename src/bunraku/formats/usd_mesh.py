"""What all readers of USD need of a mesh: its points, triangles and place in the world."""

from __future__ import annotations

from typing import Any

import numpy as np

from bunraku.core.errors import BunrakuError
from bunraku.formats.triangles import triangulate
from bunraku.formats.usd_stage import UsdFile


def meshes(file: UsdFile) -> list[Any]:
    """All Mesh prims that are drawn or stand in for what is drawn (guides are not), in the stage's order."""
    from pxr import Usd, UsdGeom

    found = [prim for prim in Usd.PrimRange.Stage(file.stage, Usd.TraverseInstanceProxies()) if prim.IsA(UsdGeom.Mesh)]
    return [prim for prim in found if UsdGeom.Imageable(prim).ComputePurpose() != "guide"]


def points(file: UsdFile, prim: Any, code: Any) -> np.ndarray:
    """Points (n, 3) of a mesh at a time code, in its own space, float64.

    Raises:
        BunrakuError: it has none, or they are not finite.
    """
    from pxr import UsdGeom

    value = UsdGeom.Mesh(prim).GetPointsAttr().Get(code)
    array = np.array(value if value is not None else [], np.float64).reshape(-1, 3)
    if not len(array):
        raise BunrakuError(f"{file.path}: {prim.GetPath()} has no points")
    return array


def faces(file: UsdFile, prim: Any, vertices: int) -> np.ndarray:
    """Triangles (t, 3) of a mesh, fans of its polygons.

    Raises:
        BunrakuError: counts and indices that do not fit, a vertex that does not exist.
    """
    from pxr import UsdGeom

    mesh = UsdGeom.Mesh(prim)
    counts, indices = mesh.GetFaceVertexCountsAttr().Get(), mesh.GetFaceVertexIndicesAttr().Get()
    if counts is None or indices is None:
        return np.zeros((0, 3), np.int32)
    return triangulate(
        np.array(counts, np.int64), np.array(indices, np.int64), vertices, f"{file.path}: {prim.GetPath()}"
    )


def affine(matrix: Any) -> np.ndarray:
    """A (3, 4) map of columns from USD's matrix of rows."""
    return np.array(matrix, np.float64).reshape(4, 4).T[:3]
