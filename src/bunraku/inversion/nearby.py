"""Where to sample a rig around a solved shot: poses between its frames, strayed as far as the solve may be wrong."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.rig import diagonal
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.draw import choose, free_controls, normal, uniform

BATCH = 64  # poses whose Jacobian is held at once
EVERYWHERE = 0.1
"""Frames whose error is below this share of the mean are sampled as often as if it were that."""
PER_ROUND = 2**32
"""Random numbers depend on seed, round and place in it alone."""


def nearby(
    model: Approximation,
    controls: Float[np.ndarray, "frames controls"],
    error: Float[np.ndarray, "frames"],
    count: int,
    *,
    active: float,
    spread: float,
    seed: int,
    number: int = 0,
) -> Float[np.ndarray, "count controls"]:
    """`count` poses around a shot solved on `model`; frames of a larger `error` (relative) get more of them.

    Places are spread over the shot in proportion to the error, between the frames too, so that no pose comes twice.
    From each about `active` controls stray by a draw from what the solve leaves open, N(0, (H/e² + I/s²)⁻¹) per range:
    H the JᵀJ of the relative error, e its size here, s the `spread` that bounds what the mesh does not show. `number`
    is the round: another one gives other poses.
    """
    spec = model.spec
    rows = number * PER_ROUND + np.arange(count)
    place = places(error, (np.arange(count) + uniform(seed, rows, 0, 1)[:, 0]) / count)
    base = between(controls, place)
    size = between(error[:, None], place)[:, 0]
    free = free_controls(spec)
    wanted = 1 + np.floor(uniform(seed, rows, 2, 1)[:, 0] * (2 * active - 1))
    moved = choose(seed, rows, len(free), np.clip(wanted, 1, len(free)))
    away = normal(seed, rows, 4, len(free))
    poses = base.copy()
    for start in range(0, count, BATCH):
        part = slice(start, min(start + BATCH, count))
        hessian = _hessian(model, base[part], free)
        for row, own in zip(range(part.start, part.stop), hessian, strict=True):
            few = np.flatnonzero(moved[row])
            poses[row, free[few]] += (
                strayed(own[np.ix_(few, few)], size[row], spread, away[row, few]) * spec.range[free[few]]
            )
    return np.clip(poses, spec.lower, spec.upper)


def places(error: Float[np.ndarray, "frames"], shares: Float[np.ndarray, "count"]) -> Float[np.ndarray, "count"]:
    """Frame numbers, fractions too, below which these shares of the shot's error lie (ascending for ascending ones).

    A frame's error lies evenly over the half frame before and after it; at the ends of the shot there is no more shot.
    """
    weight = error + EVERYWHERE * float(error.mean()) + 1e-300
    below = np.concatenate([[0.0], np.cumsum(weight)])
    place = np.interp(shares, below / below[-1], np.arange(len(below)) - 0.5)
    return np.clip(place, 0, len(error) - 1)


def between(values: Float[np.ndarray, "frames columns"], place: Float[np.ndarray, "count"]) -> np.ndarray:
    """Values at fractional frame numbers, on straight lines between frames."""
    left = np.minimum(place.astype(np.int64), max(len(values) - 2, 0))
    right = np.minimum(left + 1, len(values) - 1)
    t = (place - left)[:, None]
    return (1 - t) * values[left] + t * values[right]


def strayed(
    hessian: Float[np.ndarray, "few few"], error: float, spread: float, away: Float[np.ndarray, "few"]
) -> Float[np.ndarray, "few"]:
    """`away` ~ N(0, I) as a draw from N(0, (H/e² + I/s²)⁻¹)."""
    # With e² and s² multiplied out, neither has to be divided by: (H/e² + I/s²)⁻¹ = e²s²·(s²H + e²I)⁻¹.
    e, s = max(error, 1e-12), max(spread, 1e-12)
    values, vectors = np.linalg.eigh(s**2 * hessian)
    return vectors @ (away * (e * s / np.sqrt(np.maximum(values, 0) + e**2)))


def _hessian(
    model: Approximation, controls: Float[np.ndarray, "poses controls"], free: Int[np.ndarray, "free"]
) -> Float[np.ndarray, "poses free free"]:
    """JᵀJ of the relative RMS error, per range of each control."""
    spec: ControlSpec = model.spec
    scale = 1 / (np.sqrt(len(model.neutral)) * diagonal(model.neutral))
    rows = model.jacobian(controls)[:, free].astype(np.float64) * (scale * spec.range[free, None])
    return rows @ np.swapaxes(rows, 1, 2)
