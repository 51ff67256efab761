"""Rigs narrowed to some of their controls."""

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import DifferentiableRig, Restricted, Rig, diagonal, hold, restrict

WEIGHTS = np.random.default_rng(0).normal(size=(4, 5, 3))  # controls × vertices × 3


class Quadratic:
    """Mesh = Σ c_i² W_i; control "d" is driven."""

    spec = control_spec("abcd", -1.0, 1.0, [0.1, 0.2, 0.3, 0.4], driven=[False, False, False, True])
    faces = np.zeros((0, 3), np.int32)

    @property
    def neutral(self):
        return self.evaluate(self.spec.neutral[None])[0]

    def evaluate(self, controls):
        return np.einsum("nc,cvx->nvx", controls**2, WEIGHTS)


class Smooth(Quadratic):
    def jvp(self, controls, tangents):
        return np.einsum("nc,cvx->nvx", 2 * controls * tangents, WEIGHTS)

    def vjp(self, controls, cotangents):
        return 2 * controls * np.einsum("nvx,cvx->nc", cotangents, WEIGHTS)

    def reduce(self):
        raise NotImplementedError


def test_what_is_left_out_stays_at_neutral():
    rig = restrict(Quadratic(), ("c", "a"))
    assert rig.spec.names == ("a", "c")
    np.testing.assert_array_equal(rig.spec.neutral, [0.1, 0.3])
    np.testing.assert_array_equal(rig.neutral, Quadratic().neutral)
    expected = Quadratic().evaluate(np.array([[0.5, 0.2, -0.5, 0.4]]))
    np.testing.assert_array_equal(rig.evaluate(np.array([[0.5, -0.5]])), expected)


def test_what_is_held_stays_at_its_value_and_shifts_the_neutral():
    rig = hold(Smooth(), {"b": -0.5, "d": 0.9})
    assert rig.spec.names == ("a", "c")
    np.testing.assert_allclose(
        rig.evaluate(np.array([[0.7, 0.6]])), Smooth().evaluate(np.array([[0.7, -0.5, 0.6, 0.9]]))
    )
    np.testing.assert_allclose(rig.neutral, Smooth().evaluate(np.array([[0.1, -0.5, 0.3, 0.9]]))[0])
    twice = hold(restrict(Smooth(), ("a", "b")), {"a": 1.0})
    np.testing.assert_allclose(twice.evaluate(np.array([[0.7]])), Smooth().evaluate(np.array([[1.0, 0.7, 0.3, 0.4]])))


def test_what_cannot_be_held_is_refused_by_name():
    with pytest.raises(BunrakuError, match=r"control 'b' is held at 2, outside of its bounds \[-1, 1\]"):
        hold(Quadratic(), {"b": 2.0})
    with pytest.raises(BunrakuError, match="no control 'e'"):
        hold(Quadratic(), {"e": 0.0})
    with pytest.raises(BunrakuError, match="all 4 controls are held"):
        hold(Quadratic(), dict.fromkeys("abcd", 0.0))


def test_driven_controls_are_never_free():
    assert restrict(Quadratic(), ()).spec.names == ("a", "b", "c")
    assert restrict(Quadratic(), ("*",)).spec.names == ("a", "b", "c")
    with pytest.raises(BunrakuError, match="controls d: the rig itself drives all of them"):
        restrict(Quadratic(), ("d",))


def test_a_rig_whose_controls_all_move_is_not_wrapped():
    inner = restrict(Quadratic(), ())
    assert restrict(inner, ()) is inner
    assert restrict(inner, ("a", "b", "c")) is inner


def test_a_rig_without_derivatives_does_not_pretend_to_have_them():
    plain = restrict(Quadratic(), ("a",))
    assert type(plain) is Restricted
    assert isinstance(plain, Rig)
    assert not isinstance(plain, DifferentiableRig)


def test_the_derivatives_of_a_part_are_those_of_the_part():
    rig = restrict(Smooth(), ("b", "c"))
    assert isinstance(rig, DifferentiableRig)
    rng = np.random.default_rng(1)
    at, tangent, cotangent = rng.uniform(-1, 1, (3, 2)), rng.normal(size=(3, 2)), rng.normal(size=(3, 5, 3))
    h = 1e-6
    slope = (rig.evaluate(at + h * tangent) - rig.evaluate(at - h * tangent)) / (2 * h)
    np.testing.assert_allclose(rig.jvp(at, tangent), slope, atol=1e-8)
    for pose in range(3):
        forward = np.sum(rig.jvp(at, tangent)[pose] * cotangent[pose])
        np.testing.assert_allclose(np.dot(rig.vjp(at, cotangent)[pose], tangent[pose]), forward, rtol=1e-12)


def test_the_diagonal_is_that_of_the_bounding_box():
    assert diagonal(np.array([[0, 0, 0], [1.0, 2, 0], [0.5, 1, 2]])) == 3.0
