"""`bunraku rig simplify` on a take of the cube."""

import json

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.metrics import Metrics
from bunraku.core.take import KIND, Take, load_take, save_take
from bunraku.formats.keys_json import load_json_keys
from bunraku.rigs.cube import Cube, animation
from bunraku.rigs.open import rig_identity


@pytest.fixture
def take(tmp_path):
    """A take of the cube, as an inversion without error would have left it."""
    folder, solved = tmp_path / "take", animation(24).values
    artifact.open_output(folder, KIND, {"rig": rig_identity("cube")})
    curved = curves(Cube().spec.names, solved + 0.03 * np.sin(np.arange(24.0) / 3)[:, None], 24, 101)
    save_take(folder, Take(curved, Metrics({}, {}), np.zeros(24), np.zeros(8), np.eye(3, 4), {}, {}))
    return folder


def result(ended):
    assert ended.status == 0, ended.err
    (line,) = ended.out.splitlines()
    return json.loads(line)


def test_keys_are_written_beside_the_curves_and_read_back_within_the_tolerance(run, take):
    told = result(run("rig", "simplify", take, "--tolerance", "1%", "--json"))
    back = load_json_keys(take / "keys.json")
    assert told["keys_after"] + told["resting_keys"] == back.count
    assert told["keys_before"] == 24 * told["moving_controls"]
    solved = load_take(take).curves
    error = np.linalg.norm(Cube().evaluate(back.evaluate().values) - Cube().evaluate(solved.values), axis=2)
    assert error.max() == pytest.approx(told["max_mesh_error"])
    assert error.max() <= told["tolerance"]
    assert back.start_frame == 101
    assert len((take / "keys.csv").read_text().splitlines()) == 1 + back.count


def test_the_same_command_repeats_its_result_and_other_settings_do_not_overwrite(run, take):
    words = ("rig", "simplify", take, "--tolerance", "1%")
    assert result(run(*words, "--json")) == result(run(*words, "--json"))
    ended = run("rig", "simplify", take, "--tolerance", "2%")
    assert (ended.status, ended.out) == (2, "")
    assert "keys.json: was made with other settings; --overwrite replaces it" in ended.err
    assert run("rig", "simplify", take, "--tolerance", "2%", "--overwrite").status == 0


def test_out_is_a_folder_and_the_take_stays_as_it_was(run, take, tmp_path):
    before = sorted(file.name for file in take.iterdir())
    told = result(run("rig", "simplify", take, "--tolerance", "5%", "--out", tmp_path / "keyed", "--json"))
    assert told["path"] == str(tmp_path / "keyed" / "keys.json")
    assert sorted(file.name for file in take.iterdir()) == before
    table = run("rig", "simplify", take, "--tolerance", "5%", "--out", tmp_path / "keyed").out
    assert "keys_per_second" in table


def test_mistakes_are_one_line(run, take, tmp_path):
    for words, complaint in (
        ((tmp_path / "none",), "no such folder"),
        ((take, "--tolerance", "tiny"), "tolerance 'tiny': expected a length"),
        ((take, "--out", take / "manifest.json"), "is a file; the folder for keys.json and keys.csv is expected"),
        ((take, "--rig", "face"), "no control 'rx'; this rig has"),
    ):
        ended = run("rig", "simplify", *words)
        assert (ended.status, ended.out) == (2, "")
        (line,) = ended.err.splitlines()
        assert complaint in line
    assert not (take / "keys.json").exists()
