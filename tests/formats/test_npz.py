from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.formats.npz import (
    load_npz_curves,
    load_npz_sequence,
    load_true_curves,
    save_npz_curves,
    save_npz_sequence,
)

RNG = np.random.default_rng(0)
VERTICES = RNG.normal(size=(4, 5, 3))


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sequence_reads_back_as_it_was_written(tmp_path, dtype):
    valid = np.ones((4, 5), bool)
    valid[1, 2] = False
    sequence = mesh_sequence(
        np.where(valid[..., None], VERTICES, np.nan).astype(dtype),
        np.array([[0, 1, 2], [2, 3, 4]]),
        Fraction(24000, 1001),
        1001,
        np.arange(5.0),
        confidence=np.array([1.0, 0.5, 2.0, 1.0]),
    )
    save_npz_sequence(tmp_path / "a.npz", sequence)
    back = load_npz_sequence(tmp_path / "a.npz")
    assert back.vertices.dtype == dtype
    for field in ("vertices", "faces", "weights", "valid", "confidence"):
        np.testing.assert_array_equal(getattr(back, field), getattr(sequence, field))
    assert (back.fps, back.start_frame, back.missing) == (Fraction(24000, 1001), 1001, 1)


def test_a_bare_array_is_a_sequence(tmp_path):
    np.save(tmp_path / "anim_4D.npy", VERTICES)
    back = load_npz_sequence(tmp_path / "anim_4D.npy")
    np.testing.assert_array_equal(back.vertices, VERTICES)
    assert (back.fps, len(back.faces)) == (24, 0)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25, Fraction(25)),
        (np.array(23.976), Fraction(24000, 1001)),
        (np.array([29.97]), Fraction(30000, 1001)),
        ([30000, 1001], Fraction(30000, 1001)),
        (np.array([48.0, 2.0]), Fraction(24)),
        (np.int16(120), Fraction(120)),
        (np.float32(12.5), Fraction(25, 2)),
    ],
)
def test_the_rate_may_be_a_number_or_a_fraction(tmp_path, fps, rate):
    assert load_npz_sequence(saved(tmp_path, vertices=VERTICES, fps=fps)).fps == rate


