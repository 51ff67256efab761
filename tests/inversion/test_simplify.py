from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.inversion.simplify import SimplifyConfig, simplify, tolerance_length
from small_rigs import BlackBox, Linear, limbed_rig

FRAMES = 48
NAMES = ("move", "hold", "rest", "still", "switch", "bump")


def rig():
    """Each control shifts a vertex of its own along x, by its value; the box of the neutral has a diagonal of 5."""
    neutral = np.zeros((6, 3))
    neutral[5] = [3, 4, 0]
    shapes = np.zeros((6, 6, 3))
    shapes[np.arange(6), np.arange(6), 0] = 1.0
    return Linear(control_spec(NAMES, -4.0, 4.0, 0.0), neutral, shapes)


def ease(t):
    s = np.clip(t, 0, 1)
    return 3 * s**2 - 2 * s**3


def shot():
    t = np.arange(FRAMES)
    values = np.zeros((FRAMES, 6))
    values[:, 0] = np.sin(t / 6)
    values[:, 1] = ease((t - 15) / 12)  # holds to 15, eases to 27, holds
    values[:, 3] = 0.7
    values[:, 4] = (t >= 20) * 3.0 - (t >= 31)
    values[:, 5] = np.where(abs(t - 24) < 12, np.cos(np.pi * (t - 24) / 24) ** 2, 0)
    return curves(NAMES, values, 24, start_frame=100)


@pytest.fixture(scope="module")
def found():
    return simplify(rig(), shot(), SimplifyConfig("0.01"))


def own(found, name):
    return found.keys.keys[NAMES.index(name)]


def test_rests_holds_and_switches_have_the_keys_that_an_artist_would_set(found):
    assert len(own(found, "rest")) == 0
    assert (own(found, "still").frames.tolist(), own(found, "still").values.tolist()) == ([100], [0.7])
    switch = own(found, "switch")
    assert (switch.frames.tolist(), switch.values.tolist()) == ([100, 120, 131], [0, 3, 2])
    assert set(switch.interpolation) == {"step"}
    hold = own(found, "hold")
    assert hold.frames.tolist() == [100, 115, 127, 147]
    np.testing.assert_allclose(hold.values, [0, 0, 1, 1], atol=1e-3)
    assert (hold.slope_in == 0).all()
    assert (hold.slope_out == 0).all()
    assert hold.values[0] == hold.values[1]


def test_the_mesh_stays_within_the_tolerance_as_measured_from_the_keys_themselves(found):
    read_back = found.keys.evaluate()
    assert (read_back.start_frame, read_back.frames, read_back.fps) == (100, FRAMES, 24)
    moved = np.linalg.norm(rig().evaluate(read_back.values) - rig().evaluate(shot().values), axis=2)
    np.testing.assert_allclose(found.frame_error, moved.max(axis=1))
    assert moved.max() <= 0.01
    assert found.metrics.number("max_mesh_error") == pytest.approx(moved.max())
    assert found.metrics.number("mean_mesh_error") == pytest.approx(moved.mean())


def test_the_report_counts_keys(found):
    values = found.metrics.values
    assert (values["moving_controls"], values["keys_before"]) == (4, 4 * FRAMES)
    assert (values["keys_after"], values["resting_keys"]) == (found.keys.count - 1, 1)  # "still" rests
    assert sum(values["keys_per_control"].values()) == found.keys.count
    assert values["reduction"] == pytest.approx(4 * FRAMES / (found.keys.count - 1))
    assert values["keys_per_second"] == pytest.approx(found.keys.count / 2)
    assert values["reduction"] > 6


def test_a_smaller_tolerance_takes_more_keys_and_is_met():
    counts = []
    for tolerance in ("2%", "0.2%", "0.002%"):
        simpler = simplify(rig(), shot(), SimplifyConfig(tolerance))
        assert simpler.frame_error.max() <= tolerance_length(tolerance, rig())
        counts.append(simpler.keys.count)
    assert counts[0] < counts[1] < counts[2]


def test_a_control_that_moves_the_mesh_less_needs_fewer_keys():
    faint = rig()
    faint.shapes[0] *= 0.01
    simpler = simplify(faint, shot(), SimplifyConfig("0.01"))
    full = simplify(rig(), shot(), SimplifyConfig("0.01"))
    assert simpler.metrics.values["keys_per_control"]["move"] < full.metrics.values["keys_per_control"]["move"]


def turning(frames=40, seed=3):
    """A limbed character on a curved motion."""
    limbed = limbed_rig()
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / frames
    size = np.where(np.array(limbed.spec.units) == "rad", 0.4, 0.1)
    waves = np.sin(2 * np.pi * (rng.uniform(0.4, 1.5, len(limbed.spec)) * t + rng.random(len(limbed.spec))))
    return limbed, curves(limbed.spec.names, np.clip(size * waves, limbed.spec.lower, limbed.spec.upper))


def test_rotations_are_keyed_together_and_bounds_hold():
    limbed, solved = turning()
    simpler = simplify(limbed, solved)
    for triple in limbed.spec.rotations:
        first, second, third = (simpler.keys.keys[column].frames.tolist() for column in triple)
        assert first == second == third
    values = simpler.keys.evaluate().values
    assert (values >= limbed.spec.lower - 1e-12).all()
    assert (values <= limbed.spec.upper + 1e-12).all()
    assert simpler.metrics.number("max_mesh_error") <= simpler.metrics.number("tolerance")
    assert simpler.metrics.number("reduction") > 3


def test_a_rig_without_derivatives_is_asked_for_differences():
    limbed, solved = turning(12)
    box = BlackBox(limbed)
    simpler = simplify(box, solved, SimplifyConfig("1%"))
    assert simpler.metrics.number("max_mesh_error") <= simpler.metrics.number("tolerance")
    asked = simpler.metrics.number("rig_evaluations")
    assert asked == box.asked


def test_a_cut_does_not_ring():
    t = np.arange(FRAMES)
    values = np.zeros((FRAMES, 6))
    values[:, 0] = np.sin(t / 9) + 3 * (t >= 24)
    simpler = simplify(rig(), curves(NAMES, values), SimplifyConfig("0.01"))
    assert {23, 24} <= set(own(simpler, "move").frames.tolist())
    assert simpler.frame_error.max() <= 0.01
    assert len(own(simpler, "move")) <= 10


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_shots_have_keys_too(frames):
    solved = shot()
    short = replace(solved, values=solved.values[24 : 24 + frames])
    assert simplify(rig(), short, SimplifyConfig("1e-6")).frame_error.max() <= 1e-6


def test_a_rig_without_a_mesh_at_some_pose_is_told_where():
    broken = rig()
    broken.shapes[0, 0, 1] = np.nan
    with pytest.raises(BunrakuError, match="positions that are not finite in row 0"):
        simplify(broken, shot())


@pytest.mark.parametrize("tolerance", ["0", "-1%", "much", "nan", "%"])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(BunrakuError, match=r"expected a length such as 0\.5 or a share such as 0\.1%"):
        simplify(rig(), shot(), SimplifyConfig(tolerance))


def test_a_share_is_of_the_diagonal():
    assert tolerance_length("0.1%", rig()) == pytest.approx(0.005)
    assert tolerance_length(" 0.25 ", rig()) == 0.25
