"""Where episodes begin: the reference, tilted, bent and moving at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.imitation.anatomy import Anatomy, Joint
from bunraku.imitation.reference import Pose


@dataclass(frozen=True)
class StartConfig:
    """How far from the reference episodes begin; every amount is drawn uniformly between − and + itself."""

    tilt_rad: float = 1.5
    """Rotation of the lowest joint (1.5 is nearly lying); a ball is turned about a random axis."""
    bend_rad: float = 0.3
    """Rotation of all other joints."""
    spin_rad_s: float = 0.5
    """Velocity of every angular coordinate."""


_INSIDE = 0.98
"""Starts keep this share of a joint's range: beyond its end it would be pushed back at once."""


def draw_start(
    body: Anatomy, pose: Pose, count: int, cfg: StartConfig, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "count nq"], Float[np.ndarray, "count nv"]]:
    """Positions and velocities of `count` new episodes about a pose (one row for all, or one for each)."""
    qpos = np.broadcast_to(pose.qpos, (count, pose.qpos.shape[1])).copy()
    qvel = np.broadcast_to(pose.qvel, (count, pose.qvel.shape[1])).copy()
    lowest = min(joint.v for joint in body.turning)
    hinges = len(body.hinge_q)
    for i, joint in enumerate(body.turning):
        amount = cfg.tilt_rad if joint.v == lowest else cfg.bend_rad
        if i < hinges:
            turned = qpos[:, joint.q] + generator.uniform(-amount, amount, count)
            qpos[:, joint.q] = np.clip(turned, *_inside(joint))
            continue
        place = body.quat_q[i - hinges]
        axis = generator.normal(size=(count, 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        angle = generator.uniform(0, min(amount, _INSIDE * joint.high), (count, 1))
        qpos[:, place] = quat_multiply(qpos[:, place], quat_from_rotvec(axis * angle))
    spun = np.concatenate([body.hinge_v, body.quat_v.ravel()])
    qvel[:, spun] += generator.uniform(-cfg.spin_rad_s, cfg.spin_rad_s, (count, len(spun)))
    return qpos, qvel


def _inside(joint: Joint) -> tuple[float, float]:
    """Most of a joint's range, about its middle."""
    if not np.isfinite(joint.low + joint.high):
        return joint.low, joint.high
    middle, half = (joint.low + joint.high) / 2, (joint.high - joint.low) / 2
    return middle - _INSIDE * half, middle + _INSIDE * half
