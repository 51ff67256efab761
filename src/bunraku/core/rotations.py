"""Rotations, written once for numpy and torch. Quaternions are wxyz; any leading dimensions are batch.

Parameters are rotation vectors r (axis times angle, radians, R = exp([r]×)) or the first two columns of R
(6-D, Zhou et al., CVPR 2019). Functions are smooth where the map is: where a quotient would be 0/0 it has its
limit, in values and in gradients.
"""

from __future__ import annotations

from typing import Any, TypeVar

import array_api_compat
import numpy as np
from jaxtyping import Float

Array = TypeVar("Array", bound=Any)  # np.ndarray or torch.Tensor; what goes in comes out

_TINY = 1e-30  # a squared length that is as good as 0, and whose root is not, in single precision too


def _xp(array: Any) -> Any:
    # numpy itself speaks the array API; asking costs more than a multiplication of small batches.
    return np if type(array) is np.ndarray else array_api_compat.array_namespace(array)


def _stacked(parts: list[Array]) -> Array:
    """Along a new last axis."""
    xp = _xp(parts[0])
    if xp is not np:
        return xp.stack(parts, axis=-1)
    # What numpy's stack does before it copies costs more than copying small batches.
    result: Any = np.empty((*parts[0].shape, len(parts)), parts[0].dtype)
    for i, part in enumerate(parts):
        result[..., i] = part
    return result


def _length(squared: Array) -> Array:
    """√ of a squared length, never 0: what is divided by it is then the limit, in values and in gradients."""
    xp = _xp(squared)
    return xp.sqrt(np.maximum(squared, _TINY) if xp is np else xp.clip(squared, min=_TINY))


def _pairs(q: np.ndarray) -> np.ndarray:
    """Quaternions as pairs of complex numbers, q = (w + xi) + (y + zi)·j."""
    return np.ascontiguousarray(q).view(np.complex64 if q.dtype == np.float32 else np.complex128)


def quat_multiply(p: Array, q: Array) -> Array:
    """Hamilton product p·q of (…, 4) quaternions: the rotation q first, then p."""
    if _xp(p) is np and p.dtype == q.dtype and p.dtype in (np.float32, np.float64):
        # (a + bj)·(c + dj) = (a·c − b·d̄) + (a·d + b·c̄)·j: a third of the passes over small batches.
        result: Any = np.empty(np.broadcast_shapes(p.shape, q.shape), p.dtype)
        left, right, product = _pairs(p), _pairs(q), _pairs(result)
        a, b, c, d = left[..., 0], left[..., 1], right[..., 0], right[..., 1]
        np.subtract(a * c, b * d.conj(), out=product[..., 0])
        np.add(a * d, b * c.conj(), out=product[..., 1])
        return result
    pw, px, py, pz = (p[..., i] for i in range(4))
    qw, qx, qy, qz = (q[..., i] for i in range(4))
    return _stacked(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ]
    )


def quat_conjugate(q: Array) -> Array:
    """The inverse of unit quaternions (…, 4)."""
    if _xp(q) is not np:
        return _xp(q).concat([q[..., :1], -q[..., 1:]], axis=-1)
    inverse = -q
    inverse[..., 0] = q[..., 0]
    return inverse


def quat_rotate(q: Array, v: Array) -> Array:
    """Vectors (…, 3) turned by unit quaternions (…, 4): v + 2w(u×v) + 2u×(u×v)."""
    w, x, y, z = (q[..., i] for i in range(4))
    a, b, c = (v[..., i] for i in range(3))
    # By components: a library's cross product costs several times as much on small batches.
    d, e, f = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return _stacked([a + w * d + y * f - z * e, b + w * e + z * d - x * f, c + w * f + x * e - y * d])


def quat_from_rotvec(r: Array) -> Array:
    """exp: rotation vectors (…, 3) of any length to unit quaternions (…, 4)."""
    xp = _xp(r)
    angle = _length(xp.vecdot(r, r))
    return xp.concat([xp.cos(angle / 2)[..., None], r * (xp.sin(angle / 2) / angle)[..., None]], axis=-1)


