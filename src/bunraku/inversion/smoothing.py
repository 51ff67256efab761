"""How smooth curves are, told by the capture itself: each control's smoothness by empirical Bayes.

A control's second differences are taken for draws from N(0, q), the capture for the truth plus noise of a known
deviation. The q that makes the capture most likely is found by MacKay's fixed point (Bayesian interpolation, Neural
Computation 4, 1992, eq. 4.10): of a control's second differences as many are determined by the capture, rather than by
the prior, as γ says, and q is the sum of their squares divided by γ. The posterior is Gaussian in the linearised
problem; what is needed of its covariance is taken from draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.inversion import terms
from bunraku.inversion.problem import Priors, Problem
from bunraku.inversion.shot import banded

ROUNDS = 12
DRAWS = 6
LOOKED_AT = 240  # consecutive frames of a long shot, at most, in up to three places
LEAST = (
    1e-5  # second differences, as a share of the range, that are nothing; less would need more digits than there are
)


@dataclass(frozen=True, eq=False)
class Smoothness:
    """What was found."""

    weight: Float[np.ndarray, "controls"]
    """Of each control's second differences, as `terms.smoothness` takes it."""
    deviation: Float[np.ndarray, "controls"]
    """√q: the typical second difference of each curve, as a share of its range."""
    uncertainty: Float[np.ndarray, "controls"]
    """Standard deviation of what was found for a control in a typical frame, as a share of its range."""


def smoothness(
    problem: Problem,
    u: Float[np.ndarray, "frames controls"],
    priors: Priors,
    sigma: float,
    cuts: Int[np.ndarray, "cuts"],
) -> Smoothness:
    """The smoothness of the curves around a solution, for noise of standard deviation `sigma` per coordinate [rig
    unit]; `cuts` are frames at which a new shot begins.
    """
    parts = [
        _Part(problem, rows, u[rows], priors, inner_mask(len(u), cuts)[rows[0] : rows[-1] - 1])
        for rows in _looked_at(len(u))
    ]
    rng = np.random.default_rng(0)
    spread = np.mean([(np.diff(u[part.frames], n=2, axis=0) ** 2).mean(axis=0) for part in parts], axis=0)
    q = np.maximum(spread, LEAST**2)
    variance = (sigma * problem.scale) ** 2
    uncertainty = np.zeros(u.shape[1])
    for _ in range(ROUNDS):
        weight = np.sqrt(variance / q)
        sums, determined, own, counted = (np.zeros(u.shape[1]) for _ in range(4))
        for part in parts:
            mean, draws = part.posterior(weight, np.sqrt(variance), rng)
            use = part.inner[:, None]
            sums += (use * np.diff(mean, n=2, axis=0) ** 2).sum(axis=0)
            left = (use * (np.diff(draws, n=2, axis=1) ** 2).mean(axis=0)).sum(axis=0)
            determined += np.maximum(use.sum() - left / q, 0.0)
            own += (draws**2).mean(axis=0).sum(axis=0)
            counted += len(mean)
        # One second difference at least: where nothing is determined a curve is as straight as it can be.
        q = np.maximum(sums / np.maximum(determined, 1.0), LEAST**2)
        uncertainty = np.sqrt(own / counted)
    return Smoothness(np.sqrt(variance / q), np.sqrt(q), uncertainty)


def inner_mask(frames: int, cuts: Int[np.ndarray, "cuts"]) -> Float[np.ndarray, "inner"]:
    """1 for the second differences that lie within a shot, 0 for those that reach across a cut."""
    mask = np.ones(max(frames - 2, 0))
    for cut in cuts:
        mask[max(cut - 2, 0) : cut] = 0.0
    return mask


def _looked_at(frames: int) -> list[Int[np.ndarray, "rows"]]:
    if frames <= 3 * LOOKED_AT:
        return [np.arange(frames)]
    starts = np.linspace(0, frames - LOOKED_AT, 3).astype(int)
    return [np.arange(start, start + LOOKED_AT) for start in starts]


class _Part:
    """Some consecutive frames, linearised."""

    def __init__(
        self, problem: Problem, frames: np.ndarray, u: np.ndarray, priors: Priors, inner: Float[np.ndarray, "inner"]
    ) -> None:
        self.frames, self.u, self.inner = frames, u, inner
        prior = priors.weights(u)
        count = u.shape[1]
        self.blocks, gradient = np.empty((len(u), count, count)), np.empty_like(u)

        def fill(part: np.ndarray) -> None:
            self.blocks[part], gradient[part], _ = problem.normal(frames[part], u[part], prior[part], exact=True)

        for _ in problem.each(fill, np.arange(len(u))):
            pass
        lower, upper = problem.lower(frames), problem.upper(frames)
        self.held = ((u <= lower) & (gradient > 0)) | ((u >= upper) & (gradient < 0)) | (lower == upper)
        self.gradient = gradient

    def posterior(
        self, weight: np.ndarray, deviation: float, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "frames controls"], Float[np.ndarray, "draws frames controls"]]:
        """Its mean, and draws less the mean."""
        from scipy.linalg import cho_solve_banded, cholesky_banded, get_lapack_funcs

        mean, draws = self.u.copy(), np.zeros((DRAWS, *self.u.shape))
        moving = np.flatnonzero(~self.held.all(axis=0))
        if len(moving) == 0:
            return mean, draws
        smooth, held = self.inner[:, None] * weight, self.held[:, moving]
        bands = terms.smoothness_bands(len(self.u), smooth)
        matrix = banded(self.blocks, bands, self.held, np.full(len(self.u), 1e-9), moving)
        factor = cholesky_banded(matrix, lower=True, overwrite_ab=True, check_finite=False)
        gradient = (self.gradient + terms.smoothness_gradient(self.u, smooth))[:, moving]
        step = cho_solve_banded((factor, True), np.where(held, 0.0, -gradient).ravel(), check_finite=False)
        mean[:, moving] += step.reshape(held.shape)
        # Lᵀ·x = z with z from N(0, 1): x has the covariance (L·Lᵀ)⁻¹.
        z = rng.standard_normal((step.size, DRAWS))
        (solve_triangular,) = get_lapack_funcs(("tbtrs",), (factor,))
        drawn, _ = solve_triangular(factor, z, uplo="L", trans="T")
        draws[:, :, moving] = np.where(held, 0.0, drawn.T.reshape(DRAWS, *held.shape) * deviation)
        return mean, draws
