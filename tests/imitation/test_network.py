import numpy as np
import pytest

from bunraku.imitation.mirror import Reflection
from bunraku.imitation.network import Adam, Dense, Symmetric, orthogonal, size

ACTIVATIONS = ["relu", "elu", "silu", "tanh"]
SEEN = Reflection(np.array([1, 0, 2]), np.array([1.0, 1.0, -1.0]))
GIVEN = Reflection(np.array([1, 0]), np.array([-1.0, -1.0]))


def dense(activation="elu", widths=(3, 5, 4, 2)):
    return Dense(widths, activation, np.random.default_rng(2).normal(size=size(widths)))


def test_a_network_by_hand():
    # Weights row by row, then biases: a hidden layer 2 → 2, then 2 → 1.
    net = Dense((2, 2, 1), "relu", np.array([1.0, 2.0, -1.0, 0.5, 0.5, -9.0, 3.0, 7.0, 0.25]))
    # relu(1·1 + 2·1 + .5) = 3.5; relu(−1 + .5 − 9) = 0; 3·3.5 + .25
    np.testing.assert_allclose(net(np.array([[1.0, 1.0]])), [[10.75]])
    assert net.parameters.size == size((2, 2, 1)) == 9


def test_rows_in_blocks_are_as_rows_alone():
    net, x = dense(), np.random.default_rng(3).normal(size=(600, 3))
    np.testing.assert_allclose(net(x), np.concatenate([net(row[None]) for row in x]), rtol=1e-12)
    np.testing.assert_allclose(net.traced(x)[0], net(x), rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_gradients_are_those_of_the_outputs_by_differences(activation, mirrored):
    plain = dense(activation)
    net = Symmetric(plain, SEEN, GIVEN) if mirrored else plain
    x, along = np.random.default_rng(4).normal(size=(6, 3)), np.random.default_rng(5).normal(size=(6, 2))
    gradient = np.full(net.parameters.shape, np.nan)
    net.traced(x)[1](along, gradient)
    assert (abs(gradient) > 1e-3).mean() > 0.5
    for i, wanted in enumerate(gradient):
        sides = []
        for change in (1e-6, -1e-6):
            net.parameters[i] += change
            sides.append((along * net(x)).sum())
            net.parameters[i] -= change
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_a_start_has_orthogonal_weights_and_no_biases():
    widths = (6, 4, 3)
    (inner, offset), (outer, last) = Dense(widths, "elu", orthogonal(widths, 0.01, np.random.default_rng(0))).layers
    np.testing.assert_allclose(inner @ inner.T, 2 * np.eye(4), atol=1e-5)
    np.testing.assert_allclose(outer @ outer.T, 1e-4 * np.eye(3), atol=1e-9)
    assert not offset.any()
    assert not last.any()


def test_adams_first_steps_by_hand():
    parameters = np.array([1.0, 1.0, 1.0], np.float32)
    adam = Adam(parameters)
    # The first step goes by the rate against the gradient's sign, however long it is.
    adam.descend(np.array([4.0, -1e-3, 0.0], np.float32), 0.1)
    np.testing.assert_allclose(parameters, [0.9, 1.1, 1.0], atol=1e-5)
    # m̂ = (.9·.1·4 + .1·2)/(1 − .81), v̂ = (.999·.001·16 + .001·4)/(1 − .998001)
    adam.descend(np.array([2.0, 0.0, 0.0], np.float32), 0.1)
    assert parameters[0] == pytest.approx(0.9 - 0.1 * (0.56 / 0.19) / np.sqrt(0.019984 / 0.001999), rel=1e-5)


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    moments = []
    for greatest in (0.0, 1.0, 10.0):
        adam = Adam(np.zeros(2, np.float32))
        adam.descend(np.array([3.0, 4.0], np.float32), 0.1, greatest)
        moments.append(adam.moment)
    np.testing.assert_allclose(moments, [[0.3, 0.4], [0.06, 0.08], [0.3, 0.4]], rtol=1e-6)


def test_a_gradient_that_is_not_a_number_is_not_hidden_by_shortening_it():
    parameters = np.zeros(2, np.float32)
    Adam(parameters).descend(np.array([np.nan, 1.0], np.float32), 0.1, 1.0)
    assert np.isnan(parameters).any()
