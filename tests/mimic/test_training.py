"""Training from names and files to a stored, evaluated result."""

import json
from pathlib import Path

import numpy as np
import pytest

from bunraku import mimic
from bunraku.core import artifact
from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton
from bunraku.formats.clip import save_clip
from bunraku.imitation.character import export_character, open_character
from small_training import SMALL, TASK, small

PROMISED = """samples train_wall_seconds train_cpu_seconds steps_per_second normalized_return normalized_return_literal
    normalized_return_released full_episodes mean_episode_s reward_terms episodes seed physics_hz control_hz"""


def refused(match, call, *args, **more):
    with pytest.raises(BunrakuError, match=match) as error:
        call(*args, **more)
    assert "\n" not in str(error.value)


def timeless(result):
    return {
        name: value
        for name, value in result.items()
        if "seconds" not in name and name not in ("times", "steps_per_second")
    }


def test_a_result_has_the_promised_keys_and_is_repeated_without_work(finished, monkeypatch):
    again = small("bopbag", finished)
    assert set(PROMISED.split()) <= again.keys()
    assert (again["samples"], again["seed"], again["episodes"]) == (192, 0, 32)
    assert (again["physics_hz"], again["control_hz"]) == (192.0, 24.0)
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*")}
    assert small("bopbag", finished) == again
    assert {file: file.stat().st_mtime_ns for file in finished.rglob("*")} == before
    assert [row["controller"] for row in again["controllers"]] == ["policy (last)", "no action", "PD, hand-tuned"]


def test_a_larger_budget_continues_to_what_one_run_would_have_become(run_folder, tmp_path):
    longer = small("bopbag", run_folder, samples=384)
    whole = small("bopbag", tmp_path / "whole", samples=384)
    assert longer["samples"] == 384
    assert timeless(longer) == timeless(whole)
    assert small("bopbag", run_folder, samples=192) == longer


def test_killed_between_training_and_evaluation_it_is_evaluated_by_the_next_call(finished, run_folder):
    manifest = artifact.read_manifest(run_folder)
    kept = {name: value for name, value in manifest["result"].items() if name in ("samples", "seed", "updates")}
    artifact.write_json(run_folder / artifact.MANIFEST, {**manifest, "result": kept})
    for file in (run_folder / "character").iterdir():
        file.unlink()
    again = small("bopbag", run_folder)
    assert again["normalized_return"] == small("bopbag", finished)["normalized_return"]


def test_minutes_end_a_training_and_count_over_all_calls(tmp_path):
    done = small("bopbag", tmp_path / "run", minutes=0.02)
    assert done["train_wall_seconds"] >= 0.02 * 60
    assert small("bopbag", tmp_path / "run", minutes=0.02) == done
    # More minutes than were spent go on; the same samples in one go give the same.
    more = small("bopbag", tmp_path / "run", minutes=done["train_wall_seconds"] / 60 + 0.005)
    assert more["samples"] > done["samples"]
    whole = small("bopbag", tmp_path / "whole", samples=more["samples"])
    assert timeless(whole) == timeless(more)


def test_progress_tells_the_return_and_how_much_time_is_left(tmp_path):
    told = []
    small("bopbag", tmp_path / "a", progress=lambda *words: told.append(words))
    assert [(stage, done, total) for stage, done, total, _ in told] == [("train", 96, 192), ("train", 192, 192)]
    assert all(note.startswith("return 0.") for *_, note in told)
    told.clear()
    small("bopbag", tmp_path / "b", minutes=0.01, progress=lambda *words: told.append(words))
    assert all(0 < done <= total == pytest.approx(0.6) for _, done, total, _ in told)


def test_other_settings_are_refused_without_overwrite(run_folder):
    refused("was made with seed = 0, now 1; --overwrite", small, "bopbag", run_folder, seed=1)
    refused("was made with task = ", small, "bopbag", run_folder, reward="literal")
    assert small("bopbag", run_folder, seed=1, overwrite=True)["seed"] == 1


def test_a_character_that_was_edited_is_another_one(tmp_path):
    file = tmp_path / "mine.xml"
    export_character(open_character("bopbag"), file)
    small(str(file), tmp_path / "run")
    file.write_text(file.read_text().replace('mass="3"', 'mass="4"'))
    refused("was made with character_hash", small, str(file), tmp_path / "run")
    refused("has changed since it was trained", mimic.evaluate, tmp_path / "run", character=str(file))
    file.write_text(file.read_text().replace('timestep="0.00520833"', 'timestep="0.00260417"'))
    refused("was made with physics_hz = 192.0, now 384.0", small, str(file), tmp_path / "run")
    refused("physics at 192 Hz, not 384 Hz", mimic.evaluate, tmp_path / "run", character=str(file))
    file.unlink()
    # The run has a copy of what it was trained with.
    assert mimic.evaluate(tmp_path / "run", episodes=2, episode_s=0.5, push=False)["episodes"] == 2


