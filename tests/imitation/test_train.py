import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bunraku.compute.assistant import Assistant
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.imitation.learner import AWRConfig, PPOConfig, TrainConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.run import Subject, history, unpack
from bunraku.imitation.train import train
from pendulum import Pendulums

SUBJECT = Subject("pendulum", "abc", 96.0, {"reward": "published"})
SMALL = PolicyConfig((16,), (16,), "tanh", deviation=0.7)
# The discount changes while it learns, also where a training is cut.
PPO_CONFIG = PPOConfig(epochs=2, minibatch=40, later_discount=0.99, later_from=100, later_by=350)
PPO = TrainConfig("ppo", 6 * 80, 3, 8, 10, SMALL, ppo=PPO_CONFIG)
AWR = TrainConfig("awr", 4 * 192, 3, 8, 0, SMALL, awr=AWRConfig(epochs=3, minibatch=48))
BOTH = pytest.mark.parametrize("cfg", [PPO, AWR], ids=["ppo", "awr"])


def pendulums(count):
    # Episodes end in the middle of segments, by falls and by time.
    return Pendulums(count, episode_steps=24, fall=1.2)


def whole_pendulums(count):
    return Pendulums(count, episode_steps=24)


def make_for(cfg):
    return pendulums if cfg.algorithm == "ppo" else whole_pendulums


def run(cfg, out, **options):
    options = {"subject": SUBJECT, **options}
    return train(options.pop("make", make_for(cfg)), cfg, out, **options)


class StopAt:
    """Progress that interrupts after some updates, as Ctrl-C does."""

    def __init__(self, updates):
        self.left = updates

    def __call__(self, stage, done, total, note=""):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def assert_same(first, second):
    """Arrays, checkpoint and metrics are equal, times aside."""
    for name in ("checkpoint.safetensors", "arrays.safetensors"):
        a, b = (artifact.read_arrays(folder / name) for folder in (first, second))
        assert a.keys() == b.keys()
        for key in a.keys() - {"counts"}:
            assert a[key].dtype == b[key].dtype
            np.testing.assert_array_equal(a[key], b[key], f"{name}: {key}")
        if "counts" in a:
            timeless = [{k: v for k, v in unpack(x["counts"]).items() if k not in TIMES} for x in (a, b)]
            assert timeless[0] == timeless[1]
    timeless = [[{k: v for k, v in entry.items() if k != "times"} for entry in history(f)] for f in (first, second)]
    assert timeless[0] == timeless[1]
    results = [
        {k: v for k, v in artifact.read_manifest(f)["result"].items() if k not in TIMES} for f in (first, second)
    ]
    assert results[0] == results[1]


TIMES = {"times", "wall_s", "cpu_s", "train_wall_seconds", "train_cpu_seconds", "steps_per_second"}


@pytest.mark.parametrize("mirror", [False, True], ids=["", "mirrored"])
@BOTH
def test_an_interrupted_run_becomes_what_an_uninterrupted_one_is(cfg, mirror, tmp_path):
    cfg = replace(cfg, mirror=mirror)
    run(cfg, tmp_path / "whole")
    for updates in (2, 1):
        with pytest.raises(KeyboardInterrupt):
            run(cfg, tmp_path / "pieces", progress=StopAt(updates))
    assert len(history(tmp_path / "pieces")) == 3
    run(cfg, tmp_path / "pieces")
    assert_same(tmp_path / "whole", tmp_path / "pieces")


@BOTH
def test_a_finished_run_with_a_larger_budget_becomes_what_one_from_the_start_is(cfg, tmp_path):
    run(cfg, tmp_path / "whole")
    short = run(replace(cfg, samples=cfg.samples // 2), tmp_path / "pieces")
    assert short.result["samples"] == cfg.samples // 2
    assert run(cfg, tmp_path / "pieces").result["samples"] == cfg.samples
    assert_same(tmp_path / "whole", tmp_path / "pieces")


PROGRAM = """
import sys
from pathlib import Path
import bunraku.imitation.train as training
from pendulum import Pendulums
import {module} as trial
training.CHECKPOINT_EVERY_S = 0.0
training.train(
    lambda count: Pendulums(count, 24, 1.2 if {algorithm!r} == "ppo" else None, pause_s=0.005),
    trial.PPO if {algorithm!r} == "ppo" else trial.AWR, Path(sys.argv[1]), subject=trial.SUBJECT,
)
"""


@BOTH
def test_a_run_that_was_killed_becomes_what_an_uninterrupted_one_is(cfg, tmp_path):
    run(cfg, tmp_path / "whole")
    program = PROGRAM.format(module="test_train", algorithm=cfg.algorithm)
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "killed")], env=environment)
    metrics, deadline = tmp_path / "killed" / "metrics.jsonl", time.monotonic() + 120
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert artifact.read_manifest(tmp_path / "killed")["state"] == "unfinished"
    # A line that was cut off by the kill is no obstacle.
    with metrics.open("a") as file:
        file.write('{"update": 3, "sam')
    run(cfg, tmp_path / "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed")