def test_nan_and_infinite_positions_are_missing_and_counted(tmp_path):
    vertices = VERTICES.copy()
    vertices[0, 1, 2], vertices[3] = np.inf, np.nan
    back = load_npz_sequence(saved(tmp_path, vertices=vertices, valid=np.eye(4, 5) < 1))
    assert back.missing == 1 + 5 + 3  # (0,1); all of frame 3 with its diagonal; the diagonal of frames 0 to 2
    assert np.isfinite(back.vertices).all()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"points": VERTICES}, "no 'vertices' in it; there are: points"),
        ({"vertices": VERTICES[:0]}, "0 frames"),
        ({"vertices": VERTICES[0]}, "expected .frames, vertices, 3."),
        ({"vertices": VERTICES * np.nan}, "missing or not finite"),
        ({"vertices": np.array(["a"])}, "expected numbers"),
        ({"vertices": VERTICES * 1j}, "only numbers"),
        ({"vertices": VERTICES, "fps": 0}, "not positive"),
        ({"vertices": VERTICES, "fps": np.nan}, "fps|frame rate"),
        ({"vertices": VERTICES, "fps": [24, 0]}, "expected a number, or numerator and denominator"),
        ({"vertices": VERTICES, "fps": [24, 1, 1]}, "expected a number, or numerator and denominator"),
        ({"vertices": VERTICES, "fps": "fast"}, "not what belongs there"),
        ({"vertices": VERTICES, "start_frame": 0.5}, "expected a whole number"),
        ({"vertices": VERTICES, "faces": [[0, 1, 5]]}, "names vertex 5; there are 5"),
        ({"vertices": VERTICES, "faces": [[0, 1, -1]]}, "names vertex -1"),
        ({"vertices": VERTICES, "faces": [[0, 1, 2**32]]}, "names vertex 4294967296"),
        ({"vertices": VERTICES, "faces": [[0.0, 1, 2]]}, "not what belongs there"),
        ({"vertices": VERTICES, "faces": [[0, 1, 2, 3]]}, "faces"),
        ({"vertices": VERTICES, "weights": np.ones(4)}, "weights"),
        ({"vertices": VERTICES, "weights": -np.ones(5)}, "weights"),
        ({"vertices": VERTICES, "valid": np.ones((5, 4), bool)}, "valid"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line_by_name(tmp_path, arrays, said):
    with pytest.raises(BunrakuError, match=said) as caught:
        load_npz_sequence(saved(tmp_path, **arrays))
    assert "a.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_objects_beside_the_mesh_are_never_looked_at(tmp_path):
    path = saved(tmp_path, vertices=VERTICES, thing=np.array([{"a": 1}], object))
    np.testing.assert_array_equal(load_npz_sequence(path).vertices, VERTICES)
    with pytest.raises(BunrakuError, match="objects could run code"):
        load_npz_sequence(saved(tmp_path, vertices=VERTICES.astype(object)))


def test_true_curves_travel_with_the_mesh_but_are_read_apart(tmp_path):
    true = curves(["a,b", "ä"], RNG.normal(size=(4, 2)), 25, 7)
    sequence = mesh_sequence(VERTICES, fps=25, start_frame=7)
    save_npz_sequence(tmp_path / "a.npz", sequence, true)
    back = load_true_curves(tmp_path / "a.npz")
    assert (back.names, back.fps, back.start_frame) == (true.names, 25, 7)
    np.testing.assert_array_equal(back.values, true.values)
    np.testing.assert_array_equal(load_npz_sequence(tmp_path / "a.npz").vertices, VERTICES)
    save_npz_sequence(tmp_path / "b.npz", sequence)
    assert load_true_curves(tmp_path / "b.npz") is None


def test_true_curves_of_another_length_are_refused(tmp_path):
    with pytest.raises(BunrakuError, match="3 frames of curves for 4 of meshes"):
        save_npz_sequence(tmp_path / "a.npz", mesh_sequence(VERTICES), curves(["a"], np.zeros((3, 1))))
    assert not (tmp_path / "a.npz").exists()


def test_the_published_toys_animation_has_its_curves_beside_it(tmp_path):
    values = RNG.uniform(size=(4, 2))
    np.save(tmp_path / "anim.npy", list(values))
    np.save(tmp_path / "anim_4D.npy", list(VERTICES))
    back = load_true_curves(tmp_path / "anim_4D.npy")
    assert back.names == ("control_0", "control_1")
    np.testing.assert_array_equal(back.values, values)
    assert load_true_curves(tmp_path / "anim_4D.npy", ["rx", "ry"]).names == ("rx", "ry")
    np.save(tmp_path / "other.npy", VERTICES)
    assert load_true_curves(tmp_path / "other.npy") is None


def test_curves_read_back_as_they_were_written(tmp_path):
    solved = curves(["jaw", "brow \n"], RNG.normal(size=(4, 2)), Fraction(2997, 125), -3)
    save_npz_curves(tmp_path / "a.npz", solved)
    back = load_npz_curves(tmp_path / "a.npz")
    assert (back.names, back.fps, back.start_frame) == (solved.names, solved.fps, -3)
    np.testing.assert_array_equal(back.values, solved.values)


def test_names_that_numpy_would_cut_are_refused(tmp_path):
    with pytest.raises(BunrakuError, match="NUL"):
        save_npz_curves(tmp_path / "a.npz", curves(["a\0"], np.zeros((1, 1))))


def test_captures_of_other_programs_are_read(data_dir):
    dance = load_npz_sequence(data_dir / "sequences" / "robot_dance.npz")
    assert dance.vertices.shape == (81, 7218, 3)
    assert (dance.fps, dance.missing) == (24, 0)
    assert load_true_curves(data_dir / "sequences" / "robot_dance.npz") is None
    assert load_npz_sequence(data_dir / "sequences" / "rigify_human.npz").vertices.shape == (100, 1808, 3)
