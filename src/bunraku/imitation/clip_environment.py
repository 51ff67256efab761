"""Simulated characters with a free root that follow a clip: many at once, each in its own time, reset by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.imitation import deepmimic_observations
from bunraku.imitation.character import Built, Character, build
from bunraku.imitation.following import Following
from bunraku.imitation.following_observations import layout, observe
from bunraku.imitation.following_rewards import following_reward
from bunraku.imitation.mirror import Mirror
from bunraku.imitation.motion_table import Moment, motion_table
from bunraku.imitation.phases import Phases, PhasesConfig
from bunraku.imitation.protocol import Step
from bunraku.imitation.rewards import Reward
from bunraku.imitation.servos import servos
from bunraku.imitation.simulation import Simulation, SimulationConfig
from bunraku.imitation.snapshots import check_fits, packed, unpacked
from bunraku.imitation.terminations import strayed, timed_out, touching
from bunraku.imitation.touch import Touch, touch

HOLD_S = 0.25
"""How long the last pose of a clip that does not loop is held (DeepMimic's evaluation)."""

_HANDOVER_S = 1e-4
"""Pause in which a thread that simulates gets going [s]."""


@dataclass(frozen=True)
class ClipConfig:
    """How a character follows a clip."""

    count: int = 256
    """Characters side by side."""
    episode_s: float = 20.0
    """Length of an episode [s]; one of a clip that does not loop ends a quarter of a second after the clip."""
    fall: tuple[str, ...] | None = None
    """Bodies that end an episode where they touch the ground; None: all that the clip itself keeps off it."""
    stray_m: float = 1.0
    """End an episode where the root is further from the clip's [m]; 0: never."""
    stray_rad: float = 1.2
    """End an episode where the weighted root mean square of all rotations' errors is larger; 0: never."""
    lead: float = 3.0
    """The servos' targets are the clip's pose so many control steps ahead: their dampers lag behind by kd/kp = .1 s."""
    action: Literal["residual", "absolute"] = "residual"
    """What actions are added to: the clip's pose, or the character's rest."""
    observation: Literal["following", "deepmimic"] = "following"
    """What policies see: themselves and how far the clip is, or what the published ones saw."""
    start: Literal["random", "first"] = "random"
    """Where in the clip episodes begin."""
    phases: PhasesConfig = field(default_factory=PhasesConfig)
    """Which moments of the clip episodes begin at, where they begin at random."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """How it is computed."""


class ClipEnvironment:
    """`count` copies of one character; see `Environment`.

    A character whose state diverges ends its episode as terminated, with reward 0 and its last good state.
    """

    def __init__(
        self,
        character: Character,
        clip: Clip,
        cfg: ClipConfig,
        reward: Callable[[Following], Reward] = following_reward,
    ) -> None:
        """Build it; `reset` must come before the first `step`.

        Raises:
            BunrakuError: sizes that are not positive, no free root, a clip that names no part of the character, bodies
                that it has not got.
        """
        if cfg.count < 1 or round(cfg.episode_s * character.control_hz) < 1:
            raise BunrakuError(
                f"an environment of {cfg.count} characters and {cfg.episode_s:g} s: both must be positive"
            )
        self.character, self.cfg = character, cfg
        self.built: Built = build(character)
        self.table = motion_table(self.built, clip)
        self.simulation: Simulation = Simulation(self.built, cfg.count, cfg.simulation)
        published = cfg.observation == "deepmimic"
        self.layout = deepmimic_observations.layout(self.built.anatomy) if published else layout(self.built.anatomy)
        # A clip's mirror image is another clip.
        self.mirror: Mirror | None = None
        self.touch: Touch = touch(self.built, self.table, cfg.fall)
        self._servos = servos(self.built)
        self._reward = reward
        self._weights = np.array(character.joint_weights)
        self._generator = np.random.default_rng(0)
        self._phases = Phases.uniform(self.table.duration_s, cfg.phases)
        count = cfg.count
        self._steps, self._cycle = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._begun_s, self._origin_w = np.zeros(count), np.zeros((count, 2))
        self._controls = np.zeros((count, self.built.model.nu))
        self._background = ThreadPoolExecutor(1) if cfg.simulation.threads > 1 else None
        self._underway: Future[np.ndarray] | np.ndarray | None = None
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
        return len(self.character.action_scale)

    @property
    def control_hz(self) -> float:
        """Steps per simulated second."""
        return self.character.control_hz

    @property
    def episode_steps(self) -> int:
        """Steps of a whole episode that begins at the clip's start."""
        seconds = self.cfg.episode_s
        if not self.table.loops:
            seconds = min(seconds, self.table.duration_s + HOLD_S)
        return max(1, round(seconds * self.control_hz))

    @property
    def diverged(self) -> int:
        """How many states have diverged so far."""
        return self.simulation.diverged

    @property
    def times_s(self) -> Float[np.ndarray, "count"]:
        """Where in the clip each character should be, cycles included."""
        return self._begun_s + self._steps / self.control_hz

    def reset(self, seed: int) -> Float32[np.ndarray, "count observation"]:
        """Start new episodes everywhere from a generator of this seed."""
        self._generator = np.random.default_rng(seed)
        self._phases = Phases.uniform(self.table.duration_s, self.cfg.phases)
        self.simulation.let_go()
        everywhere = np.ones(self.count, bool)
        self._begin(everywhere)
        return self._observation(everywhere, self._standing(everywhere))

    def begin(self, begun_s: Float[np.ndarray, "count"]) -> Float32[np.ndarray, "count observation"]:
        """Start new episodes everywhere at given moments of the clip, for evaluation."""
        everywhere = np.ones(self.count, bool)
        self._place(everywhere, np.asarray(begun_s, np.float64))
        return self._observation(everywhere, self._standing(everywhere))

    def step(self, actions: Float[np.ndarray, "count action"]) -> Step:
        """One control step under actions, in units of the character's `action_scale`.

        Raises:
            BunrakuError: actions are not finite.
        """
        self.launch(actions)
        return self.conclude()

    def launch(self, actions: Float[np.ndarray, "count action"]) -> None:
        """Begin with a control step; with several threads it goes on by itself until `conclude`.

        Raises:
            BunrakuError: actions are not finite.
        """
        if not np.isfinite(actions).all():
            raise BunrakuError("actions are not finite: the policy has diverged")
        started = time.perf_counter()
        control = self._controls = self._control(np.asarray(actions, np.float64))
        self._seconds["observation_reward"] += time.perf_counter() - started
        self._underway = control
        if self._background is not None:
            self._underway = self._background.submit(copy_context().run, self.simulation.advance, control)
            # Else it would begin when this thread next waits for something, or is made to hand the interpreter over.
            time.sleep(_HANDOVER_S)

    def conclude(self) -> Step:
        """Wait for the control step that was begun, and judge it."""
        started, underway = time.perf_counter(), self._underway
        assert underway is not None, "nothing was launched"
        diverged = underway.result() if isinstance(underway, Future) else self.simulation.advance(underway)
        self._underway, simulated = None, time.perf_counter()
        self._steps += 1
        self._follow_cycles()
        result = self._judge(diverged)
        self._seconds["physics"] += simulated - started
        self._seconds["observation_reward"] += time.perf_counter() - simulated
        return result

    def _control(self, actions: np.ndarray) -> np.ndarray:
        qpos = self.simulation.qpos
        if self.cfg.action == "absolute":
            wanted = np.broadcast_to(self.built.reference_qpos, qpos.shape)
        else:
            everywhere = np.ones(self.count, bool)
            wanted = self._moment(everywhere, self.times_s + self.cfg.lead / self.control_hz).qpos
        return self._servos.controls(qpos, wanted, actions)

    def _follow_cycles(self) -> None:
        """Where a new cycle has begun the clip is put where the character is, horizontally (as DeepMimic does)."""
        cycle = self.table.cycle(self.times_s)
        new = cycle > self._cycle
        if new.any():
            self._origin_w[new] = self.simulation.qpos[new, :2] - self.table.root_xy(self.times_s[new])
            self._cycle[new] = cycle[new]

    def _judge(self, diverged: Bool[np.ndarray, "count"]) -> Step:
        everywhere = np.ones(self.count, bool)
        following = self._following(everywhere)
        reward = self._reward(following)
        terminated = diverged | touching(self.touch, *following.frames_w)
        terminated |= strayed(following, self.cfg.stray_m, self.cfg.stray_rad)
        truncated = timed_out(self._steps, self.episode_steps) & ~terminated
        if not self.table.loops:
            truncated |= (self.times_s >= self.table.duration_s + HOLD_S - 1e-9) & ~terminated
        total, terms = reward.total, reward.terms
        if diverged.any():
            total = np.where(diverged, 0.0, total)
            terms = {name: np.where(diverged, 0.0, term) for name, term in terms.items()}
        final = self._observation(everywhere, following)
        ended = terminated | truncated
        observation = final
        if ended.any():
            self._phases = self._phases.after(self._begun_s[ended], terminated[ended])
            self._begin(ended)
            observation = final.copy()
            observation[ended] = self._observation(ended, self._standing(ended))
        return Step(observation, total, terminated, truncated, final, terms)

    def _begin(self, which: Bool[np.ndarray, "count"]) -> None:
        count = int(which.sum())
        if self.cfg.start == "random":
            self._place(which, self._phases.draw(count, self._generator))
        else:
            self._place(which, np.zeros(count))

    def _place(self, which: Bool[np.ndarray, "count"], begun_s: np.ndarray) -> None:
        """On the clip, with its velocities (reference state initialisation)."""
        self._begun_s[which], self._steps[which] = begun_s, 0
        self._cycle[which], self._origin_w[which] = self.table.cycle(begun_s), 0.0
        moment = self.table.starts(begun_s)
        self.simulation.place(which, moment.qpos, moment.qvel)

    def _moment(self, which: Bool[np.ndarray, "count"], times_s: np.ndarray) -> Moment:
        beyond = self.table.cycle(times_s) - self._cycle[which]
        return self.table.at(times_s, self._origin_w[which] + beyond[:, None] * self.table.travel)

    def _following(self, which: Bool[np.ndarray, "count"], *, on_clip: bool = False) -> Following:
        return Following(
            self.built.anatomy,
            self._weights,
            self.simulation.qpos[which],
            self.simulation.qvel[which],
            self._moment(which, self.times_s[which]),
            on_clip,
        )

    def _standing(self, which: Bool[np.ndarray, "count"]) -> Following:
        """Characters whose episodes have just begun, where the clip has them: nothing of them need be computed."""
        return self._following(which, on_clip=True)

    def _observation(
        self, which: Bool[np.ndarray, "count"], following: Following
    ) -> Float32[np.ndarray, "ended observation"]:
        times_s = self.times_s[which]
        share = times_s / self.table.duration_s
        share = share % 1.0 if self.table.loops else np.minimum(share, 1.0)
        if self.cfg.observation == "deepmimic":
            return deepmimic_observations.observe(following, share)
        return observe(following, self._moment(which, times_s + 1 / self.control_hz), share)

    def following(self) -> Following:
        """The characters as they stand now beside the clip; for evaluation and pictures."""
        return self._following(np.ones(self.count, bool))

    def wanted_qpos(self) -> Float[np.ndarray, "count nq"]:
        """Where the clip has each character now, put where the character is; for pictures."""
        return self.following().moment.qpos

    def effort(self) -> tuple[Float[np.ndarray, "count"], Float[np.ndarray, "count"]]:
        """Shares of servos at their limit, and of balls whose net torque is longer than it, under the last controls."""
        return self._servos.effort(self.simulation.qpos, self.simulation.qvel, self._controls)

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
            "steps": self._steps.copy(),
            "cycle": self._cycle.copy(),
            "begun_s": self._begun_s.copy(),
            "origin_w": self._origin_w.copy(),
            "failures": self._phases.failures.copy(),
            "generator": packed(self._generator),
        }

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "count observation"]:
        """Go on from a snapshot.

        Raises:
            BunrakuError: it is one of another environment.
        """
        check_fits(snapshot, self.snapshot(), self.character.name)
        self.simulation.restore(snapshot)
        self._steps, self._cycle = np.array(snapshot["steps"]), np.array(snapshot["cycle"])
        self._begun_s, self._origin_w = np.array(snapshot["begun_s"]), np.array(snapshot["origin_w"])
        self._phases = Phases(self.cfg.phases, self.table.duration_s, np.array(snapshot["failures"]))
        self._generator = unpacked(snapshot["generator"])
        everywhere, begun = np.ones(self.count, bool), self._steps == 0
        observation = self._observation(everywhere, self._following(everywhere))
        if begun.any():
            observation[begun] = self._observation(begun, self._standing(begun))
        return observation

    def timers(self) -> Mapping[str, float]:
        """Wall seconds spent so far."""
        return dict(self._seconds)

    def close(self) -> None:
        """End the threads of the physics."""
        if self._background is not None:
            self._background.shutdown()
        self.simulation.close()
