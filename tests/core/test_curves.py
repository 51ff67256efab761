"""Curves: checks at the door, and their place in a rig's control vector."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError


def test_curves_take_their_rigs_order_and_leave_the_rest_at_neutral():
    spec = control_spec(["a", "b", "c"], -1, 1, [0.1, 0.2, 0.3])
    made = curves(["c", "a"], np.array([[1.0, 0.5], [0.9, 0.4]]))
    np.testing.assert_array_equal(made.ordered_as(spec), [[0.5, 0.2, 1.0], [0.4, 0.2, 0.9]])


def test_a_curve_that_the_rig_has_no_control_for_is_named():
    with pytest.raises(BunrakuError, match=r"no control 'z'; this rig has: a"):
        curves(["z"], np.zeros((1, 1))).ordered_as(control_spec(["a"]))


def test_one_curve_by_name():
    made = curves(["a", "b"], np.array([[1, 2], [3, 4]]))
    assert made.of("b").tolist() == [2, 4]
    assert (made.frames, made.values.dtype) == (2, np.float64)
    with pytest.raises(BunrakuError, match="no curve 'c'; there are: a, b"):
        made.of("c")


def test_an_ntsc_rate_is_exact():
    assert curves(["a"], np.zeros((1, 1)), 29.97).fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (["a"], np.zeros((3, 2)), r"shape \(3, 2\); expected \(frames, 1\)"),
        (["a"], np.zeros(3), r"shape \(3,\)"),
        (["a"], np.zeros((0, 1)), "no frames"),
        (["a", "a"], np.zeros((1, 2)), "named twice"),
        (["a", "b"], np.array([[0, 0], [0, np.nan]]), "'b' is not finite at row 1"),
    ],
)
def test_bad_curves_are_refused(names, values, message):
    with pytest.raises(BunrakuError, match=f"shot.csv: .*{message}"):
        curves(names, values, name="shot.csv")
