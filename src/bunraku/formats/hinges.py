"""Rotations about one axis."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def twist_angles(quats: Float[np.ndarray, "frames 4"], axis: Float[np.ndarray, "3"]) -> Float[np.ndarray, "frames"]:
    """Of all turns about a unit axis those nearest to rotations: 2·atan2(u·axis, w), without jumps over time.

    The first angle lies in [−π, π); what is not about the axis is left out.
    """
    angle = 2 * np.arctan2(quats[:, 1:] @ axis, quats[:, 0])
    return np.unwrap(np.mod(angle + np.pi, 2 * np.pi) - np.pi)


def quats_about(axis: Float[np.ndarray, "3"], angles: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames 4"]:
    """Turns by angles in radians about a unit axis, wxyz."""
    return np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * axis], axis=1)
