"""How well a policy does without jitter: many episodes side by side, each scored over all the steps it should last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from bunraku.core.errors import BunrakuError
from bunraku.imitation.environment import SimulatedEnvironment
from bunraku.imitation.rewards import Reward, bopbag_reward, deepmimic_reward, literal_reward
from bunraku.imitation.tracking import Tracking

Controller = Callable[[Float32[np.ndarray, "count observation"]], Float[np.ndarray, "count action"]]
"""From observations to actions: a policy's `act`, or a controller of `controllers`."""

MakeSimulated = Callable[[int, float], SimulatedEnvironment]
"""So many characters, episodes of so many seconds."""

STANDING_RAD = 0.2
"""A character stands when no rotation is further from its reference."""


@dataclass(frozen=True)
class EvaluateConfig:
    """What is evaluated."""

    episodes: int = 32
    """Episodes, all from other starts."""
    episode_s: float = 20.0
    """Length of an episode [s]."""
    seed: int = 0
    """Of the starts: the same for every controller."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Means over episodes; a step after an early end counts as 0."""

    normalized_return: float
    """Of the bop bag's formula for a single rotation that imitates a pose, of DeepMimic's for all else."""
    normalized_return_literal: float | None
    """Of the bop bag's formula as its article has it in code; none where the paper's is used."""
    task_return: float
    """Of the reward that was trained for."""
    standing: float
    """Share of the episodes in which it stands at the end."""
    full_episodes: float
    """Share of the episodes that last to their end."""
    mean_episode_s: float
    terms: dict[str, float]
    """Means of the terms of the reward that was trained for, over the steps survived."""
    diverged: int
    """Episodes that ended because the simulation did not survive."""

    def values(self) -> dict[str, Any]:
        """As commands print it."""
        return {
            "normalized_return": self.normalized_return,
            "normalized_return_literal": self.normalized_return_literal,
            # The released code's weights are of a root and end effectors that bop bags have not got.
            "normalized_return_released": None,
            "task_return": self.task_return,
            "standing": self.standing,
            "full_episodes": self.full_episodes,
            "mean_episode_s": self.mean_episode_s,
            "reward_terms": self.terms,
            "diverged": self.diverged,
        }


def evaluate(act: Controller, make_environment: MakeSimulated, cfg: EvaluateConfig) -> Evaluation:
    """Let a controller act, without jitter, in episodes that start as training's do.

    Raises:
        BunrakuError: no episodes, no time, actions that are not finite.
    """
    if cfg.episodes < 1:
        raise BunrakuError(f"episodes = {cfg.episodes}: expected at least 1")
    if cfg.episode_s <= 0:
        raise BunrakuError(f"episode_s = {cfg.episode_s:g}: expected more than 0")
    # One second more than is asked for, so that the last state is not reset before it is looked at.
    environment = make_environment(cfg.episodes, cfg.episode_s + 1.0)
    steps = max(1, round(cfg.episode_s * environment.control_hz))
    scores = _Scores(environment, steps)
    observation = environment.reset(cfg.seed)
    for _ in range(steps):
        step = environment.step(act(observation))
        scores.take(step.terminated, step.reward, dict(step.terms))
        observation = step.observation
    stands = standing(environment.tracking()) & scores.alive
    diverged = environment.diverged
    environment.close()
    return scores.evaluation(stands, diverged)


def standing(tracking: Tracking) -> Bool[np.ndarray, "count"]:
    """Every rotation is within `STANDING_RAD` of its reference."""
    return np.all(tracking.angles < STANDING_RAD, axis=1)


class _Scores:
    """Sums over the steps that each character survives."""

    def __init__(self, environment: SimulatedEnvironment, steps: int) -> None:
        self.environment, self.steps = environment, steps
        self.alive = np.ones(environment.count, bool)
        self.lasted, self.rewards = np.zeros(environment.count), np.zeros(environment.count)
        self.returns, self.literal = np.zeros(environment.count), np.zeros(environment.count)
        self.terms: dict[str, float] = {}
        # docs/bopbag.md: the article's formula is for one rotation and a pose, the paper's for all else.
        self.bag = environment.reference.duration_s == 0 and len(environment.built.anatomy.rotations) == 1
        self.formula: Callable[[Tracking], Reward] = bopbag_reward if self.bag else deepmimic_reward

    def take(self, terminated: np.ndarray, reward: np.ndarray, terms: dict[str, np.ndarray]) -> None:
        """Count a step."""
        self.alive &= ~terminated
        alive, tracking = self.alive, self.environment.tracking()
        self.lasted += alive
        self.rewards += alive * reward
        self.returns += alive * self.formula(tracking).total
        if self.bag:
            self.literal += alive * literal_reward(tracking).total
        for name, term in terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + float(term[alive].sum())

    def evaluation(self, stands: np.ndarray, diverged: int) -> Evaluation:
        """The means."""
        survived = max(1.0, float(self.lasted.sum()))
        return Evaluation(
            normalized_return=float(self.returns.mean()) / self.steps,
            normalized_return_literal=float(self.literal.mean()) / self.steps if self.bag else None,
            task_return=float(self.rewards.mean()) / self.steps,
            standing=float(stands.mean()),
            full_episodes=float(self.alive.mean()),
            mean_episode_s=float(self.lasted.mean()) / self.environment.control_hz,
            terms={name: total / survived for name, total in self.terms.items()},
            diverged=diverged,
        )
