import numpy as np
import pytest

from bunraku.report.low_rank import TOLERANCE, low_rank
from report_values import ball

GENERATOR = np.random.default_rng(0)


def moving(frames: int, shapes: int) -> np.ndarray:
    points, _ = ball()
    weights = GENERATOR.normal(size=(frames, shapes))
    return points + np.tensordot(weights, GENERATOR.normal(scale=0.1, size=(shapes, *points.shape)), 1)


def farthest(mesh: np.ndarray, found, rows: np.ndarray) -> float:
    return max(float(np.linalg.norm(found.vertices(i) - mesh[row], axis=1).max()) for i, row in enumerate(rows))


def test_a_motion_of_few_shapes_needs_no_more_and_is_as_exact_as_it_says():
    mesh, rows = moving(300, 7), np.arange(300)
    found = low_rank(lambda chosen: mesh[chosen], rows, 3.0, 100)
    assert len(found.shapes) == 7
    assert farthest(mesh, found, rows) <= found.worst * 1.05
    assert found.worst < 2 * TOLERANCE * 3.0


def test_a_long_way_through_the_world_costs_no_accuracy():
    mesh, rows = moving(40, 3), np.arange(0, 40, 2)
    mesh[:, :, 0] += 500 * np.arange(40)[:, None]
    found = low_rank(lambda chosen: mesh[chosen], rows, 3.0, 100)
    assert farthest(mesh, found, rows) < 2 * TOLERANCE * 3.0 + 2e-3  # a float near 20,000 knows no better


def test_what_the_training_frames_did_not_show_is_added():
    mesh = moving(600, 2)
    sudden = GENERATOR.normal(scale=0.3, size=mesh.shape[1:])
    trained = np.unique(np.linspace(0, 599, 256).astype(int))
    odd = next(row for row in range(300, 600) if row not in trained)
    mesh[odd] += sudden
    found = low_rank(lambda chosen: mesh[chosen], np.arange(600), 3.0, 100)
    assert len(found.shapes) == 3
    assert np.linalg.norm(found.vertices(odd) - mesh[odd], axis=1).max() < 2 * TOLERANCE * 3.0


def test_with_too_few_shapes_it_says_how_far_off_it_is():
    mesh, rows = moving(60, 20), np.arange(60)
    found = low_rank(lambda chosen: mesh[chosen], rows, 3.0, 5)
    assert len(found.shapes) == 5
    assert farthest(mesh, found, rows) == pytest.approx(found.worst, rel=0.05)
    assert found.worst > 0.05


def test_what_does_not_move_needs_no_shape():
    points, _ = ball()
    found = low_rank(lambda chosen: np.tile(points, (len(chosen), 1, 1)), np.arange(9), 2.0, 10)
    assert len(found.shapes) == 0
    assert np.allclose(found.vertices(4), points, atol=1e-6)


def test_a_single_vertex_far_off_is_not_lost_in_the_mean_of_all():
    mesh = moving(600, 2)
    mesh[:, 7] += 0.1 * GENERATOR.normal(size=(600, 3))
    found = low_rank(lambda chosen: mesh[chosen], np.arange(600), 3.0, 100)
    assert farthest(mesh, found, np.arange(600)) < 2 * TOLERANCE * 3.0