@BOTH
def test_one_seed_gives_one_result_and_another_seed_another(cfg, tmp_path):
    np.random.seed(1)
    first = run(cfg, tmp_path / "a")
    np.random.seed(2)
    run(cfg, tmp_path / "b")
    other = run(replace(cfg, seed=4), tmp_path / "c")
    assert_same(tmp_path / "a", tmp_path / "b")
    assert (first.last.layers[0][0] != other.last.layers[0][0]).any()


@BOTH
def test_a_mirrored_training_makes_policies_that_treat_mirror_images_alike(cfg, tmp_path):
    done = run(replace(cfg, mirror=True), tmp_path / "run")
    seen = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    for policy in (done.best, done.last):
        assert np.abs(policy.act(seen)).max() > 1e-3
        np.testing.assert_allclose(policy.act(-seen), -policy.act(seen), atol=1e-6)


def test_training_leaves_the_global_generator_and_threads_alone(tmp_path):
    with threadpool_limits(limits=2):
        before = np.random.get_state()[1].copy(), threadpool_info()
        run(AWR, tmp_path / "run")
        np.testing.assert_array_equal(np.random.get_state()[1], before[0])
        assert threadpool_info() == before[1]


def test_training_does_without_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from small_training import small; "
        "small('bopbag', Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize("mirror", [False, True])
def test_an_assistant_changes_nothing_and_neither_does_its_death(mirror, tmp_path, monkeypatch):
    cfg = replace(PPO, mirror=mirror, policy=replace(SMALL, activation="silu"))
    run(cfg, tmp_path / "alone")
    run(cfg, tmp_path / "assisted", threads=2)
    assert_same(tmp_path / "alone", tmp_path / "assisted")
    helped, (ask, answer) = list[bool](), (Assistant.ask, Assistant.answer)

    def dies_after_two(self, payload):
        if len(helped) == 2:
            self._worker.kill()
        ask(self, payload)

    def noted(self):
        helped.append((done := answer(self)) is not None)
        return done

    monkeypatch.setattr(Assistant, "ask", dies_after_two)
    monkeypatch.setattr(Assistant, "answer", noted)
    run(cfg, tmp_path / "bereft", threads=2)
    assert helped == [True, True, False, False, False, False]
    assert_same(tmp_path / "alone", tmp_path / "bereft")


def test_minutes_only_stop_and_the_same_call_goes_on(tmp_path):
    stopped = run(PPO, tmp_path / "run", minutes=0.0)
    assert stopped.result["samples"] == 0
    assert stopped.result["training_return"] is None
    run(PPO, tmp_path / "run")
    run(PPO, tmp_path / "whole")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_finished_run_is_returned_as_it_is(tmp_path):
    first = run(PPO, tmp_path / "run")
    stamp = (tmp_path / "run" / "manifest.json").stat().st_mtime_ns
    again = run(replace(PPO, samples=80), tmp_path / "run")
    assert dict(again.result) == dict(first.result)
    assert (tmp_path / "run" / "manifest.json").stat().st_mtime_ns == stamp


