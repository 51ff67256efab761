from dataclasses import replace

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.imitation.learner import AWRConfig, TrainConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.run import Subject, history, load_policy, load_run, pack, unpack
from bunraku.imitation.train import train
from pendulum import Pendulums

SUBJECT = Subject("pendulum", "abc", 96.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    cfg = TrainConfig("awr", 288, 0, 4, 0, PolicyConfig((8,), (8,)), awr=AWRConfig(epochs=2))
    train(lambda count: Pendulums(count, 24), cfg, out, subject=SUBJECT)
    return out


def test_a_run_says_who_was_trained_and_how(folder):
    run = load_run(folder, SUBJECT)
    assert run.subject == SUBJECT
    assert run.control_hz == 24.0
    assert run.settings["algorithm"] == "awr"
    assert run.result["samples"] == 288
    assert [slot.name for slot in run.last.layout] == ["angle", "rate"]
    assert run.provenance["versions"].keys() >= {"bunraku", "torch"}


def test_the_policy_of_a_run_is_the_last_unless_the_best_is_asked_for(folder):
    run, seen = load_run(folder), np.ones(2)
    np.testing.assert_array_equal(load_policy(folder).act(seen), run.last.act(seen))
    np.testing.assert_array_equal(load_policy(folder, which="best").act(seen), run.best.act(seen))


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (replace(SUBJECT, name="bopbag2"), "was trained with the character 'pendulum', not 'bopbag2'"),
        (replace(SUBJECT, physics_hz=240.0), "was trained with physics at 96 Hz, not 240 Hz"),
        (replace(SUBJECT, hash="other"), "the character 'pendulum' has changed"),
    ],
)
def test_another_character_or_physics_rate_is_refused_by_name(folder, subject, message):
    with pytest.raises(BunrakuError, match=message) as caught:
        load_policy(folder, subject)
    assert str(folder) in str(caught.value)


def test_metrics_that_are_not_json_are_refused_and_an_unended_line_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"update": 1}\n{"upd')
    assert history(tmp_path) == [{"update": 1}]
    (tmp_path / "metrics.jsonl").write_text("no\n")
    with pytest.raises(BunrakuError, match=r"metrics\.jsonl: is not lines of JSON"):
        history(tmp_path)
    assert history(tmp_path / "nothing") == []


def test_what_is_packed_is_unpacked():
    assert unpack(pack({"a": [1, 2.5], "b": None})) == {"a": [1, 2.5], "b": None}


def test_a_run_without_its_arrays_is_refused_by_name(folder, tmp_path):
    artifact.write_json(tmp_path / "manifest.json", artifact.read_manifest(folder))
    with pytest.raises(BunrakuError, match=r"arrays\.safetensors: holds no whole policy"):
        load_run(tmp_path)
