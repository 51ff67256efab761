"""The environment that learners see."""

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.imitation.character import open_character
from bunraku.imitation.controllers import no_action, pd_action, pd_controller
from bunraku.imitation.environment import Environment, EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.simulation import SimulationConfig
from bunraku.imitation.start import StartConfig


def made(name="bopbag", count=4, **settings):
    return SimulatedEnvironment(open_character(name), EnvironmentConfig(count, **settings))


def rolled(environment, observation, steps, rng):
    out = []
    for _ in range(steps):
        step = environment.step(rng.normal(size=(environment.count, environment.action_size)))
        out.append(step)
    return out


@pytest.mark.parametrize("name", ["bopbag", "bopbag6", "bopbag2", "bopbag3"])
def test_a_spring_and_damper_stand_up_from_everywhere_and_no_action_falls(name):
    environment = made(name, 32, episode_s=6.0)
    character = environment.character
    means = {}
    for label, controller in {"pd": pd_controller(character), "none": no_action(character)}.items():
        observation, rewards = environment.reset(3), []
        for _ in range(120):
            step = environment.step(controller(observation))
            observation = step.observation
            rewards.append(step.reward)
        means[label] = np.mean(rewards)
        angles = environment.tracking().angles
        upright = (angles < 0.2).all(axis=1)
        assert upright.all() if label == "pd" else not upright.any()
    assert means["pd"] > 0.95
    assert means["none"] < 0.5
    assert environment.diverged == 0


def test_the_one_line_controller_is_the_same():
    character, observation = open_character("bopbag"), np.array([[0.1, -0.2]])
    np.testing.assert_array_equal(pd_action(character, observation), pd_controller(character)(observation))


def test_it_is_what_learners_know():
    environment = made("bopbag3", 2)
    assert isinstance(environment, Environment)
    assert environment.reset(0).shape == (2, environment.observation_size) == (2, 14)
    assert (environment.count, environment.action_size, environment.control_hz, environment.episode_steps) == (
        2,
        7,
        24.0,
        96,
    )
    assert sum(slot.size for slot in environment.layout) == 14


@pytest.mark.parametrize("name", ["bopbag", "bopbag3"])
def test_the_seed_decides_everything_whatever_the_threads(name):
    def run(threads):
        environment = made(name, 5, episode_s=0.5, simulation=SimulationConfig(threads=threads))
        observation = environment.reset(11)
        return rolled(environment, observation, 30, np.random.default_rng(0))

    for a, b in zip(run(1), run(2), strict=True):
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)


def test_another_seed_starts_elsewhere():
    environment = made()
    assert (environment.reset(1) != environment.reset(2)).all()


def test_an_episode_is_truncated_after_its_time_and_a_new_one_begins():
    environment = made(count=3, episode_s=0.25)
    environment.reset(0)
    steps = rolled(environment, None, 12, np.random.default_rng(0))
    assert [step.truncated.tolist() for step in steps] == ([[False] * 3] * 5 + [[True] * 3]) * 2
    assert not any(step.terminated.any() for step in steps)
    assert (steps[5].final_observation != steps[5].observation).all()
    np.testing.assert_array_equal(steps[4].final_observation, steps[4].observation)


def test_the_reward_is_of_the_state_after_the_step_before_any_reset():
    environment = made(count=3, episode_s=0.25)
    environment.reset(0)
    for step in rolled(environment, None, 6, np.random.default_rng(0)):
        angle, rate = np.abs(step.final_observation.T.astype(float))
        wanted = 0.6 * np.exp(-2 * angle) + 0.4 * np.exp(-0.1 * rate**2)
        np.testing.assert_allclose(step.reward, wanted, rtol=1e-5)
        np.testing.assert_allclose(0.6 * step.terms["pose"] + 0.4 * step.terms["velocity"], step.reward)


def test_a_fall_terminates_where_it_is_asked_for():
    environment = made(count=8, fall_rad=1.2, start=StartConfig(tilt_rad=0.5))
    observation = environment.reset(0)
    none, seen = no_action(environment.character), 0
    for _ in range(60):
        step = environment.step(none(observation))
        fell = np.abs(step.final_observation[:, 0]) > 1.2
        np.testing.assert_array_equal(step.terminated, fell)
        observation, seen = step.observation, seen + fell.sum()
    assert seen >= 8


