"""Dual quaternion skinning (Kavan et al., "Skinning with dual quaternions", I3D 2007), with stretches blended linearly.

Each binding's matrix [A | b] is split into a rotation and a symmetric stretch, A = R·S. A point is stretched by the
weighted mean of the S, then moved by the normalised weighted sum of the dual quaternions of (R, b), each with the sign
that brings it nearest to that of the heaviest influence. UsdSkel's "dualQuaternion" is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.rotations import matrix_from_quat, quat_conjugate, quat_from_matrix, quat_multiply, quat_rotate, skew


@dataclass(frozen=True, eq=False)
class Bones:
    """Matrices [R·S | b] of every binding, in parts."""

    rotation: Float[np.ndarray, "poses bindings 3 3"]
    quat: Float[np.ndarray, "poses bindings 4"]
    shift: Float[np.ndarray, "poses bindings 3"]
    stretch: Float[np.ndarray, "poses bindings 3 3"]
    """S, symmetric; minus a positive definite matrix where the bone is mirrored."""


@dataclass(frozen=True, eq=False)
class Blend:
    """The blended motion of every vertex, with what its derivatives need."""

    vertices: Float[np.ndarray, "poses vertices 3"]
    """The result."""
    quat: Float[np.ndarray, "poses vertices 4"]
    """Q = Σ w·s·q, not of unit length."""
    dual: Float[np.ndarray, "poses vertices 4"]
    """Σ w·s·½(0, b)·q."""
    signed: Float[np.ndarray, "poses vertices influences"]
    """w·s: weights with the signs of their quaternions."""
    shift: Float[np.ndarray, "poses vertices 3"]
    """The translation part of the motion."""
    rotation: Float[np.ndarray, "poses vertices 3 3"]
    """The rotation part."""
    stretch: Float[np.ndarray, "poses vertices 3 3"]
    """Σ w·S."""


def bones(matrices: Float[np.ndarray, "poses bindings 3 4"]) -> Bones:
    """The parts of bone matrices, by polar decomposition."""
    u, sigma, vt = np.linalg.svd(matrices[..., :3])
    product = u @ vt
    sign = np.where(np.linalg.det(product) < 0, -1.0, 1.0)[..., None, None]
    stretch = sign * (np.swapaxes(vt, -1, -2) * sigma[..., None, :]) @ vt
    rotation = sign * product
    return Bones(rotation, quat_from_matrix(rotation), matrices[..., 3], stretch)


def blend(
    parts: Bones,
    points: Float[np.ndarray, "poses vertices 3"],
    influences: Int[np.ndarray, "vertices influences"],
    weights: Float[np.ndarray, "vertices influences"],
) -> Blend:
    """Points moved by the bones that they follow."""
    quat = parts.quat[:, influences]
    pivot = np.take_along_axis(quat, weights.argmax(axis=1)[None, :, None, None], axis=2)
    signed = np.where((quat * pivot).sum(axis=-1) < 0, -weights, weights)
    of_bones = 0.5 * quat_multiply(_pure(parts.shift), parts.quat)
    real = (signed[..., None] * quat).sum(axis=2)
    dual = (signed[..., None] * of_bones[:, influences]).sum(axis=2)
    length = np.linalg.norm(real, axis=-1, keepdims=True)
    # Opposite quaternions of equal weight cancel: there is no blend, and the heaviest influence alone decides.
    lost = length < 1e-12
    real = np.where(lost, pivot[:, :, 0], real)
    length = np.where(lost, 1.0, length)
    unit = real / length
    shift = 2 * quat_multiply(dual / length, quat_conjugate(unit))[..., 1:]
    stretch = np.einsum("vk,pvkij->pvij", weights, parts.stretch[:, influences])
    stretched = np.einsum("pvij,pvj->pvi", stretch, points)
    moved = quat_rotate(unit, stretched) + shift
    return Blend(moved, real, dual, signed, shift, matrix_from_quat(unit), stretch)


def sensitivities(
    parts: Bones,
    blended: Blend,
    points: Float[np.ndarray, "poses vertices 3"],
    influences: Int[np.ndarray, "vertices influences"],
    weights: Float[np.ndarray, "vertices influences"],
    rigid: bool = False,
) -> Float[np.ndarray, "poses vertices influences 3 3 4"]:
    """How each vertex moves with the generator X (3×4) of each of its influences, dM = X·[M; 0 0 0 1].

    With u = q·Q*/|Q|² and ω the angular velocity that X gives the bone:
    `rigid`: no bone stretches and every X that will be asked for is rigid, so that stretches need not be looked at.

    δ = w·s·½(0, ω)·u turns the vertex by 2·vec δ about the origin, and the shift moves by
    2·vec(dQ'·Q* + Q'·dQ*)/|Q|² − 2·δ₀·shift, where dQ' = w·s·(½(0, ḃ)·q + ¼(0, b)(0, ω)·q).
    """
    length2 = (blended.quat * blended.quat).sum(axis=-1)[..., None, None]
    quat = parts.quat[:, influences]
    ratio = quat_multiply(quat, np.broadcast_to(quat_conjugate(blended.quat)[:, :, None], quat.shape)) / length2
    back = quat_multiply(np.broadcast_to(blended.dual[:, :, None], quat.shape), quat_conjugate(quat)) / length2
    u0, u = ratio[..., :1, None], ratio[..., 1:]
    ux, bx = skew(u), skew(parts.shift[:, influences])
    turned = np.einsum("pvij,pvjk,pvk->pvi", blended.rotation, blended.stretch, points)
    eye = np.eye(3)
    signed = blended.signed[..., None, None]
    by_shift = signed * (u0 * eye - ux)
    by_turn = -skew(turned)[:, :, None] @ (u0 * eye - ux)
    by_turn += 0.5 * (u0 * bx - ux @ bx - u[..., :, None] * parts.shift[:, influences][..., None, :])
    by_turn += blended.shift[:, :, None, :, None] * u[..., None, :]
    by_turn -= back[..., :1, None] * eye + skew(back[..., 1:])
    if rigid:
        return _rigid(signed * by_turn, by_shift, parts.shift[:, influences])
    spins, stretching = _rates(parts)
    out = np.einsum("pvkxa,pvkail->pvkxil", signed * by_turn, spins[:, influences])
    origin = parts.shift[:, influences]
    whole = np.zeros((*out.shape[:-1], 4))
    whole[..., :3] = out + by_shift[..., None] * origin[..., None, None, :]
    whole[..., 3] = by_shift
    pulled = np.einsum("pvkacil,pvc->pvkail", stretching[:, influences], points)
    whole[..., :3] += np.einsum("vk,pvxa,pvkail->pvkxil", weights, blended.rotation, pulled)
    return whole


def _rigid(by_turn: np.ndarray, by_shift: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """The same where X = [[ω]× | τ]: of X's linear part, the antisymmetric one alone is ω."""
    whole = np.empty((*by_turn.shape, 4))
    whole[..., :3] = np.einsum("pvkxa,ail->pvkxil", by_turn, 0.5 * _LEVI.transpose(1, 0, 2))
    whole[..., :3] += by_shift[..., None] * origin[..., None, None, :]
    whole[..., 3] = by_shift
    return whole


