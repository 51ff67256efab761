"""Many captures of one rig: one model, a take each, one table."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bunraku import api
from bunraku.api import shots as many
from bunraku.api.matching import Matching
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.inversion.guidance import Instructions, Pin
from bunraku.rigs.cube import Cube, animation


@pytest.fixture
def captures(tmp_path, monkeypatch):
    """Two good ones, and one of another mesh."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        np.savez(f"{name}.npz", vertices=Cube().evaluate(animation(4, seed=seed).values))
    np.savez("bad.npz", vertices=np.zeros((2, 7, 3)))
    return [Path("one.npz"), Path("bad.npz"), Path("two.npz")]


def states(result):
    return [(row["shot"], row["state"]) for row in result["shots"]]


def test_a_shot_that_fails_does_not_stop_the_others_and_finished_ones_are_kept(captures):
    out = Path("takes")
    first = api.invert_many(captures, "cube", out)
    assert states(first) == [("one", "done"), ("bad", "failed"), ("two", "done")]
    reason = first["shots"][1]["reason"]
    assert "bad.npz" in reason
    assert "7 vertices" in reason
    take = api.load_take(out / "two")
    assert take.curves.frames == first["shots"][2]["frames"] == 4
    assert first["shots"][2]["error_mean"] == take.metrics["mean_vertex_error"] < 1e-6
    assert json.loads((out / "summary.json").read_text())["shots"] == first["shots"]
    with (out / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert float(rows[0]["relative_error"]) == first["shots"][0]["relative_error"]
    stamps = {file: file.stat().st_mtime_ns for name in ("one", "two") for file in (out / name).rglob("*")}
    np.savez("bad.npz", vertices=Cube().evaluate(animation(3, seed=7).values))
    again = api.invert_many(captures, "cube", out)
    assert states(again) == [("one", "kept"), ("bad", "done"), ("two", "kept")]
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    np.savez("three.npz", vertices=Cube().evaluate(animation(2, seed=9).values))
    added = api.invert_many([Path("three.npz"), *captures], "cube", out)
    assert [state for _, state in states(added)] == ["done", "kept", "kept", "kept"]


def test_instructions_and_the_map_hold_for_every_shot_in_every_worker(captures):
    spec = Cube().spec
    order = np.random.default_rng(0).permutation(len(Cube().neutral))
    for capture in captures[::2]:
        vertices = np.load(capture)["vertices"]
        np.savez(capture, vertices=vertices[:, order])
    np.save("map.npy", np.argsort(order))
    said = Instructions(lock=(spec.names[1],), freeze={spec.names[0]: 0.25})
    told = {"instructions": said, "matching": Matching(map=Path("map.npy"))}
    result = api.invert_many(captures[::2], "cube", Path("takes"), workers=2, **told)
    assert [state for _, state in states(result)] == ["done", "done"]
    for name in ("one", "two"):
        values = api.load_take(Path("takes") / name).curves.values
        assert set(values[:, 0]) == {0.25}
        assert set(values[:, 1]) == {spec.neutral[1]}
    kept = api.invert_many(captures[::2], "cube", Path("takes"), workers=2, **told)
    assert [state for _, state in states(kept)] == ["kept", "kept"]
    with pytest.raises(BunrakuError, match="pins belong to one shot"):
        api.invert_many(captures, "cube", Path("else"), instructions=Instructions(pins=(Pin(0, spec.names[0], 0.5),)))


def test_a_capture_that_has_changed_is_not_taken_for_the_old_one(captures):
    api.invert_many(captures[:1], "cube", Path("takes"))
    np.savez("one.npz", vertices=Cube().evaluate(animation(3, seed=5).values))
    failed = api.invert_many(captures[:1], "cube", Path("takes"))
    assert states(failed) == [("one", "failed")]
    assert "--overwrite replaces it" in failed["shots"][0]["reason"]
    replaced = api.invert_many(captures[:1], "cube", Path("takes"), overwrite=True)
    assert (states(replaced), replaced["shots"][0]["frames"]) == ([("one", "done")], 3)


def test_worker_processes_give_the_same_takes(captures):
    api.invert_many(captures[::2], "cube", Path("here"))
    result = api.invert_many(captures, "cube", Path("there"), workers=2)
    assert [state for _, state in states(result)] == ["done", "failed", "done"]
    for name in ("one", "two"):
        here, there = (api.load_take(Path(where) / name).curves.values for where in ("here", "there"))
        np.testing.assert_array_equal(here, there)


def test_one_model_serves_all_shots_and_is_made_once(captures, monkeypatch):
    """Sampling and fitting are played here: they have tests of their own."""
    made, used = [], []
    monkeypatch.setattr(many, "_plan", lambda *_: {"way": "approximation", "reason": "played"})
    monkeypatch.setattr(many, "sampled_into", lambda *args: made.append(("samples", args[2])))
    monkeypatch.setattr(many, "fit", lambda samples, out, cfg, **_: made.append(("model", out)))

    def invert_file(capture, rig, out, cfg, *, model, **_):
        used.append((capture.name, model))
        if capture.name == "two.npz" and len(used) < 3:
            raise KeyboardInterrupt
        artifact.open_output(out, "take", {})
        return {"frames": 4}

    monkeypatch.setattr("bunraku.api.takes.invert_file", invert_file)
    shared = Path("takes") / many.MODEL
    with pytest.raises(KeyboardInterrupt):
        api.invert_many(captures[::2], "cube", Path("takes"))
    stopped = json.loads(Path("takes/summary.json").read_text())["shots"]
    assert [row["state"] for row in stopped] == ["done", "waiting"]
    # What was decided stays decided: the plan is not made again.
    monkeypatch.setattr(many, "_plan", lambda *_: pytest.fail("planned twice"))
    api.invert_many(captures[::2], "cube", Path("takes"))
    assert {model for _, model in used} == {shared}
    assert made[0] == ("samples", Path("takes") / many.SAMPLES)
    assert made[1] == ("model", shared)


def test_what_concerns_all_shots_is_refused_before_any(captures):
    def refused(message, *args, **more):
        with pytest.raises(BunrakuError, match=message) as caught:
            api.invert_many(*args, **more)
        assert "\n" not in str(caught.value)

    out = Path("takes")
    refused("no captures", [], "cube", out)
    refused("one.npz and .*sub/one.npy would both become the take one", [captures[0], Path("sub/one.npy")], "cube", out)
    refused("cannot be named 'shared-model'", [Path("shared-model.npz")], "cube", out)
    refused("no rig 'cub'", captures, "cub", out)
    refused("no control 'jaw'", captures, "cube", out, controls=("jaw",))
    refused("--workers 0", captures, "cube", out, workers=0)
    refused("nowhere: no such folder", captures, "cube", out, model=Path("nowhere"))
    assert not out.exists()
    api.invert_many(captures[:1], "cube", out)
    refused("takes: was made with rig = .*; --overwrite replaces it", captures[:1], "face", out)
