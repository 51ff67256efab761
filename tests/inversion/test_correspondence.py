import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.attachment import attached
from bunraku.inversion.correspondence import by_index, by_map, by_markers, by_position, by_surface
from bunraku.inversion.refine import FiniteDifferences
from bunraku.inversion.solve import solve
from bunraku.rigs.cube import Cube, animation
from bunraku.rigs.face import Face
from small_rigs import Linear, limbed_rig


def dense(found):
    return found.matrix.toarray()


def test_by_index_is_the_identity_and_other_counts_are_refused():
    assert by_index(4, 4).is_identity
    with pytest.raises(BunrakuError, match="the capture has 3 vertices, the rig 4: by index"):
        by_index(3, 4)


def test_an_array_maps_each_vertex_of_the_capture_and_minus_one_maps_none():
    found = by_map(np.array([2, -1, 0]), 3, 4)
    np.testing.assert_array_equal(found.taken, [0, 2])
    np.testing.assert_array_equal(dense(found), [[0, 0, 1, 0], [1, 0, 0, 0]])


def test_pairs_in_any_order_map_the_same():
    found = by_map(np.array([[2, 0], [0, 2]]), 3, 4)
    np.testing.assert_array_equal(found.taken, [0, 2])
    np.testing.assert_array_equal(dense(found), [[0, 0, 1, 0], [1, 0, 0, 0]])


def test_a_seam_may_be_split_or_welded_where_that_is_allowed():
    split = by_map(np.array([[0, 1], [1, 1]]), 2, 3, one_to_one=False)
    np.testing.assert_array_equal(dense(split), [[0, 1, 0], [0, 1, 0]])
    welded = by_map(np.array([[0, 1], [0, 2], [1, 0]]), 2, 3, one_to_one=False)
    np.testing.assert_array_equal(dense(welded), [[0, 0.5, 0.5], [1, 0, 0]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            np.r_[np.arange(8, 25), 5, np.arange(25, 38), 5],
            "vertex 17 of the capture and vertex 31 both map to rig vertex 5",
        ),
        (np.array([[3, 1], [3, 2]]), "vertex 3 of the capture maps to rig vertex 1 and to rig vertex 2"),
        (np.array([[3, 99]]), r"names vertex 99 of the rig; the rig has 40 \(0 to 39\)"),
        (np.array([[32, 1]]), r"names vertex 32 of the capture; the capture has 32"),
        (np.array([[-2, 1]]), r"names vertex -2 of the capture"),
        (np.full(32, -1), "maps no vertex"),
        (np.arange(7), "has 7 entries; the capture has 32 vertices"),
        (np.zeros((4, 3), int), r"shape \(4, 3\); expected"),
    ],
)
def test_maps_that_cannot_be_are_refused_with_both_sides(given, message):
    with pytest.raises(BunrakuError, match=f"m.json: .*{message}"):
        by_map(given, 32, 40, name="m.json")


