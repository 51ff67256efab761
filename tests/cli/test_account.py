"""`rig account` on takes of the cube and of a rig in Python."""

import json

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.metrics import Metrics
from bunraku.core.take import KIND, Take, save_take
from bunraku.rigs.cube import Cube, animation


def taken(folder, source, rig, solved, vertices, **settings):
    """A take of these solved curves on a capture of these vertices, which starts at frame 1001."""
    np.savez(folder / "shot.npz", vertices=vertices, fps=24, start_frame=1001)
    settings = {
        "capture": {"path": str(folder / "shot.npz"), "sha256": "0"},
        "rig": {"source": source, "sha256": "0"},
        "controls": [],
        "model": None,
        **settings,
    }
    made = curves(rig.spec.names, solved, 24, 1001)
    artifact.open_output(folder / "take", KIND, settings)
    errors = (np.zeros(len(solved)), np.zeros(vertices.shape[1]))
    save_take(folder / "take", Take(made, Metrics({}, {}), *errors, np.eye(3, 4), settings, {}))
    return folder / "take"


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    """The cube, a control a hundredth of its range off, on a noisy capture."""
    true = animation(6).values
    noise = 0.01 * np.random.default_rng(0).normal(size=(6, 8, 3))
    solved = np.clip(true + np.eye(6)[3] * 0.01, 0, 1)
    return taken(tmp_path_factory.mktemp("cube"), "cube", Cube(), solved, Cube().evaluate(true) + noise)


def test_the_account_is_printed_in_words_and_written_as_json(run, take):
    told = run("rig", "account", take, "--worst", "3")
    assert told.status == 0, told.err
    assert "What the capture sees, at a noise of" in told.out
    assert "Worst frames" in told.out
    written = json.loads((take / "account.json").read_text())
    assert str(take / "account.json") in told.out
    assert (written["frames"], written["vertices"], len(written["controls"])) == (6, 8, 6)
    assert written["looked_at"] == list(range(1001, 1007))
    assert written["derivatives_from"] == "finite differences on the rig"
    assert len(written["worst_frames"]) == 3
    assert written["noise"]["sigma"] == pytest.approx(0.02, rel=0.2)
    parts = written["errors"]
    assert parts["total"]["rms"] ** 2 == pytest.approx(parts["off_manifold"]["rms"] ** 2 + parts["solver"]["rms"] ** 2)
    assert 0.2 < parts["solver"]["share"] < 0.9
    assert parts["solver_confirmed"]["rms"] == pytest.approx(parts["solver"]["rms"], rel=0.05)


def test_outliers_of_a_robust_solve_are_left_out_and_priors_are_named(run, tmp_path):
    true = animation(4).values
    vertices = Cube().evaluate(true) + 0.01 * np.random.default_rng(0).normal(size=(4, 8, 3))
    vertices[:, 2] += 5
    take = taken(tmp_path, "cube", Cube(), true, vertices, robust="huber", smooth="auto", sparse=1e-3)
    told = run("rig", "account", take)
    assert "4 outliers, (frame, vertex) pairs, are left out" in told.out
    assert "priors were on (smooth auto, sparse 0.001)" in told.out
    assert json.loads((take / "account.json").read_text())["noise"]["sigma"] < 0.02
    run("rig", "account", take, "--outliers", "inf")
    assert json.loads((take / "account.json").read_text())["noise"]["sigma"] > 0.5


def test_what_can_be_traded_is_said_and_code_runs_only_when_named(run, tmp_path, monkeypatch):
    (tmp_path / "lever.py").write_text(LEVER)
    monkeypatch.syspath_prepend(str(tmp_path))
    from bunraku.rigs.open import open_rig

    rig = open_rig("python:lever:mesh")
    solved = np.array([[0.3, 0.2, 0.0, 1.0], [0.1, 0.2, 0, 1.0]])
    vertices = rig.evaluate(solved) + 0.01 * np.random.default_rng(0).normal(size=(2, 9, 3))
    take = taken(tmp_path, "python:lever:mesh", rig, solved, vertices)
    refused = run("rig", "account", take)
    assert refused.status == 2
    assert "name it again with --rig" in refused.err
    told = run("rig", "account", take, "--rig", "python:lever:mesh")
    assert told.status == 0, told.err
    assert "{hips, chest}: one way" in told.out
    assert "hips can be traded for chest, 1 : -0.5; the mesh moves" in told.out
    assert "1 dead: they move no vertex: nothing" in told.out
    assert "2 not seen: uncertain by more than 25 % of their range: hips ±∞, chest ±∞" in told.out
    assert "stretch is at its upper bound in 2 of 2 frames: 1001–1002" in told.out


LEVER = """
import numpy as np
controls = [{"name": name, "lower": -1.0, "upper": 1.0} for name in ("hips", "chest", "nothing", "stretch")]
SHAPES = np.random.default_rng(1).normal(size=(2, 9, 3))


def mesh(values):
    turned = values[:, 0] + 2 * values[:, 1]
    return 1 + turned[:, None, None] * SHAPES[0] + values[:, 3, None, None] * SHAPES[1] + np.arange(27).reshape(9, 3)
"""


def test_json_goes_to_standard_output_and_the_file_where_it_is_asked(run, take, tmp_path):
    done = run("rig", "account", take, "--json", "--sigma", "0.5", "--out", tmp_path / "a.json")
    assert done.status == 0, done.err
    printed = json.loads(done.out)
    assert (printed.pop("path"), printed) == (str(tmp_path / "a.json"), json.loads((tmp_path / "a.json").read_text()))
    assert (printed["noise"]["sigma"], printed["sigma_from"]) == (0.5, "given")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--derivatives", "model"], "--derivatives model: this take was solved without one"),
        (["--sigma", "-1"], "sigma -1"),
        (["--frames", "0"], "frames 0"),
        (["--out", "nowhere/a.json"], "its folder nowhere does not exist"),
        (["--rig", "figure"], "has 8 vertices, figure has 3802"),
    ],
)
def test_mistakes_are_one_line(run, take, words, said):
    ended = run("rig", "account", take, *words)
    assert ended.status == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_what_is_no_take_is_refused(run, tmp_path):
    ended = run("rig", "account", tmp_path)
    assert ended.status == 2
    assert str(tmp_path) in ended.err
