"""What clips are judged and fitted by: a compiled character as joints, ranges and balls."""

from __future__ import annotations

from itertools import product

import mujoco
import numpy as np

from bunraku.core.physique import Physique
from bunraku.core.rotations import matrix_from_quat
from bunraku.core.skeleton import skeleton
from bunraku.imitation.anatomy import Anatomy, body_poses_w, points_w
from bunraku.imitation.character import Built

_STANDING_M = 0.02
"""Feet are the bodies whose lowest balls are, at rest, not further than this above the lowest of all."""


def physique(built: Built) -> Physique:
    """The physique of a character with a free root. Bodies with several hinges count as balls with their ranges' hull.

    Rest is the model's zero pose: that is where clips' joints are at identity.
    """
    body = built.anatomy
    names = [each.name for each in body.bodies[1:]]
    bones = skeleton(
        names,
        np.array([each.parent - 1 for each in body.bodies[1:]]),
        np.array([each.pos for each in body.bodies[1:]]),
        np.array([each.quat for each in body.bodies[1:]]),
        name=built.character.name,
    )
    axes, ranges, fixed = dict[str, np.ndarray](), dict[str, tuple[float, float]](), set[str]()
    for each in body.bodies[2:]:
        turning = [joint for joint in each.joints if joint.name in body.rotations]
        if not turning:
            fixed.add(each.name)
        elif len(turning) == 1 and np.isfinite(turning[0].high):
            ranges[each.name] = (max(turning[0].low, -np.inf), turning[0].high)
        if len(turning) == 1 and turning[0].name in body.rotations[: len(body.hinge_q)]:
            axes[each.name] = turning[0].axis
    joints, pos, radius = balls(built.model)
    feet = _feet(built, body, joints, pos, radius)
    return Physique(bones, axes, ranges, frozenset(fixed), joints - 1, pos, radius, feet)


def balls(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(body, centre in the body's frame, radius) of the balls that a model's solid shapes rest on a plane with."""
    bodies, centres, radii = list[int](), list[np.ndarray](), list[float]()
    for i in range(model.ngeom):
        if model.geom_bodyid[i] == 0 or not (model.geom_contype[i] or model.geom_conaffinity[i]):
            continue
        for centre, radius in _balls_of(model, i):
            turned = matrix_from_quat(np.array(model.geom_quat[i])) @ centre
            bodies.append(int(model.geom_bodyid[i]))
            centres.append(np.array(model.geom_pos[i]) + turned)
            radii.append(radius)
    return np.array(bodies, np.int64), np.array(centres).reshape(-1, 3), np.array(radii)


def _balls_of(model: mujoco.MjModel, geom: int) -> list[tuple[np.ndarray, float]]:
    kind, size = int(model.geom_type[geom]), np.array(model.geom_size[geom])
    kinds = mujoco.mjtGeom
    if kind == int(kinds.mjGEOM_SPHERE):
        return [(np.zeros(3), float(size[0]))]
    if kind in (int(kinds.mjGEOM_CAPSULE), int(kinds.mjGEOM_CYLINDER)):
        return [(np.array([0, 0, side * size[1]]), float(size[0])) for side in (-1, 1)]
    if kind == int(kinds.mjGEOM_BOX):
        return [(np.array(corner) * size, 0.0) for corner in product((-1, 1), repeat=3)]
    # Ellipsoids, meshes: the ball of their bounding sphere would be too large; their axis-aligned box is nearer.
    box = np.array(model.geom_aabb[geom])
    return [(box[:3] + np.array(corner) * box[3:], 0.0) for corner in product((-1, 1), repeat=3)]


def _feet(built: Built, body: Anatomy, joints: np.ndarray, pos: np.ndarray, radius: np.ndarray) -> tuple[str, ...]:
    if not len(joints):
        return ()
    pos_w, quat_w = body_poses_w(body, np.array(built.model.qpos0)[None])
    low = points_w(pos_w, quat_w, joints, pos)[0, :, 2] - radius
    standing = np.unique(joints[low < low.min() + _STANDING_M])
    return tuple(body.bodies[int(i)].name for i in standing)
