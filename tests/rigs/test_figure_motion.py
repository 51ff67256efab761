from fractions import Fraction

import numpy as np
import pytest

from bunraku.rigs.figure import figure, figure_rig
from bunraku.rigs.figure_motion import WALK_S, WAVE_S
from bunraku.rigs.skinned import bake


@pytest.fixture(scope="module")
def animations():
    return {animation.name: animation for animation in figure()[1]}


def test_there_is_a_wave_of_linear_keys_and_a_walk_of_splines(animations):
    assert {c.interpolation for c in animations["wave"].channels} == {"LINEAR"}
    assert {c.interpolation for c in animations["walk"].channels if c.path != "morphs"} == {"CUBICSPLINE"}
    assert animations["wave"].duration_s == pytest.approx(WAVE_S)
    assert animations["walk"].duration_s == pytest.approx(WALK_S)


@pytest.mark.parametrize("name", ["wave", "walk"])
def test_keys_rise_at_uneven_distances_and_rotations_have_unit_length(animations, name):
    for channel in animations[name].channels:
        gaps = np.diff(channel.times_s)
        assert channel.times_s[0] == 0
        assert gaps.min() > 0
        assert gaps.max() > 1.2 * gaps.min()
        if channel.path == "rotation":
            value = channel.values[:, channel.values.shape[1] // 2]
            np.testing.assert_allclose(np.linalg.norm(value, axis=1), 1, atol=1e-12)


def test_tangents_of_the_walk_are_its_derivatives(animations):
    # Between keys, a Hermite curve with true tangents stays near the motion; straight lines would be off by 0.07.
    rig = figure_rig()
    values = bake(rig, "walk", Fraction(240))[1].of("left_thigh.rx")
    t = np.arange(len(values)) / 240
    np.testing.assert_allclose(values, -0.42 * np.sin(2 * np.pi / 1.1 * t) - 0.12, atol=4e-3)


def test_walking_carries_the_body_forward_with_a_foot_near_the_ground():
    rig = figure_rig()
    walked, true = bake(rig, "walk", Fraction(24))
    forward = walked.vertices[..., 2].mean(axis=1)
    assert 1.0 < forward[-1] - forward[0] < 1.6
    lowest = walked.vertices[..., 1].min(axis=1)
    assert np.abs(lowest).max() < 0.08
    assert np.abs(true.of("pelvis.tz")).max() > 1


def test_waving_brings_the_left_hand_above_the_shoulder():
    rig = figure_rig()
    waved, _ = bake(rig, "wave", Fraction(24))
    hand = rig.neutral[:, 0] > 0.5
    top = waved.vertices[:, hand, 1].mean(axis=1)
    assert top[0] < 1.0
    assert top.max() > 1.3
