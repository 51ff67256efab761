"""How well a policy follows a clip, as the paper measures it: without jitter, whole episodes, three readings of the
reward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.errors import BunrakuError
from bunraku.imitation.clip_environment import HOLD_S, ClipEnvironment
from bunraku.imitation.evaluate import Controller, EvaluateConfig
from bunraku.imitation.following import Following
from bunraku.imitation.following_rewards import (
    following_reward,
    literal_following_reward,
    released_following_reward,
)

MakeClipEnvironment = Callable[[int, float], ClipEnvironment]
"""So many characters, episodes of so many seconds."""

Starts = Literal["random", "first"]

_UPRIGHT_SHARE, _ALIKE_RAD = 0.2, 0.5
"""Where no touch is a fall: an episode is whole if at its end the root is within this share of the clip's height and
the rotations' errors are below this on average."""


@dataclass(frozen=True, eq=False)
class ClipEvaluation:
    """Means over episodes; a step after an early end counts as 0."""

    normalized_return: float
    normalized_return_literal: float
    normalized_return_released: float
    full_episodes: float
    """Share of the episodes that last to their end; for clips that may touch everywhere, that end in its pose."""
    mean_episode_s: float
    terms: dict[str, float]
    """Means of the reward's terms over the steps survived."""
    yaw_error_deg: float
    """Mean over the steps survived."""
    root_error_m: float
    """Horizontal, likewise."""
    saturated: float
    """Share of the servo-steps survived whose torque is at its limit."""
    beyond_limit: float
    """Share of the joint-steps of balls whose net torque is longer than the limit, which bounds each axis alone."""
    diverged: int
    starts: Starts

    def values(self) -> dict[str, Any]:
        """As commands print it."""
        return {
            "normalized_return": self.normalized_return,
            "normalized_return_literal": self.normalized_return_literal,
            "normalized_return_released": self.normalized_return_released,
            "full_episodes": self.full_episodes,
            "mean_episode_s": self.mean_episode_s,
            "reward_terms": self.terms,
            "yaw_error_deg": self.yaw_error_deg,
            "root_error_m": self.root_error_m,
            "saturated": self.saturated,
            "beyond_limit": self.beyond_limit,
            "diverged": self.diverged,
            "starts": self.starts,
        }


def evaluate_clip(
    act: Controller, make_environment: MakeClipEnvironment, cfg: EvaluateConfig, starts: Starts | None = None
) -> ClipEvaluation:
    """Let a controller follow the clip without jitter.

    A looping clip: `cfg.episode_s` from random moments. Another: from its first frame to a quarter of a second after
    its end; with `starts` "random" from random moments to the same end. Only falls end an episode.

    Raises:
        BunrakuError: no episodes, no time, actions that are not finite.
    """
    if cfg.episodes < 1 or cfg.episode_s <= 0:
        raise BunrakuError(f"{cfg.episodes} episodes of {cfg.episode_s:g} s: both must be positive")
    # Time enough for no episode to end by itself: what comes after its scheduled steps is not counted.
    environment = make_environment(cfg.episodes, 1e6)
    generator = np.random.default_rng(cfg.seed)
    loops, duration = environment.table.loops, environment.table.duration_s
    starts = starts or ("random" if loops else "first")
    begun_s = generator.uniform(0, duration, cfg.episodes) if starts == "random" else np.zeros(cfg.episodes)
    lasts_s = np.full(cfg.episodes, cfg.episode_s) if loops else duration + HOLD_S - begun_s
    scheduled = np.maximum(1, np.round(lasts_s * environment.control_hz)).astype(np.int64)
    environment.reset(cfg.seed)
    observation = environment.begin(begun_s)
    scores = _Scores(environment, scheduled)
    for k in range(int(scheduled.max())):
        step = environment.step(act(observation))
        scores.take(k, step.terminated)
        if not scores.alive.any():
            break
        observation = step.observation
    diverged = environment.diverged
    environment.close()
    return scores.evaluation(diverged, starts)


class _Scores:
    """Sums over the steps that each character survives."""

    def __init__(self, environment: ClipEnvironment, scheduled: np.ndarray) -> None:
        count = environment.count
        self.environment, self.scheduled = environment, scheduled
        self.alive, self.whole = np.ones(count, bool), np.zeros(count, bool)
        self.lasted = np.zeros(count)
        self.sums: dict[str, np.ndarray] = {name: np.zeros(count) for name in ("return", "literal", "released")}
        self.terms: dict[str, float] = {}
        self.before = environment.following()

    def take(self, k: int, terminated: Bool[np.ndarray, "count"]) -> None:
        """Count a step."""
        environment, following = self.environment, self.environment.following()
        self.alive &= ~terminated
        counted = self.alive & (k < self.scheduled)
        reward = following_reward(following)
        # Differences over one control step; meaningless where an episode has begun anew, which is not counted.
        moved = following.centre_error_w - self.before.centre_error_w
        released = released_following_reward(following, moved * environment.control_hz)
        self.lasted += counted
        totals = {"return": reward.total, "literal": literal_following_reward(following).total}
        for name, total in {**totals, "released": released.total}.items():
            self.sums[name] += counted * total
        torque, beyond = environment.effort()
        extra = {"_yaw": yaw_errors_deg(following), "_root": root_errors_m(following)}
        for name, term in {**reward.terms, **extra, "_saturated": torque, "_beyond": beyond}.items():
            self.terms[name] = self.terms.get(name, 0.0) + float(term[counted].sum())
        ends = counted & (k == self.scheduled - 1)
        self.whole |= ends & (_ends_alike(following) if not environment.touch.names else True)
        self.before = following

    def evaluation(self, diverged: int, starts: Starts) -> ClipEvaluation:
        """The means."""
        survived = max(1.0, float(self.lasted.sum()))
        terms = {name: total / survived for name, total in self.terms.items()}
        means = {name: float((total / self.scheduled).mean()) for name, total in self.sums.items()}
        return ClipEvaluation(
            normalized_return=means["return"],
            normalized_return_literal=means["literal"],
            normalized_return_released=means["released"],
            full_episodes=float(self.whole.mean()),
            mean_episode_s=float(self.lasted.mean()) / self.environment.control_hz,
            terms={name: value for name, value in terms.items() if not name.startswith("_")},
            yaw_error_deg=terms["_yaw"],
            root_error_m=terms["_root"],
            saturated=terms["_saturated"],
            beyond_limit=terms["_beyond"],
            diverged=diverged,
            starts=starts,
        )


def yaw_errors_deg(following: Following) -> Float[np.ndarray, "count"]:
    """Angle between the headings [deg], in [0, 180]."""
    own, wanted = following.landmarks.heading, following.moment.landmarks.heading
    return np.rad2deg(np.arccos(np.clip((own * wanted).sum(axis=1), -1.0, 1.0)))


def root_errors_m(following: Following) -> Float[np.ndarray, "count"]:
    """Horizontal distance between the roots [m]."""
    return np.linalg.norm(following.qpos[:, :2] - following.moment.qpos[:, :2], axis=1)


def _ends_alike(following: Following) -> Bool[np.ndarray, "count"]:
    height = following.moment.qpos[:, 2]
    near = np.abs(following.qpos[:, 2] - height) < _UPRIGHT_SHARE * height
    return near & (following.angles.mean(axis=1) < _ALIKE_RAD)
