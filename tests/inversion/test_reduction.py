"""The streamed basis of a sample set."""

import numpy as np
import pytest

from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.reduction import reduce_samples, unreduced
from bunraku.rigs.cube import Cube
from bunraku.rigs.face import Face
from made_samples import sample_set


@pytest.fixture(scope="module")
def faces() -> SampleSet:
    rng = np.random.default_rng(0)
    controls = rng.random((240, 100)) * (rng.random((240, 100)) < 0.2)
    return sample_set(Face(), controls)


def motion_left(samples: SampleSet, reduced, weights=1.0) -> float:
    _, vertices = samples.in_memory("train")
    offset = vertices.reshape(len(vertices), -1) - reduced.mean
    rest = offset - (offset @ reduced.basis.T) @ reduced.basis
    root = np.sqrt(np.repeat(np.broadcast_to(weights, vertices.shape[1]), 3))
    return float(np.linalg.norm(rest * root) / np.linalg.norm(offset * root))


def test_the_basis_is_orthonormal_and_as_good_as_the_exact_one(faces: SampleSet):
    reduced = reduce_samples(faces, 40, 0.0, seed=0)
    np.testing.assert_allclose(reduced.basis @ reduced.basis.T, np.eye(40), atol=1e-9)
    _, vertices = faces.in_memory("train")
    offset = (vertices.reshape(len(vertices), -1) - reduced.mean).astype(np.float64)
    values = np.linalg.eigvalsh(offset @ offset.T)[::-1]
    exact = np.sqrt(values[40:].sum() / values.sum())
    assert motion_left(faces, reduced) < 1.02 * exact
    assert reduced.left == pytest.approx(motion_left(faces, reduced), rel=1e-2)


def test_coordinates_are_projections_and_the_mean_is_the_mean(faces: SampleSet):
    reduced = reduce_samples(faces, 30, 0.0, seed=0)
    for split, z in (("train", reduced.train_z), ("validation", reduced.validation_z)):
        _, vertices = faces.in_memory(split)
        expected = (vertices.reshape(len(vertices), -1) - reduced.mean) @ reduced.basis.T
        np.testing.assert_allclose(z, expected, atol=2e-2)
    np.testing.assert_allclose(reduced.train_z.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(reduced.mean, faces.in_memory("train")[1].mean(axis=0).ravel(), atol=1e-3)


def test_no_more_components_are_kept_than_the_motion_needs():
    samples = sample_set(Cube(), np.random.default_rng(0).random((300, 6)))
    reduced = reduce_samples(samples, 24, 1e-6, seed=0)
    # Eight corners ± are four vectors, each a linear image of 3×3 matrices: nine coordinates say all.
    assert reduced.basis.shape == (9, 24)
    assert reduced.left < 1e-6


def test_vertex_weights_choose_what_the_basis_shows_best(faces: SampleSet):
    weights = np.where(faces.neutral[:, 0] > 0, 1.0, 0.01)
    plain, weighted = reduce_samples(faces, 30, 0.0, 0), reduce_samples(faces, 30, 0.0, 0, weights)
    np.testing.assert_allclose(weighted.basis @ weighted.basis.T, np.eye(30), atol=1e-9)
    assert motion_left(faces, weighted, weights) < 0.95 * motion_left(faces, plain, weights)
    assert motion_left(faces, weighted) > motion_left(faces, plain)


def test_the_same_seed_gives_the_same_basis(faces: SampleSet):
    first, second = (reduce_samples(faces, 20, 0.0, 5) for _ in range(2))
    np.testing.assert_array_equal(first.basis, second.basis)
    np.testing.assert_array_equal(first.train_z, second.train_z)


def test_unreduced_coordinates_are_the_vertices_themselves():
    samples = sample_set(Cube(), np.random.default_rng(0).random((60, 6)))
    controls, vertices = samples.in_memory("validation")
    raw = unreduced(samples)
    np.testing.assert_array_equal(raw.validation_z, vertices.reshape(len(vertices), -1))
    np.testing.assert_array_equal(raw.validation_controls, controls)
