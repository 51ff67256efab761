"""Keyed control curves as keys on nodes: the same mesh at every frame, with few keys."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.keys import keyed_curves, keys
from bunraku.rigs.skinned import bake
from bunraku.rigs.skinned_keys import keyed_spline, slopes
from small_rigs import odd_rig


def shot(rig, seed=0, start=0, frames=40, reach=1.0, interpolation="cubic"):
    """Three keys on every control, with corners, the components of a rotation at frames of their own too."""
    rng = np.random.default_rng(seed)
    own = []
    for column, unit in enumerate(rig.spec.units):
        at = start + np.array([0, 17, 39]) + (column % 2) * np.array([0, 2, 0])
        size = reach if unit == "rad" else 0.2
        values = rig.spec.neutral[column] + size * rng.normal(size=3)
        own.append(keys(at, values, 0.02 * rng.normal(size=3), 0.02 * rng.normal(size=3), interpolation))
    return keyed_curves(rig.spec.names, own, rig.spec.neutral, Fraction(24), start, frames)


def played(rig, animation):
    return bake(dataclasses.replace(rig, animations=(animation,)), animation.name, Fraction(24))[0].vertices


@pytest.mark.parametrize("reach", [0.5, 3.0])
def test_splines_on_nodes_make_the_mesh_of_the_keyed_curves(reach):
    rig = odd_rig()
    saved = shot(rig, reach=reach)
    animation = keyed_spline(rig, saved, "it")
    expected = rig.evaluate(saved.evaluate().ordered_as(rig.spec))
    np.testing.assert_allclose(played(rig, animation), expected, atol=2e-3 * np.abs(expected).max())
    count = {c.path: len(c.times_s) for c in animation.channels}
    assert {c.interpolation for c in animation.channels} == {"CUBICSPLINE"}
    assert count["translation"] <= 4, "translations need no more keys than the controls have"
    assert count["rotation"] < 40


def test_steps_stay_steps_and_mixtures_are_keyed_at_every_frame():
    rig = odd_rig()
    stepped = keyed_spline(rig, shot(rig, interpolation="step"), "it")
    assert {c.interpolation for c in stepped.channels} == {"STEP"}
    saved = shot(rig, interpolation="step")
    expected = rig.evaluate(saved.evaluate().ordered_as(rig.spec))
    np.testing.assert_allclose(played(rig, stepped), expected, atol=1e-9)
    own = list(saved.keys)
    own[1] = dataclasses.replace(own[1], interpolation=("cubic",) * 3)
    mixed = dataclasses.replace(saved, keys=tuple(own))
    ways = {(c.path, c.interpolation, len(c.times_s)) for c in keyed_spline(rig, mixed, "it").channels}
    assert any(way == "LINEAR" and count == 40 for _, way, count in ways)


def test_slopes_are_the_differences_of_the_curve_on_both_sides():
    own = keys([2, 6, 7], [0, 1, -1], [0, 0.5, 0.1], [0.3, -0.2, 0])
    at = np.array([1.0, 2, 3.5, 6, 6.5, 7, 9])
    before, after = slopes(own, at)
    h = 1e-6
    np.testing.assert_allclose(before, (own.evaluate(at) - own.evaluate(at - h)) / h, atol=1e-5)
    np.testing.assert_allclose(after, (own.evaluate(at + h) - own.evaluate(at)) / h, atol=1e-5)
