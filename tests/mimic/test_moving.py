"""The simulated motion of a run that follows a clip, and its policy, as other programs get them."""

import json

import numpy as np
import onnxruntime
import pytest

from bunraku import mimic
from bunraku.core.errors import BunrakuError
from bunraku.formats.clip import load_clip
from bunraku.imitation import play
from bunraku.imitation.clip_environment import ClipConfig
from bunraku.imitation.learner import PPOConfig, TrainConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.train import train
from bunraku.mimic.opening import load_trained, open_task
from bunraku.player import Follower, Player
from clip_positions import positions
from gltf_files import read_glb

SMALL = TrainConfig("ppo", 16, 0, 4, 8, PolicyConfig((16,), (16,), "elu", 0.1), ppo=PPOConfig(epochs=2, minibatch=16))


@pytest.fixture(scope="module")
def squatting(brief, tmp_path_factory):
    """A run that has learnt next to nothing; not to be written to."""
    out = tmp_path_factory.mktemp("following") / "run"
    task = open_task("humanoid", "squatting", "auto", ClipConfig(episode_s=0.4), "ppo", 1)
    train(task.environment, SMALL, out, subject=task.subject)
    task.keep(out)
    return out


@pytest.fixture(scope="module")
def moved(squatting, tmp_path_factory):
    """Half a second of it, exactly, with what was told."""
    to = tmp_path_factory.mktemp("motion") / "m.npz"
    told = mimic.export(squatting, to, motion=0.5)
    return load_clip(to), told


@pytest.mark.parametrize(("ending", "within"), [(".bvh", 1e-7), (".glb", 1e-6), (".json", 1e-7), (".txt", 1e-7)])
def test_every_format_reads_back_as_the_simulated_motion(ending, within, squatting, moved, tmp_path):
    exact, told = moved
    said = mimic.export(squatting, tmp_path / f"m{ending}", motion=0.5)
    assert {**said, "path": "", "bytes": 0} == {**told, "path": "", "bytes": 0}
    back = load_clip(tmp_path / f"m{ending}")
    np.testing.assert_allclose(back.times_s, exact.times_s, atol=1e-6)
    order = [exact.skeleton.names.index(name) for name in back.skeleton.names if not name.endswith("_end")]
    assert len(order) == 15
    np.testing.assert_allclose(positions(back), positions(exact)[:, order], atol=within)


def test_a_motion_begins_on_the_clips_first_frame_and_tells_how_feet_slide(squatting, moved):
    exact, told = moved
    clip = load_clip(squatting / "clip.npz")
    assert (told["frames"], told["fell"]) == (16, False)
    assert told["seconds"] == pytest.approx(0.5)
    order = [clip.skeleton.names.index(name) for name in exact.skeleton.names]
    np.testing.assert_allclose(positions(exact)[0], positions(clip)[0, order], atol=1e-5)
    feet = {"left_ankle", "right_ankle"}
    assert set(told["foot_sliding_m_s"]) == set(told["clip_foot_sliding_m_s"]) == feet
    # The clip's feet are held by inverse kinematics.
    assert max(told["clip_foot_sliding_m_s"].values()) < 0.01
    assert all(0 <= speed < 1 for speed in told["foot_sliding_m_s"].values())


def test_a_glb_shows_the_body(squatting, tmp_path):
    mimic.export(squatting, tmp_path / "m.glb", motion=0.1)
    root, _ = read_glb(tmp_path / "m.glb")
    drawn = {node["name"]: root["meshes"][node["mesh"]] for node in root["nodes"] if "mesh" in node}
    assert len(drawn) == 15

    def extent(name):
        accessor = root["accessors"][drawn[name]["primitives"][0]["attributes"]["POSITION"]]
        return np.subtract(accessor["max"], accessor["min"])

    np.testing.assert_allclose(extent("neck"), [0.205] * 3, atol=1e-6)
    np.testing.assert_allclose(extent("left_ankle"), [0.177, 0.09, 0.055], atol=1e-6)
    np.testing.assert_allclose(extent("left_hip"), [0.11, 0.11, 0.41], atol=1e-6)


def test_a_loop_is_shown_for_its_time_unless_it_falls(squatting, tmp_path, monkeypatch):
    assert play.LOOP_S == 10.0
    monkeypatch.setattr(play, "LOOP_S", 1.5)
    told = mimic.export(squatting, tmp_path / "m.bvh")
    assert told["kind"] == "motion"
    assert told["fell"] == (told["seconds"] < 1.5 - 1e-6)


