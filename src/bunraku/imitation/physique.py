"""What clips are judged and fitted by: a compiled character as joints, ranges and balls."""

from __future__ import annotations

from itertools import product

import mujoco
import numpy as np

from bunraku.core.physique import Physique
from bunraku.core.rotations import matrix_from_quat
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.imitation.anatomy import Anatomy, body_poses_w, points_w
from bunraku.imitation.character import Built
from bunraku.imitation.proportions import tip
from bunraku.motion.names import SIDED, parts

_STANDING_M = 0.02
"""Feet are the bodies whose lowest balls are, at rest, not further than this above the lowest of all."""


def physique(built: Built) -> Physique:
    """The physique of a character with a free root. Rest is the model's zero pose.

    Bodies with several hinges count as balls, and so does a hinge that continues one (a waist of two bodies): clips are
    carried over to these as if they could turn freely, and `hinge_chains` finds what comes nearest.
    """
    body = built.anatomy
    bones, ends = _skeleton(built)
    limbs = {name for name, each in parts(bones).items() if each.kind in SIDED}
    axes, ranges, fixed = dict[str, np.ndarray](), dict[str, tuple[float, float]](), set(ends)
    for each in body.bodies[2:]:
        turning = [joint for joint in each.joints if joint.name in body.rotations]
        above = body.bodies[each.parent]
        continues = above.name not in limbs and any(joint.is_hinge for joint in above.joints)
        if not turning:
            fixed.add(each.name)
        if len(turning) != 1 or (turning[0].is_hinge and continues):
            continue
        if np.isfinite(turning[0].high):
            ranges[each.name] = (max(turning[0].low, -np.inf), turning[0].high)
        if turning[0].is_hinge:
            axes[each.name] = turning[0].axis
    joints, pos, radius = balls(built.model)
    feet = _feet(built, body, joints, pos, radius)
    return Physique(bones, axes, ranges, frozenset(fixed), joints - 1, pos, radius, feet, built.character.names)


_ENDS = {"elbow": "hand", "knee": "foot"}
"""What follows a limb's last joint, if the character has no body for it."""


def _skeleton(built: Built) -> tuple[Skeleton, tuple[str, ...]]:
    """A joint per body, and one at the end of forearms and shanks that carry no hand or foot; the names of those."""
    body = built.anatomy
    joints = [(each.name, each.parent - 1, each.pos, each.quat) for each in body.bodies[1:]]

    def made(rows: list[tuple[str, int, np.ndarray, np.ndarray]]) -> Skeleton:
        names, parents, pos, quat = zip(*rows, strict=True)
        return skeleton(list(names), np.array(parents), np.array(pos), np.array(quat), name=built.character.name)

    bones = made(joints)
    ends, carrying = list[tuple[str, int, np.ndarray, np.ndarray]](), set(bones.parents.tolist())
    for name, each in parts(bones).items():
        place = bones.names.index(name)
        if each.kind in _ENDS and place not in carrying:
            end = f"{each.side}_{_ENDS[each.kind]}"
            if end not in bones.names:
                ends.append((end, place, tip(built.model, place + 1), np.array([1.0, 0, 0, 0])))
    return (made([*joints, *ends]) if ends else bones), tuple(end for end, *_ in ends)


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
    low = points_w(pos_w, matrix_from_quat(quat_w), joints, pos)[0, :, 2] - radius
    standing = np.unique(joints[low < low.min() + _STANDING_M])
    return tuple(body.bodies[int(i)].name for i in standing)
