"""Reports of real takes and runs, small ones."""

import shutil

import numpy as np
import pytest

from bunraku import api
from bunraku.api.reporting import report_beside, run_report, take_report
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.formats.npz import save_npz_sequence
from bunraku.rigs.cube import Cube, animation


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shot")
    true = animation(12)
    rig = Cube()
    save_npz_sequence(folder / "shot.npz", mesh_sequence(rig.evaluate(true.values), rig.faces, true.fps), true)
    api.invert_file(folder / "shot.npz", "cube", folder / "take")
    return folder


@pytest.fixture
def take(shot, tmp_path):
    """A copy of the take that can be spoilt, and of its capture beside it."""
    shutil.copytree(shot / "take", tmp_path / "take")
    return tmp_path / "take"


def pointed(take, **changes):
    manifest = artifact.read_manifest(take)
    manifest["settings"] |= changes
    artifact.write_json(take / "manifest.json", manifest)


def test_a_take_is_told_with_its_meshes_and_limits(take):
    found = take_report(take)
    assert found.notes == ()
    assert found.film is not None
    assert found.film.apart is not None
    assert found.film.apart.shape == (12, 8, 3)
    assert found.film.solved.vertices(3) == pytest.approx(Cube().evaluate(found.curves.values)[3], abs=3e-3)
    assert found.spec is not None
    assert (found.rig, found.capture, found.unit) == ("cube", "shot.npz", "rig units")


def test_a_page_is_written_into_the_folder_or_elsewhere(take, tmp_path):
    done = api.report(take)
    assert done["path"] == str(take / "report.html")
    assert done["bytes"] == (take / "report.html").stat().st_size < 2_000_000
    assert api.report(take, out=tmp_path / "other.html")["kind"] == "take"
    assert (tmp_path / "other.html").exists()
    with pytest.raises(BunrakuError, match=r"its folder .* does not exist"):
        api.report(take, out=tmp_path / "nowhere" / "other.html")


def test_a_capture_that_is_gone_is_said_to_be_and_the_rest_is_told(take):
    pointed(take, capture={"path": "/nowhere/shot.npz", "sha256": "0"})
    found = take_report(take)
    assert "The capture /nowhere/shot.npz is not there any more" in found.notes[0]
    assert found.film is not None
    assert found.film.apart is None


def test_a_capture_that_has_changed_is_said_to_have(take, tmp_path):
    rig, true = Cube(), animation(5)
    save_npz_sequence(tmp_path / "shot.npz", mesh_sequence(rig.evaluate(true.values), rig.faces, true.fps))
    pointed(take, capture={"path": str(tmp_path / "shot.npz"), "sha256": "0"})
    notes = take_report(take).notes
    assert any("The capture has changed" in note for note in notes)
    assert any("has 5 frames now, not 12" in note for note in notes)


def test_a_rig_that_runs_code_is_not_run_unless_it_is_named_again(take):
    pointed(take, rig={"source": "python:os:system"})
    found = take_report(take)
    assert found.film is None
    assert "runs code" in found.notes[0]
    assert take_report(take, "cube").film is not None


def test_keys_and_an_account_are_told_where_they_are_of_these_curves(take):
    assert take_report(take).keys is None
    api.account(take)
    (take / "keys.json").write_text('{"fps": 24}')
    found = take_report(take)
    assert found.account is not None
    assert "No keys are shown" in found.notes[0]
    (take / "keys.json").unlink()
    from bunraku.api.simplifying import simplify

    simplify(take)
    keys = take_report(take).keys
    assert keys is not None
    assert keys.count > 0


def test_what_is_no_take_or_run_is_refused(tmp_path):
    with pytest.raises(BunrakuError, match="no such folder"):
        api.report(tmp_path / "nothing")
    artifact.open_output(tmp_path / "model", "model", {})
    with pytest.raises(BunrakuError, match="is a model; expected a take or a run"):
        api.report(tmp_path / "model")


def test_beside_finished_work_it_is_made_once_and_never_fails_the_work(take, caplog):
    assert report_beside(take) == str(take / "report.html")
    before = (take / "report.html").stat().st_mtime_ns
    assert report_beside(take) == str(take / "report.html")
    assert (take / "report.html").stat().st_mtime_ns == before
    (take / "report.html").unlink()
    (take / "report.html").mkdir()
    manifest = artifact.read_manifest(take)
    artifact.write_json(take / "manifest.json", manifest)
    assert report_beside(take) is None
    assert "no report" in caplog.text


def test_a_run_is_told_with_its_motion_and_what_was_found_of_it(tmp_path):
    from bunraku import mimic

    mimic.train("bopbag", tmp_path / "run", samples=768)
    found = run_report(tmp_path / "run", {"pushes": {"push_s": 0.2, "greatest_n": 10.0, "directions": []}})
    assert found.playback is not None
    assert found.playback.ghost_pos_w is not None
    assert found.playback.body_pos_w.shape[1:] == (len(found.playback.body_names), 3)
    assert np.isfinite(found.playback.body_pos_w).all()
    assert found.result["pushes"]["push_s"] == 0.2
    assert found.history[-1]["samples"] == 768
    assert (found.character, found.clip, found.paper) == ("bopbag", None, None)
    assert api.report(tmp_path / "run")["kind"] == "run"