def test_a_reward_that_is_not_a_number_stops_with_the_update_before_intact(tmp_path):
    spoilt = {"make": lambda count: Pendulums(count, 24, 1.2, spoil_at=35)}
    with pytest.raises(BunrakuError, match="term 'pose' is not a finite number"):
        run(PPO, tmp_path / "run", **spoilt)
    # Three updates of ten steps were whole; once the reward is mended the run goes on from there.
    assert unpack(artifact.read_arrays(tmp_path / "run" / "checkpoint.safetensors")["counts"])["updates"] == 3
    run(PPO, tmp_path / "run")
    run(PPO, tmp_path / "whole")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_loss_that_is_not_a_number_stops_with_the_update_before_intact(tmp_path):
    wild = replace(PPO, ppo=replace(PPO.ppo, critic_rate=1e38))
    with pytest.raises(BunrakuError, match="loss is not a finite number"):
        run(wild, tmp_path / "run")
    stored = tmp_path / "run" / "checkpoint.safetensors"
    if stored.exists():
        assert all(np.isfinite(a).all() for a in artifact.read_arrays(stored).values() if a.dtype == np.float32)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (replace(SUBJECT, name="other"), 'character = "pendulum", now "other"'),
        (replace(SUBJECT, physics_hz=120.0), r"physics_hz = 96\.0, now 120\.0"),
        (replace(SUBJECT, hash="xyz"), 'character_hash = "abc", now "xyz"'),
    ],
)
def test_a_checkpoint_of_another_character_or_physics_rate_is_refused_by_name(subject, message, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(PPO, tmp_path / "run", progress=StopAt(1))
    with pytest.raises(BunrakuError, match=message):
        run(PPO, tmp_path / "run", subject=subject)


def test_a_corrupt_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(PPO, tmp_path / "run", progress=StopAt(1))
    file = tmp_path / "run" / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BunrakuError, match=r"checkpoint\.safetensors: is corrupt"):
        run(PPO, tmp_path / "run")


def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path):
    for name, cfg in (("a", PPO), ("b", replace(PPO, policy=PolicyConfig((17,), (16,), "tanh")))):
        with pytest.raises(KeyboardInterrupt):
            run(cfg, tmp_path / name, progress=StopAt(1))
    checkpoint = (tmp_path / "b" / "checkpoint.safetensors").read_bytes()
    (tmp_path / "a" / "checkpoint.safetensors").write_bytes(checkpoint)
    with pytest.raises(BunrakuError, match=r"actor has shape"):
        run(PPO, tmp_path / "a")


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (replace(PPO, samples=0), "samples = 0: expected at least 1"),
        (replace(PPO, count=0), "count = 0: expected at least 1"),
        (replace(PPO, ppo=PPOConfig(discount=1.5)), "discount = 1.5: expected 0 to 1"),
        (replace(PPO, ppo=PPOConfig(later_discount=-0.1)), r"later_discount = -0\.1: expected 0 to 1"),
        (replace(PPO, ppo=PPOConfig(later_from=5, later_by=5)), "later_by = 5: expected more than later_from, 5"),
        (replace(PPO, policy=PolicyConfig(deviation=0.0)), r"deviation = 0\.0: expected more than 0"),
        (replace(AWR, awr=AWRConfig(validation=0.0)), r"validation = 0\.0: expected a share"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_written(cfg, message, tmp_path):
    with pytest.raises(BunrakuError, match=message):
        run(cfg, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_noted_adds_up(tmp_path):
    made = run(PPO, tmp_path / "run", tensorboard=True)
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["samples"] for entry in entries] == [80 * k for k in range(1, 7)]
    parts = entries[-1]["times"]
    assert {"physics", "observation_reward", "inference", "update", "wall", "cpu"} == parts.keys()
    assert sum(parts[k] for k in ("physics", "observation_reward", "inference", "update")) <= parts["wall"]
    for entry in entries:
        assert entry["reward"] == pytest.approx(0.6 * entry["terms"]["pose"] + 0.4 * entry["terms"]["velocity"])
    assert made.result["best_training_return"] == max(e["return"] for e in entries if e["return"] is not None)
    assert "<polyline" in (tmp_path / "run" / "learning_curve.svg").read_text()
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1


def test_the_best_policy_is_the_one_that_acted_when_the_return_was_highest(tmp_path):
    made = run(AWR, tmp_path / "run")
    returns = [entry["return"] for entry in history(tmp_path / "run")]
    best = int(np.argmax(returns))
    assert best > 0
    assert made.result["best_training_return"] == returns[best]
    # What acted in an update is what the updates before it left.
    shorter = run(replace(AWR, samples=192 * best), tmp_path / "short", make=whole_pendulums)
    for mine, other in zip(made.best.layers, shorter.last.layers, strict=True):
        np.testing.assert_array_equal(mine[0], other[0])


def test_learners_learn_to_stand(tmp_path):
    cfg = TrainConfig("awr", 3072, 1, 16, 0, PolicyConfig((128,), (128,), "relu", 1.0, False), awr=AWRConfig(epochs=15))
    made = run(cfg, tmp_path / "run", make=lambda count: Pendulums(count, 24))
    environment = Pendulums(20, 24)
    seen = environment.reset(99)
    for _ in range(24):
        step = environment.step(made.last.act(seen))
        seen = step.observation
    assert (abs(step.final_observation[:, 0]) < 0.3).mean() >= 0.9
