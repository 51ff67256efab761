"""Steps of a quadratic model inside a box: where a solver's bounds are kept, and reached exactly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def box_step(
    hessian: Float[np.ndarray, "batch controls controls"],
    gradient: Float[np.ndarray, "batch controls"],
    u: Float[np.ndarray, "batch controls"],
    lower: Float[np.ndarray, "*#rows controls"],
    upper: Float[np.ndarray, "*#rows controls"],
    damping: Float[np.ndarray, "batch"],
) -> tuple[Float[np.ndarray, "batch controls"], Float[np.ndarray, "batch"]]:
    """The damped step δ that keeps lower ≤ u + δ ≤ upper, and the decrease of the cost that the quadratic model
    predicts.

    Controls at a bound that the gradient pushes outward are held; those that the step would carry over a bound are
    set onto it and
    the others solved for again, so that bounds are reached exactly.
    """
    index = np.arange(u.shape[1])
    diagonal_of = hessian[:, index, index]
    # Marquardt's scaling; controls that move nothing get a little of the largest, so that they stay where they are.
    floor = 1e-9 * diagonal_of.max(axis=1, keepdims=True) + 1e-300
    damped = hessian.copy()
    damped[:, index, index] += damping[:, None] * np.maximum(diagonal_of, floor) + floor * 1e-3
    held = ((u <= lower) & (gradient > 0)) | ((u >= upper) & (gradient < 0))
    delta = np.zeros_like(u)
    for _ in range(3):
        delta = _solve_free(damped, gradient, delta, held)
        over = ((u + delta < lower) | (u + delta > upper)) & ~held
        if not over.any():
            break
        delta = np.where(over, np.clip(u + delta, lower, upper) - u, delta)
        held |= over
    delta = np.clip(u + delta, lower, upper) - u
    curvature = (hessian @ delta[..., None])[..., 0]
    return delta, -(2 * gradient * delta + curvature * delta).sum(axis=1)


def _solve_free(
    damped: Float[np.ndarray, "batch controls controls"],
    gradient: Float[np.ndarray, "batch controls"],
    delta: Float[np.ndarray, "batch controls"],
    held: Bool[np.ndarray, "batch controls"],
) -> Float[np.ndarray, "batch controls"]:
    """Minimise the damped model over the controls that are not held; the held ones keep their δ."""
    fixed = np.where(held, delta, 0.0)
    right = -(gradient + (damped @ fixed[..., None])[..., 0])
    if not held.any():
        return np.linalg.solve(damped, right[..., None])[..., 0]
    free = ~held
    system = damped * (free[:, :, None] & free[:, None, :])
    index = np.arange(held.shape[1])
    system[:, index, index] += held
    return np.where(held, fixed, np.linalg.solve(system, np.where(held, 0.0, right)[..., None])[..., 0])
