import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.pairs import cancelling_pairs, mirrored_pairs, named_pairs
from bunraku.inversion.refine import FiniteDifferences
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.rigs.face import Face
from small_rigs import Linear, linear_rig

POINTS = np.array([[1.0, 0, 0], [-1, 0, 0], [2, 1, 1], [-2, 1, 1]])


def rig_with(shapes, lower=-1.0):
    names = [f"c{i}" for i in range(len(shapes))]
    return Linear(control_spec(names, lower, 1.0, 0.0), POINTS, np.array(shapes, float))


def moving(vertex, way):
    shape = np.zeros((4, 3))
    shape[vertex] = way
    return shape


def test_twins_are_controls_whose_effects_are_mirror_images():
    shapes = [moving(0, [1, 2, 0]), moving(1, [-1, 2, 0]), moving(2, [0, 0, 1]), moving(3, [0, 0, -3])]
    # Mirrored in x; the second pair moves against each other, the lengths do not matter.
    assert mirrored_pairs(rig_with(shapes)).tolist() == [[1, -1, 0, 0], [0, 0, 1, 1]]


def test_the_faces_sided_controls_are_its_twins():
    rig = Face()
    found = mirrored_pairs(FiniteDifferences(rig))
    names = [tuple(rig.spec.names[i] for i in np.flatnonzero(row)) for row in found]
    assert len(names) > 30
    assert all(left.rsplit(".", 1)[0] == right.rsplit(".", 1)[0] for left, right in names)


def test_a_mesh_without_a_mirror_is_refused():
    rig = linear_rig(controls=2, vertices=7)
    with pytest.raises(BunrakuError, match="is not its own mirror image"):
        mirrored_pairs(rig)


def test_pairs_by_name_and_those_that_cannot_be():
    rig = rig_with([moving(0, [1, 0, 0])] * 3)
    assert named_pairs(rig, [("c0", "c2")]).tolist() == [[1, 0, -1]]
    for pairs, message in (
        ([("c0", "c9")], "no control 'c9'"),
        ([("c1", "c1")], "pair c1, c1"),
        ([("c0", "c1"), ("c1", "c2")], "'c1' is in c0, c1 already"),
    ):
        with pytest.raises(BunrakuError, match=message):
            named_pairs(rig, pairs)


def test_symmetry_shares_what_only_one_side_was_captured_of():
    rig = rig_with([moving(0, [1, 2, 0]), moving(1, [-1, 2, 0])])
    mesh = rig.evaluate(np.full((5, 2), 0.6))
    mesh[:, 1] = np.nan
    shot = mesh_sequence(mesh)
    plain = solve(rig, shot, SolveConfig(smooth=0.0)).controls
    paired = solve(rig, shot, SolveConfig(smooth=0.0), coupling=1e-3 * mirrored_pairs(rig)).controls
    np.testing.assert_allclose(plain, np.tile([0.6, 0], (5, 1)), atol=1e-6)
    np.testing.assert_allclose(paired, 0.6, atol=1e-3)


def test_of_two_controls_that_cancel_one_rests():
    rig = rig_with([moving(0, [0, 2, 0]), moving(0, [0, -1, 0]), moving(1, [1, 0, 0])], lower=0.0)
    assert np.allclose(cancelling_pairs(rig), [[1 / np.sqrt(5), 2 / np.sqrt(5), 0]])
    mesh = rig.evaluate(np.tile([0.25, 0.0, 0.4], (3, 1)))
    start = np.tile([0.5, 0.5, 0.0], (3, 1))
    shot = mesh_sequence(mesh)
    both = solve(rig, shot, SolveConfig(smooth=0.0), start=start).controls
    assert (both[:, 1] > 0.3).all()
    one = solve(rig, shot, SolveConfig(smooth=0.0), start=start, coupling=1e-3 * cancelling_pairs(rig)).controls
    np.testing.assert_allclose(one, np.tile([0.25, 0, 0.4], (3, 1)), atol=1e-3)
