import numpy as np
import pytest

from bunraku.core.reduced import observe
from bunraku.inversion import terms
from small_rigs import differences, linear_rig

RNG = np.random.default_rng(0)
U = RNG.normal(size=(6, 3))
SEVEN_TENTHS = np.full((1, 3), 0.7)


def dense_second_difference(frames, weight):
    matrix = np.zeros((max(frames - 2, 0), frames))
    for t in range(frames - 2):
        matrix[t, t : t + 3] = weight * np.array([1.0, -2, 1])
    return matrix


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 9])
def test_smoothness_is_the_second_difference_and_its_bands_are_those_of_the_dense_matrix(frames):
    u, weight = RNG.normal(size=(frames, 3)), np.array([[0.7, 2.0, 0.0]])
    dense = dense_second_difference(frames, 1.0)
    residual = terms.smoothness(u, weight)
    np.testing.assert_allclose(residual, weight * (dense @ u), atol=1e-14)
    np.testing.assert_allclose(terms.smoothness_gradient(u, weight), weight**2 * (dense.T @ dense @ u), atol=1e-14)
    bands, normal = terms.smoothness_bands(frames, weight), dense.T @ dense
    for apart in range(3):
        wanted = np.diagonal(normal, apart)[:, None] * weight**2
        np.testing.assert_allclose(bands[apart, : max(frames - apart, 0)], wanted, atol=1e-14)
        assert not bands[apart, max(frames - apart, 0) :].any()


def test_a_cut_takes_the_second_differences_that_reach_across_it():
    u, weight = RNG.normal(size=(7, 2)), np.repeat([[1.0], [1], [0], [0], [1]], 2, axis=1)
    # Frames 0 to 3 and 4 to 6: rows of frames (2, 3, 4) and (3, 4, 5) are gone.
    dense = dense_second_difference(7, 1.0)[[0, 1, 4]]
    np.testing.assert_allclose(terms.smoothness_gradient(u, weight), dense.T @ dense @ u, atol=1e-14)
    bands = terms.smoothness_bands(7, weight)
    for apart in range(3):
        np.testing.assert_allclose(bands[apart, : 7 - apart, 0], np.diagonal(dense.T @ dense, apart), atol=1e-14)


def test_smoothness_gradient_is_half_the_derivative_of_the_cost():
    def cost(flat):
        return np.array([(terms.smoothness(flat.reshape(U.shape), SEVEN_TENTHS) ** 2).sum()])

    slope = differences(cost, U.ravel())[:, 0].reshape(U.shape)
    np.testing.assert_allclose(2 * terms.smoothness_gradient(U, SEVEN_TENTHS), slope, atol=1e-7)


def test_a_straight_line_is_smooth_and_a_kink_is_not():
    line = np.linspace(0, 1, 5)[:, None]
    np.testing.assert_allclose(terms.smoothness(line, np.array([[10.0]])), 0, atol=1e-14)
    assert terms.smoothness(np.array([[0.0], [0], [1]]), np.array([[2.0]])).tolist() == [[2.0]]


def test_neutral_is_a_scaled_identity():
    assert terms.neutral(np.array([[1.0, -2]]), 0.5).tolist() == [[0.5, -1.0]]


def test_sparsity_costs_the_absolute_value_down_to_a_thousandth():
    u = np.array([[1.0, -0.25, 1e-3, 1e-4, 0.0]])
    weighted = terms.sparsity_weight(u, 0.3)
    np.testing.assert_allclose((weighted * u) ** 2, 0.09 * np.array([[1, 0.25, 1e-3, 1e-5, 0]]), rtol=1e-12)
    assert np.isfinite(weighted).all()


def test_losses_let_what_is_far_off_say_less():
    distance2 = np.array([0.0, 1, 4, 64])
    # ψ(d)/d: 1 up to 2, then 2/d; (c²/(c² + d²))² with c = 2
    np.testing.assert_allclose(terms.huber(distance2, 4.0), [1, 1, 1, 0.25])
    np.testing.assert_allclose(terms.geman_mcclure(distance2, 4.0), [1, 0.64, 0.25, (4 / 68) ** 2])


def test_a_control_that_only_moves_what_is_missing_has_a_row_of_exact_zeros():
    rig = linear_rig(controls=3, vertices=6)
    shapes = np.array(rig.shapes)
    shapes[1, 2:] = 0  # control 1 moves vertices 0 and 1 alone
    rig = type(rig)(rig.spec, rig.neutral, shapes)
    weights = np.array([[0.0, 0, 1, 1, 1, 1], [1.0, 0, 1, 1, 1, 1]])
    seen = observe(rig.reduce(), rig.neutral[None].repeat(2, axis=0), weights)
    rows = terms.mesh_jacobian(seen, np.arange(2), rig.reduce().linearize(np.zeros((2, 3)))[1])
    assert not rows[0, 1].any()
    assert rows[1, 1].any()
    assert rows[0, 0].any()