def nod(file, joint="bag"):
    bones = skeleton([joint], [-1], np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]))
    half = np.array([0.0, 0.1, 0.0]) / 2
    quat = np.stack([np.cos(half), 0 * half, np.sin(half), 0 * half], axis=1)[:, None]
    save_clip(file, clip(bones, [0.0, 0.5, 1.0], np.zeros((3, 3)), quat, "wrap"))


def test_a_clip_is_imitated_and_kept(tmp_path):
    nod(tmp_path / "nod.npz")
    done = small("bopbag", tmp_path / "run", clip=tmp_path / "nod.npz", reward="deepmimic")
    assert set(done["reward_terms"]) == {"pose", "velocity", "effectors", "centre_of_mass"}
    assert done["normalized_return"] == done["task_return"]
    assert done["normalized_return_literal"] is None
    (tmp_path / "nod.npz").unlink()
    again = mimic.evaluate(tmp_path / "run", push=False)
    assert again["normalized_return"] == done["normalized_return"]


def test_mistakes_are_one_line_and_nothing_is_written(tmp_path):
    out = tmp_path / "run"
    nod(tmp_path / "nod.npz", "wing")
    (tmp_path / "broken.xml").write_text("<mujoco><worldbody><body><geom type='ball'/></body></worldbody></mujoco>")
    refused("no character 'bopbug'; there is: bopbag", small, "bopbug", out)
    refused(r"broken.xml: MuJoCo says: .*ball", small, str(tmp_path / "broken.xml"), out)
    refused("nothing.npz: no such clip", small, "bopbag", out, clip=tmp_path / "nothing.npz")
    refused("wing", small, "bopbag", out, clip=tmp_path / "nod.npz")
    refused("no reward 'speed'; there are: auto", small, "bopbag", out, reward="speed")
    refused("expected python:module:function", small, "bopbag", out, reward="python:mine")
    refused("samples = 0: expected at least 1", small, "bopbag", out, samples=0)
    refused("minutes = 0: expected more than 0", small, "bopbag", out, minutes=0.0)
    refused("threads = 0: expected at least 1", small, "bopbag", out, threads=0)
    assert not out.exists()


REWARD = """
import numpy as np

calls = 0


def spoiled(tracking):
    global calls
    calls += 1
    return np.full(len(tracking.qpos), np.nan if calls > 30 else 0.5)


def angle(tracking):
    return np.exp(-tracking.angles[:, 0])
"""


@pytest.fixture
def rewards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("my_rewards.py").write_text(REWARD)


def test_a_users_reward_trains_and_is_not_run_again_to_evaluate(rewards, tmp_path, monkeypatch):
    small("bopbag", tmp_path / "run", reward="python:my_rewards:angle")
    monkeypatch.delattr("my_rewards.angle")
    assert mimic.evaluate(tmp_path / "run", episodes=2, push=False)["reward_terms"].keys() == {"pose", "velocity"}
    refused("has no function 'angle'", small, "bopbag", tmp_path / "other", reward="python:my_rewards:angle")
    refused("importing no_such failed", small, "bopbag", tmp_path / "other", reward="python:no_such:angle")


def test_after_a_reward_that_is_not_a_number_the_last_good_checkpoint_is_there(rewards, tmp_path):
    out = tmp_path / "run"
    refused("spoiled: gives nan for character 0", small, "bopbag", out, samples=960, reward="python:my_rewards:spoiled")
    # Twelve steps are an update: two were whole.
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2
    assert artifact.read_arrays(out / "checkpoint.safetensors")


def test_a_corrupt_checkpoint_is_named(run_folder):
    file = run_folder / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    refused("checkpoint.safetensors: is corrupt", small, "bopbag", run_folder, samples=384)
    arrays = run_folder / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:100])
    refused("arrays.safetensors: is corrupt", mimic.evaluate, run_folder)


def test_what_stands_in_a_manifest_cannot_reach_out_of_the_run(run_folder):
    manifest = json.loads((run_folder / "manifest.json").read_text())
    manifest["settings"]["task"]["files"] = ["../../secret"]
    (run_folder / "manifest.json").write_text(json.dumps(manifest))
    refused("names a file outside of it", mimic.evaluate, run_folder)
    del manifest["settings"]["task"]["start"]
    (run_folder / "manifest.json").write_text(json.dumps(manifest))
    refused("does not say what its task was", mimic.evaluate, run_folder)


def test_the_small_training_is_what_these_tests_think(finished):
    settings = artifact.read_manifest(finished)["settings"]
    assert settings["count"] == SMALL.count
    assert settings["episode_steps"] == round(24 * TASK.episode_s)
