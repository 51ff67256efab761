"""Characters with a free root that follow a clip."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.clip_evaluate import evaluate_clip
from bunraku.imitation.evaluate import EvaluateConfig
from bunraku.imitation.humanoid import STANDING_M
from bunraku.imitation.phases import PhasesConfig
from nodding import environment

NOTHING = np.zeros((8, 28))


def test_episodes_begin_on_the_clip_with_its_velocities():
    made = environment()
    made.reset(3)
    following = made.following()
    assert following.qpos == pytest.approx(following.moment.qpos)
    assert following.qvel == pytest.approx(made.table.starts(made.times_s).qvel)
    assert len(np.unique(made.times_s)) == 8


def test_a_nodding_stander_tracks_the_clip_without_action_for_a_second():
    made = environment()
    made.reset(0)
    for _ in range(30):
        step = made.step(NOTHING)
    assert (step.reward > 0.9).all()
    assert not step.terminated.any()


def test_in_a_new_cycle_the_clip_is_put_where_the_character_is():
    # The clip walks away at 2 m/s from a character that stands, and is soon slower.
    made = environment(travel=2.0, stray_m=0.0, stray_rad=0.0)
    made.begin(np.linspace(0.4, 0.75, 8))
    before = np.zeros(8)
    for _ in range(20):
        made.step(NOTHING)
        offset = np.abs(made.following().moment.qpos[:, 0] - made.following().qpos[:, 0])
        begun = (made.times_s >= 1.0) & (made.times_s < 1.0 + 1 / 30 - 1e-9)
        assert offset[begun] == pytest.approx(0.0, abs=1e-9)
        before = np.maximum(before, np.where(made.times_s < 1.0, offset, 0.0))
    assert (before > 0.01).all()
    assert before.max() > 0.1


def test_the_clip_is_not_moved_within_a_cycle_and_seen_ahead_across_its_seam():
    made = environment(travel=1.0)
    made.begin(np.full(8, 0.99))
    # One step ahead lies in the next cycle, 1/30 m on, not a metre back.
    slots, start = made.layout, 0
    for slot in slots:
        if slot.name == "root.offset_h":
            break
        start += slot.size
    seen = made.begin(np.full(8, 0.99))[:, start : start + 3]
    assert seen == pytest.approx(np.tile([1 / 30, 0, 0], (8, 1)), abs=1e-3)


def test_a_body_on_the_ground_ends_an_episode_only_where_the_clip_keeps_it_off():
    standing, buried = environment(), environment(height=STANDING_M - 0.5)
    assert "right_ankle" not in standing.touch.names
    assert "root" in standing.touch.names
    assert "right_knee" not in buried.touch.names
    explicit = environment(fall=("right_ankle",))
    explicit.reset(0)
    assert explicit.step(NOTHING).terminated.all()
    with pytest.raises(BunrakuError, match="no body 'tail'"):
        environment(fall=("tail",))


def test_straying_ends_an_episode():
    def steps_until_the_end(**limits):
        made = environment(loop="none", seconds=3.0, travel=9.0, fall=(), **limits)
        made.begin(np.zeros(8))
        for k in range(60):
            step = made.step(NOTHING)
            if step.terminated[0]:
                offset = made.following().moment.qpos[0, 0]
                return k, offset
        return None, 0.0

    # It begins with the clip's 3 m/s, stumbles, and the clip leaves it behind.
    assert steps_until_the_end(stray_m=0.0, stray_rad=0.0)[0] is None
    near, far = (steps_until_the_end(stray_m=limit, stray_rad=0.0)[0] for limit in (0.3, 1.0))
    assert near is not None
    assert far is not None
    assert near < far
    assert steps_until_the_end(stray_m=0.0, stray_rad=0.4)[0] is not None


def test_episodes_of_a_clip_that_does_not_loop_end_a_quarter_of_a_second_after_it():
    made = environment(loop="none", episode_s=20.0)
    made.reset(0)
    made.begin(np.array([0.0] * 4 + [0.5] * 4))
    truncated = np.array([made.step(NOTHING).truncated for _ in range(38)])
    assert np.argmax(truncated[:, 0]) == 37
    assert np.argmax(truncated[:, 4]) == 22
    assert made.episode_steps == 38


def test_everything_goes_on_bit_for_bit_from_a_snapshot():
    made, other = environment(phases=PhasesConfig(memory=0.5)), environment(phases=PhasesConfig(memory=0.5))
    made.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        made.step(rng.normal(size=(8, 28)))
    kept = made.snapshot()
    other.reset(99)
    observation = other.restore(kept)
    for k in range(40):
        actions = rng.normal(size=(8, 28))
        here, there = made.step(actions), other.step(actions)
        assert (here.observation == there.observation).all()
        assert (here.terminated == there.terminated).all()
        assert k or observation.shape == here.observation.shape
    assert (made.snapshot()["failures"] == other.snapshot()["failures"]).all()
    with pytest.raises(BunrakuError, match="another environment"):
        environment(count=4).restore(kept)


def test_absolute_actions_aim_at_the_rest_pose():
    made = environment(action="absolute")
    made.begin(np.full(8, 0.25))
    neck = made.character.actuator_names.index("neck_y")
    made.step(NOTHING)
    assert made._controls[:, neck] == pytest.approx(0.0, abs=1e-9)
    residual = environment(lead=2.0)
    residual.begin(np.full(8, 0.25))
    residual.step(NOTHING)
    assert (residual._controls[:, neck] > 0.25).all()


def test_evaluation_scores_the_steps_survived_over_the_steps_scheduled():
    settings = EvaluateConfig(episodes=4, episode_s=0.5)

    def make(count, episode_s):
        return environment(count, episode_s=episode_s, fall=("right_ankle",))

    fallen = evaluate_clip(lambda seen: np.zeros((len(seen), 28)), make, settings)
    assert fallen.normalized_return == 0.0
    assert fallen.full_episodes == 0.0

    def free(count, episode_s):
        return environment(count, episode_s=episode_s)

    done = evaluate_clip(lambda seen: np.zeros((len(seen), 28)), free, settings)
    assert done.full_episodes == 1.0
    assert done.mean_episode_s == pytest.approx(0.5)
    assert 0.9 < done.normalized_return < 1.0
    terms = done.terms
    total = 0.65 * terms["pose"] + 0.1 * terms["velocity"] + 0.15 * terms["effectors"] + 0.1 * terms["centre_of_mass"]
    assert done.normalized_return == pytest.approx(total)
    assert done.normalized_return_literal <= done.normalized_return
    assert done.yaw_error_deg < 1.0
