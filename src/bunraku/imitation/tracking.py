"""A batch of simulated states beside what they should be: what observations and rewards are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import quat_conjugate, quat_multiply, quat_rotate, rotvec_from_quat
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.reference import Pose


@dataclass(frozen=True, eq=False)
class Tracking:
    """Simulated states, those one control step before, and the reference; differences are computed when asked for."""

    body: Anatomy
    weights: Float[np.ndarray, "rotations"]
    """Share of each rotation, summing to 1."""
    qpos: Float[np.ndarray, "count nq"]
    qvel: Float[np.ndarray, "count nv"]
    previous_qpos: Float[np.ndarray, "count nq"]
    reference: Pose
    phase: Float[np.ndarray, "count"]
    """Share of the clip that is over; 0 for a fixed pose."""

    @cached_property
    def hinge_errors(self) -> Float[np.ndarray, "count hinges"]:
        """Simulated minus reference angle [rad], in [−π, π)."""
        q = self.body.hinge_q
        return (self.qpos[:, q] - self.reference.qpos[:, q] + np.pi) % (2 * np.pi) - np.pi

    @cached_property
    def quat_errors(self) -> Float[np.ndarray, "count quats 4"]:
        """Reference⁻¹ · simulated."""
        own = self.qpos[:, self.body.quat_q]
        wanted = quat_conjugate(self.reference.qpos[:, self.body.quat_q])
        return quat_multiply(np.broadcast_to(wanted, own.shape), own)

    @cached_property
    def rotvec_errors(self) -> Float[np.ndarray, "count quats 3"]:
        """The same as rotation vectors [rad]."""
        return rotvec_from_quat(self.quat_errors)

    @cached_property
    def angles(self) -> Float[np.ndarray, "count rotations"]:
        """Angle between simulated and reference rotation [rad], in [0, π]."""
        hinges = np.abs(self.hinge_errors)
        if not len(self.body.quat_q):
            return hinges
        return np.concatenate([hinges, np.linalg.norm(self.rotvec_errors, axis=-1)], axis=1)

    @cached_property
    def spins(self) -> Float[np.ndarray, "count rotations"]:
        """|ω − ω of the reference| of every rotation [rad/s]."""
        v = self.body.hinge_v
        hinges = np.abs(self.qvel[:, v] - self.reference.qvel[:, v])
        if not len(self.body.quat_v):
            return hinges
        # Both are given in their own body's frame: the reference's is turned into the simulated one's.
        own, wanted = self.qvel[:, self.body.quat_v], self.reference.qvel[:, self.body.quat_v]
        wanted = quat_rotate(quat_conjugate(self.quat_errors), np.broadcast_to(wanted, own.shape))
        return np.concatenate([hinges, np.linalg.norm(own - wanted, axis=-1)], axis=1)

    @cached_property
    def landmarks(self) -> tuple[Float[np.ndarray, "count effectors 3"], Float[np.ndarray, "count 3"]]:
        """World positions of the simulated end effectors and centre of mass [m]."""
        return Pose(self.body, self.qpos, self.qvel).landmarks