def rotvec_from_quat(q: Array) -> Array:
    """log: unit quaternions (…, 4) to the rotation vectors (…, 3) of at most π; q and −q give the same."""
    xp = _xp(q)
    w, u = q[..., 0], q[..., 1:]
    length = _length(xp.vecdot(u, u))
    # a = 2·atan2(|u|, w), well conditioned near 0 and near π alike; acos(w) is neither. Of −q for w < 0.
    return u * (2 * xp.atan2(xp.copysign(length, w), xp.abs(w)) / length)[..., None]


def matrix_from_quat(q: Array) -> Array:
    """Unit quaternions (…, 4) to rotation matrices (…, 3, 3)."""
    w, x, y, z = (q[..., i] for i in range(4))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return _stacked([number for row in rows for number in row]).reshape((*q.shape[:-1], 3, 3))


def quat_from_matrix(m: Array) -> Array:
    """Rotation matrices (…, 3, 3) to unit quaternions (…, 4) with w ≥ 0.

    The four columns of the symmetric matrix q·qᵀ can each give q; the best conditioned one is taken (Shepperd
    1978).
    """
    xp = _xp(m)
    t = [[m[..., i, j] for j in range(3)] for i in range(3)]
    a, b, c = t[2][1] - t[1][2], t[0][2] - t[2][0], t[1][0] - t[0][1]
    d, e, f = t[0][1] + t[1][0], t[0][2] + t[2][0], t[1][2] + t[2][1]
    one = xp.ones_like(a)
    columns = xp.stack(
        [
            xp.stack([one + t[0][0] + t[1][1] + t[2][2], a, b, c], axis=-1),
            xp.stack([a, one + t[0][0] - t[1][1] - t[2][2], d, e], axis=-1),
            xp.stack([b, d, one - t[0][0] + t[1][1] - t[2][2], f], axis=-1),
            xp.stack([c, e, f, one - t[0][0] - t[1][1] + t[2][2]], axis=-1),
        ],
        axis=-2,
    )
    diagonal = xp.stack([columns[..., i, i] for i in range(4)], axis=-1)
    best = xp.argmax(diagonal, axis=-1)
    q = xp.zeros_like(columns[..., 0, :])
    for i in range(4):
        chosen = (best == i)[..., None]
        # Rows not chosen are replaced before the division, so that no gradient passes through a 0/0.
        row = xp.where(chosen, columns[..., i, :], xp.ones_like(q))
        q = xp.where(chosen, row / xp.sqrt(xp.sum(row * row, axis=-1))[..., None], q)
    return xp.where(q[..., :1] < 0, -q, q)


def matrix_from_rotvec(r: Array) -> Array:
    """Rodrigues: rotation vectors (…, 3) to matrices (…, 3, 3)."""
    return matrix_from_quat(quat_from_rotvec(r))


def rotvec_from_matrix(m: Array) -> Array:
    """Rotation matrices (…, 3, 3) to rotation vectors (…, 3) of at most π."""
    return rotvec_from_quat(quat_from_matrix(m))


def sixd_from_matrix(m: Array) -> Array:
    """The first two columns of rotation matrices, (…, 6)."""
    xp = _xp(m)
    return xp.concat([m[..., :, 0], m[..., :, 1]], axis=-1)


def matrix_from_sixd(d: Array) -> Array:
    """Gram–Schmidt: two independent columns (…, 6) to matrices (…, 3, 3) (Zhou et al., CVPR 2019, eq. 15)."""
    xp = _xp(d)
    a, b = d[..., :3], d[..., 3:]
    x = a / xp.sqrt(xp.sum(a * a, axis=-1))[..., None]
    b = b - xp.sum(x * b, axis=-1)[..., None] * x
    y = b / xp.sqrt(xp.sum(b * b, axis=-1))[..., None]
    return xp.stack([x, y, xp.linalg.cross(x, y)], axis=-1)


def skew(v: Array) -> Array:
    """[v]×: the (…, 3, 3) matrices with [v]× w = v × w."""
    xp = _xp(v)
    x, y, z = (v[..., i] for i in range(3))
    o = xp.zeros_like(x)
    return xp.stack([xp.stack(r, axis=-1) for r in ([o, -z, y], [z, o, -x], [-y, x, o])], axis=-2)


