import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.inversion.still import chosen_vertices, rigid_modes, stable_vertices, told_apart
from bunraku.rigs.cube import Cube
from small_rigs import Linear, limbed_rig


def nodding(still=40, moving=20, seed=0):
    """A cloud of which two controls move a part; the rest stands still."""
    rng = np.random.default_rng(seed)
    neutral = 50 * rng.normal(size=(still + moving, 3))
    shapes = np.zeros((2, still + moving, 3))
    shapes[:, still:] = 30 * rng.normal(size=(2, moving, 3))
    return Linear(control_spec(["jaw", "brow"], 0.0, 1.0), neutral, shapes)


def test_exactly_the_vertices_that_no_control_moves_stand_still():
    found = stable_vertices(nodding())
    assert found.kind == "still"
    np.testing.assert_array_equal(np.flatnonzero(found.weights), np.arange(40))
    assert found.moving == pytest.approx(20 / 60)
    assert found.feigned < 1e-9
    assert str(found) == "40 vertices that no control moves"


def test_a_turn_by_a_whole_round_still_moves():
    class Wheel(Cube):
        """Both bounds of the turn are where it begins."""

        spec = control_spec(["turn"], -2 * np.pi, 2 * np.pi, 0.0)
        neutral = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]])

        def evaluate(self, controls):
            a, n = controls[:, 0, None], self.neutral
            return np.stack(
                [np.cos(a) * n[:, 0] - np.sin(a) * n[:, 1], np.sin(a) * n[:, 0] + np.cos(a) * n[:, 1], n[:, 2] + 0 * a],
                axis=2,
            )

    assert stable_vertices(Wheel()).kind == "none"


@pytest.mark.parametrize("rig", [Cube(), limbed_rig()], ids=["cube", "limbed"])
def test_where_the_root_is_a_control_nothing_stands_still_and_it_is_said(rig):
    found = stable_vertices(rig)
    assert found.kind == "none"
    assert found.apart < 1e-6
    assert not found.weights.any()
    assert str(found).startswith("nothing stands still on this rig: 100 % of its vertices move")


def test_controls_that_are_the_rigid_motions_leave_nothing_and_others_all():
    rng = np.random.default_rng(0)
    neutral = rng.normal(size=(30, 3))
    modes = rigid_modes(neutral[None])[0]
    spec = control_spec([f"c{i}" for i in range(6)], -1.0, 1.0)
    assert told_apart(Linear(spec, neutral, modes), np.zeros((0, 6))) < 1e-6
    # Shapes with every rigid part taken off
    flat = modes.reshape(6, -1)
    shapes = rng.normal(size=(6, 90))
    shapes -= shapes @ flat.T @ np.linalg.inv(flat @ flat.T) @ flat
    assert told_apart(Linear(spec, neutral, shapes.reshape(6, 30, 3)), np.zeros((0, 6))) == pytest.approx(1)


def test_rigid_modes_are_shifts_and_turns():
    mesh = np.array([[[1.0, 0, 0], [-1, 0, 0]]])
    modes = rigid_modes(mesh)[0]
    np.testing.assert_array_equal(modes[1], [[0, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(modes[5], [[0, 1, 0], [0, -1, 0]])  # z × x = y
    np.testing.assert_array_equal(modes[4], [[0, 0, -1], [0, 0, 1]])  # y × x = −z
    np.testing.assert_array_equal(modes[3], 0)


def test_a_users_vertices_are_indices_or_weights():
    rig = nodding()
    by_index = chosen_vertices(rig, np.array([4, 7, 9, 30]))
    assert np.flatnonzero(by_index.weights).tolist() == [4, 7, 9, 30]
    given = np.linspace(0, 2, 60)
    np.testing.assert_allclose(chosen_vertices(rig, given).weights, given / 2)
    assert str(by_index) == "4 vertices that were named"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (np.array([0, 1, 60]), r"names vertex 60; the rig has 60 \(0 to 59\)"),
        (np.array([0, 1, -1]), "names vertex -1"),
        (np.array([3, 4, 5, 3]), "names vertex 3 2 times"),
        (np.array([3, 4]), "2 vertices that count; expected three or more"),
        (np.ones(59), "59 weights; the rig has 60 vertices"),
        (np.where(np.arange(60) == 5, -1.0, 1.0), "vertex 5 has weight -1"),
        (np.where(np.arange(60) == 5, np.nan, 1.0), "vertex 5 has weight nan"),
        (np.ones((60, 3)), r"shape \(60, 3\)"),
    ],
)
def test_vertices_that_cannot_be_meant_are_refused_by_name(chosen, said):
    with pytest.raises(BunrakuError, match=said):
        chosen_vertices(nodding(), chosen)


def test_a_share_out_of_range_is_refused():
    with pytest.raises(BunrakuError, match="share 1: expected between 0 and 1"):
        stable_vertices(nodding(), 1.0)
