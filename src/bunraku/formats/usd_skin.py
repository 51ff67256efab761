"""How a USD mesh follows a skeleton: its points in the skeleton's space at bind time, influences and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.errors import BunrakuError
from bunraku.formats.usd_mesh import affine, faces, points
from bunraku.formats.usd_stage import UsdFile

if TYPE_CHECKING:
    from bunraku.formats.usd_animation import Part


@dataclass(frozen=True, eq=False)
class Skin:
    """One mesh on a skeleton."""

    prim: Any
    part: Part
    query: Any
    node: int | None
    """The mesh's own node, where it follows no joint; None else."""
    points: Float[np.ndarray, "vertices 3"]
    """At bind time in the skeleton's space (geomBindTransform is in them), or in the mesh's own without joints."""
    bind: Float[np.ndarray, "3 3"]
    """The linear part of what was done to the points; blend shapes need the same."""
    faces: Int[np.ndarray, "triangles 3"]
    influences: Int[np.ndarray, "vertices influences"]
    """0 is the Skeleton prim itself, 1 … its joints."""
    weights: Float[np.ndarray, "vertices influences"]
    dual: bool


def read_skin(file: UsdFile, part: Part, query: Any, node: int | None) -> Skin:
    """Read one mesh; `node` is its own where it has no joint influences.

    Weights are brought to a sum of 1; vertices without any follow the Skeleton prim.

    Raises:
        BunrakuError: influences that do not fit the points, joints that do not exist, weights that are negative or not
            finite, dual quaternions below a transform that is not a similarity.
    """
    from pxr import Usd, UsdGeom

    prim = query.GetPrim()
    name = f"{file.path}: {prim.GetPath()}"
    # A mesh's points may have time samples and no default; what a skin deforms are those at the start.
    own = points(file, prim, Usd.TimeCode(file.start))
    triangles = faces(file, prim, len(own))
    if UsdGeom.Mesh(prim).GetOrientationAttr().Get() == UsdGeom.Tokens.leftHanded:
        triangles = triangles[:, ::-1]
    if not np.isfinite(own).all():
        raise BunrakuError(f"{name}: point {int(np.argwhere(~np.isfinite(own))[0][0])} is not finite")
    triangles = np.ascontiguousarray(triangles)
    if node is not None:
        alone = np.zeros((len(own), 1), np.int64)
        return Skin(prim, part, query, node, own, np.eye(3), triangles, alone, np.ones((len(own), 1)), False)
    bind = affine(query.GetGeomBindTransform())
    influences, weights = _influences(part, query, len(own), name)
    dual = str(query.GetSkinningMethod()) == "dualQuaternion"
    if dual:
        _check_similarity(file, part, name)
    moved = own @ bind[:, :3].T + bind[:, 3]
    return Skin(prim, part, query, None, moved, bind[:, :3], triangles, influences, weights, dual)


def _influences(part: Part, query: Any, count: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    width = query.GetNumInfluencesPerComponent()
    found = query.ComputeVaryingJointInfluences(count)
    if not found or width < 1:
        raise BunrakuError(f"{name}: its joint influences do not fit its {count} points")
    index, weight = np.array(found[0], np.int64), np.array(found[1], np.float64)
    if index.size != count * width or weight.size != count * width:
        raise BunrakuError(f"{name}: has {index.size} joint indices and {weight.size} weights for {count} points")
    index, weight = index.reshape(count, width), weight.reshape(count, width)
    if not np.isfinite(weight).all() or weight.min() < 0:
        vertex = int(np.argwhere(~(weight >= 0))[0][0])
        raise BunrakuError(f"{name}: point {vertex} has a weight that is negative or not finite")
    order = [str(joint) for joint in query.GetJointOrder() or part.joints]
    missing = [joint for joint in order if joint not in part.joints]
    if missing:
        raise BunrakuError(f"{name}: follows joint {missing[0]!r}, which {part.prim.GetPath()} does not have")
    used = index[weight > 0]
    if used.size and not 0 <= used.min() <= used.max() < len(order):
        culprit = used.min() if used.min() < 0 else used.max()
        raise BunrakuError(f"{name}: follows joint number {culprit}; there are {len(order)}")
    place = {joint: 1 + i for i, joint in enumerate(part.joints)}
    mapped = np.array([place[joint] for joint in order], np.int64)[np.clip(index, 0, len(order) - 1)]
    total = weight.sum(axis=1, keepdims=True)
    lost = total[:, 0] < 1e-12
    weight = weight / np.where(total > 0, total, 1)
    mapped[lost], weight[lost, 0] = 0, 1.0
    return mapped, weight


def _check_similarity(file: UsdFile, part: Part, name: str) -> None:
    from pxr import Usd, UsdGeom

    world = UsdGeom.XformCache(Usd.TimeCode(file.start)).GetLocalToWorldTransform(part.prim)
    linear = affine(world)[:, :3]
    square = linear.T @ linear
    if np.abs(square - np.eye(3) * np.trace(square) / 3).max() > 1e-6 * np.trace(square):
        raise BunrakuError(f"{name}: dual quaternions below a scale that differs by direction are not supported")
