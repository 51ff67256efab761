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
RISE = 1e-3  # of a typical frame's cost: what a frame may rise by before it is damped more
SLOW = 1e-3  # a step that takes no more than this share off the cost is the last


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
class _Cost:
    total: float
    frame: Float[np.ndarray, "frames"]
    """Each frame's part."""


@dataclass(frozen=True, eq=False)
class _Window:
    """Consecutive frames of a problem, of which the first `kept` stay as they are."""

    problem: Problem
    frames: Int[np.ndarray, "frames"]
    priors: Priors
    smooth: Float[np.ndarray, "inner controls"]
    kept: int

    def cost(self, u: np.ndarray, prior: np.ndarray) -> _Cost:
        def of(part: np.ndarray) -> np.ndarray:
            return self.problem.cost(self.frames[part], u[part], prior[part])

        own = np.concatenate(list(self.problem.each(of, np.arange(len(u)))))
        bends = (terms.smoothness(u, self.smooth).reshape(-1, u.shape[1]) ** 2).sum(axis=1)
        total = float(own.sum() + bends.sum())
        # A second difference is three frames' business.
        for frame, share in enumerate((1 / 4, 1 / 2, 1 / 4)):
            own[frame : frame + len(bends)] += share * bends
        return _Cost(total, own)

    def normal(self, u: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blocks of JᵀJ without the smoothness, and the whole gradient."""
        frames, count = u.shape
        gradient = terms.smoothness_gradient(u, self.smooth)
        blocks = np.empty((frames, count, count))

        def add(part: np.ndarray) -> None:
            blocks[part], own, _ = self.problem.normal(self.frames[part], u[part], prior[part], exact=True)
            gradient[part] += own

        for _ in self.problem.each(add, np.arange(frames)):
            pass
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
    """Every frame has a damping of its own: a few that bend strongly must not slow down the others."""
    priors = window.priors
    damping, step, promising = np.full(len(u), 1e-6), 0, True
    while step < iterations and promising:
        prior = priors.weights(u)
        before = window.cost(u, prior)
        blocks, gradient = window.normal(u, prior)
        reached, better = before.total, False
        while not better and step < iterations and damping.min() <= 1e4:
            progress("solve the shot", step, iterations)
            delta = _step(window, u, blocks, gradient, damping)
            whole = window.cost(u + delta, prior)
            # What rose, and by more than a typical frame's thousandth.
            worse = whole.frame > before.frame + RISE * before.total / len(u)
            damping = np.where(worse, np.maximum(20 * damping, 2e-3), np.maximum(damping / 5, 1e-9))
            if not worse.any() and whole.total >= before.total:
                damping = 100 * damping
            tried, reached = _shortened(window, u, delta, whole, before.total, prior)
            step, better = step + 1, reached < before.total
            u = tried if better else u
        promising = before.total - reached > SLOW * before.total
    progress("solve the shot", iterations, iterations)
    return u


def _shortened(
    window: _Window, u: np.ndarray, delta: np.ndarray, whole: _Cost, before: float, prior: np.ndarray
) -> tuple[Float[np.ndarray, "frames controls"], float]:
    """The longest of a step, its half and its quarter that lowers the cost: far cheaper than another matrix."""
    tried, reached = window.problem.inside(window.frames, u + delta), whole.total
    for share in (1 / 2, 1 / 4):
        if reached < before:
            break
        tried = window.problem.inside(window.frames, u + share * delta)
        reached = window.cost(tried, prior).total
    return tried, reached


def _step(
    window: _Window,
    u: Float[np.ndarray, "frames controls"],
    blocks: Float[np.ndarray, "frames controls controls"],
    gradient: Float[np.ndarray, "frames controls"],
    damping: Float[np.ndarray, "frames"],
) -> Float[np.ndarray, "frames controls"]:
    """One damped Gauss–Newton step."""
    from scipy.linalg import solveh_banded

    held = window.held(u, gradient)
    moving = np.flatnonzero(~held.all(axis=0))
    if len(moving) == 0:
        return np.zeros_like(u)
    matrix = banded(blocks, terms.smoothness_bands(len(u), window.smooth), held, damping, moving)
    wanted = np.where(held, 0.0, -gradient)[:, moving]
    delta = np.zeros_like(u)
    delta[:, moving] = solveh_banded(
        matrix, wanted.ravel(), lower=True, overwrite_ab=True, overwrite_b=True, check_finite=False
    ).reshape(wanted.shape)
    return window.problem.inside(window.frames, u + delta) - u


def banded(
    blocks: Float[np.ndarray, "frames controls controls"],
    bands: Float[np.ndarray, "3 frames controls"],
    held: Bool[np.ndarray, "frames controls"],
    damping: Float[np.ndarray, "frames"],
    moving: Int[np.ndarray, "moving"],
) -> Float[np.ndarray, "rows unknowns"]:
    """The shot's matrix in LAPACK's lower banded form, entry [i − j, j], in its own (Fortran's) order: frames couple to
    the next two, control by control. Only the controls `moving` are in it; what of them is held in some frame is cut
    out and has a 1 in its place. Each frame has its damping.
    """
    strongest = max(float(blocks[:, np.arange(held.shape[1]), np.arange(held.shape[1])].max()), 1e-300)
    free, bands = ~held[:, moving], bands[:, :, moving]
    frames, count = free.shape
    by_column = np.zeros((frames, count, 2 * count + 1))
    for place, column in enumerate(moving):
        below = blocks[:, column, moving[place:]]
        by_column[:, place, : count - place] = below * (free[:, place, None] & free[:, place:])
    for apart in (0, 1, 2):
        coupling = bands[apart, : frames - apart] * (free[: frames - apart] & free[apart:])
        by_column[: frames - apart, :, apart * count] += coupling
    own = by_column[:, :, 0]
    own += damping[:, None] * np.maximum(own, 1e-9 * strongest) + 1e-12 * strongest + ~free
    return by_column.reshape(frames * count, -1).T
