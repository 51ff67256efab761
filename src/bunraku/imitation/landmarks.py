"""Where the points lie that rewards look at: end effectors and centre of mass, of a character with a free root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.imitation.anatomy import Anatomy, body_frames_w, centre_of_mass_w, joint_turns, points_w


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points of a batch of poses."""

    heading: Float[np.ndarray, "count 2"]
    """Cosine and sine of the direction in which the root's x axis points, seen from above."""
    effectors_h: Float[np.ndarray, "count effectors 3"]
    """In the root's heading frame: horizontally from the root, turned by −heading; height over the ground [m]."""
    centre_w: Float[np.ndarray, "count 3"]
    """Centre of mass [m]."""

    @staticmethod
    def size(body: Anatomy) -> int:
        """Numbers per pose."""
        return 5 + 3 * len(body.effector_bodies)

    def packed(self) -> Float[np.ndarray, "count numbers"]:
        """As rows."""
        return np.concatenate([self.heading, self.centre_w, self.effectors_h.reshape(len(self.heading), -1)], axis=1)

    @staticmethod
    def unpacked(body: Anatomy, rows: Float[np.ndarray, "count numbers"]) -> Landmarks:
        """The opposite of `packed`; headings of blended rows are made unit vectors again."""
        heading = rows[:, :2] / np.hypot(rows[:, 0], rows[:, 1])[:, None]
        return Landmarks(heading, rows[:, 5:].reshape(len(rows), len(body.effector_bodies), 3), rows[:, 2:5])


def landmarks(body: Anatomy, qpos: Float[np.ndarray, "count nq"]) -> Landmarks:
    """The landmarks of poses."""
    return landmarks_of(body, *body_frames_w(body, qpos, joint_turns(body, qpos)))


def landmarks_of(
    body: Anatomy, pos_w: Float[np.ndarray, "count bodies 3"], turn_w: Float[np.ndarray, "count bodies 3 3"]
) -> Landmarks:
    """The same from the poses of all bodies; body 1 is the root."""
    heading = heading_of(turn_w[:, 1])
    points = points_w(pos_w, turn_w, body.effector_bodies, body.effector_pos)
    relative = points.copy()
    relative[..., :2] -= pos_w[:, 1:2, :2]
    return Landmarks(heading, to_heading(heading[:, None], relative), centre_of_mass_w(body, pos_w, turn_w))


def heading_of(turn_w: Float[np.ndarray, "count 3 3"]) -> Float[np.ndarray, "count 2"]:
    """Cosine and sine of the yaw of a rotation's x axis; of 0 where that axis is vertical."""
    forward = turn_w[:, :2, 0]
    length = np.hypot(forward[:, 0], forward[:, 1])[:, None]
    return np.where(length > 1e-9, forward / np.maximum(length, 1e-9), [1.0, 0.0])


def to_heading(
    heading: Float[np.ndarray, "*batch 2"], vectors: Float[np.ndarray, "*batch2 3"]
) -> Float[np.ndarray, "*batch3 3"]:
    """World vectors in the heading frame, which is the world's turned about z."""
    c, s = heading[..., 0], heading[..., 1]
    x, y = vectors[..., 0], vectors[..., 1]
    forward = c * x + s * y
    turned = np.empty((*forward.shape, 3), forward.dtype)
    turned[..., 0], turned[..., 1], turned[..., 2] = forward, c * y - s * x, vectors[..., 2]
    return turned
