"""How a policy that follows a clip begins: by imitating linear feedback that was fitted to the simulation, where that
holds the character on the clip.

The feedback is fitted and tried in turn (linear_feedback.py), then a network learns what it would have done in the
states that the network itself comes into: Ross, Gordon & Bagnell, "A Reduction of Imitation Learning and Structured
Prediction to No-Regret Online Learning" (DAgger), AISTATS 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.progress import Progress, silent
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.imitation.actor import Actor
from bunraku.imitation.clip_environment import ClipEnvironment
from bunraku.imitation.learner import PrimerConfig
from bunraku.imitation.linear_feedback import (
    Experience,
    LinearFeedback,
    best_feedback,
    cost,
    deviation,
    spreads,
)
from bunraku.imitation.network import Adam
from bunraku.imitation.rollout import minibatches


@dataclass(frozen=True, eq=False)
class Primed:
    """What came of it."""

    samples: int
    """Control steps that it took, of all characters together."""
    kept: bool
    """The policy has learnt the feedback; else it is as it was."""
    no_action: float
    """Mean reward of a step within five seconds of a start on the clip, 0 after a fall."""
    feedback: tuple[float, ...]
    """The same of each round's feedback."""


_GOOD = 0.12
"""A feedback that lacks less than this share of what no action lacks is good enough;"""
_FAR = 0.9
"""After three rounds a feedback that still lacks so much of what no action lacks is given up,"""
_NEAR = 0.5
"""and in the end one that lacks more than this."""


def phase_of(environment: ClipEnvironment, phases: int) -> Int[np.ndarray, "count"]:
    """The part of the clip, one of so many, that each character is in."""
    table = environment.table
    nearest = np.rint(environment.times_s / table.duration_s * phases).astype(np.int64)
    return nearest % phases if table.loops else np.minimum(nearest, phases - 1)


def state_of(environment: ClipEnvironment) -> Float[np.ndarray, "count state"]:
    """How far each character is from the clip."""
    table, times_s = environment.table, environment.times_s
    within = times_s % table.duration_s if table.loops else np.minimum(times_s, table.duration_s)
    return deviation(environment.following(), table.starts(within).qvel)


