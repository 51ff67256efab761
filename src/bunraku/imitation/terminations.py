"""Why an episode ends: short functions of arrays."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.imitation.following import Following
from bunraku.imitation.touch import Touch


def fallen(angles: Float[np.ndarray, "count rotations"], limit_rad: float) -> Bool[np.ndarray, "count"]:
    """Some rotation is further from its reference than the limit. (DeepMimic, section 6.2, ends episodes at falls.)"""
    return np.any(angles > limit_rad, axis=1)


def timed_out(steps: Int[np.ndarray, "count"], limit: int) -> Bool[np.ndarray, "count"]:
    """The episode has had all its steps."""
    return np.greater_equal(steps, limit)


def touching(
    touch: Touch, pos_w: Float[np.ndarray, "count bodies 3"], turn_w: Float[np.ndarray, "count bodies 3 3"]
) -> Bool[np.ndarray, "count"]:
    """A body that must not is on the ground."""
    return np.any(touch.heights(pos_w, turn_w) <= 0.0, axis=1)


def strayed(following: Following, limit_m: float, limit_rad: float) -> Bool[np.ndarray, "count"]:
    """The root is too far from the clip's, or the pose (weighted root mean square angle) too unlike it; 0: no limit."""
    far = np.zeros(len(following.qpos), bool)
    if limit_m > 0:
        offset = following.qpos[:, :3] - following.moment.qpos[:, :3]
        far |= (offset**2).sum(axis=1) > limit_m**2
    if limit_rad > 0:
        far |= following.angles**2 @ following.weights > limit_rad**2
    return far
