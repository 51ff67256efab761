from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.sample_times import frames_of


@pytest.mark.parametrize(
    "rate", [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(120)]
)
def test_rates_and_frame_numbers_are_exact_for_late_shots_too(rate):
    numbers = np.arange(100_001, 100_101)
    found, frames = frames_of(numbers / float(rate), "it")
    assert found == rate
    np.testing.assert_array_equal(frames, numbers)


def test_gaps_leave_numbers_out():
    rate, frames = frames_of(np.array([1, 2, 5, 6]) / 25, "it")
    assert rate == 25
    np.testing.assert_array_equal(frames, [1, 2, 5, 6])


@pytest.mark.parametrize(
    ("times", "says"), [([0, 0.1, 0.1], "grow"), ([0, 1, 2.4], "grid"), ([0, 1, 1e5], "empty"), ([0, np.nan], "grow")]
)
def test_times_that_fit_no_rate_are_refused(times, says):
    with pytest.raises(BunrakuError, match=says):
        frames_of(np.array(times, float), "it")
