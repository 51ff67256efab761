import numpy as np
import pytest

from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.formats.curves import load_curves, save_curves


@pytest.mark.parametrize("ending", [".csv", ".json", ".npz", ".CSV"])
def test_every_ending_brings_the_curves_back(tmp_path, ending):
    solved = curves(["jaw", "a,b"], np.random.default_rng(0).normal(size=(7, 2)), 25, 3)
    save_curves(solved, tmp_path / f"shot{ending}")
    back = load_curves(str(tmp_path / f"shot{ending}"))
    assert (back.names, back.fps, back.start_frame) == (solved.names, solved.fps, solved.start_frame)
    np.testing.assert_array_equal(back.values, solved.values)


@pytest.mark.parametrize("name", ["shot.xls", "shot"])
def test_other_endings_are_refused_with_those_that_there_are(tmp_path, name):
    with pytest.raises(BunrakuError, match=r"shot.*\.csv, \.json, \.npz"):
        save_curves(curves(["a"], np.zeros((1, 1))), tmp_path / name)
    with pytest.raises(BunrakuError, match=r"\.csv, \.json, \.npz"):
        load_curves(tmp_path / name)
    assert not list(tmp_path.iterdir())
