from itertools import pairwise

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.inversion.refine import FiniteDifferences, RefineConfig, refine
from bunraku.inversion.solve import solve
from small_rigs import BlackBox, Linear, differences, limbed_rig, linear_rig, odd_rig


class Bent:
    """What a linear rig approximates: the same with a little curvature."""

    def __init__(self, linear, curvature=0.15):
        self.linear, self.curvature = linear, curvature
        self.spec, self.faces, self.neutral = linear.spec, linear.faces, linear.neutral

    def evaluate(self, controls):
        bent = controls + self.curvature * np.roll(controls, 1, axis=1) ** 2
        return self.linear.evaluate(bent)


def problem(frames=5, size=0.7):
    linear = linear_rig(controls=4, vertices=8)
    true = size * np.random.default_rng(1).uniform(-1, 1, (frames, 4))
    rig = BlackBox(Bent(linear))
    shot = mesh_sequence(rig.rig.evaluate(true))
    return linear, rig, shot, true, solve(linear, shot).controls


@pytest.mark.parametrize("budget", [1, 2, 3, 8])
def test_the_budget_is_spent_exactly(budget):
    linear, rig, shot, _, start = problem()
    found = refine(rig.evaluate, linear, shot, start, RefineConfig(budget))
    assert found.evaluations == rig.asked == 5 * budget


def test_no_budget_leaves_the_answer_and_asks_nothing():
    linear, rig, shot, _, start = problem()
    found = refine(rig.evaluate, linear, shot, start, RefineConfig(0))
    np.testing.assert_array_equal(found.controls, start)
    assert rig.asked == found.evaluations == 0


def test_more_evaluations_are_never_worse_and_ten_are_exact():
    linear, rig, shot, true, start = problem()
    errors = [refine(rig.evaluate, linear, shot, start, RefineConfig(n)).relative_rms for n in range(1, 11)]
    for fewer, more in pairwise(errors):
        assert (more <= fewer).all()
    assert errors[-1].max() < 1e-6 * errors[0].max()
    found = refine(rig.evaluate, linear, shot, start, RefineConfig(16))
    np.testing.assert_allclose(found.controls, true, atol=1e-8)


def test_the_error_is_that_of_the_true_rig():
    linear, rig, shot, _, start = problem()
    found = refine(rig.evaluate, linear, shot, start, RefineConfig(2))
    off = rig.rig.evaluate(found.controls) - shot.vertices
    expected = np.sqrt((off**2).sum(axis=2).mean(axis=1)) / diagonal(linear.neutral)
    np.testing.assert_allclose(found.relative_rms, expected, rtol=1e-9)


def test_bounds_hold_and_are_reached():
    linear, _, _, _, _ = problem()
    tight = Linear(control_spec(linear.spec.names, -0.3, 0.3), linear.neutral, linear.shapes)
    asked = []

    def evaluate(controls):
        asked.append(controls.copy())
        return Bent(tight).evaluate(controls)

    true = np.array([[0.6, 0.1, -0.5, 0.0]])
    shot = mesh_sequence(Bent(tight).evaluate(true))
    found = refine(evaluate, tight, shot, np.zeros((1, 4)), RefineConfig(12)).controls
    assert all((np.abs(each) <= 0.3).all() for each in asked)
    assert found[0, 0] == 0.3
    assert found[0, 2] == -0.3


def test_steps_are_those_of_broydens_method_by_hand():
    """One control, one vertex on a line: J is a number b, and Broyden's update is the secant."""
    spec = control_spec(["x"], -10.0, 10.0)
    neutral = np.array([[0.0, 0, 0], [1, 0, 0]])
    shape = np.array([[[1.0, 0, 0], [0, 0, 0]]])
    asked = []

    def evaluate(controls):
        asked.append(float(controls[0, 0]))
        mesh = np.repeat(neutral[None], len(controls), axis=0)
        mesh[:, 0, 0] = np.exp(controls[:, 0] / 2) - 1
        return mesh

    wanted = neutral[None].copy()
    wanted[0, 0, 0] = 1.0
    found = refine(evaluate, Linear(spec, neutral, shape), mesh_sequence(wanted), np.zeros((1, 1)), RefineConfig(5))

    def f(x):
        return np.exp(x / 2) - 2

    x, b, expected = 0.0, 1.0, [0.0]
    for _ in range(4):
        step = -f(x) / b
        b = (f(x + step) - f(x)) / step
        if abs(f(x + step)) < abs(f(x)):
            x += step
        expected.append(x)
    np.testing.assert_allclose(asked, expected, rtol=1e-4)  # damped by 1e-6 and less
    np.testing.assert_allclose(found.controls[0, 0], 2 * np.log(2), atol=2e-3)


