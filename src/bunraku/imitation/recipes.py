"""Settings that work, by character and learner: what a training does when nothing else is asked for.

benchmarks/bopbag.py measures them on many seeds; docs/imitation.md gives the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bunraku.imitation.environment import EnvironmentConfig
from bunraku.imitation.learner import AWRConfig, PPOConfig, TrainConfig
from bunraku.imitation.policy import PolicyConfig
from bunraku.imitation.start import StartConfig

Algorithm = Literal["ppo", "awr"]

PUBLISHED_SAMPLES = 6144
"""The budget of the bop bag's article: 8 sessions of 768 frames."""


@dataclass(frozen=True)
class Recipe:
    """A training and the environment that it is in."""

    train: TrainConfig
    environment: EnvironmentConfig


def recipe(character: str, algorithm: Algorithm | None = None) -> Recipe:
    """The settings for a built-in character; those of bopbag3 for any other."""
    samples = {"bopbag": PUBLISHED_SAMPLES}.get(character, _SAMPLES.get(character, 1_000_000))
    chosen = algorithm or ("awr" if character == "bopbag" else "ppo")
    if chosen == "awr":
        return _awr(samples, single=character == "bopbag")
    return _ppo_short(samples) if character == "bopbag" else _ppo(samples)


_SAMPLES = {"bopbag6": 100_000, "bopbag2": 100_000, "bopbag3": 300_000}


def _awr(samples: int, *, single: bool) -> Recipe:
    # One layer of 512, as published; sessions of 768 frames in short episodes, so that they begin at many angles.
    policy = PolicyConfig((512,), (512,), "relu", deviation=1.0, learn_deviation=False, normalise=False)
    train = TrainConfig("awr", samples, count=32 if single else 128, steps=0, policy=policy, awr=AWRConfig())
    return Recipe(train, EnvironmentConfig(episode_s=1.0, start=StartConfig(tilt_rad=0.5)))


def _ppo_short(samples: int) -> Recipe:
    policy = PolicyConfig((64, 64), (64, 64), "elu", deviation=1.0)
    ppo = PPOConfig(discount=0.9, epochs=20, minibatch=192, rate=3e-3, target_kl=0.03, critic_rate=3e-3)
    train = TrainConfig("ppo", samples, count=32, steps=24, policy=policy, ppo=ppo)
    return Recipe(train, EnvironmentConfig(episode_s=1.0, start=StartConfig(tilt_rad=0.5)))


def _ppo(samples: int) -> Recipe:
    policy = PolicyConfig((64, 64), (64, 64), "elu", deviation=0.5)
    ppo = PPOConfig(discount=0.95, epochs=10, minibatch=512, rate=1e-3, target_kl=0.02)
    train = TrainConfig("ppo", samples, count=64, steps=32, policy=policy, ppo=ppo)
    return Recipe(train, EnvironmentConfig(episode_s=4.0))
