import numpy as np
import pytest

from bunraku.inversion.surface import Surface, topology
from bunraku.rigs.cube import Cube

TRIANGLE = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
ONE = np.array([[0, 1, 2]])


@pytest.mark.parametrize(
    ("point", "weights", "distance"),
    [
        ([0.5, 0.5, 3.0], [0.5, 0.25, 0.25], 3.0),  # above the inside
        ([1.0, -1.0, 0.0], [0.5, 0.5, 0.0], 1.0),  # beside the edge 0–1
        ([2.0, 2.0, 0.0], [0.0, 0.5, 0.5], np.sqrt(2)),  # beside the slanted edge
        ([-3.0, -4.0, 0.0], [1.0, 0.0, 0.0], 5.0),  # beyond a corner
        ([5.0, 0.0, 4.0], [0.0, 1.0, 0.0], 5.0),
    ],
)
def test_the_closest_point_of_a_triangle(point, weights, distance):
    found = Surface(TRIANGLE, ONE).closest(np.array([point]))
    np.testing.assert_allclose(found.weights, [weights], atol=1e-12)
    np.testing.assert_allclose(found.distances, [distance])
    np.testing.assert_allclose(found.positions[0], np.array(weights) @ TRIANGLE, atol=1e-12)


def test_triangles_without_area_are_edges():
    surface = Surface(np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]), np.array([[0, 1, 2], [1, 1, 1]]))
    found = surface.closest(np.array([[2.0, 1, 0], [-1.0, 0, 0]]))
    np.testing.assert_allclose(found.distances, [1, 1])
    np.testing.assert_allclose(found.positions, [[2, 0, 0], [0, 0, 0]], atol=1e-12)


def test_a_large_triangle_wins_over_the_small_ones_whose_middles_are_nearer():
    small = np.random.default_rng(0).normal(size=(60, 3)) * 0.05 + [0, 0, 0.6]
    vertices = np.concatenate([[[-100.0, -100, 0], [300, -100, 0], [-100, 300, 0]], small])
    faces = np.concatenate([[[0, 1, 2]], np.arange(3, 63).reshape(-1, 3)])
    found = Surface(vertices, faces).closest(np.array([[0.0, 0, 0.1], [90, 50, -2]]))
    np.testing.assert_array_equal(found.faces, [0, 0])
    np.testing.assert_allclose(found.distances, [0.1, 2])


def test_the_search_agrees_with_trying_every_triangle():
    rng = np.random.default_rng(1)
    sizes = 10 ** rng.uniform(-2, 0.5, (200, 1, 1))
    vertices = (rng.normal(size=(200, 1, 3)) + sizes * rng.normal(size=(200, 3, 3))).reshape(-1, 3)
    faces = np.arange(600).reshape(-1, 3)
    points = 2 * rng.normal(size=(300, 3))
    every = np.array([Surface(vertices, face[None]).closest(points).distances for face in faces])
    found = Surface(vertices, faces).closest(points)
    np.testing.assert_allclose(found.distances, every.min(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.faces, every.argmin(axis=0))
    assert (found.weights >= 0).all()
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)


def test_a_closed_mesh_has_no_open_edge_and_a_grid_has_its_rim():
    cube = Cube()
    assert not topology(cube.faces, cube.neutral).open_edges.any()
    opened = topology(cube.faces[:-1], cube.neutral)
    assert opened.open_edges.sum() == 3
    np.testing.assert_array_equal(np.flatnonzero(opened.open_vertices), np.sort(cube.faces[-1]))


def test_vertices_split_for_texture_coordinates_do_not_open_a_mesh():
    cube = Cube()
    split = topology(np.arange(36).reshape(12, 3), cube.neutral[cube.faces.ravel()])
    assert not split.open_edges.any()
    normals = split.vertex_normals(cube.neutral[cube.faces.ravel()])
    together = topology(cube.faces, cube.neutral).vertex_normals(cube.neutral)
    np.testing.assert_allclose(normals, together[cube.faces.ravel()])
    assert ((normals * cube.neutral[cube.faces.ravel()]).sum(axis=1) > 0).all()


def test_points_beyond_the_rim_are_at_the_border_and_those_above_the_middle_are_not():
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    points = np.array([[0.5, 0.5, 1], [0.2, 0.6, 1], [0.5, -1, 0], [2, 2, 0], [-1, 0.5, 1]])
    found = Surface(square, faces).closest(points)
    np.testing.assert_array_equal(topology(faces, square).at_border(found), [False, False, True, True, True])
