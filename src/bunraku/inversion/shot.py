"""Gauss–Newton over a whole shot: frames that a smoothness prior couples, in one banded system."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bunraku.core.progress import Progress
from bunraku.inversion import terms
from bunraku.inversion.problem import Priors, Problem


def solve_shot(
    problem: Problem,
    u: Float[np.ndarray, "frames controls"],
    priors: Priors,
    smooth: float,
    iterations: int,
    progress: Progress,
) -> Float[np.ndarray, "frames controls"]:
    """Gauss–Newton over all frames at once with the smoothness prior; one damping for the shot."""
    damping = 1e-6
    cost = _shot_cost(problem, u, priors.weights(u), smooth)
    for step in range(iterations):
        progress("solve the shot", step, iterations)
        prior = priors.weights(u)
        cost = _shot_cost(problem, u, prior, smooth)
        delta = _shot_step(problem, u, prior, smooth, damping)
        reached = _shot_cost(problem, u + delta, prior, smooth)
        if reached < cost:
            u, damping = u + delta, max(damping / 5, 1e-9)
            if cost - reached < 1e-9 * cost:
                break
        else:
            damping *= 20
            if damping > 1e4:
                break
    progress("solve the shot", iterations, iterations)
    return u


def _shot_cost(problem: Problem, u: np.ndarray, prior: np.ndarray, smooth: float) -> float:
    frames = np.arange(len(u))
    mesh_cost = sum(float(problem.cost(part, u[part], prior[part]).sum()) for part in problem.batches(frames))
    return mesh_cost + float((terms.smoothness(u, smooth) ** 2).sum())


def _shot_step(
    problem: Problem, u: Float[np.ndarray, "frames controls"], prior: np.ndarray, smooth: float, damping: float
) -> Float[np.ndarray, "frames controls"]:
    """One damped Gauss–Newton step; the matrix is banded: frames couple to the next two, control by control."""
    from scipy.linalg import solveh_banded

    frames, count = u.shape
    gradient = terms.smoothness_gradient(u, smooth)
    bands = terms.smoothness_bands(frames, smooth)
    blocks = np.empty((frames, count, count))
    for part in problem.batches(np.arange(frames)):
        blocks[part], own, _ = problem.normal(part, u[part], prior[part])
        gradient[part] += own
    held = ((u <= problem.lower) & (gradient > 0)) | ((u >= problem.upper) & (gradient < 0))
    banded = np.zeros((2 * count + 1, frames * count))
    strongest = max(float(blocks[:, np.arange(count), np.arange(count)].max()), 1e-300)
    row, column = np.tril_indices(count)
    free = ~held
    # Lower form of LAPACK: banded[i − j, j] = H[i, j]; a held control is cut out of the system and keeps its value.
    at = np.arange(frames)[:, None] * count + column
    banded[np.broadcast_to(row - column, at.shape), at] = blocks[:, row, column] * free[:, row] * free[:, column]
    for apart in (0, 1, 2):
        coupling = bands[apart, : frames - apart, None] * (free[: frames - apart] & free[apart:])
        banded[apart * count, : (frames - apart) * count] += coupling.ravel()
    banded[0] += damping * np.maximum(banded[0], 1e-9 * strongest) + 1e-12 * strongest + held.ravel()
    delta = solveh_banded(banded, np.where(held, 0.0, -gradient).ravel(), lower=True, check_finite=False)
    return np.clip(u + delta.reshape(u.shape), problem.lower, problem.upper) - u
