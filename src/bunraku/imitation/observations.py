"""What a policy sees of a simulated character: short functions of state arrays, and their layout."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from bunraku.core.rotations import matrix_from_quat, sixd_from_matrix
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.mirror import Label
from bunraku.imitation.slot import Slot as Slot
from bunraku.imitation.tracking import Tracking


def layout(body: Anatomy, *, clip: bool) -> tuple[Slot, ...]:
    """The observation's numbers in order: how far every joint is from the reference, how fast it moves, the phase.

    Angles stand as they are (rad) where the joint's range keeps them away from half a turn, where they would
    jump; as sine and cosine, or the rotation matrix' first two columns, where not.
    """
    hinges = len(body.hinge_q)
    names, narrow = body.rotations, [joint.narrow for joint in body.turning]
    slots = [
        Slot(f"{names[i]}.angle", 1, "rad") if narrow[i] else Slot(f"{names[i]}.sin_cos", 2, "1") for i in range(hinges)
    ]
    for i in range(hinges, len(names)):
        slots.append(Slot(f"{names[i]}.rotvec", 3, "rad") if narrow[i] else Slot(f"{names[i]}.sixd", 6, "1"))
    if len(body.linear_q):
        slots.append(Slot("offset", len(body.linear_q), "m"))
    slots += [Slot(f"{name}.velocity", 1 if i < hinges else 3, "rad/s") for i, name in enumerate(names)]
    if len(body.linear_q):
        slots.append(Slot("offset.velocity", len(body.linear_q), "m/s"))
    if clip:
        slots += [Slot(f"{name}.reference", 1 if i < hinges else 3, "rad/s") for i, name in enumerate(names)]
        slots.append(Slot("phase", 2, "1"))
    return tuple(slots)


def labels(body: Anatomy) -> tuple[Label, ...]:
    """How a mirror sees each number of `layout` without a clip; another layout has labels of its own."""
    hinges = [int(v) for v in body.hinge_v]
    found: list[Label] = []
    for v, joint in zip(hinges, body.turning, strict=False):
        found += [("angle", (v,))] if joint.narrow else [("sine", (v,)), ("cosine", (v, v))]
    quats = [[int(v) for v in row] for row in body.quat_v]
    for own, joint in zip(quats, body.turning[len(hinges) :], strict=True):
        if joint.narrow:
            found += [("angle", (v,)) for v in own]
        else:
            # A matrix' element changes sign with the axis of its row and with that of its column.
            found += [("matrix", (row, column)) for column in own[:2] for row in own]
    linear = [int(v) for v in body.linear_v]
    found += [("offset", (v,)) for v in linear]
    return (*found, *(("velocity", (v,)) for v in [*hinges, *(v for own in quats for v in own), *linear]))


def observe(tracking: Tracking, *, clip: bool) -> Float32[np.ndarray, "count observation"]:
    """The observation of every character, as `layout` describes it."""
    columns = [*hinge_angles(tracking), *rotations(tracking), offsets(tracking), *velocities(tracking)]
    if clip:
        columns += [*reference_velocities(tracking), phase(tracking.phase)]
    return np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")


def hinge_angles(tracking: Tracking) -> list[Float[np.ndarray, "count _"]]:
    """Angle to the reference, or its sine and cosine, by hinge."""
    body, errors = tracking.body, tracking.hinge_errors
    if all(joint.narrow for joint in body.turning[: len(body.hinge_q)]):
        return [errors]
    wide = np.stack([np.sin(errors), np.cos(errors)], axis=-1)
    return [errors[:, i : i + 1] if body.turning[i].narrow else wide[:, i] for i in range(len(body.hinge_q))]


def rotations(tracking: Tracking) -> list[Float[np.ndarray, "count _"]]:
    """Rotation vector to the reference, or its six numbers, by quaternion."""
    turning = tracking.body.turning[len(tracking.body.hinge_q) :]
    return [
        tracking.rotvec_errors[:, i] if joint.narrow else sixd_from_matrix(matrix_from_quat(tracking.quat_errors[:, i]))
        for i, joint in enumerate(turning)
    ]


def offsets(tracking: Tracking) -> Float[np.ndarray, "count linears"]:
    """Positions less the reference's."""
    q = tracking.body.linear_q
    return tracking.qpos[:, q] - tracking.reference.qpos[:, q]


def velocities(tracking: Tracking) -> list[Float[np.ndarray, "count _"]]:
    """Joint velocities as they are, angular ones first."""
    body, qvel = tracking.body, tracking.qvel
    return [qvel[:, body.hinge_v], qvel[:, body.quat_v.ravel()], qvel[:, body.linear_v]]


def reference_velocities(tracking: Tracking) -> list[Float[np.ndarray, "count _"]]:
    """The reference's angular joint velocities."""
    body = tracking.body
    qvel = np.broadcast_to(tracking.reference.qvel, tracking.qvel.shape)
    return [qvel[:, body.hinge_v], qvel[:, body.quat_v.ravel()]]


def phase(share: Float[np.ndarray, "count"]) -> Float[np.ndarray, "count 2"]:
    """Where in the clip it is, as a point on a circle."""
    return np.stack([np.cos(2 * np.pi * share), np.sin(2 * np.pi * share)], axis=1)
