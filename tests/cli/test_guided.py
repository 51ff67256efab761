"""Inversions that are told something: what is decided of the curves, and how the capture corresponds."""

import csv
import json

import numpy as np
import pytest

from bunraku.rigs.cube import Cube, animation
from bunraku.rigs.face import Face
from bunraku.rigs.face import animation as face_animation


def result(ended):
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def columns(folder, run):
    assert run("rig", "export", str(folder), "--to", str(folder / "curves.csv")).status == 0
    with (folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name not in ("frame", "time_s")}


@pytest.fixture
def shot(tmp_path):
    true = animation(12)
    np.savez(tmp_path / "shot.npz", vertices=Cube().evaluate(true.values), fps=24, start_frame=100)
    return tmp_path / "shot.npz", true


def test_locks_freezes_curves_and_pins_are_kept_to(run, shot, tmp_path):
    file, _true = shot
    (tmp_path / "ry.csv").write_text(
        "frame,time_s,ry\n" + "".join(f"{100 + k},{k / 24},{0.4 + 0.01 * k}\n" for k in range(12))
    )
    told = [
        "--lock",
        "s[xy]",
        "--freeze",
        "sz=0.7",
        "--pin",
        "103:rz=0.25,105:rz=0.5",
        "--drive",
        str(tmp_path / "ry.csv"),
    ]
    command = ["rig", "invert", str(file), "--rig", "cube", "--out", str(tmp_path / "take"), *told]
    result(run(*command, "--json"))
    found = columns(tmp_path / "take", run)
    assert (found["sx"] == 0.6).all()
    assert (found["sz"] == 0.7).all()
    assert (found["rz"][3], found["rz"][5]) == (0.25, 0.5)
    np.testing.assert_allclose(found["ry"], 0.4 + 0.01 * np.arange(12), atol=1e-12)
    assert np.ptp(found["rx"]) > 0.01
    # Told otherwise it is another take.
    ended = run(*command[:-2], "--json")
    assert ended.status == 2
    assert "was made with instructions" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lock", "nose"], "no control 'nose'; this rig has: rx"),
        (["--pin", "3:rx"], "--pin 3:rx: expected FRAME:NAME=VALUE"),
        (["--pin", "rx=1"], "--pin rx=1: expected FRAME:NAME=VALUE"),
        (["--pin", "99:rx=0.5"], "control 'rx' is pinned at frame 99; the shot has frames 100 to 111"),
        (["--freeze", "rx=wide"], "--freeze rx=wide: 'wide' is not a number"),
        (["--freeze", "rx=7"], "control 'rx' is frozen at 7, above its upper bound 1"),
        (["--freeze", "rx=.1,rx=.2"], "--freeze rx=.2: 'rx' is frozen at 0.1 already"),
        (["--freeze", "rx=.1", "--lock", "rx"], "control 'rx' is frozen at 0.1 and locked at 0.5"),
        (["--switch", "rx=1"], "switch 'rx': needs two values or more, has 1"),
        (["--twins", "rx", "--symmetric", "1"], "--twins rx: expected NAME=NAME"),
        (["--map", "nowhere.json"], "nowhere.json: no such file"),
        (["--reference-frame", "7"], "has frames 100 to 111, not the reference frame 7"),
        (["--reference-frame", "100", "--topology", "other"], "--reference-frame and --topology other: only one"),
        (["--topology", "other", "--switch", "rx=0|1"], "--topology other: does not take --switch and --twins"),
        (["--topology", "other", "--freeze", "rx=7"], "control 'rx' is frozen at 7, above its upper bound 1"),
        (["--seams"], "--seams: is about a --map, and none is given"),
    ],
)
def test_what_cannot_be_followed_is_one_line(run, shot, words, message, tmp_path):
    ended = run("rig", "invert", str(shot[0]), "--rig", "cube", "--out", str(tmp_path / "take"), *words)
    assert ended.status == 2, ended.err
    assert message in ended.err
    assert len(ended.err.strip().splitlines()[-1:]) == 1
    assert "Traceback" not in ended.err


def test_a_switch_is_found(run, tmp_path):
    true = animation(24).values.copy()
    true[:, 0] = np.where(np.arange(24) < 13, 0.0, 1.0)
    np.savez(tmp_path / "shot.npz", vertices=Cube().evaluate(true), fps=24)
    told = ["--switch", "rx=0|1"]
    result(
        run(
            "rig",
            "invert",
            str(tmp_path / "shot.npz"),
            "--rig",
            "cube",
            "--out",
            str(tmp_path / "take"),
            *told,
            "--json",
        )
    )
    np.testing.assert_array_equal(columns(tmp_path / "take", run)["rx"], true[:, 0])


