"""Why an episode ends: short functions of arrays."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int


def fallen(angles: Float[np.ndarray, "count rotations"], limit_rad: float) -> Bool[np.ndarray, "count"]:
    """Some rotation is further from its reference than the limit. (DeepMimic, section 6.2, ends episodes at falls.)"""
    return np.any(angles > limit_rad, axis=1)


def timed_out(steps: Int[np.ndarray, "count"], limit: int) -> Bool[np.ndarray, "count"]:
    """The episode has had all its steps."""
    return np.greater_equal(steps, limit)
