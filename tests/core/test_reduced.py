"""Least squares in coordinates is least squares in vertices."""

from dataclasses import dataclass

import numpy as np
import pytest

from bunraku.core.reduced import observe, project, unproject

VERTICES, FRAMES = 7, 4


@dataclass(frozen=True)
class Space:
    basis: np.ndarray | None
    axes: int
    origin: np.ndarray


def space(kind, seed=0):
    rng = np.random.default_rng(seed)
    origin = rng.normal(size=(VERTICES, 3))
    if kind == "vertices":
        return Space(None, 1, origin)
    rows = 3 * VERTICES if kind == "one axis" else VERTICES
    basis = np.linalg.qr(rng.normal(size=(rows, 4)))[0].T
    return Space(basis, 1 if kind == "one axis" else 3, origin)


def coordinates(it, seed, frames=FRAMES):
    width = 3 * VERTICES if it.basis is None else it.axes * len(it.basis)
    return np.random.default_rng(seed).normal(size=(frames, width))


KINDS = pytest.mark.parametrize("kind", ["vertices", "one axis", "three axes"])


@KINDS
def test_coordinates_of_a_mesh_made_from_coordinates_are_those(kind):
    it = space(kind)
    z = coordinates(it, 1)
    mesh = unproject(it, z)
    assert mesh.shape == (FRAMES, VERTICES, 3)
    np.testing.assert_allclose(project(it, mesh), z, atol=1e-13)
    np.testing.assert_allclose(project(it, it.origin[None]), 0, atol=1e-15)


def test_three_axes_share_a_basis_axis_by_axis():
    it = Space(np.array([[1.0, 0, 0], [0, 1, 0]]), 3, np.zeros((3, 3)))
    mesh = np.arange(9.0).reshape(1, 3, 3)  # vertex v has (3v, 3v + 1, 3v + 2)
    np.testing.assert_array_equal(project(it, mesh), [[0, 3, 1, 4, 2, 5]])
    assert unproject(it, project(it, mesh))[0, :2].tolist() == mesh[0, :2].tolist()


WEIGHTS = {
    "none": None,
    "ones": np.ones((1, VERTICES)),
    "one row": np.array([[0.5, 2, 1, 0, 3, 1, 0.25]]),
    "missing": (np.arange(FRAMES * VERTICES).reshape(FRAMES, VERTICES) % 5 != 0) * 1.0,
    "a whole frame missing": np.array([[1.0] * 7, [0.0] * 7, [2.0] * 7, [1.0] * 7]),
    "hardly any left": np.array([[0, 0, 1.0, 0, 0, 0, 0]] * 2 + [[1.0] * 7] * 2),
}


@KINDS
@pytest.mark.parametrize("which", WEIGHTS)
def test_the_squared_distance_in_coordinates_differs_from_that_in_vertices_by_a_constant(kind, which):
    it, weights = space(kind), WEIGHTS[which]
    captured = np.random.default_rng(3).normal(size=(FRAMES, VERTICES, 3)) * 2
    seen = observe(it, captured, weights)
    counts = np.broadcast_to(np.ones((1, VERTICES)) if weights is None else weights, (FRAMES, VERTICES))
    frames = np.arange(FRAMES)

    def apart(z):
        in_vertices = (counts[..., None] * (unproject(it, z) - captured) ** 2).sum(axis=(1, 2))
        return in_vertices - (seen.whiten(frames, z - seen.target) ** 2).sum(axis=1)

    constant = apart(coordinates(it, 5))
    assert (constant > -1e-10).all()
    for seed in range(6, 10):
        np.testing.assert_allclose(apart(coordinates(it, seed)), constant, atol=1e-9)


@KINDS
def test_the_target_is_the_weighted_best_fit(kind):
    it, captured = space(kind), np.random.default_rng(3).normal(size=(FRAMES, VERTICES, 3))
    weights = WEIGHTS["one row"] + 0.1
    seen = observe(it, captured, weights)
    width = seen.target.shape[1]
    system = (unproject(it, np.eye(width)) - it.origin).reshape(width, -1).T
    root = np.sqrt(np.repeat(weights[0], 3))
    for frame in range(FRAMES):
        right = root * (captured[frame] - it.origin).ravel()
        expected = np.linalg.lstsq(root[:, None] * system, right, rcond=None)[0]
        np.testing.assert_allclose(seen.target[frame], expected, atol=1e-10)


@KINDS
def test_whitening_rows_of_a_jacobian_is_whitening_each_of_them(kind):
    it = space(kind)
    seen = observe(it, np.zeros((FRAMES, VERTICES, 3)), WEIGHTS["missing"])
    chosen = np.array([3, 1])
    rows = np.random.default_rng(0).normal(size=(2, 5, seen.target.shape[1]))
    whole = seen.whiten(chosen, rows)
    for control in range(5):
        np.testing.assert_allclose(whole[:, control], seen.whiten(chosen, rows[:, control]), atol=1e-14)


def test_what_is_missing_does_not_count_whatever_stands_there():
    it = space("three axes")
    captured = np.random.default_rng(3).normal(size=(FRAMES, VERTICES, 3))
    scribbled = np.where(WEIGHTS["missing"][..., None] > 0, captured, 1e6)
    a, b = observe(it, captured, WEIGHTS["missing"]), observe(it, scribbled, WEIGHTS["missing"])
    np.testing.assert_allclose(a.target, b.target, atol=1e-12)


def test_frames_of_equal_weights_share_a_root():
    seen = observe(space("one axis"), np.zeros((FRAMES, VERTICES, 3)), WEIGHTS["a whole frame missing"])
    assert seen.roots.shape == (3, 4, 4)
    assert seen.pattern[0] == seen.pattern[3] != seen.pattern[2]
