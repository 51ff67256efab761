"""Mesh sequences: what is missing, what is refused, exact frame rates."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate, mesh_sequence

MESH = np.arange(24.0).reshape(2, 4, 3)


def test_a_clean_capture_is_kept_as_it_is():
    made = mesh_sequence(MESH, np.array([[0, 1, 2]]), 24, 101)
    assert made.vertices is MESH
    assert (made.frames, made.vertex_count, made.missing, made.start_frame) == (2, 4, 0, 101)
    assert made.valid is None
    np.testing.assert_array_equal(made.times_s(), [0, 1 / 24])


def test_nan_and_infinite_positions_become_missing_vertices():
    broken = MESH.copy()
    broken[0, 1, 2] = np.nan
    broken[1, 3, 0] = -np.inf
    made = mesh_sequence(broken)
    assert made.missing == 2
    assert np.argwhere(~made.valid).tolist() == [[0, 1], [1, 3]]
    assert np.isfinite(made.vertices).all()
    assert made.vertices[0, 1].tolist() == [0, 0, 0]
    assert np.isnan(broken[0, 1, 2]), "the caller's array is left alone"


def test_what_the_file_calls_invalid_is_missing_too():
    valid = np.ones((2, 4), bool)
    valid[1] = False
    broken = MESH.copy()
    broken[0, 0, 0] = np.nan
    assert mesh_sequence(broken, valid=valid).missing == 5


def test_single_precision_stays_and_integers_become_floats():
    assert mesh_sequence(MESH.astype(np.float32)).vertices.dtype == np.float32
    assert mesh_sequence(MESH.astype(np.int64)).vertices.dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vertices": np.zeros((4, 3))}, r"shape \(4, 3\); expected \(frames, vertices, 3\)"),
        ({"vertices": np.zeros((2, 4, 2))}, r"shape \(2, 4, 2\)"),
        ({"vertices": np.zeros((0, 4, 3))}, "0 frames of 4 vertices"),
        ({"vertices": np.zeros((2, 0, 3))}, "2 frames of 0 vertices"),
        ({"vertices": np.full((2, 4, 3), np.nan)}, "every vertex of every frame"),
        ({"vertices": np.full((2, 4, 3), "x")}, "not numbers"),
        ({"faces": np.array([[0, 1, 4]])}, "names vertex 4; there are 4"),
        ({"faces": np.array([[0, 1, -1]])}, "names vertex -1; there are 4"),
        ({"faces": np.array([[0, 1, 2, 3]])}, r"faces have shape \(1, 4\)"),
        ({"fps": 0}, "not positive"),
        ({"fps": -24.0}, "not positive"),
        ({"fps": float("nan")}, "not a number"),
        ({"weights": np.ones(3)}, r"weights have shape \(3,\); expected \(4,\)"),
        ({"weights": np.array([1, 1, -1, 1.0])}, "none negative"),
        ({"weights": np.zeros(4)}, "at least one positive"),
        ({"valid": np.ones((2, 3), bool)}, r"valid has shape \(2, 3\)"),
    ],
)
def test_a_bad_capture_is_refused_by_name(changes, message):
    with pytest.raises(BunrakuError, match=f"shot.npz: .*{message}"):
        mesh_sequence(**{"vertices": MESH, "name": "shot.npz", **changes})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (12.5, Fraction(25, 2)),
        (30, Fraction(30)),
        (24.0, Fraction(24)),
        (Fraction(24000, 1001), Fraction(24000, 1001)),
    ],
)
def test_frame_rates_are_exact(written, meant):
    assert frame_rate(written, "shot") == meant


def test_a_frame_of_no_confidence_is_missing_and_confidence_is_checked():
    sequence = mesh_sequence(np.zeros((3, 2, 3)), confidence=np.array([1.0, 0.0, 0.5]))
    assert sequence.valid is not None
    assert sequence.valid.tolist() == [[True, True], [False, False], [True, True]]
    assert sequence.confidence is not None
    assert sequence.confidence.tolist() == [1.0, 1.0, 0.5]
    with pytest.raises(BunrakuError, match=r"walk: confidence has shape \(2,\); expected \(3,\)"):
        mesh_sequence(np.zeros((3, 2, 3)), name="walk", confidence=np.ones(2))
    with pytest.raises(BunrakuError, match="confidence must be finite and not negative"):
        mesh_sequence(np.zeros((3, 2, 3)), confidence=np.array([1.0, np.nan, 1.0]))
