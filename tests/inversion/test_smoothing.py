import numpy as np
import pytest

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.reduced import observe
from bunraku.core.rig import diagonal
from bunraku.inversion import shot
from bunraku.inversion.guidance import Limits
from bunraku.inversion.problem import Priors, Problem
from bunraku.inversion.smoothing import inner_mask, smoothness
from bunraku.inversion.solve import SolveConfig, solve
from small_rigs import linear_rig


def curves_of(frames, deviation, seed=0):
    """Curves whose second differences are draws from N(0, deviation²), near 0 by their first values and slopes."""
    bend = deviation * np.random.default_rng(seed).normal(size=(frames, len(deviation)))
    curve = np.cumsum(np.cumsum(bend, axis=0), axis=0)
    t = np.linspace(0, 1, frames)[:, None]
    return curve - curve[:1] * (1 - t) - curve[-1:] * t


def problem_of(rig, mesh):
    reduced = rig.reduce()
    scale = 1 / (np.sqrt(len(rig.neutral)) * diagonal(rig.neutral))
    return Problem(reduced, observe(reduced, mesh), rig.spec, scale, Limits.of(rig.spec))


def test_the_smoothness_of_curves_is_found_in_their_noisy_mesh():
    rig = linear_rig(controls=3, vertices=30, lower=-50.0, upper=50.0)
    deviation = np.array([2e-5, 1e-4, 5e-4])
    true = curves_of(200, 100 * deviation)
    assert np.abs(true).max() < 50
    sigma = 0.02
    mesh = rig.evaluate(true) + sigma * np.random.default_rng(1).normal(size=(200, 30, 3))
    rough = solve(rig, mesh_sequence(mesh), SolveConfig(smooth=0.0, robust="none")).controls
    found = smoothness(problem_of(rig, mesh), rough / 100, Priors(), sigma, np.zeros(0, int))
    np.testing.assert_allclose(found.deviation, deviation, rtol=0.25)
    smooth = solve(rig, mesh_sequence(mesh), SolveConfig(sparse=0.0)).controls
    error, before = (np.sqrt(((c - true) ** 2).mean(axis=0)) for c in (smooth, rough))
    assert (error < 1.01 * before).all()
    assert error[0] < 0.7 * before[0]
    # What it says of its own error is true.
    np.testing.assert_allclose(100 * found.uncertainty, error, rtol=0.35)


def test_no_curve_is_smooth_across_a_cut():
    rig = linear_rig(controls=2, vertices=30, lower=-50.0, upper=50.0)
    t = np.arange(80)[:, None] / 20
    true = 8 * np.sin(t + np.arange(2))
    true[43:] = 25 - true[43:]
    mesh = rig.evaluate(true) + 0.1 * np.random.default_rng(1).normal(size=(80, 30, 3))
    found = solve(rig, mesh_sequence(mesh))
    assert found.cuts.tolist() == [43]
    assert np.abs(found.controls - true)[40:46].max() < 0.15
    assert inner_mask(7, np.array([4])).tolist() == [1, 1, 0, 0, 1]


def test_a_control_that_noise_alone_moves_is_exactly_neutral_and_one_that_passes_through_is_not_stopped():
    rig = linear_rig(controls=3, vertices=30)
    true = np.zeros((60, 3))
    true[:, 0] = 0.8 * np.sin(np.arange(60) / 6)
    mesh = rig.evaluate(true) + 0.05 * np.random.default_rng(1).normal(size=(60, 30, 3))
    found = solve(rig, mesh_sequence(mesh)).controls
    assert (found[:, 1:] == 0).mean() > 0.9
    crossing = np.abs(true[:, 0]) < 0.1
    assert (found[crossing, 0] != 0).all()
    assert np.abs(found[:, 0] - true[:, 0]).max() < 0.05


def test_a_long_shot_in_windows_is_the_shot_in_one(monkeypatch):
    rig = linear_rig(controls=3, vertices=12, lower=-9.0, upper=9.0)
    true = 3 * np.sin(np.arange(700)[:, None] / 15 + np.arange(3))
    mesh = rig.evaluate(true) + 0.3 * np.random.default_rng(1).normal(size=(700, 12, 3))
    cfg = SolveConfig(smooth=0.3, robust="none", sparse=0.0)
    whole = solve(rig, mesh_sequence(mesh), cfg).controls
    sizes = list[int]()
    inner = shot._solve_window
    monkeypatch.setattr(shot, "WINDOW_BYTES", 1)
    monkeypatch.setattr(shot, "_solve_window", lambda w, *more: sizes.append(len(w.frames)) or inner(w, *more))
    parts = solve(rig, mesh_sequence(mesh), cfg).controls
    assert len(sizes) > 2
    assert max(sizes) <= 4 * shot.AHEAD + 2
    np.testing.assert_allclose(parts, whole, atol=1e-6)


@pytest.mark.parametrize("at", [0, 11, 29])
def test_missing_frames_of_a_clean_shot_lie_on_the_smoothest_curves_and_the_others_do_not_move(at):
    rig = linear_rig(controls=2, vertices=8)
    true = 0.5 * np.sin(np.arange(30)[:, None] / 5 + np.arange(2))
    mesh = rig.evaluate(true)
    mesh[at] = np.nan
    found = solve(rig, mesh_sequence(mesh)).controls
    np.testing.assert_allclose(np.delete(found, at, axis=0), np.delete(true, at, axis=0), atol=1e-6)
    # Inside: the least sum of squared second differences, (−1, 4, 0, 4, −1)/6 of the neighbours.
    if at == 11:
        wanted = np.array([-1, 4, 4, -1]) @ true[[9, 10, 12, 13]] / 6
        np.testing.assert_allclose(found[at], wanted, atol=1e-5)
