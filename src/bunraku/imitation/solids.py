"""A character's shapes, so that its motion can be looked at elsewhere."""

from __future__ import annotations

import mujoco
import numpy as np

from bunraku.core.rotations import quat_rotate
from bunraku.core.solid import Kind, Solid
from bunraku.imitation.character import Built

_GEOMS = mujoco.mjtGeom
_ROUND: dict[int, Kind] = {
    int(_GEOMS.mjGEOM_SPHERE): "ellipsoid",
    int(_GEOMS.mjGEOM_ELLIPSOID): "ellipsoid",
    int(_GEOMS.mjGEOM_CAPSULE): "capsule",
    int(_GEOMS.mjGEOM_CYLINDER): "cylinder",
}
_NO_BODY = (int(_GEOMS.mjGEOM_PLANE), int(_GEOMS.mjGEOM_HFIELD))
_HIDDEN_GROUP = 3
"""Groups from here on are those that MuJoCo's viewer does not draw unless asked."""


def solids(built: Built) -> tuple[Solid, ...]:
    """The shapes of all bodies but the world's: joint i carries those of body i + 1, as in `play`. Meshes are boxes."""
    model = built.model
    carried = [i for i in range(model.ngeom) if model.geom_bodyid[i] and int(model.geom_type[i]) not in _NO_BODY]
    shown = [i for i in carried if model.geom_group[i] < _HIDDEN_GROUP]
    return tuple(_solid(model, i) for i in shown or carried)


def _solid(model: mujoco.MjModel, geom: int) -> Solid:
    kind, size = int(model.geom_type[geom]), np.array(model.geom_size[geom])
    joint, pos, quat = int(model.geom_bodyid[geom]) - 1, np.array(model.geom_pos[geom]), np.array(model.geom_quat[geom])
    if kind == int(_GEOMS.mjGEOM_SPHERE):
        size = np.full(3, size[0])
    elif kind in (int(_GEOMS.mjGEOM_CAPSULE), int(_GEOMS.mjGEOM_CYLINDER)):
        size = size[[0, 0, 1]]
    elif kind not in (int(_GEOMS.mjGEOM_ELLIPSOID), int(_GEOMS.mjGEOM_BOX)):
        box = np.array(model.geom_aabb[geom])
        pos, size = pos + quat_rotate(quat, box[:3]), box[3:]
    return Solid(joint, _ROUND.get(kind, "box"), size, pos, quat)
