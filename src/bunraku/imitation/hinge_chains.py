"""A clip's rotations brought onto joints that are made of several hinges: least squares, each chain after its parent.

A chain is a body's hinges, and before them those of bodies that the clip leaves at rest and that lead to this body
alone (a waist of two bodies). Its last body should have the world rotation that it has in the clip. What a chain cannot
do (an ankle without twist, a joint at its limit) is left to the next one: targets are rotations in the world, not
relative to parents. Three hinges that are independent meet theirs exactly: their angles are then the Euler angles in
the order of the chain. Where a chain has fewer, the direction of its bone counts for more than the turn about the bone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.rotations import quat_conjugate, quat_from_rotvec, quat_multiply, quat_rotate, rotvec_from_quat
from bunraku.imitation.anatomy import Anatomy, Joint

_TWIST = 0.15
"""Weight of the error about the bone beside that of the bone's direction."""
_ROUNDS = 40
_GREATEST_STEP = 0.6
"""[rad]"""
_DAMPING = 1e-6
_JUMP = 0.25
"""A hinge that moves further than this between two frames may have taken the other of two ways: it is tried again."""


@dataclass(frozen=True, eq=False)
class _Chain:
    """Hinges in order, with what turns lie between them at rest."""

    joints: tuple[Joint, ...]
    before: Float[np.ndarray, "hinges 4"]
    """Rest rotation between the hinge before (or the base) and this one."""
    weight: Float[np.ndarray, "3 3"]
    """Of the error, in the last body's frame."""
    low: Float[np.ndarray, "hinges"]
    high: Float[np.ndarray, "hinges"]
    """Turns from rest [rad]."""


def simple(body: Anatomy) -> bool:
    """Each body has one joint at most and no rest rotation, and no hinge hangs on a hinge: nothing to distribute."""
    for each in body.bodies[2:]:
        above = body.bodies[each.parent]
        if len(each.joints) > 1 or not np.array_equal(each.quat, [1.0, 0, 0, 0]):
            return False
        if any(joint.is_hinge for joint in each.joints) and any(joint.is_hinge for joint in above.joints):
            return False
    return True


def distributed(
    body: Anatomy, turns: Float[np.ndarray, "frames bodies 4"], moving: Bool[np.ndarray, "bodies"], qpos: np.ndarray
) -> np.ndarray:
    """`qpos` with hinges and balls set so that bodies turn as in a clip; root and slides stay as they are.

    `turns` are rotations relative to the parent, the root's in the world; bodies that are not `moving` rest.
    """
    wanted = np.array(turns, np.float64)
    for b, each in enumerate(body.bodies[2:], start=2):
        wanted[:, b] = quat_multiply(wanted[:, each.parent], turns[:, b])
    real, qpos = wanted.copy(), qpos.copy()
    passed = {b for b in range(2, len(body.bodies)) if _passed_through(body, b, moving)}
    for b, each in enumerate(body.bodies[2:], start=2):
        if b in passed:
            continue
        first = b
        while body.bodies[first].parent in passed:
            first = body.bodies[first].parent
        base = real[:, body.bodies[first].parent]
        spheres = [joint for joint in each.joints if joint.is_ball]
        if spheres:
            qpos[:, spheres[0].q + np.arange(4)] = quat_multiply(quat_conjugate(_after(base, each.quat)), wanted[:, b])
            continue
        chain = _chain(body, first, b)
        if not chain.joints:
            real[:, b] = _after(base, each.quat)
            continue
        angles = _solved(chain, quat_multiply(quat_conjugate(base), wanted[:, b]))
        for joint, angle in zip(chain.joints, angles.T, strict=True):
            qpos[:, joint.q] = joint.zero + angle
        real[:, b] = quat_multiply(base, _turned(chain, angles)[0])
    return qpos


def _after(base: np.ndarray, rest: np.ndarray) -> np.ndarray:
    return quat_multiply(base, np.broadcast_to(rest, base.shape))


def _passed_through(body: Anatomy, b: int, moving: np.ndarray) -> bool:
    """A body of hinges that the clip leaves at rest and that carries one body with hinges, which moves."""
    below = [c for c, each in enumerate(body.bodies) if each.parent == b and c > 0]
    if moving[b] or len(below) != 1 or not _only_hinges(body.bodies[b].joints):
        return False
    child = below[0]
    onward = _only_hinges(body.bodies[child].joints)
    return onward and (bool(moving[child]) or _passed_through(body, child, moving))


