"""Noise and agility, found out from made-up residuals and corrections."""

import numpy as np
import pytest

from bunraku.inversion.stream_learning import FIRST_NOISE, Agility, Noise


def test_noise_is_half_the_mean_squared_change():
    noise = Noise(parameters=1, frames=10)
    noise.learn(np.zeros((2, 3)))
    assert noise.variance == FIRST_NOISE**2
    noise.learn(np.ones((2, 3)))
    assert noise.variance == pytest.approx(0.5 * 6 / 5)  # six changes of 1, one of them fitted away


def test_what_stays_or_is_missing_or_forgotten_is_not_counted():
    noise = Noise(parameters=0, frames=10)
    constant, there = 7.0 * np.ones((2, 3)), np.array([[True], [False]])
    noise.learn(constant)
    noise.learn(constant)
    assert noise.variance == FIRST_NOISE**2
    noise.learn(np.where(there, constant + 2, np.nan))
    assert noise.variance == pytest.approx(2.0)
    noise.learn(constant + 3)
    noise.learn(constant + 103)
    assert noise.variance == pytest.approx(2.0)  # the median of 2, 1/2 and 5000
    noise.forget()
    noise.learn(100 * constant)
    assert noise.variance == pytest.approx(2.0)


def test_a_lagging_control_becomes_more_agile_and_a_trembling_one_less():
    agility = Agility(3, rate=0.5)
    before = agility.variance.copy()
    for sign in (1, -1) * 4:
        agility.learn(np.array([1.0, float(sign), 0.0]))
    grown = agility.variance / before
    assert grown[0] == pytest.approx(np.exp(0.5 * 7))
    assert grown[1] == pytest.approx(np.exp(-0.5 * 7))
    assert grown[2] == 1
    for _ in range(100):
        agility.learn(np.array([3.0, 3.0, 3.0]))
    assert agility.variance.max() == pytest.approx(0.01)


def test_a_startled_filter_becomes_faster_at_once():
    agility = Agility(1, rate=0.5)
    before = agility.variance.copy()
    agility.startled()
    np.testing.assert_allclose(agility.variance, 10 * before)
    for _ in range(20):
        agility.startled()
    np.testing.assert_allclose(agility.variance, 0.01)