def left_jacobian(r: Array) -> Array:
    """J(r), (…, 3, 3), with exp(r + δ) ≈ exp(J(r)·δ)·exp(r).

    J = I + (1−cos a)/a² [r]× + (a−sin a)/a³ [r]×² (Chirikjian 2011, vol. 2, eq. 10.86); singular at 2π, 4π ….
    """
    xp = _xp(r)
    angle2 = xp.sum(r * r, axis=-1)
    # (a − sin a)/a³ loses digits earlier than the others; the series below is exact to 1e-16 here.
    small = angle2 < 1e-4
    safe = xp.where(small, xp.ones_like(angle2), angle2)
    angle = xp.sqrt(safe)
    b = xp.where(small, 0.5 - angle2 / 24 + angle2**2 / 720, (1 - xp.cos(angle)) / safe)
    c = xp.where(small, 1 / 6 - angle2 / 120 + angle2**2 / 5040, (angle - xp.sin(angle)) / (safe * angle))
    k = skew(r)
    eye = xp.zeros_like(k) + xp.asarray(np.eye(3), dtype=k.dtype)
    return eye + b[..., None, None] * k + c[..., None, None] * (k @ k)


def quat_slerp(p: Array, q: Array, u: Array) -> Array:
    """Shortest-arc interpolation of unit quaternions (…, 4) at u (…): p at 0, q at 1."""
    xp = _xp(p)
    q = xp.where((xp.sum(p * q, axis=-1) < 0)[..., None], -q, q)
    step = rotvec_from_quat(quat_multiply(quat_conjugate(p), q))
    return quat_multiply(p, quat_from_rotvec(step * u[..., None]))


def geodesic_angle(p: Array, q: Array) -> Array:
    """The angle in [0, π] between unit quaternions (…, 4): 2·atan2(|u|, |w|) of p⁻¹q, exact for tiny ones."""
    return quat_angle(quat_multiply(quat_conjugate(p), q))


def quat_angle(q: Array) -> Array:
    """The angle in [0, π] that unit quaternions (…, 4) turn by."""
    xp = _xp(q)
    u = q[..., 1:]
    return 2 * xp.atan2(xp.sqrt(xp.vecdot(u, u)), xp.abs(q[..., 0]))


def nearest_branch(r: Float[np.ndarray, "*batch 3"], reference: Float[np.ndarray, "*batch 3"]) -> np.ndarray:
    """The rotation vectors of the same rotations as r that lie nearest to given ones.

    All of them are r̂·(a + 2πk); the best k is the nearest integer to (r̂·reference − a)/2π. Where r is
    (nearly) the identity its axis is free and that of the reference is taken.
    """
    angle = np.linalg.norm(r, axis=-1, keepdims=True)
    length = np.linalg.norm(reference, axis=-1, keepdims=True)
    turn = angle < 1e-9
    axis = np.where(turn, reference / np.where(length > 0, length, 1), r / np.where(turn, 1, angle))
    k = np.rint(((axis * reference).sum(axis=-1, keepdims=True) - angle) / (2 * np.pi))
    return np.where(turn & (k == 0), r, axis * (angle + 2 * np.pi * k))


def unwrap_rotvecs(r: Float[np.ndarray, "frames *batch 3"]) -> np.ndarray:
    """Rotation vectors over frames (axis 0) on one continuous branch, beyond ±π where the motion goes."""
    out = np.array(r, np.float64)
    for frame in range(1, len(out)):
        out[frame] = nearest_branch(out[frame], out[frame - 1])
    return out


def continuous_quats(q: Float[np.ndarray, "frames *batch 4"]) -> np.ndarray:
    """The same rotations over frames (axis 0) without jumps to the quaternion of opposite sign, so that they blend."""
    q = q.copy()
    flips = np.where((q[1:] * q[:-1]).sum(axis=-1) < 0, -1.0, 1.0)
    q[1:] *= np.cumprod(flips, axis=0)[..., None]
    return q