class _Trials:
    """Rollouts near the clip, and what they teach of the simulation."""

    def __init__(self, environment: ClipEnvironment, cfg: PrimerConfig, generator: np.random.Generator) -> None:
        self.environment, self.cfg, self.generator = environment, cfg, generator
        self.body, self.table = environment.built.anatomy, environment.table
        phases = max(2, round(self.table.duration_s * environment.control_hz))
        self.scale = spreads(self.body)
        self.experience = Experience(phases, self.scale, environment.action_size, loops=self.table.loops)
        self.samples = 0

    def begin(self, away: float) -> Float[np.ndarray, "count observation"]:
        """New episodes at random moments, `away` from the clip (1: as far as it is explored)."""
        environment, generator, body = self.environment, self.generator, self.body
        observation = environment.begin(generator.uniform(0, self.table.duration_s, environment.count))
        if away:
            qpos, qvel = environment.simulation.qpos.copy(), environment.simulation.qvel.copy()
            off = away * self.scale * generator.normal(size=(environment.count, len(self.scale)))
            linear, quats = len(body.linear_q), len(body.quat_q)
            place, turn, hinge = np.split(off[:, : off.shape[1] // 2], [linear, linear + 3 * quats], axis=1)
            qpos[:, body.linear_q] += place
            turned = quat_from_rotvec(turn.reshape(-1, quats, 3))
            qpos[:, body.quat_q] = quat_multiply(qpos[:, body.quat_q], turned)
            qpos[:, body.hinge_q] += hinge
            # How fast each coordinate is off does not depend on which is which: all have the same spread.
            qvel += off[:, off.shape[1] // 2 :]
            environment.simulation.place(np.ones(environment.count, bool), qpos, qvel)
        return observation

    def phase(self) -> Int[np.ndarray, "count"]:
        """The part of the clip that each character is in."""
        return phase_of(self.environment, self.experience.phases)

    def state(self) -> Float[np.ndarray, "count state"]:
        """How far each character is from the clip."""
        return state_of(self.environment)

    def explore(self) -> None:
        """Single steps from everywhere near the clip, enough of them for every phase to be fitted alone."""
        enough = 4 * (len(self.scale) + self.environment.action_size) * self.experience.phases
        for _ in range(-(-enough // self.environment.count)):
            self.begin(1.0)
            phase, before = self.phase(), self.state()
            actions = self.generator.normal(size=(self.environment.count, self.environment.action_size))
            self._step(phase, before, actions)

    def practise(self, feedback: LinearFeedback) -> None:
        """Let a feedback act near the clip, jittered, so that what actions do can be told from what states do."""
        shape = (self.environment.count, self.environment.action_size)
        for _ in range(self.cfg.starts):
            self.begin(0.5)
            for _ in range(self.cfg.steps):
                phase, before = self.phase(), self.state()
                actions = feedback.actions(phase, before) + self.cfg.jitter * self.generator.normal(size=shape)
                self._step(phase, before, actions)

    def _step(self, phase: np.ndarray, before: np.ndarray, actions: np.ndarray) -> None:
        step = self.environment.step(actions)
        self.samples += self.environment.count
        self.experience.add(phase, before, actions, self.state(), ~step.terminated & ~step.truncated)


class _Exam:
    """How long feedback holds characters on the clip."""

    def __init__(self, environment: ClipEnvironment, seed: int) -> None:
        self.environment, self.seed, self.samples = environment, seed, 0

    def reward(self, feedback: LinearFeedback | None, phases: int, steps: int = 150) -> float:
        """Mean reward of a step within so many of a start on the clip, 0 after a fall; None: of no action."""
        environment = self.environment
        environment.reset(self.seed)
        alive, total = np.ones(environment.count, bool), 0.0
        actions = np.zeros((environment.count, environment.action_size))
        for _ in range(steps):
            if feedback is not None:
                actions = feedback.actions(phase_of(environment, phases), state_of(environment))
            step = environment.step(actions)
            alive &= ~step.terminated
            total += float(step.reward[alive].sum())
        self.samples += steps * environment.count
        return total / (steps * environment.count)


def prime(
    environment: ClipEnvironment,
    other: ClipEnvironment,
    actor: Actor,
    cfg: PrimerConfig,
    generator: np.random.Generator,
    progress: Progress = silent,
) -> Primed:
    """Fit feedback to the simulation and, if it lacks at most half of the reward that no action lacks in the seconds
    after a start, teach it to the policy. Its actions must be added to the clip (`ClipConfig.action` "residual").

    `other` is one of the same task, in which it is examined. Everything follows from the generator.
    """
    trials, whole = _Trials(environment, cfg, generator), cfg.rounds + 1 + cfg.lessons
    environment.reset(int(generator.integers(2**31)))
    exam, phases = _Exam(other, int(generator.integers(2**31))), trials.experience.phases
    costs = cost(trials.body, np.array(environment.character.joint_weights))
    trials.explore()
    nothing = exam.reward(None, phases)
    progress("prime", 1, whole, "")
    best, scores = None, list[float]()
    for k in range(cfg.rounds):
        feedback = best_feedback(trials.experience.models(), costs, loops=trials.table.loops)
        scores.append(exam.reward(feedback, phases))
        progress("prime", 2 + k, whole, f"reward {scores[-1]:.3f}")
        if best is None or scores[-1] >= max(scores):
            best = feedback
        lacks = (1 - max(scores)) / max(1 - nothing, 1e-9)
        if lacks < _GOOD or (k == 2 and lacks > _FAR):
            break
        if k + 1 < cfg.rounds:
            trials.practise(feedback)
    kept = best is not None and 1 - max(scores) <= _NEAR * (1 - nothing)
    if best is not None and kept:
        _teach(trials, best, actor, cfg, progress)
    return Primed(trials.samples + exam.samples, kept, nothing, tuple(scores))


def _teach(trials: _Trials, feedback: LinearFeedback, actor: Actor, cfg: PrimerConfig, progress: Progress) -> None:
    """DAgger: the network acts after the first lesson, the feedback says what it would have done."""
    environment, generator = trials.environment, trials.generator
    seen, told = list[np.ndarray](), list[np.ndarray]()
    optimiser, size = Adam(actor.parameters), environment.action_size
    for lesson in range(cfg.lessons):
        observation, own = trials.begin(0.0), list[np.ndarray]()
        for _ in range(cfg.lesson_steps):
            own.append(observation)
            told.append(feedback.actions(trials.phase(), trials.state()).astype(np.float32))
            action = actor.mean(actor.look(observation)) if lesson else told[-1]
            jitter = np.exp(actor.log_deviation) * generator.normal(size=action.shape)
            observation = environment.step(action + jitter).observation
            trials.samples += environment.count
        seen += own
        actor.learn_to_look(np.stack(own))
        inputs, wanted = actor.look(np.concatenate(seen)), np.concatenate(told)
        last = lesson + 1 == cfg.lessons
        for k in range(2 * cfg.passes if last else cfg.passes):
            rate = cfg.rate / 5 if last and k >= cfg.passes else cfg.rate
            for rows in minibatches(generator.permutation(len(inputs)), cfg.minibatch):
                mean, pull = actor.mean.traced(inputs[rows])
                step = np.zeros_like(actor.parameters)
                # L = mean |μ(s) − u|², summed over the action
                pull((2 / len(rows)) * (mean - wanted[rows]), step[:-size])
                optimiser.descend(step, rate, 1.0)
        progress("prime", 1 + cfg.rounds + lesson + 1, 1 + cfg.rounds + cfg.lessons, "")
