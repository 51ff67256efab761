"""Users' own bodies follow clips: trained, evaluated, gone on with."""

import logging

import numpy as np
import pytest

from bunraku import mimic
from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import open_character
from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
from bunraku.imitation.learner import PPOConfig, TrainConfig
from bunraku.imitation.phases import PhasesConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.run import history
from bunraku.mimic.fitting import fall_of, fitting_clip
from small_walker import walker, written

SMALL = TrainConfig("ppo", 64, 0, 4, 8, PolicyConfig((16,), (16,), "elu", 0.1), ppo=PPOConfig(epochs=2, minibatch=16))
SHORT = ClipConfig(episode_s=0.4)
DEEPMIMIC = "clips/deepmimic/humanoid3d_{}.txt"


def small(source, out, clip, samples):
    return mimic.train(source, out, clip=clip, samples=samples, cfg=SMALL, environment=SHORT)


def without_action(character, clip, seconds=0.5, count=8):
    """Mean reward per step while the servos alone follow the clip; 0 after a fall."""
    cfg = ClipConfig(count=count, stray_m=0.0, stray_rad=0.0, phases=PhasesConfig(uniform=1.0))
    environment = ClipEnvironment(character, clip, cfg)
    environment.begin(np.linspace(0, clip.duration_s, count, endpoint=False))
    total, standing, steps = np.zeros(count), np.ones(count, bool), round(seconds * character.control_hz)
    for _ in range(steps):
        step = environment.step(np.zeros((count, environment.action_size)))
        total += step.reward * standing
        standing &= ~step.terminated
    environment.close()
    return float(total.mean()) / steps


@pytest.mark.parametrize("name", ["mujoco", "gymnasium", "mimickit"])
def test_servos_alone_follow_a_published_walk_for_half_a_second(name, data_dir):
    character = open_character(str(data_dir / "bodies" / f"{name}_humanoid.xml"))
    clip = fitting_clip(data_dir / DEEPMIMIC.format("walk"), character, mend=False).clip
    # The published humanoid reaches .90; .86, .88 and .90 here. Limp joints reach .42.
    assert without_action(character, clip) > 0.82


def test_an_mjcf_file_is_trained_and_goes_on_and_is_evaluated_from_its_own_copy(data_dir, tmp_path, monkeypatch):
    # Judged once, by `evaluate` below.
    monkeypatch.setattr("bunraku.mimic.training.judge", lambda *_: {})
    clip, run = data_dir / DEEPMIMIC.format("walk"), tmp_path / "run"
    source = written(tmp_path, config='fall = ["torso", "pelvis"]')
    assert small(source, run, clip, 32)["samples"] == 32
    assert small(source, run, clip, 64)["samples"] == 64
    assert len(history(run)) == 2
    (tmp_path / "own.toml").write_text('fall = ["torso"]')
    with pytest.raises(BunrakuError, match="was made with character_hash"):
        small(source, run, clip, 96)
    (tmp_path / "own.toml").unlink()
    (tmp_path / "own.xml").unlink()
    result = mimic.evaluate(run, episodes=2, episode_s=0.4, push=False)
    assert (result["physics_hz"], result["control_hz"]) == (240, 30)
    assert result["normalized_return"] > 0.1


def test_joints_that_a_clip_does_not_drive_are_named(data_dir, tmp_path, caplog):
    with_tail = walker().replace(
        '<geom name="pelvis"',
        '<body name="tail" pos="-.1 0 0"><joint name="tail" axis="0 1 0"/><geom size=".03" mass=".2"/></body>'
        '<geom name="pelvis"',
    )
    character = open_character(written(tmp_path, with_tail))
    with caplog.at_level(logging.WARNING, "bunraku"):
        fitting_clip(data_dir / DEEPMIMIC.format("walk"), character, mend=False)
    assert "walk.txt: nothing in it drives tail: at rest" in caplog.text


def test_a_body_that_shares_no_names_with_a_clip_is_refused_until_its_config_names_some(data_dir, tmp_path):
    text = walker()
    for old, new in {"left_": "q", "right_": "r", "torso": "b1", "pelvis": "b0"}.items():
        text = text.replace(old, new)
    for old, new in {"thigh": "seg1", "shin": "seg2", "foot": "seg3"}.items():
        text = text.replace(old, new)
    clip = data_dir / DEEPMIMIC.format("walk")
    with pytest.raises(BunrakuError, match="no joints match by their names: the character has b0, b1, qseg1"):
        fitting_clip(clip, open_character(written(tmp_path, text)), mend=False)
    config = '[names]\nqseg1 = "left_hip"\nrseg1 = "right_hip"\nqseg2 = "left_knee"\nrseg2 = "right_knee"\nb1 = "chest"'
    character = open_character(written(tmp_path, text, config))
    moved = fitting_clip(clip, character, mend=False).clip
    knee = moved.joint_quat[:, moved.skeleton.names.index("qseg2")]
    assert np.abs(knee[:, 1:]).max() > 0.2
    wrong = open_character(written(tmp_path, text, config.replace("chest", "chst")))
    with pytest.raises(BunrakuError, match="no joint 'chst'; for 'b1' of the character; expected a part of the body"):
        fitting_clip(clip, wrong, mend=False)


def test_what_the_config_calls_a_fall_goes_before_the_published_rule(tmp_path):
    character = open_character(written(tmp_path, config='fall = ["torso"]'))
    assert fall_of("humanoid3d_walk.txt", character) == ("torso",)
    (tmp_path / "own.toml").unlink()
    assert fall_of("humanoid3d_walk.txt", open_character(written(tmp_path))) is None
