"""Formats that are Y up, turned to the program's Z up by +90° about X: (x, y, z) ↦ (x, −z, y), and back.

Vectors are turned; rotations are conjugated, q ↦ t·q·t⁻¹, which turns their vector part alike. With rest
translations, rest rotations and every local rotation conjugated, all positions in the world are turned, and a
joint's frame that was aligned with the world at rest stays so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def vectors_from_y_up(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Positions or offsets of a Y-up file in the program's Z-up world."""
    x, y, z = (vectors[..., axis] for axis in range(3))
    return np.stack([x, -z, y], axis=-1)


def vectors_to_y_up(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """The inverse of `vectors_from_y_up`."""
    x, y, z = (vectors[..., axis] for axis in range(3))
    return np.stack([x, z, -y], axis=-1)


def quats_from_y_up(quats: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 4"]:
    """Rotations (wxyz) of a Y-up file, local or of the world, conjugated to Z up."""
    return np.concatenate([quats[..., :1], vectors_from_y_up(quats[..., 1:])], axis=-1)


def quats_to_y_up(quats: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 4"]:
    """The inverse of `quats_from_y_up`."""
    return np.concatenate([quats[..., :1], vectors_to_y_up(quats[..., 1:])], axis=-1)
