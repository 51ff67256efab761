"""Control curves as Blender's: every rotation mode, and differences for layers."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.keys import keyed_curves, keys
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec, quat_multiply
from bunraku.rigs.blender_curves import (
    EULER,
    Channel,
    differences,
    every,
    fcurves,
    nearest,
    quats,
    running,
    unchanging,
    wanted,
)
from bunraku.rigs.blender_home import blender_rate

RIG = ("OBJECT", "Rig")
BASES = {"QUATERNION": (1.0, 0.0, 0.0, 0.0), "AXIS_ANGLE": (0.0, 0.0, 1.0, 0.0)}


def turning(mode: str, axes: str = "xyz") -> list[Channel]:
    base = BASES.get(mode, (0.0, 0.0, 0.0))
    return [Channel(f"arm.r{a}", RIG, "arm.turn", "xyz".index(a), mode, "arm", base) for a in axes]


def plain(control: str, path: str, index: int, base: float) -> Channel:
    return Channel(control, RIG, path, index, "", "arm", (base,))


def wave(frames: int = 60) -> np.ndarray:
    """A rotation that goes far, through zero and beyond half a turn."""
    t = np.linspace(0, 1, frames)
    return np.stack([4.5 * np.sin(2 * np.pi * t), 0.7 * t, -1.2 * np.sin(2 * np.pi * t + 0.4)], axis=1)


@pytest.mark.parametrize("mode", [*EULER, "QUATERNION", "AXIS_ANGLE"])
def test_a_rotation_is_the_same_in_every_mode(mode: str) -> None:
    r = wave()
    written = running(r, mode)
    assert geodesic_angle(quats(written, mode), quat_from_rotvec(r)).max() < 1e-7


def test_blenders_first_letter_turns_first() -> None:
    # x by a quarter turn, then z by a quarter turn, both in the space above: y goes to z and stays there.
    turned = quats(np.array([[np.pi / 2, 0.0, np.pi / 2]]), "XYZ")
    x, z = quat_from_rotvec(np.pi / 2 * np.eye(3)[[0, 2]])
    assert np.allclose(turned[0], quat_multiply(z, x))


@pytest.mark.parametrize("mode", ["XYZ", "ZXY", "QUATERNION"])
def test_curves_do_not_jump_where_the_motion_does_not(mode: str) -> None:
    t = np.linspace(0, 1, 200)
    r = np.stack([0.3 * t, 0 * t, 9 * t], axis=1)  # about an axis that is the middle one of neither order
    assert np.abs(np.diff(running(r, mode), axis=0)).max() < 0.06


def test_quaternions_stay_on_one_hemisphere_where_vectors_change_their_branch() -> None:
    r = np.array([[3.1, 0, 0], [3.1 - 2 * np.pi, 0, 0], [3.2, 0, 0]])
    written = running(r, "QUATERNION")
    assert ((written[1:] * written[:-1]).sum(axis=1) > 0).all()


def test_a_rotation_without_an_angle_keeps_the_axis_before() -> None:
    r = np.array([[0.4, 0, 0], [0.0, 0, 0], [-0.4, 0, 0]])
    assert np.allclose(running(r, "AXIS_ANGLE"), [[0.4, 1, 0, 0], [0, 1, 0, 0], [-0.4, 1, 0, 0]])


@pytest.mark.parametrize("mode", ["ZXY", "QUATERNION"])
def test_keys_between_which_a_rotation_strays_are_joined_by_others(mode: str) -> None:
    at = np.array([1.0, 20.0, 40.0, 60.0])
    own = [keys(at, [0, 1.4, -1.0, 0.3], slope, slope) for slope in ([0.1, 0, 0, 0.2], [0, 0.1, 0, 0], [0, 0, -0.1, 0])]
    shot = keyed_curves(["arm.rx", "arm.ry", "arm.rz"], own, np.zeros(3), 24, 1, 60)
    made = fcurves(turning(mode), shot, turn=1e-3)
    values = np.stack([curve.keys.evaluate(np.arange(1.0, 61.0)) for curve in made], axis=1)
    astray = geodesic_angle(quats(values, mode), quat_from_rotvec(shot.evaluate().values))
    assert astray.max() <= 1e-3
    assert 4 < len(made[0].keys) < 30


def test_slopes_at_a_key_are_those_of_the_motion() -> None:
    at = np.array([0.0, 10.0])
    own = [keys(at, [0.0, 1.0], 0.1, 0.1), keys(at, [0.2, 0.5], 0.03, 0.03), keys([], [])]
    shot = keyed_curves(["arm.rx", "arm.ry", "arm.rz"], own, np.zeros(3), 24, 0, 11)
    for mode in ("YZX", "QUATERNION"):
        made = fcurves(turning(mode), shot, turn=10.0)
        h = 1e-3
        near = np.stack([[k.evaluate(np.array([h]))[0] for k in own[:2]] + [0.0]])
        first = np.array([[curve.keys.values[0] for curve in made]])
        rate = (nearest(near, first, mode) - first)[0] / h
        assert np.allclose([curve.keys.slope_out[0] for curve in made], rate, atol=1e-3)


def test_only_what_has_keys_is_keyed() -> None:
    channels = [*turning("QUATERNION"), plain("arm.tx", "arm.location", 0, 0), plain("arm.ty", "arm.location", 1, 0)]
    names = [c.control for c in channels]
    own = [keys([], []), keys([], []), keys([], []), keys([], []), keys([3], [0.5])]
    made = fcurves(channels, keyed_curves(names, own, np.zeros(5), 24, 1, 8), turn=1e-3)
    assert [(curve.path, curve.index) for curve in made] == [("arm.location", 1)]


def test_keys_of_a_control_that_is_not_there_are_refused_by_name() -> None:
    shot = keyed_curves(["leg.tx"], [keys([1], [2.0])], np.zeros(1), 24, 1, 8)
    with pytest.raises(BunrakuError, match=r"leg\.tx"):
        fcurves(turning("XYZ"), shot, turn=1e-3)


def test_a_switch_stays_a_switch() -> None:
    shot = keyed_curves(["arm.on"], [keys([1, 5], [0, 1], interpolation="step")], np.zeros(1), 24, 1, 8)
    made = fcurves([plain("arm.on", '["on"]', 0, 0)], shot, turn=1e-3)
    assert made[0].keys.interpolation == ("step", "step")


@pytest.mark.parametrize("mode", ["ZXY", "QUATERNION", "AXIS_ANGLE"])
def test_a_layer_and_what_is_beneath_give_the_take(mode: str) -> None:
    channels = [*turning(mode), plain("arm.sx", "arm.scale", 0, 1), plain("arm.grow", '["grow"]', 0, 0.25)]
    names = [c.control for c in channels]
    r = wave(40)
    values = np.column_stack([r, np.linspace(0.5, 2, 40), np.linspace(0, 1, 40)])
    below_r = 0.4 * wave(40)[::-1]
    layered = wanted(channels, names, values, [0, 0, 0, 1, 0.25])
    # As `unchanging` lists them: plain properties first, rotations after them.
    beneath = np.column_stack([np.linspace(1, 3, 40), np.full(40, 0.75), running(below_r, mode)])
    curves = differences(layered, beneath, start=1)
    at = np.arange(1.0, 41.0)
    found = {(c.path, c.index): c.keys.evaluate(at) for c in curves}
    assert np.allclose(beneath[:, 0] * found["arm.scale", 0], values[:, 3])
    assert np.allclose(beneath[:, 1] + found['["grow"]', 0] - 0.25, values[:, 4])
    turns = np.stack([found["arm.turn", i] for i in range(len(BASES.get(mode, (0, 0, 0))))], axis=1)
    if mode == "QUATERNION":
        together = quat_multiply(beneath[:, 2:], turns)
    else:
        together = quats(beneath[:, 2:] + turns - np.array(BASES.get(mode, (0, 0, 0))), mode)
    assert geodesic_angle(together, quat_from_rotvec(r)).max() < 1e-7


def test_a_layer_that_changes_nothing_is_no_layer() -> None:
    channels = [*turning("QUATERNION"), plain("arm.tx", "arm.location", 0, 0)]
    values = np.column_stack([np.tile([0.1, 0.2, 0.3], (5, 1)), np.arange(5.0)])
    layered = wanted(channels, [c.control for c in channels], values, [0.0] * 4)
    assert len(unchanging(layered, 1)) == 5
    beneath = np.column_stack([values[:, 3] - 1, quat_from_rotvec(values[:, :3])])
    assert [(c.path, len(c.keys)) for c in differences(layered, beneath, 1)] == [("arm.location", 1)]


def test_a_scale_of_nothing_cannot_be_multiplied() -> None:
    channels = [plain("arm.sx", "arm.scale", 0, 1)]
    layered = wanted(channels, ["arm.sx"], np.ones((3, 1)), [1.0])
    with pytest.raises(BunrakuError, match=r"arm\.sx: its scale beneath is 0"):
        differences(layered, np.zeros((3, 1)), 1)


def test_a_curve_that_does_not_move_has_one_key() -> None:
    assert len(every(np.arange(5.0), np.full(5, 2.0))) == 1
    assert len(every(np.arange(5.0), np.arange(5.0))) == 5


def test_film_rates_are_a_whole_number_over_a_base() -> None:
    from fractions import Fraction

    assert blender_rate(Fraction(24000, 1001)) == (24, pytest.approx(1.001))
    assert blender_rate(Fraction(25)) == (25, 1.0)
    with pytest.raises(BunrakuError, match="40000"):
        blender_rate(Fraction(40000))
