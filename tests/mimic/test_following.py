"""A character with a free root and a clip: from names and files to a stored, evaluated result."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

from bunraku import mimic
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.formats.clip import load_clip
from bunraku.imitation.character import open_character
from bunraku.imitation.clip_environment import ClipConfig
from bunraku.imitation.learner import PPOConfig, PrimerConfig, TrainConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.run import CHECKPOINT, history
from bunraku.mimic.fitting import fall_of, fitting_clip
from bunraku.mimic.opening import open_task

SMALL = TrainConfig("ppo", 64, 0, 4, 8, PolicyConfig((16,), (16,), "elu", 0.1), ppo=PPOConfig(epochs=2, minibatch=16))
SHORT = ClipConfig(episode_s=0.4)


def small(out, clip="squatting", samples=64, **more):
    return mimic.train("humanoid", out, clip=clip, samples=samples, cfg=SMALL, environment=SHORT, **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("following") / "run"
    return out, small(out)


def timeless(result):
    return {
        name: value
        for name, value in result.items()
        if "seconds" not in name and name not in ("times", "steps_per_second")
    }


def test_a_result_has_three_returns_and_rows_of_those_who_have_learnt_nothing(finished):
    _, result = finished
    assert {"normalized_return", "normalized_return_literal", "normalized_return_released"} <= result.keys()
    assert (result["physics_hz"], result["control_hz"], result["episodes"]) == (240.0, 30.0, 32)
    rows = {row["controller"]: row for row in result["controllers"]}
    assert set(rows) == {"policy (last)", "no action", "kinematic PD"}
    # A squat that is held by springs to the clip stays up for a while whoever acts.
    assert 0.02 < rows["no action"]["normalized_return"] <= 1


def test_a_run_keeps_its_clip_and_character_and_goes_on_exactly(finished, tmp_path):
    out, result = finished
    kept = load_clip(out / "clip.npz")
    assert kept.loop == "wrap"
    assert (out / "character" / "character.xml").is_file()
    assert artifact.read_manifest(out)["settings"]["task"]["clip"] == {"made": "squatting", "mended": False}
    one = tmp_path / "one"
    small(one, samples=32)
    # Threads have no part in the result.
    continued, whole = small(one, threads=2), result
    assert timeless(continued) == timeless(whole)
    first, second = (artifact.read_arrays(folder / CHECKPOINT) for folder in (out, one))
    assert first.keys() == second.keys()
    for name, array in first.items():
        if name != "counts":
            assert np.array_equal(array, second[name], equal_nan=True), name
    assert [entry["learner"] for entry in history(out)] == [entry["learner"] for entry in history(one)]


def test_a_run_that_began_with_a_primer_goes_on_exactly_also_from_before_the_first_update(tmp_path, monkeypatch):
    from bunraku.imitation import primer

    monkeypatch.setattr(primer, "_NEAR", 10.0)
    begun = PrimerConfig(rounds=1, count=64, starts=1, steps=2, lessons=1, lesson_steps=4, passes=1, critic_updates=1)
    plan = replace(SMALL, primer=begun, shifts=2)

    def run(out, samples):
        return mimic.train("humanoid", out, clip="squatting", samples=samples, cfg=plan, environment=SHORT)

    first = run(tmp_path / "a", 1)
    taken = first["primer"]["samples"]
    assert first["primer"]["kept"]
    assert first["samples"] == taken
    assert not history(tmp_path / "a")
    assert first["train_wall_seconds"] >= first["times"]["primer"] > 0
    # 32 steps an update; in the first the critic learns alone.
    continued, whole = run(tmp_path / "a", taken + 64), run(tmp_path / "b", taken + 64)
    assert len(history(tmp_path / "a")) == 2
    assert timeless(continued) == timeless(whole)
    one, other = (artifact.read_arrays(tmp_path / name / CHECKPOINT) for name in "ab")
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in other if name != "counts")
    kl = [entry["learner"]["kl"] for entry in history(tmp_path / "b")]
    assert kl[0] == 0.0 < kl[1]


def test_unless_told_otherwise_half_of_the_starts_follow_failures_and_episodes_are_short():
    cfg = open_task("humanoid", "squatting", "auto", None, None, 1).cfg
    assert isinstance(cfg, ClipConfig)
    assert (cfg.episode_s, cfg.phases.uniform) == (5.0, 0.5)


def test_a_run_of_another_version_is_named_with_the_setting_that_is_unknown(finished, tmp_path):
    out, _ = finished
    shutil.copytree(out, tmp_path / "run")
    manifest = artifact.read_manifest(tmp_path / "run")
    manifest["settings"]["task"]["follows"]["phases"]["before_s"] = 0.5
    (tmp_path / "run" / artifact.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BunrakuError, match=r"run: was trained by another version, .* unknown here: before_s$"):
        mimic.evaluate(tmp_path / "run")


def test_evaluation_repeats_the_trainings_figure(finished):
    out, result = finished
    again = mimic.evaluate(out, push=False)
    assert again["normalized_return"] == result["normalized_return"]


def test_the_humanoid_needs_a_clip_and_unknown_ones_are_named_with_what_there_is(tmp_path):
    with pytest.raises(BunrakuError, match="humanoid: moves freely through the world; expected --clip"):
        mimic.train("humanoid", tmp_path / "a")
    with pytest.raises(BunrakuError, match=r"dancing: no such clip; expected a file .* or one made in code: standing"):
        mimic.train("humanoid", tmp_path / "a", clip="dancing")
    with pytest.raises(BunrakuError, match="no reward 'bopbag' for clips; there are: auto, deepmimic, literal"):
        mimic.train("humanoid", tmp_path / "a", clip="standing", reward="bopbag")
    with pytest.raises(BunrakuError, match="humanoid: clips are learnt by ppo"):
        mimic.train("humanoid", tmp_path / "a", clip="standing", algorithm="awr")
    assert not (tmp_path / "a").exists()


def test_what_is_wrong_with_a_clip_is_said_before_training_and_mended_if_asked(data_dir, caplog):
    walk, humanoid = data_dir / "clips" / "deepmimic" / "humanoid3d_walk.txt", open_character("humanoid")
    with caplog.at_level(logging.INFO, "bunraku"):
        as_it_is = fitting_clip(walk, humanoid, mend=False)
    assert any("left_shoulder leaps by 0.50 rad" in problem for problem in as_it_is.problems)
    assert "left_shoulder leaps by 0.50 rad" in caplog.text
    assert "clip check" in caplog.text
    mended = fitting_clip(walk, humanoid, mend=True)
    assert not any("left_shoulder leaps" in problem for problem in mended.problems)
    assert mended.identity["mended"]


def test_published_clips_have_their_published_falls(data_dir):
    humanoid, folder = open_character("humanoid"), data_dir / "clips" / "deepmimic"
    assert len(fall_of(folder / "humanoid3d_walk.txt", humanoid)) == 13
    assert "right_wrist" not in fall_of(folder / "humanoid3d_cartwheel.txt", humanoid)
    assert fall_of(folder / "humanoid3d_crawl.txt", humanoid) == ("root", "chest", "neck")
    assert fall_of(folder / "humanoid3d_roll.txt", humanoid) == ()
    assert fall_of(folder / "other.txt", humanoid) is None
    assert fall_of(folder / "humanoid3d_walk.txt", open_character("bopbag")) is None
    for file in sorted(folder.glob("*.txt")):
        assert fall_of(file, humanoid) is not None, file.name


def test_a_clip_on_other_joints_is_carried_over(data_dir, caplog):
    with caplog.at_level(logging.INFO, "bunraku"):
        fitting = fitting_clip(data_dir / "clips" / "cmu" / "02_01.amc", open_character("humanoid"), mend=False)
    assert "carried over by" in caplog.text
    assert fitting.clip.skeleton.names[0] == "root"
    assert "left_knee" in fitting.clip.skeleton.names


def test_a_clip_run_is_written_for_other_programs(finished, tmp_path):
    out, _ = finished
    told = mimic.export(out, tmp_path / "policy.npz")
    about = json.loads(str(np.load(tmp_path / "policy.npz")["about"]))
    assert told["kind"] == "policy"
    assert about["physics_hz"] == 240.0
