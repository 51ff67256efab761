"""Colours for amounts."""

import numpy as np
import pytest

from bunraku.core.colours import MISSING, RAMP, round_top, shades


def test_amounts_run_along_the_ramp_and_stay_at_its_end():
    out = shades(np.array([0.0, 1.0, 2.0, 9.0, np.nan, -1.0]), 2.0)
    assert out[0].tolist() == RAMP[0].tolist()
    assert out[1].tolist() == RAMP[2].tolist()
    assert out[2].tolist() == out[3].tolist() == RAMP[-1].tolist()
    assert tuple(out[4]) == MISSING
    assert out[5].tolist() == RAMP[0].tolist()


def test_more_is_always_darker():
    lightness = shades(np.linspace(0, 1, 50), 1.0) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(("value", "top"), [(0.013, 0.02), (0.02, 0.02), (7.0, 10.0), (1.0, 1.0), (0.0, 1.0)])
def test_scales_end_with_a_round_number(value: float, top: float):
    assert round_top(value) == pytest.approx(top)
