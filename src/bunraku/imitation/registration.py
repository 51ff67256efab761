"""The characters as Gymnasium environments, single and as vectors.

Importing this module registers them: `import bunraku.imitation.registration`, then
`gymnasium.make("bunraku/BopBag-v0")`; or at once `gymnasium.make("bunraku.imitation.registration:bunraku/BopBag-v0")`.
Vectors: `gymnasium.make_vec("bunraku/BopBag-v0", num_envs=64, vectorization_mode="vector_entry_point")`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from bunraku.core.clip import Clip
from bunraku.imitation.character import Character, open_character
from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.rewards import RewardFunction
from bunraku.imitation.simulation import SimulationConfig
from bunraku.imitation.start import StartConfig

IDS = {"BopBag": "bopbag", "BopBag6": "bopbag6", "BopBag2": "bopbag2", "BopBag3": "bopbag3"}
"""Character by the name under which Gymnasium knows it."""


class CharacterEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One character; truncated at the end of the episode's time, with the reward's terms in `info`."""

    metadata = {"render_modes": [], "render_fps": 24}  # noqa: RUF012 (Gymnasium declares it so)

    def __init__(self, character: str | Character = "bopbag", **settings: Any) -> None:
        """`settings` as in `make_environment`.

        Raises:
            BunrakuError: no such character.
        """
        self.environment = make_environment(character, 1, **settings)
        self.observation_space, self.action_space = spaces(self.environment)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed)
        return self.environment.reset(int(self.np_random.integers(2**31)))[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One control step."""
        step = self.environment.step(denormalised(self.environment, action)[None])
        info = {name: float(term[0]) for name, term in step.terms.items()}
        return step.final_observation[0], float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), info

    def close(self) -> None:
        """End it."""
        self.environment.close()


class CharacterVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many characters in one simulation; episodes that end begin anew in the same step.

    Where one ended, `info["final_obs"]` holds the observation in which it did (mask: `info["_final_obs"]`).
    """

    metadata = {"render_modes": [], "render_fps": 24, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 64, character: str | Character = "bopbag", **settings: Any) -> None:
        """`settings` as in `make_environment`.

        Raises:
            BunrakuError: no such character.
        """
        self.num_envs = num_envs
        self.environment = make_environment(character, num_envs, **settings)
        self.single_observation_space, self.single_action_space = spaces(self.environment)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New episodes everywhere."""
        super().reset(seed=seed)
        return self.environment.reset(int(self.np_random.integers(2**31))), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step of all."""
        step = self.environment.step(denormalised(self.environment, actions))
        info: dict[str, Any] = dict(step.terms)
        ended = step.terminated | step.truncated
        if ended.any():
            final = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                final[i] = step.final_observation[i]
            info |= {"final_obs": final, "_final_obs": ended}
        return step.observation, step.reward, step.terminated, step.truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """End the simulation."""
        self.environment.close()


def make_environment(
    character: str | Character,
    count: int,
    *,
    episode_s: float = 4.0,
    fall_rad: float | None = None,
    tilt_rad: float = StartConfig.tilt_rad,
    threads: int = 1,
    clip: Clip | None = None,
    reward: RewardFunction | None = None,
) -> SimulatedEnvironment:
    """The environment behind Gymnasium's.

    Raises:
        BunrakuError: no such character, sizes that are not positive.
    """
    opened = open_character(character) if isinstance(character, str) else character
    start, simulation = StartConfig(tilt_rad=tilt_rad), SimulationConfig(threads=threads)
    cfg = EnvironmentConfig(count, episode_s, fall_rad=fall_rad, start=start, simulation=simulation)
    return SimulatedEnvironment(opened, cfg, clip, reward)


def spaces(environment: SimulatedEnvironment) -> tuple[Box, Box]:
    """Observations without bounds; actions between −1 and 1 of the actuators' limits, as other learners expect them."""
    size = environment.action_size
    return Box(-np.inf, np.inf, (environment.observation_size,), np.float32), Box(-1.0, 1.0, (size,), np.float32)


def denormalised(environment: SimulatedEnvironment, actions: np.ndarray) -> np.ndarray:
    """Gymnasium's actions in our unit: −1 and 1 are the actuators' limits; where there is none, one is our unit."""
    low, high = environment.built.lowest_action, environment.built.highest_action
    low, high = np.where(np.isfinite(low), low, -1.0), np.where(np.isfinite(high), high, 1.0)
    return low + (np.asarray(actions, np.float64) + 1) / 2 * (high - low)


for _name, _character in IDS.items():
    gymnasium.register(
        f"bunraku/{_name}-v0",
        entry_point=f"{__name__}:CharacterEnv",
        vector_entry_point=f"{__name__}:CharacterVectorEnv",
        kwargs={"character": _character},
    )