def test_markers_are_found_by_name_and_the_unnamed_left_out():
    found = by_markers(["a", "b", "c"], {"c": ([4], [1.0]), "a": ([0, 1, 2], [0.5, 0.25, 0.25])}, 5)
    np.testing.assert_array_equal(found.taken, [0, 2])
    assert found.captured == 3
    np.testing.assert_array_equal(dense(found), [[0.5, 0.25, 0.25, 0, 0], [0, 0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("markers", "message"),
    [
        ({"d": ([0], [1.0])}, "no marker 'd'; at.json: the capture has: a, b, b"),
        ({"b": ([0], [1.0])}, "marker 'b' was captured twice"),
        ({"a": ([7], [1.0])}, "marker 'a' is on rig vertex 7; the rig has 5"),
        ({"a": ([0, 1], [0.5, 0.6])}, "marker 'a' has weights 0.5, 0.6"),
        ({}, "attaches no marker; the capture has: a, b, b"),
    ],
)
def test_markers_that_cannot_be_are_refused_by_name(markers, message):
    with pytest.raises(BunrakuError, match=message):
        by_markers(["a", "b", "b"], markers, 5, name="at.json")


def test_splits_and_seams_are_found_by_position():
    neutral = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [5, 0, 0]])  # the rig has a seam at 1, 0, 0
    capture = np.array([[5.0, 0, 0], [1, 1e-5, 0], [0, 0, 0], [5, 0, 0]])  # and the capture one at 5, 0, 0
    found = by_position(capture, neutral)
    np.testing.assert_array_equal(dense(found), [[0, 0, 0, 1], [0, 0.5, 0.5, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_vertices_that_only_touch_at_rest_are_left_out_when_poses_tell():
    neutral = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [5, 0, 0], [5, 0, 0]])
    poses = neutral[None].copy()
    poses[0, 2, 1] = 1.0  # the lips part; the seam at 5 stays closed
    found = by_position(neutral[[0, 1, 3]], neutral, poses=poses)
    np.testing.assert_array_equal(found.taken, [0, 2])
    np.testing.assert_array_equal(dense(found)[1], [0, 0, 0, 0.5, 0.5])


def test_vertices_without_a_counterpart_are_counted_and_the_worst_is_named():
    neutral = np.array([[0.0, 0, 0], [1, 0, 0], [5, 0, 0]])
    capture = np.array([[0.0, 0, 0], [1.5, 0, 0], [5, 2, 0], [np.nan, 0, 0]])
    with pytest.raises(BunrakuError, match=r"2 of 3 vertices .* vertex 2, 2 from rig vertex 2; the reference"):
        by_position(capture, neutral)
    np.testing.assert_array_equal(by_position(capture, neutral, partial=True).taken, [0])
    with pytest.raises(BunrakuError, match="3 of 3 vertices"):
        by_position(capture + 100, neutral, partial=True)
    with pytest.raises(BunrakuError, match="every vertex of the reference frame is missing"):
        by_position(capture * np.nan, neutral)


def test_a_marker_above_a_face_hangs_on_its_corners_and_keeps_its_distance():
    cube = Cube()
    markers = np.array([[1.1, 0.0, 0.5], [np.nan, 0, 0], [-1.0, -1.0, -1.0]])
    found = by_surface(markers, cube)
    np.testing.assert_array_equal(found.taken, [0, 2])
    np.testing.assert_allclose(attached(cube, found).neutral, markers[[0, 2]], atol=1e-12)
    np.testing.assert_allclose(found.offset, [[0.1, 0, 0], [0, 0, 0]], atol=1e-12)
    assert not by_surface(markers, cube, keep_offset=False).offset.any()


def test_points_far_from_the_surface_and_rigs_without_one_are_refused():
    cube = Cube()
    with pytest.raises(BunrakuError, match=r"1 of 2 points are further than .* point 1 by 4; the reference"):
        by_surface(np.array([[1.0, 0, 0], [0, 0, 5]]), cube)
    bare = Linear(control_spec(["a"]), np.zeros((3, 3)), np.zeros((1, 3, 3)))
    with pytest.raises(BunrakuError, match="the rig has no faces"):
        by_surface(np.zeros((1, 3)), bare)


def test_a_shuffled_and_split_capture_of_a_character_is_solved_as_if_it_were_in_order():
    rig = limbed_rig(morphs=0)
    controls = np.zeros((5, len(rig.spec)))
    controls[:, rig.spec.index("root.ry")] = np.linspace(0, 2.5, 5)
    controls[:, rig.spec.index("arm.rz")] = np.linspace(0, 0.8, 5)
    meshes = rig.evaluate(controls)
    order = np.random.default_rng(0).integers(0, len(rig.neutral), 150)
    capture = mesh_sequence(meshes[:, order])
    to = by_position(capture.vertices[0], rig.neutral)
    solution = solve(attached(rig, to), to.of(capture))
    assert solution.relative_rms.max() < 1e-7
    np.testing.assert_allclose(rig.evaluate(solution.controls)[:, to.shown], meshes[:, to.shown], atol=1e-5)


def test_sixty_markers_on_the_face_recover_the_jaw():
    face = Face()
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(face.faces), 60, replace=False)
    weights = rng.dirichlet(np.ones(3), 60)
    markers = np.einsum("mk,mkx->mx", weights, face.neutral[face.faces[chosen]])
    to = by_surface(markers, face)
    true = np.zeros((3, 100))
    true[:, 0] = [0, 0.3, 0.7]
    from bunraku.core.rig import restrict

    jaw = restrict(face, ("jaw.*",))
    rig = FiniteDifferences(attached(jaw, to))
    solution = solve(rig, mesh_sequence(to.apply(face.evaluate(true))))
    np.testing.assert_allclose(solution.controls[:, 0], true[:, 0], atol=1e-6)


def test_a_cube_of_another_topology_with_one_neutral_frame_is_solved_exactly():
    cube = Cube()
    true = np.concatenate([[cube.spec.neutral], animation(6).values])
    weights = np.random.default_rng(0).dirichlet(np.ones(3), (12, 3)).reshape(-1, 3)
    corners = np.repeat(cube.faces, 3, axis=0)
    capture = mesh_sequence(np.einsum("mk,fmkx->fmx", weights, cube.evaluate(true)[:, corners]))
    to = by_surface(capture.vertices[0], cube)
    solution = solve(FiniteDifferences(attached(cube, to)), to.of(capture))
    assert solution.relative_rms.max() < 1e-7
