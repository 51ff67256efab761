import numpy as np
import pytest

from bunraku.core.reduced import observe
from bunraku.inversion import terms
from small_rigs import differences, linear_rig, odd_rig

RNG = np.random.default_rng(0)
U = RNG.normal(size=(6, 3))


def dense_second_difference(frames, weight):
    matrix = np.zeros((max(frames - 2, 0), frames))
    for t in range(frames - 2):
        matrix[t, t : t + 3] = weight * np.array([1.0, -2, 1])
    return matrix


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 9])
def test_smoothness_is_the_second_difference_and_its_bands_are_those_of_the_dense_matrix(frames):
    u, weight = RNG.normal(size=(frames, 3)), 0.7
    dense = dense_second_difference(frames, weight)
    residual = terms.smoothness(u, weight)
    np.testing.assert_allclose(residual, dense @ u, atol=1e-14)
    np.testing.assert_allclose(terms.smoothness_gradient(u, weight), dense.T @ dense @ u, atol=1e-14)
    bands, normal = terms.smoothness_bands(frames, weight), dense.T @ dense
    for apart in range(3):
        np.testing.assert_allclose(bands[apart, : max(frames - apart, 0)], np.diagonal(normal, apart), atol=1e-14)
        assert not bands[apart, max(frames - apart, 0) :].any()


def test_smoothness_gradient_is_half_the_derivative_of_the_cost():
    def cost(flat):
        return np.array([(terms.smoothness(flat.reshape(U.shape), 0.7) ** 2).sum()])

    slope = differences(cost, U.ravel())[:, 0].reshape(U.shape)
    np.testing.assert_allclose(2 * terms.smoothness_gradient(U, 0.7), slope, atol=1e-7)


def test_a_straight_line_is_smooth_and_a_kink_is_not():
    line = np.linspace(0, 1, 5)[:, None]
    np.testing.assert_allclose(terms.smoothness(line, 10.0), 0, atol=1e-14)
    assert terms.smoothness(np.array([[0.0], [0], [1]]), 2.0).tolist() == [[2.0]]


def test_neutral_is_a_scaled_identity():
    assert terms.neutral(np.array([[1.0, -2]]), 0.5).tolist() == [[0.5, -1.0]]


def test_sparsity_costs_the_absolute_value_down_to_a_thousandth():
    u = np.array([[1.0, -0.25, 1e-3, 1e-4, 0.0]])
    weighted = terms.sparsity_weight(u, 0.3)
    np.testing.assert_allclose((weighted * u) ** 2, 0.09 * np.array([[1, 0.25, 1e-3, 1e-5, 0]]), rtol=1e-12)
    assert np.isfinite(weighted).all()


def test_huber_weights_flatten_beyond_the_threshold():
    distance, threshold = np.array([[0.0, 1, 2, 8], [0.0, 1, 2, 8]]), np.array([[2.0], [0.5]])
    expected = [[1, 1, 1, 0.25], [1, 0.5, 0.25, 0.0625]]
    np.testing.assert_allclose(terms.huber_weight(distance, threshold), expected, rtol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [odd_rig, linear_rig])
def test_the_meshs_jacobian_is_the_difference_of_its_residual(make, weighted):
    rig = make()
    reduced, spec = rig.reduce(), rig.spec
    rng = np.random.default_rng(1)
    pose = np.clip(spec.neutral + 0.2 * rng.normal(size=(2, len(spec))), spec.lower, spec.upper)
    captured = rng.normal(size=(2, *rig.neutral.shape))
    weights = rng.random((2, len(rig.neutral))) * (rng.random((2, len(rig.neutral))) < 0.8) if weighted else None
    seen, scale = observe(reduced, captured, weights), 0.3
    rows = terms.mesh_jacobian(seen, np.arange(2), reduced.linearize(pose)[1]) * scale
    for frame in range(2):
        where = np.array([frame])
        slope = differences(lambda c, at=where: terms.mesh(seen, at, reduced.evaluate(c[None]), scale)[0], pose[frame])
        np.testing.assert_allclose(rows[frame], slope, atol=2e-6 * np.abs(slope).max())


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
