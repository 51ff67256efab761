"""Motions of a shot smoothed as far as their own standard errors ask for it, and the gaps between them bridged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.rotations import (
    matrix_from_quat,
    matrix_from_rotvec,
    quat_from_matrix,
    quat_slerp,
    rotvec_from_matrix,
)
from bunraku.core.transforms import invert_affine

WEIGHTS = 10.0 ** np.arange(-2, 9)  # of squared second differences
PAYS = 0.7  # of the squared error must be left at most, for smoothing to be worth it
FEWEST = 5  # frames


@dataclass(frozen=True, eq=False)
class Place:
    """Transforms taken apart, as the motion of the rig in the capture: what interpolates and averages well."""

    size: Float[np.ndarray, "frames"]
    quat: Float[np.ndarray, "frames 4"]
    middle: Float[np.ndarray, "frames 3"]
    """Where the middle of the neutral mesh is."""


def places(transforms: Float[np.ndarray, "frames 3 4"], middle: Float[np.ndarray, "3"]) -> Place:
    """Of transforms from a capture to the rig, rotations with a uniform scale."""
    back = invert_affine(transforms)
    size = np.cbrt(np.linalg.det(back[:, :, :3]))
    place = back[:, :, :3] @ middle + back[:, :, 3]
    return Place(size, quat_from_matrix(back[:, :, :3] / size[:, None, None]), place)


def transforms_of(place: Place, middle: Float[np.ndarray, "3"]) -> Float[np.ndarray, "frames 3 4"]:
    """Back again."""
    quat = place.quat / np.linalg.norm(place.quat, axis=1, keepdims=True)
    linear = matrix_from_quat(quat) * place.size[:, None, None]
    return invert_affine(np.concatenate([linear, (place.middle - linear @ middle)[..., None]], axis=2))


def bridged(
    transforms: Float[np.ndarray, "frames 3 4"], missing: Bool[np.ndarray, "frames"], middle: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "frames 3 4"]:
    """Missing frames between their neighbours: rotations on the shortest arc, the middle on a line, scales in ratio.

    At the ends the nearest is held.
    """
    if not missing.any() or missing.all():
        return transforms
    there, gaps = np.flatnonzero(~missing), np.flatnonzero(missing)
    after = np.searchsorted(there, gaps)
    right = there[np.minimum(after, len(there) - 1)]
    left = np.where(after == 0, right, there[np.maximum(after - 1, 0)])
    u = (gaps - left) / np.maximum(right - left, 1) * (right > left)
    own = places(transforms, middle)
    between = Place(
        own.size[left] ** (1 - u) * own.size[right] ** u,
        quat_slerp(own.quat[left], own.quat[right], u),
        (1 - u)[:, None] * own.middle[left] + u[:, None] * own.middle[right],
    )
    out = transforms.copy()
    out[gaps] = transforms_of(between, middle)
    return out


def smoothed(
    transforms: Float[np.ndarray, "frames 3 4"],
    standard_error: Float[np.ndarray, "frames"],
    missing: Bool[np.ndarray, "frames"],
    neutral: Float[np.ndarray, "vertices 3"],
) -> tuple[Float[np.ndarray, "frames 3 4"], float]:
    """Turns and places with small second differences, and the share of the squared error that is left (1: untouched).

    The weight of smoothness has the least expected error as Stein's unbiased estimate tells it (1981): mean squared
    change in standard errors + 2·tr(H)/frames − 1, which a motion that is not smooth, or a jump, raises at once.
    """
    known = ~missing & (standard_error > 0)
    if int(known.sum()) < FEWEST:
        return transforms, 1.0
    middle = neutral.mean(axis=0)
    own = places(transforms, middle)
    # Turns as vectors about the shot's mean rotation, times the length that makes them count like shifts.
    left, _, right = np.linalg.svd(matrix_from_quat(own.quat).sum(axis=0))
    mean = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    turn = rotvec_from_matrix(mean.T @ matrix_from_quat(own.quat))
    length = np.sqrt(2 / 3 * ((neutral - middle) ** 2).sum(axis=1).mean())
    values = np.concatenate([own.middle, length * turn], axis=1)
    error = np.where(known, standard_error, 1.0) / np.sqrt(values.shape[1])
    precision = np.where(known, float(np.median(error[known])) ** 2 / error**2, 0.0)
    best, risk, kept = values, 1.0, 1.0
    for weight in WEIGHTS:
        tried = _whittaker(values, precision, weight)
        change = (((tried - values) / error[:, None]) ** 2)[known].mean()
        share = _kept(len(values), weight)
        estimated = float(change + 2 * share - 1)
        if estimated < risk:
            best, risk, kept = tried, estimated, share
    if risk > PAYS:
        return transforms, 1.0
    quat = quat_from_matrix(mean @ matrix_from_rotvec(best[:, 3:] / length))
    # The estimate scatters about the truth; what noise alone leaves is its least.
    return transforms_of(Place(own.size, quat, best[:, :3]), middle), max(risk, kept)


def _whittaker(
    values: Float[np.ndarray, "frames n"], precision: Float[np.ndarray, "frames"], weight: float
) -> Float[np.ndarray, "frames n"]:
    """min Σ p (x − z)² + λ Σ (x[t−1] − 2x[t] + x[t+1])² (Whittaker 1923): a banded system."""
    from scipy.linalg import solveh_banded

    frames = len(values)
    bands = np.zeros((3, frames))
    for offset, products in ((0, (1.0, 4.0, 1.0)), (1, (-2.0, -2.0)), (2, (1.0,))):
        for start, product in enumerate(products):
            bands[2 - offset, start + offset : start + offset + frames - 2] += weight * product
    bands[2] += precision + 1e-12
    return solveh_banded(bands, (precision + 1e-12)[:, None] * values)


def _kept(frames: int, weight: float) -> float:
    """tr(H)/frames: squared second differences have the eigenvalues (2 − 2 cos(πk/frames))², nearly."""
    waves = (2 - 2 * np.cos(np.pi * np.arange(frames) / frames)) ** 2
    return float((1 / (1 + weight * waves)).mean())
