"""Gymnasium takes the environments for its own."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from bunraku.imitation import registration
from bunraku.imitation.registration import denormalised, make_environment


@pytest.mark.filterwarnings("ignore:.*observation space m..imum value is -?infinity")
@pytest.mark.parametrize("name", registration.IDS)
def test_the_single_environment_passes_gymnasiums_checker(name):
    environment = gymnasium.make(f"bunraku/{name}-v0")
    check_env(environment.unwrapped)


@pytest.mark.parametrize("name", registration.IDS)
def test_the_vector_resets_in_the_same_step_and_hands_out_the_last_observation(name):
    vector = gymnasium.make_vec(f"bunraku/{name}-v0", 3, vectorization_mode="vector_entry_point", episode_s=0.25)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, _ = vector.reset(seed=1)
    assert vector.observation_space.contains(observation)
    for step in range(1, 13):
        before = observation
        observation, reward, terminated, truncated, info = vector.step(vector.action_space.sample())
        assert vector.observation_space.contains(observation)
        assert reward.shape == (3,)
        assert not terminated.any()
        assert truncated.all() == (step % 6 == 0)
        assert ("final_obs" in info) == (step % 6 == 0)
        if truncated.all():
            assert info["_final_obs"].all()
            assert all((info["final_obs"][i] != observation[i]).any() for i in range(3))
    assert (before != observation).any()
    vector.close()


def test_the_same_seed_gives_the_same_episodes():
    vector = gymnasium.make_vec("bunraku/BopBag-v0", 4, vectorization_mode="vector_entry_point")
    np.testing.assert_array_equal(vector.reset(seed=7)[0], vector.reset(seed=7)[0])


def test_one_of_gymnasiums_own_vectors_of_the_single_one_works_too():
    vector = gymnasium.make_vec("bunraku/BopBag-v0", 2, vectorization_mode="sync")
    observation, _ = vector.reset(seed=0)
    assert observation.shape == (2, 2)


def test_actions_between_minus_one_and_one_span_the_actuators_limits():
    environment = make_environment("bopbag2", 1)
    np.testing.assert_allclose(denormalised(environment, np.array([1.0, -1.0])), [2.0, -2.4])
    np.testing.assert_allclose(denormalised(environment, np.array([0.0, 0.5])), [0.0, 1.2])


def test_gymnasium_imports_the_registration_by_its_module():
    program = "import gymnasium; print(gymnasium.make('bunraku.imitation.registration:bunraku/BopBag-v0').spec.id)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "bunraku/BopBag-v0"
