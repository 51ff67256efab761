import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.guidance import Instructions, Limits, Pin, limits
from bunraku.inversion.invert import InvertConfig, invert
from bunraku.inversion.solve import SolveConfig, solve
from small_rigs import limbed_rig, linear_rig

SPEC = control_spec(["jaw", "brow.L", "brow.R"], [0, -1, -1], 1, [0, 0.1, 0])


def test_without_instructions_there_is_one_row_of_bounds():
    own = limits(SPEC, Instructions(), 5, 0)
    np.testing.assert_array_equal(own.lower, SPEC.lower[None])
    assert not own.decided.any()


def test_what_is_decided_is_bounds_of_its_frames():
    drive = curves(["brow.R"], np.array([[0.1], [0.2], [0.3]]), 24)
    own = limits(SPEC, Instructions(("brow.L",), {}, drive, [Pin(11, "jaw", 0.5)]), 3, 10)
    np.testing.assert_array_equal(own.lower, [[0, 0.1, 0.1], [0.5, 0.1, 0.2], [0, 0.1, 0.3]])
    np.testing.assert_array_equal(own.upper, [[1, 0.1, 0.1], [0.5, 0.1, 0.2], [1, 0.1, 0.3]])
    np.testing.assert_array_equal(own.at(np.array([1])).lower, [[0.5, 0.1, 0.2]])


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (Instructions(lock=("tongue",)), "no control 'tongue'"),
        (Instructions(freeze={"jaw": 1.5}), r"'jaw' is frozen at 1\.5, above its upper bound 1"),
        (Instructions(pins=[Pin(10, "jaw", -0.1)]), r"'jaw' is pinned in frame 10 at -0\.1, below its lower bound 0"),
        (Instructions(pins=[Pin(13, "jaw", 0.1)]), "'jaw' is pinned at frame 13; the shot has frames 10 to 12"),
        (Instructions(lock=("jaw",), freeze={"jaw": 0.3}), r"'jaw' is frozen at 0\.3 and locked at 0$"),
        (
            Instructions(freeze={"jaw": 0.3}, pins=[Pin(12, "jaw", 0.4)]),
            r"'jaw' is pinned in frame 12 at 0\.4 and frozen at 0\.3",
        ),
        (
            Instructions(pins=[Pin(12, "jaw", 0.4), Pin(12, "jaw", 0.5)]),
            r"'jaw' is pinned in frame 12 at 0\.5 and pinned in frame 12 at 0\.4",
        ),
        (Instructions(drive=curves(["jaw"], np.zeros((4, 1)), 24)), "driving curves have 4 frames, the shot 3"),
    ],
)
def test_instructions_that_cannot_be_followed_name_both_sides(instructions, message):
    with pytest.raises(BunrakuError, match=message):
        limits(SPEC, instructions, 3, 10)


def test_the_solver_keeps_to_what_is_decided_and_the_rest_follows():
    rig = linear_rig(controls=4, vertices=9)
    true = 0.4 * np.sin(np.arange(20)[:, None] / 3 + np.arange(4))
    decided = limits(rig.spec, Instructions(freeze={rig.spec.names[1]: 0.25}), 20, 0)
    # The others have the least squares answer with the frozen one's share taken off.
    cfg = SolveConfig(smooth=0.0, robust="none")
    found = solve(rig, mesh_sequence(rig.evaluate(true)), cfg, limits=decided).controls
    assert (found[:, 1] == 0.25).all()
    others = [0, 2, 3]
    system = rig.shapes.reshape(4, -1).T
    right = system @ true.T - system[:, [1]] * 0.25
    wanted = np.linalg.lstsq(system[:, others], right, rcond=None)[0].T
    inside = (np.abs(wanted) < 1).all(axis=1)
    assert inside.any()
    np.testing.assert_allclose(found[inside][:, others], wanted[inside], atol=1e-5)


@pytest.mark.parametrize("smooth", [0.0, 1e-2, "auto"])
def test_pins_are_met_exactly_whatever_the_capture_says(smooth):
    rig = limbed_rig()
    neutral = np.tile(rig.spec.neutral, (20, 1))
    name = next(n for n in rig.spec.names if n.startswith("arm"))
    mesh = rig.evaluate(neutral) + 1e-3 * np.random.default_rng(0).normal(size=(20, len(rig.neutral), 3))
    pins = Instructions(pins=[Pin(104, name, 0.3), Pin(110, name, -0.2)])
    take = invert(rig, mesh_sequence(mesh, start_frame=100), InvertConfig(smooth=smooth), instructions=pins)
    column = take.curves.names.index(name)
    assert take.curves.values[4, column] == 0.3
    assert take.curves.values[10, column] == -0.2
    assert np.abs(take.curves.values[17, column]) < 0.05


def test_narrowing_leaves_what_was_decided_before():
    own = Limits(np.array([[0.0, 0.5]]), np.array([[1.0, 0.5]]))
    both = own.narrowed(np.array([[True, True], [False, True]]), np.full((2, 2), 0.2))
    np.testing.assert_array_equal(both.lower, [[0.2, 0.5], [0.0, 0.5]])
    np.testing.assert_array_equal(both.upper, [[0.2, 0.5], [1.0, 0.5]])
