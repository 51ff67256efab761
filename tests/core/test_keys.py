from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.keys import hermite, hermite_weights, keyed_curves, keys


def test_a_segment_by_hand():
    own = keys([0, 2], [0.0, 1.0], slope_in=[0, 0], slope_out=[1, 0])
    # s = ½, h = 2: ½·0 + 2·(⅛ − ½ + ½)·1 + ½·1 + 0 = 0.75
    np.testing.assert_allclose(own.evaluate(np.array([0.0, 1.0, 2.0])), [0, 0.75, 1])


def test_any_cubic_is_one_segment():
    at = np.arange(7.0)

    def cubic(t):
        return 0.3 * t**3 - 2 * t**2 + t - 5

    def slope(t):
        return 0.9 * t**2 - 4 * t + 1

    ends = np.array([0.0, 6.0])
    own = keys(ends, cubic(ends), slope(ends), slope(ends))
    np.testing.assert_allclose(own.evaluate(at), cubic(at), atol=1e-12)


def test_curves_hold_outside_their_keys_and_steps_hold_between():
    own = keys([2, 4, 6], [1.0, 5.0, 9.0], interpolation=["step", "step", "cubic"])
    np.testing.assert_array_equal(own.evaluate(np.arange(9.0)), [1, 1, 1, 1, 5, 5, 9, 9, 9])


def test_a_hold_is_exact():
    value = np.array([[0.1], [0.1]])
    flat = np.zeros((2, 1))
    found = hermite(np.array([0.0, 7.0]), value, flat, flat, np.arange(8.0))
    assert (found == 0.1).all()


def test_weights_of_values_sum_to_one():
    weights = hermite_weights(np.linspace(0, 1, 11), np.full(11, 3.0))
    np.testing.assert_allclose(weights[:, 0] + weights[:, 2], 1)


def test_a_control_without_keys_rests_at_neutral():
    shot = keyed_curves(
        ["a", "b"], [keys([10, 12], [0.0, 2.0], 1.0, 1.0), keys([], [])], [0.0, 0.6], Fraction(24), 10, 3
    )
    found = shot.evaluate()
    assert (shot.count, found.start_frame, found.fps) == (2, 10, 24)
    np.testing.assert_allclose(found.values, [[0, 0.6], [1, 0.6], [2, 0.6]])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (([0, 0], [1, 2]), "the key at frame 0 follows one at frame 0"),
        (([0, 1], [1]), "values have shape \\(1,\\); expected one for each of 2 keys"),
        (([0, 1], [1, np.nan]), "not finite"),
        (([0], [1], 0.0, 0.0, "bezier"), "no interpolation 'bezier'; there are: cubic, step"),
        (([0], [1], 0.0, 0.0, ["cubic", "step"]), "2 interpolations for 1 keys"),
    ],
)
def test_keys_that_cannot_be_are_refused_by_name(given, complaint):
    with pytest.raises(BunrakuError, match=f"jaw: .*{complaint}"):
        keys(*given, name="jaw")


@pytest.mark.parametrize(
    ("names", "neutral", "frames", "complaint"),
    [
        (["a", "a"], [0.0, 0], 3, "named twice"),
        (["a", "b"], [0.0], 3, "keys of 2 and neutral values of 1 for 2 controls"),
        (["a", "b"], [0.0, np.inf], 3, "the neutral of 'b' is not finite"),
        (["a", "b"], [0.0, 0], 0, "has 0 frames"),
    ],
)
def test_shots_that_cannot_be_are_refused(names, neutral, frames, complaint):
    with pytest.raises(BunrakuError, match=complaint):
        keyed_curves(names, [keys([0], [1.0])] * 2, neutral, 24, 0, frames)