def test_a_snapshot_continues_bit_for_bit():
    def fresh():
        environment = made("bopbag6", 6, episode_s=0.5)
        environment.reset(4)
        return environment

    one = fresh()
    rolled(one, None, 7, np.random.default_rng(1))
    one.push("bag", np.tile([30.0, 0, 0], (6, 1)), 3)
    rolled(one, None, 1, np.random.default_rng(2))
    kept = one.snapshot()
    expected = rolled(one, None, 20, np.random.default_rng(3))
    other = made("bopbag6", 6, episode_s=0.5)
    seen = other.restore(kept)
    assert seen.dtype == np.float32
    for a, b in zip(expected, rolled(other, None, 20, np.random.default_rng(3)), strict=True):
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)
        np.testing.assert_array_equal(a.truncated, b.truncated)


def test_snapshots_have_the_same_shapes_whatever_the_generator_has_drawn():
    environment = made()
    shapes = []
    for seed in range(40):
        environment.reset(seed)
        shapes.append({name: array.shape for name, array in environment.snapshot().items()})
    assert all(each == shapes[0] for each in shapes)


def test_a_snapshot_of_another_environment_is_refused():
    with pytest.raises(BunrakuError, match="states does not fit bopbag"):
        made().restore(made(count=5).snapshot())


def test_a_push_moves_the_body_it_names_for_as_long_as_it_lasts():
    pushed, free = (made(count=2, start=StartConfig(0.0, 0.0, 0.0)) for _ in range(2))
    pushed.reset(0)
    free.reset(0)
    pushed.push("bag", np.array([[20.0, 0, 0], [0, 0, 0]]), 2)
    idle = np.zeros((2, 1))
    rates = [pushed.step(idle).observation[:, 1] for _ in range(3)]
    assert rates[0][0] > 0.3
    assert rates[1][0] > 1.9 * rates[0][0]
    assert rates[2][0] < 1.2 * rates[1][0]
    assert [rate[1] for rate in rates] == [0.0, 0.0, 0.0]
    with pytest.raises(BunrakuError, match="no body 'head'; this character has: bag"):
        pushed.push("head", np.zeros((2, 3)), 1)


def test_a_diverged_character_ends_without_reward_and_goes_on(tmp_path):
    environment = made(count=3, simulation=SimulationConfig(replay=tmp_path))
    environment.reset(0)
    environment.simulation.states[1, 2] = 1e14
    step = environment.step(np.zeros((3, 1)))
    assert step.terminated.tolist() == [False, True, False]
    assert step.reward[1] == 0.0
    assert np.isfinite(step.observation).all()
    assert environment.diverged == 1
    assert len(list(tmp_path.iterdir())) == 1
    assert not environment.step(np.zeros((3, 1))).terminated.any()


def test_actions_that_are_not_finite_are_refused():
    environment = made(count=2)
    environment.reset(0)
    with pytest.raises(BunrakuError, match="actions are not finite"):
        environment.step(np.array([[0.0], [np.nan]]))


def test_a_users_reward_takes_the_place_of_ours():
    def still(tracking):
        return -np.abs(tracking.qvel[:, 0])

    environment = SimulatedEnvironment(open_character("bopbag"), EnvironmentConfig(2), reward=still)
    environment.reset(0)
    step = environment.step(np.zeros((2, 1)))
    np.testing.assert_allclose(step.reward, -np.abs(step.observation[:, 1]), rtol=1e-6)


def test_a_clip_is_followed_from_where_each_episode_begins():
    bones = skeleton(["bag"], [-1], np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]))
    quats = quat_from_rotvec(np.array([[[0, a, 0.0]] for a in (0.0, 0.5, 0.0)]))
    nod = clip(bones, [0.0, 1.0, 2.0], np.zeros((3, 3)), quats, "wrap")
    cfg = EnvironmentConfig(16, start=StartConfig(0.0, 0.0, 0.0))
    environment = SimulatedEnvironment(open_character("bopbag"), cfg, nod)
    observation = environment.reset(0)
    # On the clip: no error of angle, its velocity, phases all round.
    np.testing.assert_allclose(observation[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(observation[:, 1], observation[:, 2], atol=1e-6)
    np.testing.assert_allclose(np.abs(observation[:, 2]), 0.5, atol=1e-6)
    assert observation[:, 3].min() < -0.5 < 0.5 < observation[:, 3].max()


@pytest.mark.parametrize("settings", [{"count": 0}, {"episode_s": 0.0}])
def test_nothing_to_simulate_is_refused(settings):
    with pytest.raises(BunrakuError, match="both must be positive"):
        made(**settings)
