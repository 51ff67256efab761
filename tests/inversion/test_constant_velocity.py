"""The Gaussian between frames, against numbers worked out by hand and against the joint formula."""

import numpy as np

from bunraku.inversion.constant_velocity import Belief, corrected, nothing_known, predict


def joint(belief):
    return np.block([[belief.uu, belief.uv], [belief.uv.T, belief.vv]])


def test_a_prediction_moves_on_by_the_velocity_and_is_less_sure():
    one = np.ones((1, 1))
    before = Belief(np.array([0.5]), np.array([0.1]), 0.04 * one, 0.01 * one, 0.02 * one)
    after = predict(before, np.array([0.08]))
    np.testing.assert_allclose(after.u, [0.6])
    np.testing.assert_allclose(after.velocity, [0.1])
    # F P Fᵀ = [[.04 + 2·.01 + .02, .03], [.03, .02]], and .08·[[¼, ½], [½, 1]]
    np.testing.assert_allclose(joint(after), [[0.10, 0.07], [0.07, 0.10]])


def test_a_velocity_that_nothing_confirms_fades():
    before = Belief(np.zeros(1), np.ones(1), np.eye(1), np.zeros((1, 1)), np.eye(1))
    after = predict(before, np.zeros(1), keep=0.5)
    np.testing.assert_allclose([after.u[0], after.velocity[0], after.vv[0, 0]], [0.5, 0.5, 0.25])


def test_a_correction_is_that_of_a_kalman_filter():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    whole = root @ root.T
    before = Belief(rng.normal(size=3), rng.normal(size=3), whole[:3, :3], whole[:3, 3:], whole[3:, 3:])
    noise, seen = 0.3 * np.eye(3), rng.normal(size=3)
    gain = whole[:, :3] @ np.linalg.inv(whole[:3, :3] + noise)
    mean = np.concatenate([before.u, before.velocity]) + gain @ (seen - before.u)
    covariance = whole - gain @ whole[:3]
    after = corrected(before, mean[:3], covariance[:3, :3])
    np.testing.assert_allclose(after.velocity, mean[3:], atol=1e-10)
    np.testing.assert_allclose(joint(after), covariance, atol=1e-10)


def test_where_nothing_is_known_a_control_may_be_anywhere():
    fresh = nothing_known(np.array([0.2, 0.4]), 0.05)
    np.testing.assert_allclose(np.diagonal(joint(fresh)), [1, 1, 0.0025, 0.0025])