def test_missing_vertices_do_not_count():
    linear, rig, shot, true, start = problem()
    mesh = shot.vertices.copy()
    mesh[2, :3] = np.nan
    found = refine(rig.evaluate, linear, mesh_sequence(mesh), start, RefineConfig(16))
    np.testing.assert_allclose(found.controls, true, atol=1e-6)


@pytest.mark.parametrize("make", [limbed_rig, odd_rig])
def test_finite_differences_are_the_rigs_own_derivatives(make):
    rig = make()
    asked = FiniteDifferences(rig)
    rng = np.random.default_rng(0)
    at = np.clip(rig.spec.neutral + 0.2 * rng.normal(size=(2, len(rig.spec))), rig.spec.lower, rig.spec.upper)
    tangents, cotangents = rng.normal(size=at.shape), rng.normal(size=(2, *rig.neutral.shape))
    size = np.abs(rig.jvp(at, tangents)).max()
    np.testing.assert_allclose(asked.jvp(at, tangents), rig.jvp(at, tangents), atol=1e-3 * size)
    expected = rig.vjp(at, cotangents)
    np.testing.assert_allclose(asked.vjp(at, cotangents), expected, atol=1e-4 * np.abs(expected).max())
    rows = asked.reduce().linearize(at)[1][0]
    slope = differences(lambda c: asked.reduce().evaluate(c[None])[0], at[0])
    np.testing.assert_allclose(rows, slope, atol=1e-4 * np.abs(slope).max())


def test_finite_differences_stay_within_the_bounds():
    seen = []

    class Watched(Linear):
        def evaluate(self, controls):
            seen.append(controls.copy())
            return Linear.evaluate(self, controls)

    plain = linear_rig(controls=3)
    watched = FiniteDifferences(Watched(plain.spec, plain.neutral, plain.shapes))
    at = np.array([[1.0, -1, 0.2], [-1, 1, 1]])
    rows = watched.reduce().linearize(at)[1]
    assert all((np.abs(each) <= 1).all() for each in seen)
    np.testing.assert_allclose(rows[0], plain.shapes.reshape(3, -1), atol=1e-8)


def test_finite_differences_ask_once_per_control_and_for_the_pose_itself():
    rig = BlackBox(linear_rig(controls=5))
    FiniteDifferences(rig).jacobian(np.zeros((3, 5)))
    assert rig.asked == 3 * (5 + 1)


def test_a_black_box_is_solved_by_finite_differences():
    rig = limbed_rig()
    true = np.clip(0.3 * np.random.default_rng(1).normal(size=(3, len(rig.spec))), rig.spec.lower, rig.spec.upper)
    found = solve(FiniteDifferences(BlackBox(rig)), mesh_sequence(rig.evaluate(true)))
    assert found.relative_rms.max() < 1e-8
    np.testing.assert_allclose(found.controls, true, atol=1e-6)


def test_a_pose_at_which_the_rig_fails_does_not_cost_the_others():
    linear, rig, shot, true, start = problem()

    def moody(controls):
        if len(controls) > 1 or np.allclose(controls, start[2]):
            raise ZeroDivisionError("this rig knows one pose at a time, and not the third")
        return rig.evaluate(controls)

    found = refine(moody, linear, shot, start, RefineConfig(10))
    others = [0, 1, 3, 4]
    np.testing.assert_allclose(found.controls[others], true[others], atol=1e-9)
    assert np.abs(found.controls[2] - true[2]).max() < np.abs(start[2] - true[2]).max()