def test_a_format_for_other_joints_says_which_are_missing(finished, tmp_path):
    with pytest.raises(BunrakuError, match="a DeepMimic clip needs the joints root, chest"):
        mimic.export(finished, tmp_path / "m.json", motion=0.2)
    # A bag on a hinge is a clip like others, only without feet.
    told = mimic.export(finished, tmp_path / "m.glb", motion=0.2)
    assert "foot_sliding_m_s" not in told
    assert load_clip(tmp_path / "m.glb").skeleton.names == ("bag",)
    with pytest.raises(BunrakuError, match="expected seconds, more than 0"):
        mimic.export(finished, tmp_path / "n.glb", motion=-1.0)


def plays_alike(follower, environment, begun_s, steps=30):
    """The greatest difference between the controls of player and environment while the environment moves on."""
    given, advance = [], environment.simulation.advance
    environment.simulation.advance = lambda controls, *force: (
        given.append(controls.copy()),
        advance(controls, *force),
    )[1]
    environment.reset(0)
    observation = environment.begin(np.array([begun_s]))
    qpos, qvel = follower.begin(begun_s)
    worst = max(
        np.abs(qpos - environment.simulation.qpos[0]).max(), np.abs(qvel - environment.simulation.qvel[0]).max()
    )
    for _ in range(steps):
        qpos, qvel = environment.simulation.qpos[0].copy(), environment.simulation.qvel[0].copy()
        controls = follower.controls(qpos, qvel, float(environment.times_s[0]))
        step = environment.step(follower.player.act(observation))
        worst = max(worst, np.abs(controls - given[-1][0]).max())
        assert not (step.terminated | step.truncated).any()
        observation = step.observation
    return worst


def test_the_player_sets_servos_as_the_simulation_does(squatting, tmp_path):
    mimic.export(squatting, tmp_path / "p.npz")
    _, task = load_trained(squatting, None)
    environment = task.exam(1, 60.0)
    follower = Follower(tmp_path / "p.npz")
    # Into the next cycle, where the clip is put where the character is.
    assert plays_alike(follower, environment, task.clip.duration_s - 0.4) < 1e-9
    assert environment.table.cycle(environment.times_s)[0] == 1
    environment.close()


def test_network_and_words_say_all_that_a_player_needs(squatting, tmp_path):
    mimic.export(squatting, tmp_path / "p.npz")
    mimic.export(squatting, tmp_path / "p.onnx")
    follower = Follower(tmp_path / "p.npz")
    session = onnxruntime.InferenceSession(str(tmp_path / "p.onnx"), providers=["CPUExecutionProvider"])
    words = session.get_modelmeta().custom_metadata_map
    told = {
        name: json.loads(words[name]) for name in ("action", "clip", "joints", "action_scale", "control_hz", "layout")
    }
    assert told == {name: follower.about[name] for name in told}
    assert told["action"]["lead_steps"] == 3.0
    assert told["clip"]["loops"]
    assert told["joints"][0] == {"name": "root", "kind": "free", "qpos": 0, "qvel": 0}
    assert told["joints"][1] == {"name": "chest", "kind": "ball", "qpos": 7, "qvel": 6}
    assert len(told["action_scale"]) == len(follower.about["actuators"]) == 28
    qpos, qvel = follower.begin(0.3)
    seen = follower.observation(qpos, qvel, 0.3).astype(np.float32)
    action = session.run(None, {"observation": seen[None]})[0][0]
    np.testing.assert_allclose(follower.targets(qpos, action, 0.3), follower.controls(qpos, qvel, 0.3), atol=1e-5)
    with pytest.raises(ValueError, match="follows a clip; a Follower plays it"):
        Player(tmp_path / "p.npz").controls(seen)
    with pytest.raises(ValueError, match=r"shapes \(7,\) and \(34,\); expected \(\d+, 34\)"):
        follower.observation(qpos[:7], qvel, 0.0)


def test_a_policy_without_a_clip_is_no_followers(finished, tmp_path):
    mimic.export(finished, tmp_path / "p.npz")
    with pytest.raises(ValueError, match="follows no clip; a Player plays it"):
        Follower(tmp_path / "p.npz")
