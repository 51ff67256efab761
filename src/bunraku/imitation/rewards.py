"""How near a simulated character is to its reference, between 0 and 1. docs/bopbag.md compares the readings.

Formulas: Peng et al., "DeepMimic", ACM Trans. Graph. 37(4), 2018, section 5.3, and the bop bag's simplification
of them. θ are angles [rad], v angular velocities [rad/s], w weights of the rotations that sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import matrix_from_quat, quat_from_rotvec
from bunraku.imitation.tracking import Tracking

Array = Float[np.ndarray, "count"]


@runtime_checkable
class _Batch(Protocol):
    @property
    def qpos(self) -> np.ndarray: ...


State = TypeVar("State", bound=_Batch)
"""Simulated states beside their reference, as rewards see them."""


@dataclass(frozen=True, eq=False)
class Reward:
    """The reward and its terms, unweighted."""

    total: Float[np.ndarray, "count"]
    terms: Mapping[str, Float[np.ndarray, "count"]]


RewardFunction = Callable[[Tracking], Float[np.ndarray, "count"]]
"""What users may pass in place of the rewards here."""


def pose(angles: Float[np.ndarray, "count rotations"], weights: Float[np.ndarray, "rotations"]) -> Array:
    """exp(−2 Σ w θ): the bop bag's, in the angle itself."""
    return np.exp(-2.0 * (angles @ weights))


def pose_squared(angles: Float[np.ndarray, "count rotations"], weights: Float[np.ndarray, "rotations"]) -> Array:
    """exp(−2 Σ w θ²): the paper's."""
    return np.exp(-2.0 * (angles**2 @ weights))


def velocity(spins: Float[np.ndarray, "count rotations"], weights: Float[np.ndarray, "rotations"]) -> Array:
    """exp(−.1 Σ w |Δv|²)."""
    return np.exp(-0.1 * (spins**2 @ weights))


def effectors(pos: Float[np.ndarray, "count points 3"], reference: Float[np.ndarray, "rows points 3"]) -> Array:
    """exp(−40 · mean |Δp|²) over end effectors, p in metres."""
    return np.exp(-40.0 * ((pos - reference) ** 2).sum(axis=-1).mean(axis=-1))


def centre_of_mass(pos: Float[np.ndarray, "count 3"], reference: Float[np.ndarray, "rows 3"]) -> Array:
    """exp(−10 |Δc|²), c in metres."""
    return np.exp(-10.0 * ((pos - reference) ** 2).sum(axis=-1))


def bopbag_reward(tracking: Tracking) -> Reward:
    """.6 · pose + .4 · velocity."""
    terms = {"pose": pose(tracking.angles, tracking.weights), "velocity": velocity(tracking.spins, tracking.weights)}
    return Reward(0.6 * terms["pose"] + 0.4 * terms["velocity"], terms)


def deepmimic_reward(tracking: Tracking) -> Reward:
    """.65 · pose + .1 · velocity + .15 · effectors + .1 · centre of mass, with squared angles."""
    points, centre = tracking.landmarks
    wanted_points, wanted_centre = tracking.reference.landmarks
    terms = {
        "pose": pose_squared(tracking.angles, tracking.weights),
        "velocity": velocity(tracking.spins, tracking.weights),
        "effectors": effectors(points, wanted_points),
        "centre_of_mass": centre_of_mass(centre, wanted_centre),
    }
    total = 0.65 * terms["pose"] + 0.1 * terms["velocity"] + 0.15 * terms["effectors"] + 0.1 * terms["centre_of_mass"]
    return Reward(total, terms)


def literal_pose(quat_error: Float[np.ndarray, "count 4"]) -> Array:
    """exp(−2 acos(min(1, w))) of the bag's rotation times the reference's inverse: half the angle; −q is far from q."""
    return np.exp(-2.0 * np.arccos(np.clip(quat_error[:, 0], -1.0, 1.0)))


def literal_velocity(before_deg: Float[np.ndarray, "count 3"], after_deg: Float[np.ndarray, "count 3"]) -> Array:
    """exp(−.1 (Σ change of Euler angles over one frame, in degrees)²): standing still anywhere is worth 1."""
    return np.exp(-0.1 * (after_deg - before_deg).sum(axis=-1) ** 2)


def literal_reward(tracking: Tracking) -> Reward:
    """.6 · pose + .4 · velocity of the lowest rotation, as the bop bag's article has them in code."""
    body = tracking.body
    if len(body.hinge_q):
        error = tracking.hinge_errors[:, :1] * body.turning[0].axis
        before, after = (_hinge_quat(tracking, q) for q in (tracking.previous_qpos, tracking.qpos))
        quat_error = quat_from_rotvec(error)
    else:
        place = body.quat_q[0]
        before, after, quat_error = (
            tracking.previous_qpos[:, place],
            tracking.qpos[:, place],
            tracking.quat_errors[:, 0],
        )
    terms = {"pose": literal_pose(quat_error), "velocity": literal_velocity(euler_deg(before), euler_deg(after))}
    return Reward(0.6 * terms["pose"] + 0.4 * terms["velocity"], terms)


def _hinge_quat(tracking: Tracking, qpos: np.ndarray) -> np.ndarray:
    joint = tracking.body.turning[0]
    return quat_from_rotvec((qpos[:, joint.q, None] - joint.zero) * joint.axis)


def euler_deg(quat: Float[np.ndarray, "count 4"]) -> Float[np.ndarray, "count 3"]:
    """Angles x, y, z [deg] of R = Rz·Ry·Rx."""
    m = matrix_from_quat(quat)
    x = np.arctan2(m[:, 2, 1], m[:, 2, 2])
    y = np.arcsin(np.clip(-m[:, 2, 0], -1.0, 1.0))
    z = np.arctan2(m[:, 1, 0], m[:, 0, 0])
    return np.rad2deg(np.stack([x, y, z], axis=1))


def users_reward(function: Callable[[State], Float[np.ndarray, "count"]]) -> Callable[[State], Reward]:
    """A user's function as a reward.

    Raises (when it is called):
        BunrakuError: it gives another shape, or a value that is not finite.
    """
    name = getattr(function, "__name__", "reward function")

    def checked(state: State) -> Reward:
        total = np.asarray(function(state), np.float64)
        count = len(state.qpos)
        if total.shape != (count,):
            raise BunrakuError(f"{name}: gives rewards of shape {total.shape}; expected ({count},), one per character")
        if not np.isfinite(total).all():
            first = int(np.flatnonzero(~np.isfinite(total))[0])
            raise BunrakuError(f"{name}: gives {total[first]} for character {first}; rewards must be finite")
        return Reward(total, {"reward": total})

    return checked
