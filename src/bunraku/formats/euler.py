"""Angles about coordinate axes, one after the other: how BVH and ASF/AMC write rotations.

An order such as "ZYX" reads as the product R = R_Z(a)·R_Y(b)·R_X(c): the last turn acts first.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import matrix_from_quat, quat_from_rotvec, quat_multiply


def quats_from_euler(angles: Float[np.ndarray, "*batch turns"], order: str) -> Float[np.ndarray, "*batch 4"]:
    """Unit quaternions (wxyz) of angles in radians, one for each letter of `order`; any letters, any number."""
    quats = np.zeros((*angles.shape[:-1], 4))
    quats[..., 0] = 1
    for turn, letter in enumerate(order):
        one = np.zeros_like(quats)
        one[..., 0] = np.cos(angles[..., turn] / 2)
        one[..., 1 + "XYZ".index(letter)] = np.sin(angles[..., turn] / 2)
        quats = quat_multiply(quats, one)
    return quats


def euler_from_quats(quats: Float[np.ndarray, "*batch 4"], order: str) -> Float[np.ndarray, "*batch 3"]:
    """Angles in radians for an order of three different letters; the middle one lies in [−π/2, π/2].

    With i, j, k the axes and s the sign of their permutation, R_ik = s·sin b, R_jk = −s·sin a·cos b and
    R_kk = cos a·cos b give a and b. The last angle is read from R_i(a)ᵀ·R = R_j(b)·R_k(c), whose row j does not
    depend on b: so the product is the rotation even where cos b is nearly 0 and a is mostly noise.
    """
    i, j, k = ("XYZ".index(letter) for letter in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = matrix_from_quat(quats)
    a = np.arctan2(-sign * m[..., j, k], m[..., k, k])
    b = np.arctan2(sign * m[..., i, k], np.hypot(m[..., i, i], m[..., i, j]))
    cos, sin = np.cos(a), sign * np.sin(a)
    c = np.arctan2(sign * (cos * m[..., j, i] + sin * m[..., k, i]), cos * m[..., j, j] + sin * m[..., k, j])
    return np.stack([a, b, c], axis=-1)


def running_euler(
    r: Float[np.ndarray, "frames 3"], before: Float[np.ndarray, "3"] | None = None
) -> Float[np.ndarray, "frames 3"]:
    """Angles about x, y, z in radians (x acts first: R = R_Z·R_Y·R_X) of rotation vectors, without jumps from frame to
    frame: of the two triples that give a rotation, and their whole turns, the one nearest to the frame before (for
    the first frame: to `before`, or 0).
    """
    z, y, x = np.moveaxis(euler_from_quats(quat_from_rotvec(np.asarray(r, np.float64)), "ZYX"), -1, 0)
    first = np.stack([x, y, z], axis=1)
    second = np.stack([x + np.pi, np.pi - y, z + np.pi], axis=1)
    out = first.copy()
    before = np.zeros(3) if before is None else before
    for frame in range(len(out)):
        both = [one - 2 * np.pi * np.rint((one - before) / (2 * np.pi)) for one in (first[frame], second[frame])]
        before = out[frame] = min(both, key=lambda one: float(np.abs(one - before).sum()))
    return out
