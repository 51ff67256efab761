"""The mimic group, from train to export."""

import json

import numpy as np
import pytest

from small_training import briefly, small


def result(ended):
    """The JSON of a command that went well."""
    assert ended.status == 0, ended.err
    (line,) = ended.out.splitlines()
    return json.loads(line)


@pytest.fixture(autouse=True, scope="module")
def brief():
    with pytest.MonkeyPatch.context() as patch:
        briefly(patch)
        yield


@pytest.fixture(scope="module")
def folder(brief, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    small("bopbag", out)
    return out


def test_train_repeats_its_result_and_refuses_other_settings(run, tmp_path):
    words = ("mimic", "train", "bopbag", "--samples", "10", "--algorithm", "ppo", "--out", tmp_path / "run")
    first = result(run(*words, "--json"))
    assert first["seed"] == 0
    assert result(run(*words, "--json")) == first
    ended = run(*words, "--seed", "1")
    assert (ended.status, ended.out) == (2, "")
    assert "was made with seed = 0, now 1; --overwrite replaces it" in ended.err
    assert result(run(*words, "--seed", "1", "--overwrite", "--json"))["seed"] == 1


def test_evaluate_has_the_promised_keys_and_tables_for_people(run, folder):
    told = result(run("mimic", "evaluate", folder, "--episodes", "3", "--episode-s", "0.5", "--json"))
    assert told["episodes"] == 3
    assert {"samples", "normalized_return", "full_episodes", "mean_episode_s", "reward_terms", "pushes"} <= told.keys()
    lines = run("mimic", "evaluate", folder, "--episodes", "3", "--episode-s", "0.5").out
    assert "PD, hand-tuned" in lines
    assert "largest push of 0.21 s on bag" in lines


def test_export_writes_what_the_ending_says(run, folder, tmp_path):
    for name, more in (("p.onnx", ()), ("p.npz", ()), ("m.npz", ("--motion", "0.5"))):
        told = result(run("mimic", "export", folder, "--to", tmp_path / name, *more, "--json"))
        assert told["bytes"] == (tmp_path / name).stat().st_size
    assert "body_pos_w" in np.load(tmp_path / "m.npz")


def test_mistakes_are_one_line_with_status_2(run, folder, tmp_path):
    (tmp_path / "bad.xml").write_text("<mujoco><worldbody><body/></worldbody>")
    cases = [
        (("train", "bopbug", "--out", tmp_path / "x"), "no character 'bopbug'; there is: bopbag"),
        (("train", tmp_path / "bad.xml", "--out", tmp_path / "x"), "bad.xml: is not valid XML"),
        (("train", "bopbag", "--out", tmp_path / "x", "--clip", "no.npz"), "no.npz: no such clip"),
        (("train", "bopbag", "--out", tmp_path / "x", "--samples", "0"), "samples = 0"),
        (("train", "bopbag", "--out", tmp_path / "x", "--algorithm", "sac"), "--algorithm"),
        (("evaluate", folder, "--episodes", "0"), "episodes = 0"),
        (("evaluate", folder, "--character", "bopbag2"), "has changed since it was trained"),
        (("evaluate", tmp_path / "x"), "no such folder"),
        (("export", folder, "--to", tmp_path / "x.fbx"), "x.fbx: a policy is written as"),
    ]
    for words, match in cases:
        ended = run("mimic", *words)
        assert (ended.status, ended.out) == (2, ""), words
        assert ended.err.count("\n") == 1
        assert match in ended.err
