"""Levenberg–Marquardt in a box, on many frames at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from bunraku.inversion.box import box_step
from bunraku.inversion.problem import Priors, Problem

EXACT = 1e-11  # a step that promises less relative RMS error than this is chasing rounding
SETTLED = 1e-7  # a step that promises less than this share of the cost is not worth another
SLOW = 1e-5  # nor is one after a step that took no more than this share off
LEAST_DAMPING = 1e-8  # keeps directions that the mesh does not see from drifting on rounding alone


def levenberg_marquardt(
    problem: Problem,
    frames: Int[np.ndarray, "batch"],
    u: Float[np.ndarray, "batch controls"],
    priors: Priors,
    iterations: int,
) -> tuple[Float[np.ndarray, "batch controls"], Float[np.ndarray, "batch"], int]:
    """Marquardt's method with Nielsen's damping, every frame on its own; frames that are done drop out of the batch."""
    u, best = u.copy(), np.full(len(u), np.inf)
    damping, growth = np.full(len(u), 1e-3), np.full(len(u), 2.0)
    left = np.arange(len(u))
    for step in range(1, iterations + 1):
        prior = priors.weights(u[left])
        hessian, gradient, cost = problem.normal(frames[left], u[left], prior)
        box = problem.lower(frames[left]), problem.upper(frames[left])
        delta, predicted = box_step(hessian, gradient, u[left], *box, damping[left])
        tried = u[left] + delta
        reached = problem.cost(frames[left], tried, prior)
        gain = np.clip((cost - reached) / np.maximum(predicted, 1e-300), -1.0, 1.0)
        better = reached < cost
        u[left[better]] = tried[better]
        best[left] = np.where(better, reached, cost)
        # Nielsen 1999: after a good step the damping falls by as much as the model was right; after a bad one
        # it grows, faster each time.

        eased = np.maximum(damping[left] * np.maximum(1 / 5, 1 - (2 * gain - 1) ** 3), LEAST_DAMPING)
        damping[left] = np.where(better, eased, damping[left] * growth[left])
        growth[left] = np.where(better, 2.0, growth[left] * 2)
        settled = predicted < np.maximum(SETTLED * cost, EXACT**2)
        settled |= better & (cost - reached < SLOW * cost)
        stuck = ~better & (damping[left] > 1e6)
        left = left[~(settled | stuck)]
        if len(left) == 0:
            return u, best, step
    return u, best, iterations
