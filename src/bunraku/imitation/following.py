"""A batch of simulated characters with a free root beside the moment of the clip that each should be at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import quat_angle, quat_conjugate, quat_multiply, quat_rotate, rotvec_from_quat
from bunraku.imitation.anatomy import Anatomy, body_frames_w, joint_turns
from bunraku.imitation.landmarks import Landmarks, landmarks_of
from bunraku.imitation.motion_table import Moment


@dataclass(frozen=True, eq=False)
class Following:
    """Simulated states and their reference; what is derived is computed when asked for."""

    body: Anatomy
    weights: Float[np.ndarray, "rotations"]
    """Share of each rotation, summing to 1."""
    qpos: Float[np.ndarray, "count nq"]
    qvel: Float[np.ndarray, "count nv"]
    moment: Moment

    on_clip: bool = False
    """They stand exactly where the clip has them, as at the start of an episode."""

    @cached_property
    def turns(self) -> Float[np.ndarray, "count rotations 3 3"]:
        """What the joints turn by, the root's free joint among them."""
        return joint_turns(self.body, self.qpos)

    @cached_property
    def frames_w(self) -> tuple[Float[np.ndarray, "count bodies 3"], Float[np.ndarray, "count bodies 3 3"]]:
        """Positions and rotations of all bodies."""
        return body_frames_w(self.body, self.qpos, self.turns)

    @cached_property
    def landmarks(self) -> Landmarks:
        """Of the simulated character."""
        return self.moment.landmarks if self.on_clip else landmarks_of(self.body, *self.frames_w)

    @cached_property
    def hinge_errors(self) -> Float[np.ndarray, "count hinges"]:
        """Simulated minus reference angle [rad], in [−π, π)."""
        return hinge_errors(self.body, self.qpos, self.moment.qpos)

    @cached_property
    def quat_errors(self) -> Float[np.ndarray, "count quats 4"]:
        """Reference⁻¹ · simulated; the root's first."""
        q = self.body.quat_q
        return quat_multiply(quat_conjugate(self.moment.qpos[:, q]), self.qpos[:, q])

    @cached_property
    def rotvec_errors(self) -> Float[np.ndarray, "count quats 3"]:
        """The same as rotation vectors [rad]."""
        return rotvec_from_quat(self.quat_errors)

    @cached_property
    def angles(self) -> Float[np.ndarray, "count rotations"]:
        """Angle between simulated and reference rotation [rad], in [0, π]."""
        return np.concatenate([np.abs(self.hinge_errors), quat_angle(self.quat_errors)], axis=1)

    @cached_property
    def spins(self) -> Float[np.ndarray, "count rotations"]:
        """|ω − ω of the reference| of every rotation [rad/s]."""
        v = self.body.hinge_v
        hinges = np.abs(self.qvel[:, v] - self.moment.qvel[:, v])
        # Both are given in their own body's frame: the reference's is turned into the simulated one's.
        own, wanted = self.qvel[:, self.body.quat_v], self.moment.qvel[:, self.body.quat_v]
        off = own - quat_rotate(quat_conjugate(self.quat_errors), wanted)
        return np.concatenate([hinges, np.sqrt(np.vecdot(off, off))], axis=1)

    @cached_property
    def centre_error_w(self) -> Float[np.ndarray, "count 3"]:
        """Simulated minus reference centre of mass [m]."""
        return self.landmarks.centre_w - self.moment.landmarks.centre_w


def hinge_errors(
    body: Anatomy, qpos: Float[np.ndarray, "count nq"], wanted_qpos: Float[np.ndarray, "count nq"]
) -> Float[np.ndarray, "count hinges"]:
    """Difference of angles [rad], in [−π, π)."""
    q = body.hinge_q
    return (qpos[:, q] - wanted_qpos[:, q] + np.pi) % (2 * np.pi) - np.pi
