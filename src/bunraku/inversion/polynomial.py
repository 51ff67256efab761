"""Sparse polynomials of controls: rigs are largely sums of shapes driven by products of a few controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from jaxtyping import Float, Int

_RIDGE = 1e-8
"""Share of the samples' squares that keeps the normal equations definite."""
_SELECTION_ROWS = 4000
_SELECTION_OUTPUTS = 64
_ROWS = 4096

Term = tuple[int, ...]
"""A monomial as the sorted controls whose product it is; a repeated control is a power."""


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Monomials of the controls; row lists of controls, filled up with the number of controls, which stands
    for 1."""

    terms: Int[np.ndarray, "terms degree"]
    controls: int

    def evaluate(self, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses terms"]:
        """The value of every monomial."""
        factors = np.concatenate([u, np.ones_like(u[:, :1])], axis=1)
        value = np.ones((len(u), len(self.terms)), u.dtype)
        for column in self.terms.T:
            value *= factors[:, column]
        return value

    def derivative(self, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses controls terms"]:
        """The derivative of every monomial (last axis) by every control."""
        factors = np.concatenate([u, np.ones_like(u[:, :1])], axis=1)
        out = np.zeros((len(u), self.controls + 1, len(self.terms)), u.dtype)
        rows = np.arange(len(self.terms))
        for position, column in enumerate(self.terms.T):
            # Product rule: one factor is left out at a time; a power is left out once per repetition.
            others = np.ones((len(u), len(self.terms)), u.dtype)
            for other, factor in enumerate(self.terms.T):
                if other != position:
                    others *= factors[:, factor]
            out[:, column, rows] += others
        return out[:, :-1]


def as_rows(terms: Sequence[Term], controls: int) -> Int[np.ndarray, "terms degree"]:
    """Terms as the rows that `Polynomial` takes."""
    degree = max((len(term) for term in terms), default=1)
    rows = [list(term) + [controls] * (degree - len(term)) for term in terms]
    return np.array(rows, np.int64).reshape(len(terms), degree)


def select_terms(
    u: Float[np.ndarray, "poses controls"],
    targets: Float[np.ndarray, "poses outputs"],
    counts: Float[np.ndarray, "poses"],
    most: int,
    degree: int,
    *,
    block: int = 24,
    dictionary: int = 6000,
) -> list[Term]:
    """Monomials of degree 2 and more that explain targets best beside 1 and the controls, most useful first.

    Blockwise orthogonal matching pursuit (Pati et al. 1993) with a shared support for all outputs. The
    candidates are all monomials up to the highest total degree of which there are at most `dictionary`;
    higher ones become candidates when at least two of the terms one degree below them (or the only one) are
    chosen. It stops at `most` terms or when no candidate explains 1e-8 of the squares that the controls
    leave.
    """
    pursuit = _Pursuit(u, targets, counts, degree)
    controls = u.shape[1]
    full = max((d for d in range(2, degree + 1) if comb(controls + d, d) <= dictionary), default=1)
    first = [t for d in range(2, full + 1) for t in combinations_with_replacement(range(controls), d)]
    if full == 1:
        first = _busiest_pairs(u, dictionary)
    pursuit.offer(first)
    while len(pursuit.chosen) < most and pursuit.take(min(block, most - len(pursuit.chosen))):
        pass
    return pursuit.chosen


def _busiest_pairs(u: np.ndarray, count: int) -> list[Term]:
    """Of too many pairs those whose product moves most over the samples."""
    energy = np.triu((u * u).T @ (u * u))
    best = np.argsort(-energy, axis=None)[:count]
    first, second = np.unravel_index(best, energy.shape)
    return [(int(i), int(j)) for i, j in zip(first, second, strict=True)]


class _Pursuit:
    """Candidates kept orthogonal to what was chosen; written over as the pursuit goes."""

    def __init__(self, u: np.ndarray, targets: np.ndarray, counts: np.ndarray, degree: int) -> None:
        self.u: np.ndarray = u.astype(np.float32)
        self.root: np.ndarray = np.sqrt(counts).astype(np.float32)
        self.degree = degree
        self.controls = u.shape[1]
        ones = np.ones((len(u), 1), np.float32)
        self.q: np.ndarray = np.linalg.qr(np.concatenate([ones, self.u], axis=1) * self.root[:, None])[0]
        residual = targets.astype(np.float32) * self.root[:, None]
        self.residual: np.ndarray = residual - self.q @ (self.q.T @ residual)
        self.floor = 1e-8 * float((self.residual**2).sum())
        self.chosen: list[Term] = []
        self.known: set[Term] = {(i,) for i in range(self.controls)}
        self.offered: set[Term] = set()
        self.candidates: list[Term] = []
        self.columns: np.ndarray = np.zeros((0, len(u)), np.float32)
        """One row per candidate, so that rows can be added and dropped without strides."""
        self.energy: np.ndarray = np.zeros(0, np.float32)

    def offer(self, terms: Sequence[Term]) -> None:
        """Add candidates, orthogonal to all that was chosen."""
        new = [term for term in terms if term not in self.offered]
        if not new:
            return
        self.offered.update(new)
        rows = Polynomial(as_rows(new, self.controls), self.controls).evaluate(self.u).T * self.root
        energy = (rows * rows).sum(axis=1)
        rows = rows - (rows @ self.q) @ self.q.T
        self.candidates += new
        self.columns = np.concatenate([self.columns, rows])
        self.energy = np.concatenate([self.energy, energy])

    def take(self, count: int) -> bool:
        """Choose the best candidates, at most `count`; False when none is worth it."""
        norm = np.einsum("ij,ij->i", self.columns, self.columns)
        # A candidate that the chosen ones nearly span has no direction left that float32 could trust.
        alive = norm > 1e-4 * self.energy
        gain = np.where(alive, ((self.columns @ self.residual) ** 2).sum(axis=1) / np.where(alive, norm, 1), 0)
        best = np.argsort(-gain, kind="stable")[:count]
        # Candidates resemble each other: those far below the best may be explained once it is taken.
        best = best[gain[best] > max(self.floor, 0.03 * float(gain.max(initial=0.0)))]
        if len(best) == 0:
            return False
        q = np.linalg.qr(self.columns[best].T)[0]
        self.residual -= q @ (q.T @ self.residual)
        self.q = np.concatenate([self.q, q], axis=1)
        new = [self.candidates[i] for i in best]
        self.chosen += new
        self.known.update(new)
        self._drop(best, gain, alive)
        self.columns -= (self.columns @ q) @ q.T
        self.offer(self._children(new))
        return True

    def _drop(self, best: np.ndarray, gain: np.ndarray, alive: np.ndarray) -> None:
        """Forget what was chosen or spanned, and of many candidates the half that explains least."""
        keep = alive.copy()
        keep[best] = False
        if keep.sum() > 2500:
            keep &= gain >= np.median(gain[keep])
        self.columns, self.energy = self.columns[keep], self.energy[keep]
        self.candidates = [term for term, kept in zip(self.candidates, keep, strict=True) if kept]

    def _children(self, terms: Sequence[Term]) -> list[Term]:
        found: dict[Term, None] = {}
        for term in terms:
            if len(term) < self.degree:
                found |= {tuple(sorted((*term, i))): None for i in range(self.controls)}
        return [child for child in found if self._has_parents(child)]

    def _has_parents(self, term: Term) -> bool:
        parents = {term[:i] + term[i + 1 :] for i in range(len(term))}
        return len(parents & self.known) >= min(2, len(parents))


@dataclass(frozen=True, eq=False)
class PolynomialFit:
    """z(u) = constant + S·u + P·φ(u)."""

    constant: Float[np.ndarray, "outputs"]
    skip: Float[np.ndarray, "outputs controls"]
    terms: Int[np.ndarray, "terms degree"]
    products: Float[np.ndarray, "outputs terms"]

    def __call__(self, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses outputs"]:
        """The outputs of every pose, computed in float64 and given in float32."""
        features = Polynomial(self.terms, u.shape[1])
        out = np.empty((len(u), len(self.constant)), np.float32)
        for start in range(0, len(u), _ROWS):
            part = u[start : start + _ROWS]
            linear = self.constant + part @ self.skip.T
            out[start : start + _ROWS] = linear + features.evaluate(part) @ self.products.T
        return out


def no_polynomial(controls: int, outputs: int) -> PolynomialFit:
    """The one that is 0."""
    zero = np.zeros((outputs, controls))
    return PolynomialFit(zero[:, 0], zero, np.zeros((0, 1), np.int64), np.zeros((outputs, 0)))


@dataclass(frozen=True, eq=False)
class Counted:
    """Poses to learn from, and how much the squares of each of them count."""

    u: Float[np.ndarray, "poses controls"]
    z: Float[np.ndarray, "poses outputs"]
    counts: Float[np.ndarray, "poses"]


def fit_polynomial(train: Counted, validation: Counted, most: int, degree: int, seed: int) -> PolynomialFit:
    """Linear part and selected products by least squares; of the products as many as validate best.

    Terms are selected on a part of the samples and on random mixtures of the outputs, which keep squared
    sizes (Johnson–Lindenstrauss); the coefficients come from all samples. Squares of a sample count `counts`-fold.
    """
    u, z = train.u, train.z
    rng = np.random.default_rng([seed, 3])
    controls, outputs = u.shape[1], z.shape[1]
    rows = np.sort(rng.choice(len(u), min(_SELECTION_ROWS, len(u)), replace=False))
    mixed = z[rows]
    if outputs > _SELECTION_OUTPUTS:
        mixed = mixed @ rng.standard_normal((outputs, _SELECTION_OUTPUTS)).astype(np.float32)
    most = min(most, max(0, len(u) // 2 - controls - 1))
    chosen = select_terms(u[rows], mixed, train.counts[rows], most, degree) if most else []
    features = Polynomial(as_rows([(), *((i,) for i in range(controls)), *chosen], controls), controls)
    gram, moment = _normal_equations(features, train)
    tried = features.evaluate(validation.u)
    best, best_error = np.zeros((1 + controls, outputs)), np.inf
    for share in (0.0, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0) if chosen else (0.0,):
        size = 1 + controls + round(share * len(chosen))
        weights = _solve(gram[:size, :size], moment[:size])
        error = float(validation.counts @ ((tried[:, :size] @ weights - validation.z) ** 2).sum(axis=1))
        if error < best_error:
            best, best_error = weights, error
    terms = as_rows(chosen[: len(best) - 1 - controls], controls)
    return PolynomialFit(best[0], best[1 : 1 + controls].T, terms, best[1 + controls :].T)


def _normal_equations(features: Polynomial, data: Counted) -> tuple[np.ndarray, np.ndarray]:
    size = len(features.terms)
    gram, moment = np.zeros((size, size)), np.zeros((size, data.z.shape[1]))
    for start in range(0, len(data.u), _ROWS):
        rows = slice(start, start + _ROWS)
        part = features.evaluate(data.u[rows])
        counted = part.T * data.counts[rows]
        gram += counted @ part
        moment += counted @ data.z[rows]
    return gram, moment


def _solve(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Ridge regression with every feature scaled to unit size; a feature that is always 0 gets weight 0."""
    size = np.sqrt(np.diag(gram))
    unit = np.where(size > 0, 1 / np.where(size > 0, size, 1), 0)
    scaled = gram * unit[:, None] * unit + _RIDGE * np.eye(len(gram))
    return np.linalg.solve(scaled, moment * unit[:, None]) * unit[:, None]
