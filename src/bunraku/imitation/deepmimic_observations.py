"""What the published policies saw: every body in the root's heading frame, and the phase; for comparison.

Peng et al., "DeepMimic", 2018, section 5.1: relative positions of the links, their rotations, their linear and angular
velocities, a phase. Rotations are two columns of the matrix here (quaternions there), positions and velocities those
of the bodies' centres of mass, the phase a point on a circle. Nothing says where the clip is, nor which way it faces.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from bunraku.core.rotations import (
    quat_from_rotvec,
    quat_multiply,
    rotvec_from_matrix,
)
from bunraku.imitation.anatomy import Anatomy, body_frames_w, joint_turns, points_w
from bunraku.imitation.following import Following
from bunraku.imitation.landmarks import to_heading
from bunraku.imitation.observations import phase
from bunraku.imitation.slot import Slot

_STEP_S = 1e-5


def layout(body: Anatomy) -> tuple[Slot, ...]:
    """The observation's numbers in order; "h" is the root's heading frame."""
    names = [each.name for each in body.bodies[1:]]
    kinds = (("position_h", 3, "m"), ("sixd_h", 6, "1"), ("velocity_h", 3, "m/s"), ("spin_h", 3, "rad/s"))
    slots = [Slot(f"{name}.{kind}", size, unit) for kind, size, unit in kinds for name in names]
    return (Slot("root.height", 1, "m"), *slots, Slot("phase", 2, "1"))


def observe(following: Following, share: Float[np.ndarray, "count"]) -> Float32[np.ndarray, "count observation"]:
    """The observation of every character, as `layout` describes it."""
    body, (pos_w, turns_w) = following.body, following.frames_w
    count, places = len(pos_w), np.arange(1, len(body.bodies))
    heading = following.landmarks.heading[:, None]
    centres_w = points_w(pos_w, turns_w, places, body.centre[1:])
    velocity_w, spin_w = body_velocities_w(body, following.qpos, following.qvel)
    rotation = turns_w[:, 1:]
    relative = centres_w - pos_w[:, 1:2]
    blocks = [
        to_heading(heading, relative),
        np.concatenate([to_heading(heading, rotation[..., i]) for i in (0, 1)], axis=-1),
        to_heading(heading, velocity_w[:, 1:]),
        to_heading(heading, spin_w[:, 1:]),
    ]
    columns = [following.qpos[:, 2:3], *(block.reshape(count, -1) for block in blocks), phase(share)]
    return np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")


def body_velocities_w(
    body: Anatomy, qpos: Float[np.ndarray, "count nq"], qvel: Float[np.ndarray, "count nv"]
) -> tuple[Float[np.ndarray, "count bodies 3"], Float[np.ndarray, "count bodies 3"]]:
    """Linear velocities of the bodies' centres of mass [m/s] and angular ones [rad/s], in world axes.

    By a central difference over 20 µs along the joints' velocities.
    """
    moved = [_moved(body, qpos, side * _STEP_S * qvel) for side in (-1.0, 1.0)]
    ends = [body_frames_w(body, each, joint_turns(body, each)) for each in moved]
    before, after = (points_w(*end, np.arange(len(body.bodies)), body.centre) for end in ends)
    turn = ends[1][1] @ np.swapaxes(ends[0][1], -1, -2)
    return (after - before) / (2 * _STEP_S), rotvec_from_matrix(turn) / (2 * _STEP_S)


def _moved(body: Anatomy, qpos: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Coordinates a little along velocities; rotational ones are in the frame of what turns."""
    moved = qpos.copy()
    moved[:, body.hinge_q] += along[:, body.hinge_v]
    moved[:, body.linear_q] += along[:, body.linear_v]
    moved[:, body.quat_q] = quat_multiply(qpos[:, body.quat_q], quat_from_rotvec(along[:, body.quat_v]))
    return moved