def test_a_shuffled_capture_is_matched_by_a_map_or_by_its_neutral_frame_and_measured_again(run, tmp_path):
    rig = Cube()
    true = animation(10).values.copy()
    true[0] = rig.spec.neutral
    order = np.random.default_rng(0).permutation(8)
    np.savez(tmp_path / "shot.npz", vertices=rig.evaluate(true)[:, order], fps=24)
    (tmp_path / "map.json").write_text(json.dumps(order.tolist()))
    takes = {"by_map": ["--map", str(tmp_path / "map.json")], "by_frame": ["--reference-frame", "0"]}
    for name, words in takes.items():
        out = tmp_path / name
        found = result(
            run("rig", "invert", str(tmp_path / "shot.npz"), "--rig", "cube", "--out", str(out), *words, "--json")
        )
        assert found["relative_error"] < 1e-6
        again = result(run("rig", "evaluate", str(out), "--json"))
        assert again["mean_vertex_error"] == pytest.approx(found["mean_vertex_error"], rel=1e-9)
        assert result(run("rig", "account", str(out), "--json"))["take"] == str(out)
    # In the wrong order it is another mesh.
    wrong = tmp_path / "wrong"
    plain = result(run("rig", "invert", str(tmp_path / "shot.npz"), "--rig", "cube", "--out", str(wrong), "--json"))
    assert plain["relative_error"] > 0.05


def test_markers_on_a_face_are_followed(run, tmp_path):
    """Thirty points with a map of where they sit; a few controls that they can see."""
    rig, rng = Face(), np.random.default_rng(1)
    chosen = rng.choice(len(rig.faces), 30, replace=False)
    share = rng.dirichlet([1, 1, 1], 30)
    true = face_animation(rig, 20, 1).values
    moving = np.abs(true).max(axis=0).argsort()[-4:]
    only = np.zeros_like(true)
    only[:, moving] = true[:, moving]
    mesh = rig.evaluate(only)
    points = np.einsum("pk,fpkx->fpx", share, mesh[:, rig.faces[chosen]])
    np.savez(tmp_path / "markers.npz", vertices=points, fps=24)
    places = {
        f"m{k}": {"triangle": [int(i) for i in rig.faces[face]], "weights": [float(w) for w in share[k]]}
        for k, face in enumerate(chosen)
    }
    (tmp_path / "places.json").write_text(json.dumps(places))
    names = ",".join(rig.spec.names[i] for i in moving)
    words = ["--map", str(tmp_path / "places.json"), "--controls", names]
    out = tmp_path / "take"
    found = result(
        run("rig", "invert", str(tmp_path / "markers.npz"), "--rig", "face", "--out", str(out), *words, "--json")
    )
    assert found["vertices"] == 30
    assert found["relative_error"] < 1e-6
    curves = columns(out, run)
    for column in moving:
        np.testing.assert_allclose(curves[rig.spec.names[column]], only[:, column], atol=1e-4)


def test_a_drifting_face_is_held_by_the_vertices_that_are_named(run, tmp_path):
    rig = Face()
    true = face_animation(rig, 20, 1).values
    t = np.linspace(0, 3, 20)
    mesh = rig.evaluate(true) + np.stack([20 * np.sin(t), 5 * t, 0 * t], axis=1)[:, None]
    np.savez(tmp_path / "shot.npz", vertices=mesh, fps=24)
    moved = np.abs(rig.evaluate(true) - rig.neutral).max(axis=(0, 2))
    (tmp_path / "skull.json").write_text(json.dumps([int(i) for i in np.argsort(moved)[:60]]))
    words = ["--stable", str(tmp_path / "skull.json"), "--align", "none", "--controls", "jaw.*,middle*"]
    command = ["rig", "invert", str(tmp_path / "shot.npz"), "--rig", "face", *words, "--json"]
    found = result(run(*command, "--out", str(tmp_path / "held")))
    assert "taken out per frame" in found["stabilisation"]
    left = result(run(*command, "--stabilise", "none", "--out", str(tmp_path / "left")))
    assert found["mean_vertex_error"] < 0.7 * left["mean_vertex_error"]
    again = result(run("rig", "evaluate", str(tmp_path / "held"), "--json"))
    assert again["mean_vertex_error"] == pytest.approx(found["mean_vertex_error"], rel=1e-9)
    (tmp_path / "skull.json").write_text("[9999]")
    ended = run(*command, "--overwrite", "--out", str(tmp_path / "held"))
    assert ended.status == 2
    assert "9999" in ended.err
