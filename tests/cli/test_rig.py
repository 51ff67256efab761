"""The rig group on real rigs, from describe to export."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bunraku.cli.command import parse
from bunraku.cli.main import COMMANDS
from bunraku.cli.rig import describe, export, frame_rate, invert
from bunraku.rigs.cube import Cube, animation

README = Path(__file__).parents[2] / "README.md"


def result(ended):
    """The JSON of a command that went well."""
    assert ended.status == 0, ended.err
    (line,) = ended.out.splitlines()
    return json.loads(line)


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    """A capture of the cube, with its true curves."""
    true = animation(12)
    file = tmp_path_factory.mktemp("shot") / "shot.npz"
    np.savez(file, vertices=Cube().evaluate(true.values), fps=24, curves=true.values, control_names=true.names)
    return file


@pytest.fixture(scope="module")
def take(shot, tmp_path_factory):
    """A finished take on that capture."""
    from bunraku.cli.main import main

    out = tmp_path_factory.mktemp("takes") / "take"
    assert main(["rig", "invert", str(shot), "--rig", "cube", "--out", str(out)]) == 0
    return out


def test_describe_has_the_promised_keys(run):
    about = result(run("rig", "describe", "cube", "--json"))
    assert {"controls", "vertices", "faces", "differentiable", "evaluations_per_second", "animations"} <= about.keys()
    assert (about["vertices"], about["faces"], about["differentiable"], about["animations"]) == (8, 12, False, [])
    first = {"name": "rx", "lower": 0.0, "upper": 1.0, "neutral": 0.5, "unit": "1", "driven": False}
    assert about["controls"][0] == first
    assert about["evaluations_per_second"] > 0


def test_describe_takes_patterns_and_a_file_of_them(run, tmp_path):
    assert [c["name"] for c in result(run("rig", "describe", "cube", "--controls", "s?,rx", "--json"))["controls"]] == [
        "rx",
        "sx",
        "sy",
        "sz",
    ]
    (tmp_path / "list.txt").write_text("rz\n")
    listed = result(run("rig", "describe", "cube", "--controls", tmp_path / "list.txt", "--json"))
    assert [c["name"] for c in listed["controls"]] == ["rz"]
    ended = run("rig", "describe", "cube", "--controls", "jaw")
    assert (ended.status, ended.out) == (2, "")
    assert "no control 'jaw'; this rig has: rx, ry" in ended.err


def test_describe_for_people_is_a_table(run):
    lines = run("rig", "describe", "cube").out.splitlines()
    assert lines[1].split() == ["name", "lower", "upper", "neutral", "unit", "driven"]
    assert lines[5].split()[:4] == ["sx", "0", "1", "0.6"]


def test_a_take_has_the_promised_metrics_and_is_precise(run, take, shot):
    metrics = result(run("rig", "invert", shot, "--rig", "cube", "--out", take, "--json"))
    promised = """frames vertices controls mean_vertex_error p95_vertex_error max_vertex_error relative_error roughness
        active_controls unobservable alignment rig_evaluations cpu_seconds wall_seconds control_error"""
    assert set(promised.split()) <= metrics.keys()
    assert (metrics["frames"], metrics["vertices"], metrics["controls"]) == (12, 8, 6)
    assert metrics["mean_vertex_error"] < 1e-6


def test_the_same_command_repeats_a_finished_result_and_writes_nothing(run, take, shot):
    before = {file: file.stat().st_mtime_ns for file in take.rglob("*")}
    words = ("rig", "invert", shot, "--rig", "cube", "--out", take, "--json")
    assert result(run(*words)) == result(run(*words))
    assert {file: file.stat().st_mtime_ns for file in take.rglob("*")} == before


def test_other_settings_or_another_capture_never_overwrite(run, take, shot, tmp_path):
    before = (take / "manifest.json").read_bytes()
    ended = run("rig", "invert", shot, "--rig", "cube", "--out", take, "--smooth", "0.5")
    assert (ended.status, ended.out) == (2, "")
    assert 'was made with smooth = "auto", now 0.5; --overwrite replaces it' in ended.err
    other = tmp_path / "other.npz"
    np.savez(other, vertices=Cube().evaluate(animation(3, seed=5).values))
    assert run("rig", "invert", other, "--rig", "cube", "--out", take).status == 2
    assert (take / "manifest.json").read_bytes() == before


def test_evaluate_measures_a_take_again(run, take):
    again = result(run("rig", "evaluate", take, "--json"))
    stored = json.loads((take / "manifest.json").read_text())["result"]
    np.testing.assert_allclose(again["mean_vertex_error"], stored["mean_vertex_error"], rtol=1e-9)
    assert again["rig_changed"] is False


def test_a_take_becomes_curves_for_other_programs(run, take, tmp_path):
    assert result(run("rig", "export", take, "--to", tmp_path / "shot.csv", "--json"))["kind"] == "take"
    with (tmp_path / "shot.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["frame", "time_s", "rx", "ry", "rz", "sx", "sy", "sz"]
    assert len(rows) == 12
    again = run("rig", "export", take, "--to", tmp_path / "shot.csv")
    assert again.status == 2
    assert "exists" in again.err
    ended = run("rig", "export", take, "--to", tmp_path / "shot.docx")
    assert ended.status == 2
    assert "shot.docx" in ended.err
    assert not (tmp_path / "shot.docx").exists()


def test_samples_resume_or_repeat_and_a_model_is_fitted_to_them(run, tmp_path):
    words = ("rig", "sample", "cube", "--out", tmp_path / "samples", "--samples", "64", "--sampler", "sobol", "--json")
    first = result(run(*words))
    assert first["samples"] == 64
    assert result(run(*words)) == first
    assert run(*words, "--seed", "1").status == 2
    model = result(run("rig", "fit", tmp_path / "samples", "--out", tmp_path / "model", "--json"))
    assert model["vertices"] == 8
    assert run("rig", "export", tmp_path / "model", "--to", tmp_path / "model.npz").status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("describe", "nowhere.glb"), "no rig 'nowhere.glb'"),
        (("describe", "body.blend"), "no rig 'body.blend'"),
        (("describe", "python:nowhere:rig"), "no module 'nowhere'"),
        (("bake", "cube", "--animation", "walk", "--out", "OUT.npz"), "cube: has no animations"),
        (("bake", "cube", "--animation", "walk", "--fps", "0/0", "--out", "OUT.npz"), "'0/0' is not a frame rate"),
        (("sample", "cubes", "--out", "OUT"), "no rig 'cubes'; did you mean cube"),
        (("fit", "nowhere", "--out", "OUT"), "nowhere"),
        (("invert", "nowhere.npz", "--rig", "cube", "--out", "OUT"), "nowhere.npz"),
        (("evaluate", "nowhere"), "nowhere: no such folder"),
        (("export", "nowhere", "--to", "OUT.csv"), "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_with_status_2_and_writes_nothing(run, tmp_path, words, message):
    ended = run("rig", *[word.replace("OUT", str(tmp_path / "out")) for word in words], "--json")
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_a_capture_of_another_mesh_is_refused(run, shot, tmp_path):
    ended = run("rig", "invert", shot, "--rig", "face", "--out", tmp_path / "out")
    assert ended.status == 2
    assert "has 8 vertices, face has 2000" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_take_does_not_run_the_python_rig_that_it_names(run, tmp_path, monkeypatch):
    (tmp_path / "sly_rig.py").write_text(
        "import numpy as np\nfrom pathlib import Path\nPath('ran').touch()\n"
        "controls = ['x']\ndef rig(values):\n    return np.eye(4, 3) * (1 + values[0])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    np.savez("shot.npz", vertices=np.eye(4, 3) * np.array([1.25, 1.5])[:, None, None])
    assert run("rig", "invert", "shot.npz", "--rig", "python:sly_rig:rig", "--out", "take").status == 0
    Path("ran").unlink()
    monkeypatch.delitem(__import__("sys").modules, "sly_rig")
    for words in (("evaluate", "take"), ("export", "take", "--to", "solved.npz")):
        ended = run("rig", *words)
        assert ended.status == 2
        assert "--rig" in ended.err
    assert not Path("ran").exists()
    assert result(run("rig", "evaluate", "take", "--rig", "python:sly_rig:rig", "--json"))["mean_vertex_error"] < 1e-6
    assert Path("ran").exists()


def test_a_gltf_character_goes_round(run, data_dir, tmp_path):
    rig = data_dir / "rigs" / "Fox.glb"
    shot, take, copy = tmp_path / "walk.npz", tmp_path / "take", tmp_path / "walk.glb"
    baked = result(run("rig", "bake", rig, "--animation", "Walk", "--out", shot, "--fps", "12", "--json"))
    assert (baked["vertices"], baked["fps"]) == (1728, 12.0)
    assert result(run("rig", "invert", shot, "--rig", rig, "--out", take, "--json"))["relative_error"] < 1e-6
    assert run("rig", "export", take, "--to", copy).status == 0
    assert "take" in result(run("rig", "describe", copy, "--json"))["animations"]
    ended = run("rig", "bake", rig, "--animation", "Wlak", "--out", tmp_path / "x.npz")
    assert ended.status == 2
    assert "Survey, Walk, Run" in ended.err


@pytest.mark.parametrize("text", ["24", "23.976", "24000/1001"])
def test_frame_rates_are_exact(text):
    assert frame_rate(text) == frame_rate("24" if text == "24" else "24000/1001")


@pytest.mark.parametrize("text", ["x", "0", "-1", "1/0", "nan", "24/x"])
def test_bad_frame_rates_are_named(text, run):
    ended = run("rig", "bake", "cube", "--animation", "a", "--out", "o.npz", f"--fps={text}")
    assert ended.status == 2
    assert text in ended.err


def test_options_reach_the_settings():
    made = parse(invert(), ["a.npz", "--rig", "r.glb", "--out", "o", "--smooth", "0.5", "--align", "none"], "bunraku")
    assert (made.cfg.smooth, made.cfg.align, made.rig, made.overwrite) == (0.5, "none", "r.glb", False)
    assert parse(describe(), ["cube", "--json"], "bunraku").json
    assert parse(export(), ["t", "--to", "f.csv"], "bunraku").rig is None


def test_every_command_in_the_readme_is_one():
    lines = [line.split("#")[0].split() for line in README.read_text("utf-8").splitlines()]
    commands = [words[1:] for words in lines if words[:1] == ["bunraku"]]
    assert len(commands) >= 8
    for words in commands:
        name = next(name for name in (tuple(words[:2]), tuple(words[:1])) if name in COMMANDS)
        module, function = COMMANDS[name][0].split(":")
        kind = getattr(__import__(module, fromlist=[function]), function)()
        assert parse(kind, words[len(name) :], "bunraku")
