"""Gauss–Newton over a whole shot: frames that a smoothness prior couples, in one banded system.

Long shots are solved in windows, one after the other: each begins at the last two frames of the one before, which it
keeps, and looks some frames ahead, which the next one solves again. Memory is bounded, time grows with the frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.progress import Progress
from bunraku.inversion import terms
from bunraku.inversion.problem import Priors, Problem

WINDOW_BYTES = 384 * 2**20  # of banded matrix and blocks held at once
AHEAD = 64  # frames that a window looks beyond its own: further on the future has no say


def solve_shot(
    problem: Problem,
    u: Float[np.ndarray, "frames controls"],
    priors: Priors,
    smooth: Float[np.ndarray, "#inner #controls"],
    iterations: int,
    progress: Progress,
) -> Float[np.ndarray, "frames controls"]:
    """Gauss–Newton over all frames with the smoothness prior (its weights, as `terms.smoothness` takes them)."""
    frames, count = u.shape
    size = max(4 * AHEAD, WINDOW_BYTES // (8 * count * (3 * count + 2)))
    u, smooth = problem.inside(np.arange(frames), u), np.broadcast_to(smooth, (max(frames - 2, 0), count))
    if frames <= size:
        return _solve_window(_Window(problem, np.arange(frames), priors, smooth, 0), u, iterations, progress)
    u = u.copy()
    for first in range(0, frames, size - AHEAD):
        last = min(first + size, frames)
        kept = min(first, 2)
        chosen = np.arange(first - kept, last)
        window = _Window(problem, chosen, priors, smooth[chosen[0] : chosen[-1] - 1], kept)
        u[chosen] = _solve_window(window, u[chosen], iterations, _share(progress, first, last, frames))
        if last == frames:
            break
    return u


def _share(progress: Progress, first: int, last: int, frames: int) -> Progress:
    def part(stage: str, done: float, total: float, note: str = "") -> None:
        progress(stage, first + (last - first) * done / total, frames, note)

    return part


@dataclass(frozen=True, eq=False)
class _Window:
    """Consecutive frames of a problem, of which the first `kept` stay as they are."""

    problem: Problem
    frames: Int[np.ndarray, "frames"]
    priors: Priors
    smooth: Float[np.ndarray, "inner controls"]
    kept: int

    def cost(self, u: np.ndarray, prior: np.ndarray) -> float:
        parts = self.problem.batches(np.arange(len(u)))
        mesh = sum(float(self.problem.cost(self.frames[part], u[part], prior[part]).sum()) for part in parts)
        return mesh + float((terms.smoothness(u, self.smooth) ** 2).sum())

    def normal(self, u: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blocks of JᵀJ without the smoothness, and the whole gradient."""
        frames, count = u.shape
        gradient = terms.smoothness_gradient(u, self.smooth)
        blocks = np.empty((frames, count, count))
        for part in self.problem.batches(np.arange(frames)):
            blocks[part], own, _ = self.problem.normal(self.frames[part], u[part], prior[part], exact=True)
            gradient[part] += own
        return blocks, gradient

    def held(self, u: np.ndarray, gradient: np.ndarray) -> Bool[np.ndarray, "frames controls"]:
        """At a bound, and pushed outward; or not to be touched."""
        held = (u <= self.problem.lower(self.frames)) & (gradient > 0)
        held |= (u >= self.problem.upper(self.frames)) & (gradient < 0)
        held |= self.problem.limits.at(self.frames).decided
        held[: self.kept] = True
        return held


def _solve_window(
    window: _Window, u: Float[np.ndarray, "frames controls"], iterations: int, progress: Progress
) -> Float[np.ndarray, "frames controls"]:
    """One damping for all frames."""
    problem, priors = window.problem, window.priors
    damping, step = 1e-6, 0
    while step < iterations and damping <= 1e4:
        prior = priors.weights(u)
        cost = window.cost(u, prior)
        blocks, gradient = window.normal(u, prior)
        better, delta, reached = False, np.zeros_like(u), cost
        while not better and step < iterations and damping <= 1e4:
            progress("solve the shot", step, iterations)
            delta = _step(window, u, blocks, gradient, damping)
            reached = window.cost(u + delta, prior)
            step, better = step + 1, reached < cost
            damping = max(damping / 5, 1e-9) if better else damping * 20
        if better:
            u = problem.inside(window.frames, u + delta)
        if not better or cost - reached < 1e-9 * cost:
            break
    progress("solve the shot", iterations, iterations)
    return u


def _step(
    window: _Window,
    u: Float[np.ndarray, "frames controls"],
    blocks: Float[np.ndarray, "frames controls controls"],
    gradient: Float[np.ndarray, "frames controls"],
    damping: float,
) -> Float[np.ndarray, "frames controls"]:
    """One damped Gauss–Newton step."""
    from scipy.linalg import solveh_banded

    held = window.held(u, gradient)
    matrix = banded(blocks, terms.smoothness_bands(len(u), window.smooth), held, damping)
    delta = solveh_banded(matrix, np.where(held, 0.0, -gradient).ravel(), lower=True, check_finite=False)
    return window.problem.inside(window.frames, u + delta.reshape(u.shape)) - u


def banded(
    blocks: Float[np.ndarray, "frames controls controls"],
    bands: Float[np.ndarray, "3 frames controls"],
    held: Bool[np.ndarray, "frames controls"],
    damping: float,
) -> Float[np.ndarray, "rows unknowns"]:
    """The shot's matrix in LAPACK's lower banded form, entry [i − j, j]: frames couple to the next two, control by
    control. What is held is cut out and has a 1 in its place.
    """
    frames, count = held.shape
    matrix = np.zeros((2 * count + 1, frames * count))
    strongest = max(float(blocks[:, np.arange(count), np.arange(count)].max()), 1e-300)
    row, column = np.tril_indices(count)
    free = ~held
    at = np.arange(frames)[:, None] * count + column
    matrix[np.broadcast_to(row - column, at.shape), at] = blocks[:, row, column] * free[:, row] * free[:, column]
    for apart in (0, 1, 2):
        coupling = bands[apart, : frames - apart] * (free[: frames - apart] & free[apart:])
        matrix[apart * count, : (frames - apart) * count] += coupling.ravel()
    matrix[0] += damping * np.maximum(matrix[0], 1e-9 * strongest) + 1e-12 * strongest + held.ravel()
    return matrix
