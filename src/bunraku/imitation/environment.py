"""Simulated characters with a task, composed by hand from the stages before: many at once, reset by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import Built, Character, build
from bunraku.imitation.mirror import Mirror
from bunraku.imitation.observations import Slot as Slot
from bunraku.imitation.observations import labels, layout, observe
from bunraku.imitation.protocol import Environment as Environment
from bunraku.imitation.protocol import Step as Step
from bunraku.imitation.reference import Reference, clip_reference, fixed_pose
from bunraku.imitation.rewards import (
    Reward,
    RewardFunction,
    bopbag_reward,
    deepmimic_reward,
    literal_reward,
    users_reward,
)
from bunraku.imitation.simulation import Simulation, SimulationConfig, States
from bunraku.imitation.snapshots import check_fits, packed, unpacked
from bunraku.imitation.start import StartConfig, draw_start
from bunraku.imitation.symmetry import symmetry
from bunraku.imitation.terminations import fallen, timed_out
from bunraku.imitation.tracking import Tracking


@dataclass(frozen=True)
class EnvironmentConfig:
    """A task for a character: how long, from where, for which reward."""

    count: int = 64
    """Characters side by side."""
    episode_s: float = 4.0
    """Length of an episode [s]."""
    reward: Literal["auto", "bopbag", "literal", "deepmimic"] = "auto"
    """bopbag and literal: the bop bag's two terms, resolved and as written; deepmimic: the paper's four; auto: bopbag
    for one rotation, deepmimic for more."""
    fall_rad: float | None = None
    """End an episode when a joint is further from the reference than this; None: only its time ends it."""
    start: StartConfig = field(default_factory=StartConfig)
    """Where episodes begin."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """How it is computed."""


class SimulatedEnvironment:
    """`count` copies of one character, each imitating the reference in its own time; see `Environment`.

    A character whose state diverges ends its episode as terminated, with reward 0 and its last good state.
    """

    def __init__(
        self,
        character: Character,
        cfg: EnvironmentConfig,
        clip: Clip | None = None,
        reward: RewardFunction | None = None,
        simulate: Callable[[Built, int, int], States] | None = None,
    ) -> None:
        """Build it; `reset` must come before the first `step`.

        `simulate(built, count, episode_steps)` computes the states, in place of MuJoCo here.

        Raises:
            BunrakuError: sizes that are not positive, a clip that names no part of the character.
        """
        if cfg.count < 1 or round(cfg.episode_s * character.control_hz) < 1:
            raise BunrakuError(
                f"an environment of {cfg.count} characters and {cfg.episode_s:g} s: both must be positive"
            )
        self.character, self.cfg = character, cfg
        self.built = build(character)
        self.reference: Reference = fixed_pose(self.built) if clip is None else clip_reference(self.built, clip)
        self.simulation: States = (
            Simulation(self.built, cfg.count, cfg.simulation)
            if simulate is None
            else simulate(self.built, cfg.count, self.episode_steps)
        )
        self.layout = layout(self.built.anatomy, clip=clip is not None)
        self._has_clip = clip is not None
        self._has_users_reward = reward is not None
        self._reward = _composed(cfg.reward, self.built) if reward is None else users_reward(reward)
        self._weights = np.array(character.joint_weights)
        self._scale = np.array(character.action_scale)
        self._generator = np.random.default_rng(0)
        self._steps = np.zeros(cfg.count, np.int64)
        self._begun_s = np.zeros(cfg.count)
        self._previous_qpos = self.simulation.qpos.copy()
        self._seconds = {"physics": 0.0, "observation_reward": 0.0}

    @property
    def count(self) -> int:
        """Characters side by side."""
        return self.cfg.count

    @property
    def observation_size(self) -> int:
        """Numbers per observation."""
        return sum(slot.size for slot in self.layout)

    @property
    def action_size(self) -> int:
        """Actuators of the character."""
        return len(self._scale)

    @property
    def control_hz(self) -> float:
        """Steps per simulated second."""
        return self.character.control_hz

    @property
    def episode_steps(self) -> int:
        """Steps of a whole episode."""
        return round(self.cfg.episode_s * self.control_hz)

    @property
    def mirror(self) -> Mirror | None:
        """None for clips and users' rewards: these may know left from right."""
        if self._has_clip or self._has_users_reward:
            return None
        return symmetry(self.built, labels(self.built.anatomy), self._told)

    def _told(
        self, qpos: Float[np.ndarray, "rows nq"], qvel: Float[np.ndarray, "rows nv"]
    ) -> Float[np.ndarray, "rows numbers"]:
        pose, rest = self.reference.at(np.zeros(1)), np.zeros(len(qpos))
        tracking = Tracking(self.built.anatomy, self._weights, qpos, qvel, qpos, pose, rest)
        return np.column_stack([observe(tracking, clip=False), self._reward(tracking).total])

    @property
    def diverged(self) -> int:
        """How many states have diverged so far."""
        return self.simulation.diverged

    def reset(self, seed: int) -> Float32[np.ndarray, "count observation"]:
        """Start new episodes everywhere from a generator of this seed."""
        self._generator = np.random.default_rng(seed)
        self.simulation.let_go()
        everywhere = np.ones(self.count, bool)
        self._begin(everywhere)
        return self._observe(everywhere)

    def step(self, actions: Float[np.ndarray, "count action"]) -> Step:
        """One control step under actions, in units of the character's `action_scale`.

        Raises:
            BunrakuError: actions, or rewards of a user's function, are not finite.
        """
        if not np.isfinite(actions).all():
            raise BunrakuError("actions are not finite: the policy has diverged")
        started = time.perf_counter()
        np.copyto(self._previous_qpos, self.simulation.qpos)
        control = self.built.reference_control + self._scale * np.asarray(actions, np.float64)
        diverged = self.simulation.advance(control)
        self._steps += 1
        simulated = time.perf_counter()
        result = self._judge(diverged)
        self._seconds["physics"] += simulated - started
        self._seconds["observation_reward"] += time.perf_counter() - simulated
        return result

    def _judge(self, diverged: Bool[np.ndarray, "count"]) -> Step:
        everywhere = np.ones(self.count, bool)
        tracking = self._tracking(everywhere)
        reward = self._reward(tracking)
        terminated = diverged
        if self.cfg.fall_rad is not None:
            terminated = terminated | fallen(tracking.angles, self.cfg.fall_rad)
        truncated = timed_out(self._steps, self.episode_steps) & ~terminated
        final = observe(tracking, clip=self._has_clip)
        total, terms = reward.total, reward.terms
        if diverged.any():
            total = np.where(diverged, 0.0, total)
            terms = {name: np.where(diverged, 0.0, term) for name, term in terms.items()}
        ended = terminated | truncated
        observation = final
        if ended.any():
            self._begin(ended)
            observation = final.copy()
            observation[ended] = self._observe(ended)
        return Step(observation, total, terminated, truncated, final, terms)

    def _begin(self, which: Bool[np.ndarray, "count"]) -> None:
        count = int(which.sum())
        duration = self.reference.duration_s
        self._begun_s[which] = self._generator.uniform(0, duration, count) if self.reference.loops else 0.0
        self._steps[which] = 0
        pose = self.reference.at(self._begun_s[which])
        qpos, qvel = draw_start(self.built.anatomy, pose, count, self.cfg.start, self._generator)
        self.simulation.place(which, qpos, qvel)
        self._previous_qpos[which] = qpos

    def _tracking(self, which: Bool[np.ndarray, "count"]) -> Tracking:
        times_s = self._begun_s[which] + self._steps[which] / self.control_hz
        duration = self.reference.duration_s
        past = times_s / duration if duration > 0 else np.zeros(len(times_s))
        return Tracking(
            self.built.anatomy,
            self._weights,
            self.simulation.qpos[which],
            self.simulation.qvel[which],
            self._previous_qpos[which],
            self.reference.at(times_s),
            past % 1.0 if self.reference.loops else np.minimum(past, 1.0),
        )

    def _observe(self, which: Bool[np.ndarray, "count"]) -> Float32[np.ndarray, "ended observation"]:
        return observe(self._tracking(which), clip=self._has_clip)

    def tracking(self) -> Tracking:
        """The characters as they stand now beside their reference; for evaluation and pictures."""
        return self._tracking(np.ones(self.count, bool))

    def wanted_qpos(self) -> Float[np.ndarray, "count nq"]:
        """Where the reference has each character now; for pictures."""
        return np.broadcast_to(self.tracking().reference.qpos, self.simulation.qpos.shape).copy()

    def push(self, body: str, force_w: Float[np.ndarray, "count 3"], steps: int) -> None:
        """Push a body at its centre of mass with a force [N] in world axes during the next `steps` steps.

        Raises:
            BunrakuError: the character has no such body.
        """
        self.simulation.push(body, force_w, steps)

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that decides what follows."""
        return {
            **self.simulation.snapshot(),
            "previous_qpos": self._previous_qpos.copy(),
            "steps": self._steps.copy(),
            "begun_s": self._begun_s.copy(),
            "generator": packed(self._generator),
        }

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "count observation"]:
        """Go on from a snapshot.

        Raises:
            BunrakuError: it is one of another environment.
        """
        check_fits(snapshot, self.snapshot(), self.character.name)
        self.simulation.restore(snapshot)
        self._previous_qpos = np.array(snapshot["previous_qpos"])
        self._steps, self._begun_s = np.array(snapshot["steps"]), np.array(snapshot["begun_s"])
        self._generator = unpacked(snapshot["generator"])
        return self._observe(np.ones(self.count, bool))

    def timers(self) -> Mapping[str, float]:
        """Wall seconds spent so far."""
        return dict(self._seconds)

    def close(self) -> None:
        """End the threads of the physics."""
        self.simulation.close()


def _composed(name: str, built: Built) -> Callable[[Tracking], Reward]:
    if name == "auto":
        name = "bopbag" if len(built.anatomy.rotations) == 1 else "deepmimic"
    return {"bopbag": bopbag_reward, "literal": literal_reward, "deepmimic": deepmimic_reward}[name]