def _only_hinges(joints: tuple[Joint, ...]) -> bool:
    return bool(joints) and all(joint.is_hinge for joint in joints)


def _chain(body: Anatomy, first: int, last: int) -> _Chain:
    way = [last]
    while way[0] != first:
        way.insert(0, body.bodies[way[0]].parent)
    joints, before, rest = list[Joint](), list[np.ndarray](), np.array([1.0, 0, 0, 0])
    for b in way:
        rest = quat_multiply(rest, body.bodies[b].quat)
        for joint in body.bodies[b].joints:
            if joint.is_hinge:
                joints.append(joint)
                before.append(rest)
                rest = np.array([1.0, 0, 0, 0])
    low, high = (np.array([getattr(j, side) - j.zero for j in joints]) for side in ("low", "high"))
    return _Chain(tuple(joints), np.array(before).reshape(-1, 4), _weight(body, last), low, high)


def _weight(body: Anatomy, b: int) -> Float[np.ndarray, "3 3"]:
    """I − (1 − twist)·d·dᵀ with d the direction of the one bone that leaves a body; I where several leave."""
    below = [c for c, each in enumerate(body.bodies) if c > 0 and each.parent == b]
    if len(below) > 1:
        return np.eye(3)
    bone = body.bodies[below[0]].pos if below else body.centre[b]
    length = np.linalg.norm(bone)
    if length < 1e-6:
        return np.eye(3)
    return np.eye(3) - (1 - _TWIST) * np.outer(bone, bone) / length**2


def _turned(chain: _Chain, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation of the last body relative to the base, and the hinges' axes in the last body's frame."""
    quat = np.tile([1.0, 0, 0, 0], (len(angles), 1))
    after = list[np.ndarray]()
    for k, joint in enumerate(chain.joints):
        quat = quat_multiply(_after(quat, chain.before[k]), quat_from_rotvec(angles[:, k, None] * joint.axis))
        after.append(quat)
    axes = [
        quat_rotate(quat_multiply(quat_conjugate(quat), each), np.broadcast_to(joint.axis, (len(angles), 3)))
        for joint, each in zip(chain.joints, after, strict=True)
    ]
    return quat, np.stack(axes, axis=-1)


def _solved(chain: _Chain, target: Float[np.ndarray, "frames 4"]) -> Float[np.ndarray, "frames hinges"]:
    """Angles within the limits that bring the last body nearest to its target, without jumps from frame to frame."""
    start = np.tile(np.clip(0.0, chain.low, chain.high), (len(target), 1))
    angles, costs = _descended(chain, target, start)
    for i in range(1, len(angles)):
        if np.abs(angles[i] - angles[i - 1]).max() > _JUMP:
            again, cost = _descended(chain, target[i : i + 1], angles[i - 1 : i])
            if cost[0] < costs[i] + 0.01:
                angles[i], costs[i] = again[0], cost[0]
    free = ~np.isfinite(chain.low) & ~np.isfinite(chain.high)
    angles[:, free] = np.unwrap(angles[:, free], axis=0)
    return angles


def _descended(chain: _Chain, target: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton on ½ |W log(R⁻¹ T)|², steps bounded; hinges at a limit that would pass it are held."""
    angles = angles.copy()
    best, least = angles.copy(), np.full(len(angles), np.inf)
    for _ in range(_ROUNDS):
        quat, axes = _turned(chain, angles)
        error = rotvec_from_quat(quat_multiply(quat_conjugate(quat), target)) @ chain.weight
        cost = (error**2).sum(axis=1)
        better = cost < least
        best[better], least[better] = angles[better], cost[better]
        weighted = chain.weight @ axes
        slope = np.einsum("fik,fi->fk", weighted, error)
        held = ((angles <= chain.low) & (slope < 0)) | ((angles >= chain.high) & (slope > 0))
        weighted = np.where(held[:, None, :], 0.0, weighted)
        normal = np.einsum("fik,fil->fkl", weighted, weighted) + _DAMPING * np.eye(angles.shape[1])
        step = np.linalg.solve(normal, np.where(held, 0.0, slope)[..., None])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        step = step * np.minimum(1.0, _GREATEST_STEP / np.maximum(longest, 1e-12))
        angles = np.clip(angles + step, chain.low, chain.high)
        if longest.max() < 1e-9:
            break
    return best, least
