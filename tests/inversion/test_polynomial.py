"""Sparse polynomials and their selection."""

import numpy as np
import pytest

from bunraku.inversion.polynomial import Counted, Polynomial, as_rows, fit_polynomial, select_terms


def test_monomials_are_what_the_hand_computes():
    features = Polynomial(as_rows([(), (0,), (0, 1), (1, 1, 1)], 2), 2)
    np.testing.assert_allclose(features.evaluate(np.array([[2.0, 3.0]])), [[1, 2, 6, 27]])


def test_derivatives_are_what_the_hand_computes():
    features = Polynomial(as_rows([(), (0,), (0, 1), (1, 1, 1)], 2), 2)
    # By u₀: 0, 1, u₁, 0; by u₁: 0, 0, u₀, 3u₁².
    np.testing.assert_allclose(features.derivative(np.array([[2.0, 3.0]])), [[[0, 1, 3, 0], [0, 0, 2, 27]]])


def test_derivatives_are_right_where_a_control_is_zero():
    features = Polynomial(as_rows([(0, 0), (0, 0, 1)], 2), 2)
    np.testing.assert_array_equal(features.derivative(np.zeros((1, 2))), np.zeros((1, 2, 2)))


def test_derivatives_match_finite_differences():
    rng = np.random.default_rng(0)
    terms = [tuple(sorted(rng.integers(4, size=rng.integers(1, 6)).tolist())) for _ in range(30)]
    features, u, step = Polynomial(as_rows(terms, 4), 4), rng.standard_normal((3, 4)), 1e-6
    moved = [(features.evaluate(u + step * e) - features.evaluate(u - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(features.derivative(u), np.stack(moved, axis=1), rtol=1e-6, atol=1e-7)


def test_the_products_that_made_the_data_are_found_first():
    rng = np.random.default_rng(1)
    u = rng.uniform(0, 1, (600, 12))
    z = u @ rng.standard_normal((12, 5))
    for term in ((0, 3), (2, 2), (4, 5, 6)):
        z += u[:, list(term)].prod(axis=1)[:, None] * rng.standard_normal(5)
    # One at a time: a triple resembles its pairs, so that they may come before it, but no stranger may.
    chosen = select_terms(u, z, np.ones(600), 40, 3, block=1)
    assert {(0, 3), (2, 2), (4, 5, 6)} <= set(chosen)
    assert chosen[0] in {(0, 3), (2, 2), (4, 5), (4, 6), (5, 6), (4, 5, 6)}


def test_high_degrees_are_reached_through_their_parents_where_the_dictionary_ends():
    rng = np.random.default_rng(2)
    u = rng.uniform(-1, 1, (2000, 30))
    z = (u[:, 0] * u[:, 1] + u[:, 1] * u[:, 2] + u[:, 0] * u[:, 2] + 2 * u[:, 0] * u[:, 1] * u[:, 2])[:, None]
    assert (0, 1, 2) in select_terms(u, z, np.ones(2000), 20, 3, dictionary=600)


def test_a_fit_of_a_polynomial_is_exact_and_a_control_that_never_moves_gets_no_weight():
    rng = np.random.default_rng(3)
    u = np.concatenate([rng.uniform(-1, 1, (500, 4)), np.zeros((500, 1))], axis=1)
    z = np.stack([1 + u[:, 0] - 2 * u[:, 1] * u[:, 2], u[:, 3] ** 3], axis=1)
    side = Counted(u, z, np.ones(500))
    fitted = fit_polynomial(side, side, 60, 3, seed=0)
    np.testing.assert_allclose(fitted(u), z, atol=1e-4)
    np.testing.assert_array_equal(fitted.skip[:, 4], 0)


def test_noise_is_not_explained_by_products():
    rng = np.random.default_rng(4)
    train, held = (
        Counted(u, u @ np.ones((6, 3)) + rng.standard_normal((len(u), 3)), np.ones(len(u)))
        for u in (rng.uniform(0, 1, (n, 6)) for n in (200, 200))
    )
    assert len(fit_polynomial(train, held, 90, 4, seed=0).terms) == 0


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_samples_that_count_nothing_do_not_matter(weight: float):
    rng = np.random.default_rng(5)
    u = rng.uniform(0, 1, (400, 3))
    z = u[:, :1].copy()
    z[:100] += 5
    counts = np.where(np.arange(400) < 100, weight, 1.0)
    side = Counted(u, z, counts)
    error = np.abs(fit_polynomial(side, side, 0, 1, seed=0)(u[100:]) - z[100:]).max()
    assert (error < 1e-5) == (weight == 0)
