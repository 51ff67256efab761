"""What a policy sees of a character with a free root that follows a clip: short functions, and their layout."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from bunraku.core.rotations import (
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    rotvec_from_quat,
    sixd_from_matrix,
)
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.following import Following, hinge_errors
from bunraku.imitation.landmarks import to_heading
from bunraku.imitation.motion_table import Moment
from bunraku.imitation.observations import phase
from bunraku.imitation.slot import Slot


def layout(body: Anatomy) -> tuple[Slot, ...]:
    """The observation's numbers in order. "h" is the root's heading frame: the world's, turned about z."""
    hinges = len(body.hinge_q)
    turning, balls = body.rotations, body.rotations[hinges + 1 :]
    slots = [Slot("root.height", 1, "m"), Slot("root.sixd_h", 6, "1")]
    slots += [Slot("root.velocity_h", 3, "m/s"), Slot("root.spin_h", 3, "rad/s")]
    slots += [Slot(f"{name}.angle", 1, "rad") for name in turning[:hinges]]
    slots += [Slot(f"{name}.sixd", 6, "1") for name in balls]
    slots += [Slot(f"{name}.velocity", 1, "rad/s") for name in turning[:hinges]]
    slots += [Slot(f"{name}.velocity", 3, "rad/s") for name in balls]
    slots += [Slot(f"effector{i}.position_h", 3, "m") for i in range(len(body.effector_bodies))]
    slots += [Slot("root.offset_h", 3, "m"), Slot("root.rotvec", 3, "rad")]
    slots += [Slot(f"{name}.error", 1, "rad") for name in turning[:hinges]]
    slots += [Slot(f"{name}.error", 3, "rad") for name in balls]
    slots += [Slot(f"{name}.reference_velocity", 1, "rad/s") for name in turning[:hinges]]
    slots += [Slot(f"{name}.reference_velocity", 3, "rad/s") for name in balls]
    slots += [Slot("root.reference_velocity_h", 3, "m/s"), Slot("root.reference_spin", 3, "rad/s")]
    return (*slots, Slot("phase", 2, "1"))


def observe(
    following: Following, ahead: Moment, share: Float[np.ndarray, "count"]
) -> Float32[np.ndarray, "count observation"]:
    """The observation of every character: where it is, and how far from where the clip will be one step `ahead`."""
    columns = [*own_root(following), *own_joints(following), effectors(following)]
    columns += [*errors(following, ahead), *reference_velocities(following, ahead), phase(share)]
    return np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")


def own_root(following: Following) -> list[Float[np.ndarray, "count _"]]:
    """Height, rotation without heading, and both velocities, in the heading frame."""
    heading, quat = following.landmarks.heading, following.qpos[:, 3:7]
    # The root's is the first of the quaternions, which come after the hinges.
    rotation = following.turns[:, len(following.body.hinge_q)]
    spin_w = quat_rotate(quat, following.qvel[:, 3:6])
    columns = [to_heading(heading, rotation[:, :, i]) for i in (0, 1)]
    velocities = [to_heading(heading, following.qvel[:, :3]), to_heading(heading, spin_w)]
    return [following.qpos[:, 2:3], *columns, *velocities]


def own_joints(following: Following) -> list[Float[np.ndarray, "count _"]]:
    """Angles of hinges, rotations of balls, and how fast they turn."""
    body, qpos, qvel = following.body, following.qpos, following.qvel
    sixd = sixd_from_matrix(following.turns[:, len(body.hinge_q) + 1 :])
    spins = [qvel[:, body.hinge_v], qvel[:, body.quat_v[1:].ravel()]]
    return [qpos[:, body.hinge_q], sixd.reshape(len(qpos), -1), *spins]


def effectors(following: Following) -> Float[np.ndarray, "count _"]:
    """End effectors in the heading frame."""
    return following.landmarks.effectors_h.reshape(len(following.qpos), -1)


def errors(following: Following, ahead: Moment) -> list[Float[np.ndarray, "count _"]]:
    """From where the character is to where the clip will be: the root in the heading frame, then all joints."""
    body, qpos = following.body, following.qpos
    offset_w = ahead.qpos[:, :3] - qpos[:, :3]
    turns = rotvec_from_quat(quat_multiply(quat_conjugate(qpos[:, body.quat_q]), ahead.qpos[:, body.quat_q]))
    offset_h = to_heading(following.landmarks.heading, offset_w)
    return [offset_h, turns[:, 0], -hinge_errors(body, qpos, ahead.qpos), turns[:, 1:].reshape(len(qpos), -1)]


def reference_velocities(following: Following, ahead: Moment) -> list[Float[np.ndarray, "count _"]]:
    """Of the clip's joints, then of its root."""
    body, qvel = following.body, ahead.qvel
    linear_h = to_heading(following.landmarks.heading, qvel[:, :3])
    return [qvel[:, body.hinge_v], qvel[:, body.quat_v[1:].ravel()], linear_h, qvel[:, 3:6]]
