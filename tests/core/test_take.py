"""Takes on disk."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.metrics import Metrics
from bunraku.core.take import KIND, Take, load_take, save_take


def test_a_take_comes_back_as_it_was(tmp_path):
    solved = curves(["jaw", "brow"], np.array([[0.1, 0.2], [0.3, 1e-300]]), Fraction(24000, 1001), 101)
    metrics = Metrics({"frames": 2, "mean_vertex_error": 1e-12, "unobservable": ["brow"]}, {"mean_vertex_error": "m"})
    turned = np.array([[1.0, 0, 0, 5], [0, 0, 1, 0], [0, -1, 0, 0]])
    take = Take(solved, metrics, np.array([0.0, 2.0]), np.array([1.0]), turned, {"smooth": 1}, {})
    artifact.open_output(tmp_path / "t", KIND, take.settings)
    save_take(tmp_path / "t", take)
    back = load_take(tmp_path / "t")
    assert back.curves.names == ("jaw", "brow")
    np.testing.assert_array_equal(back.curves.values, solved.values)
    assert (back.curves.fps, back.curves.start_frame) == (Fraction(24000, 1001), 101)
    assert back.metrics == metrics
    np.testing.assert_array_equal(back.frame_error, [0, 2])
    np.testing.assert_array_equal(back.vertex_error, [1])
    np.testing.assert_array_equal(back.alignment, turned)
    assert back.settings == {"smooth": 1}
    assert "versions" in back.provenance


def test_largest_errors_are_kept_where_they_are_known(tmp_path):
    solved = curves(["jaw"], np.zeros((2, 1)))
    arrays = (np.zeros(2), np.zeros(3), np.eye(3, 4))
    for name, largest in {"old": (), "new": (np.array([1.0, 2]), np.array([3.0, 4, 5]))}.items():
        take = Take(solved, Metrics({}, {}), *arrays, {}, {}, *largest)
        artifact.open_output(tmp_path / name, KIND, {})
        save_take(tmp_path / name, take)
    assert load_take(tmp_path / "old").frame_max is None
    assert load_take(tmp_path / "old").vertex_max is None
    np.testing.assert_array_equal(load_take(tmp_path / "new").frame_max, [1, 2])
    np.testing.assert_array_equal(load_take(tmp_path / "new").vertex_max, [3, 4, 5])


def test_an_unfinished_take_is_refused(tmp_path):
    artifact.open_output(tmp_path / "t", KIND, {})
    with pytest.raises(BunrakuError, match="not finished"):
        load_take(tmp_path / "t")


def test_a_take_keeps_what_was_taken_out_of_each_frame(tmp_path):
    solved = curves(["jaw"], np.array([[0.1], [0.2]]), 24)
    scaled = np.array([[2.0, 0, 0, 1], [0, 2, 0, 0], [0, 0, 2, 0]])
    shifted = np.tile(np.eye(3, 4), (2, 1, 1))
    shifted[1, :, 3] = [0, 5, 0]
    take = Take(
        solved, Metrics({}, {}), np.zeros(2), np.zeros(1), scaled, {}, {}, stabilisation=shifted
    )  # fmt: skip
    artifact.open_output(tmp_path / "t", KIND, take.settings)
    save_take(tmp_path / "t", take)
    back = load_take(tmp_path / "t")
    np.testing.assert_array_equal(back.stabilisation, shifted)
    np.testing.assert_array_equal(back.transforms[0], scaled)
    np.testing.assert_array_equal(back.transforms[1], [[2, 0, 0, 1], [0, 2, 0, 5], [0, 0, 2, 0]])