def _rates(
    parts: Bones,
) -> tuple[Float[np.ndarray, "poses bindings 3 3 3"], Float[np.ndarray, "poses bindings 3 3 3 3"]]:
    """ω and dS of every bone by each entry of X's linear part.

    With W = Rᵀ·X·R·S = [ω']S + dS, ω' in the bone's frame and dS symmetric: (tr S·I − S)·ω' = vex(W − Wᵀ).
    """
    r, s = parts.rotation, parts.stretch
    w = np.einsum("pbia,pblc->pbacil", r, r @ s)
    vex = np.stack(
        [w[:, :, 2, 1] - w[:, :, 1, 2], w[:, :, 0, 2] - w[:, :, 2, 0], w[:, :, 1, 0] - w[:, :, 0, 1]], axis=2
    )
    eye = np.eye(3)
    system = np.trace(s, axis1=-2, axis2=-1)[..., None, None] * eye - s
    spin = np.einsum("pbxy,pbyil->pbxil", np.linalg.pinv(system), vex)
    spins = np.einsum("pbxa,pbail->pbxil", r, spin)
    cross = np.einsum("axc,pbxil->pbacil", _LEVI, spin)
    return spins, w - np.einsum("pbacil,pbcd->pbadil", cross, s)


_LEVI = np.cross(np.eye(3)[:, None], np.eye(3)[None])
"""[ω]ac = Σₓ LEVI[a, x, c]·ωₓ."""


def _pure(vectors: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((*vectors.shape[:-1], 1)), vectors], axis=-1)
