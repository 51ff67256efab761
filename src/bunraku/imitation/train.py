"""The training loop: collect, learn, note, keep; one for every learner.

Nothing in it knows the budget: learning rates follow the policy's divergence, random numbers follow the seed and the
number of the update. So a run that was interrupted, or that was finished and is given a larger budget, becomes what
one uninterrupted run with that budget would have been.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.compute.assistant import Assistant
from bunraku.compute.threads import one_thread, prompt_handover
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.progress import Progress, silent
from bunraku.imitation.clip_environment import ClipEnvironment
from bunraku.imitation.learner import Assisted, Learner, check_settings
from bunraku.imitation.learner import TrainConfig as TrainConfig
from bunraku.imitation.ledger import Ledger
from bunraku.imitation.policy import policy_of
from bunraku.imitation.ppo import PPO
from bunraku.imitation.primer import prime
from bunraku.imitation.protocol import Environment
from bunraku.imitation.rollout import Episodes, Segment, collect
from bunraku.imitation.run import CHECKPOINT, KIND, Run, Subject, load_run, pack, settings_of, unpack
from bunraku.imitation.shifts import Shifts

CHECKPOINT_EVERY_S = 10.0
_LEAST_WINDOW = 8
_EXAMINED = 64
"""Characters that a primer's feedback is tried on."""
_ACTING, _LEARNING, _PRIMING = 1, 2, 3
"""Streams of random numbers; 0 makes the networks."""

MakeEnvironment = Callable[[int], Environment]


@dataclass
class _Counts:
    """Where a training is."""

    updates: int = 0
    samples: int = 0
    best_return: float = -np.inf
    wall_s: float = 0.0
    cpu_s: float = 0.0
    times: dict[str, float] = field(default_factory=dict[str, float])
    """Wall seconds by part of the work."""
    primed: dict[str, Any] = field(default_factory=dict[str, Any])
    """What came of the primer, if there was one."""


def train(
    make_environment: MakeEnvironment,
    cfg: TrainConfig,
    out: Path,
    *,
    subject: Subject,
    minutes: float | None = None,
    tensorboard: bool = False,
    threads: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Run:
    """Train, or go on training, in the folder `out`.

    `make_environment(count)` makes so many characters side by side. `minutes` stops earlier than `cfg.samples` would
    and changes nothing else; the same call goes on from there, as it does after a crash. With two `threads` or more
    policy and critic learn side by side; the result does not depend on them. A finished run with at least
    `cfg.samples` is returned as it is; one with fewer is continued.

    Raises:
        BunrakuError: a setting that cannot be, `out` was made with other settings, a corrupt checkpoint, a reward, an
            observation or a loss that is not finite (the checkpoint is then of the update before).
    """
    check_settings(cfg)
    environment = Shifts([make_environment(cfg.count // cfg.shifts) for _ in range(cfg.shifts)])
    settings = _settings(cfg, subject, environment)
    opened = artifact.open_output(out, KIND, settings, seed=cfg.seed, overwrite=overwrite)
    if opened.result is not None and opened.result["samples"] >= cfg.samples:
        return load_run(out)
    if opened.state == "finished" and not (out / CHECKPOINT).is_file():
        raise BunrakuError(f"{out / CHECKPOINT}: is missing; without it the run cannot be continued")
    # What is not a number is found and named where rewards, observations and losses are looked at.
    with artifact.alone(out), one_thread(), prompt_handover(), np.errstate(over="ignore", invalid="ignore"):
        training = _Training(environment, cfg, out, tensorboard)
        training.resume()
        if training.counts.samples == 0:
            training.prime(make_environment, progress)
        with training.assisted(threads):
            training.run(minutes, progress)
        training.finish(subject)
    return load_run(out)


def _settings(cfg: TrainConfig, subject: Subject, environment: Shifts) -> dict[str, Any]:
    """Everything that decides how a training goes; not how long."""
    mine = {key: value for key, value in asdict(cfg).items() if key != "samples"}
    layout = [[slot.name, slot.size, slot.unit] for slot in environment.layout]
    episode = {"control_hz": float(environment.control_hz), "episode_steps": environment.episode_steps}
    return {**settings_of(subject), **episode, "layout": layout, **mine}


class _Training:
    def __init__(self, environment: Shifts, cfg: TrainConfig, out: Path, tensorboard: bool) -> None:
        self.environment, self.cfg, self.out = environment, cfg, out
        self.learner = _learner(cfg, environment)
        self.counts = _Counts()
        self.episodes = Episodes.starting(cfg.count)
        self.recent = np.empty(0)
        self.best = self.learner.actor.policy(environment.layout)
        self.ledger = Ledger(out, tensorboard=tensorboard)
        self.observation = environment.reset(cfg.seed)
        self._started, self._started_cpu, self._before = time.perf_counter(), time.process_time(), _Counts()

    def resume(self) -> None:
        """Go back to the checkpoint, if there is one; what was noted after it is forgotten."""
        file = self.out / CHECKPOINT
        if file.is_file():
            self._restore(file, artifact.read_arrays(file))
        self.ledger.reopen(self.counts.updates)

    def prime(self, make_environment: MakeEnvironment, progress: Progress) -> None:
        """Let the policy begin with what its primer teaches, if it has one and that is good for it.

        It takes a minute; one that was interrupted begins anew, and becomes the same.
        """
        cfg, learner = self.cfg, self.learner
        task = self.environment.environments[0]
        follows = isinstance(task, ClipEnvironment) and task.cfg.action == "residual"
        if not (follows and isinstance(learner, PPO) and cfg.primer.rounds):
            return
        before, generator = time.perf_counter(), np.random.default_rng([cfg.seed, _PRIMING])
        environment, exam = make_environment(cfg.primer.count), make_environment(_EXAMINED)
        assert isinstance(environment, ClipEnvironment)
        assert isinstance(exam, ClipEnvironment)
        primed = prime(environment, exam, learner.actor, cfg.primer, generator, progress)
        environment.close()
        exam.close()
        learner.critic_alone = cfg.primer.critic_updates if primed.kept else 0
        self.counts.samples += primed.samples
        self.counts.primed = {**asdict(primed), "feedback": list(primed.feedback)}
        self.counts.times["primer"] = time.perf_counter() - before
        self._clock()

    @contextlib.contextmanager
    def assisted(self, threads: int) -> Iterator[None]:
        """With a process for a part of the learning, if there is a thread for it and the learner can use it."""
        if threads < 2 or not isinstance(self.learner, Assisted):
            yield
            return
        with Assistant(self.learner.lend()) as self.learner.assistant:
            yield
        self.learner.assistant = None

    def run(self, minutes: float | None, progress: Progress) -> None:
        """Update until the budget is used up; whatever stops it, the last whole update is kept."""
        cfg, counts = self.cfg, self.counts
        deadline = np.inf if minutes is None else self._started + 60 * minutes
        written, whole = time.monotonic(), None if (self.out / CHECKPOINT).is_file() else self._state()
        try:
            while counts.samples < cfg.samples and time.perf_counter() < deadline:
                self.ledger.note(self._update())
                whole = self._state()
                progress("train", min(counts.samples, cfg.samples), cfg.samples, f"return {self._return():.3f}")
                if time.monotonic() - written > CHECKPOINT_EVERY_S:
                    self._write(whole)
                    written, whole = time.monotonic(), None
        finally:
            if whole is not None:
                self._write(whole)

    def finish(self, subject: Subject) -> None:
        """Write the policies and the result."""
        counts, last = self.counts, self.learner.actor.policy(self.environment.layout)
        result = {
            "samples": counts.samples,
            "updates": counts.updates,
            "train_wall_seconds": counts.wall_s,
            "train_cpu_seconds": counts.cpu_s,
            "steps_per_second": counts.samples / max(counts.wall_s, 1e-9),
            "training_return": _known(self._return()),
            "best_training_return": _known(counts.best_return),
            "reward_terms": self.ledger.entries[-1]["terms"] if self.ledger.entries else {},
            "seed": self.cfg.seed,
            "physics_hz": float(subject.physics_hz),
            "control_hz": float(self.environment.control_hz),
            "times": counts.times,
            "primer": counts.primed or None,
        }
        arrays = {**self.best.arrays("best."), **last.arrays("last.")}
        artifact.finish_output(self.out, arrays, last.description(), result)
        self.ledger.close()

    def _update(self) -> dict[str, Any]:
        cfg, counts, learner = self.cfg, self.counts, self.learner
        acting, learning = (np.random.default_rng([cfg.seed, kind, counts.updates]) for kind in (_ACTING, _LEARNING))
        steps = cfg.steps or self.environment.episode_steps
        act = partial(learner.actor.jittered, rng=acting)
        segment, self.observation = collect(self.environment, self.observation, act, steps)
        finished = self._score(segment)
        before = time.perf_counter()
        numbers = learner.learn(segment, learning)
        counts.updates += 1
        counts.samples += segment.rewards.size
        self._clock(segment.inference_s, time.perf_counter() - before)
        return {
            "update": counts.updates,
            "samples": counts.samples,
            "return": _known(self._return()),
            "reward": float(segment.rewards.mean()),
            "episode_s": float(finished[:, 1].mean()) / self.environment.control_hz if len(finished) else None,
            "terms": dict(segment.terms),
            "learner": numbers,
            "times": {"wall": counts.wall_s, "cpu": counts.cpu_s, **counts.times},
        }

    def _score(self, segment: Segment) -> np.ndarray:
        """Note the episodes that ended, and keep the policy that just acted if none did better."""
        self.episodes, finished = self.episodes.after(segment)
        returns = finished[:, 0] / self.environment.episode_steps
        window = max(self.cfg.count, _LEAST_WINDOW)
        self.recent = np.concatenate([self.recent, returns])[-window:]
        if len(finished) and self._return() > self.counts.best_return:
            self.counts.best_return = self._return()
            self.best = self.learner.actor.policy(self.environment.layout)
        return finished

    def _return(self) -> float:
        """Mean of the latest episodes' sums of rewards, as a share of the steps scheduled."""
        return float(self.recent.mean()) if len(self.recent) else float("nan")

    def _clock(self, inference_s: float = 0.0, update_s: float = 0.0) -> None:
        counts, before = self.counts, self._before
        counts.wall_s = before.wall_s + time.perf_counter() - self._started
        counts.cpu_s = before.cpu_s + time.process_time() - self._started_cpu
        for part, seconds in self.environment.timers().items():
            counts.times[part] = before.times.get(part, 0.0) + seconds
        for part, seconds in {"inference": inference_s, "update": update_s}.items():
            counts.times[part] = counts.times.get(part, 0.0) + seconds

    def _state(self) -> dict[str, np.ndarray]:
        """The training at the end of an update, as a copy."""
        arrays = {f"learner.{name}": array for name, array in self.learner.state().items()}
        arrays |= {f"environment.{name}": np.array(array) for name, array in self.environment.snapshot().items()}
        arrays |= self.best.arrays("best.")
        arrays |= {"episode_reward": self.episodes.reward, "episode_steps": self.episodes.steps}
        return {**arrays, "recent": self.recent, "counts": pack(asdict(self.counts))}

    def _write(self, state: Mapping[str, np.ndarray]) -> None:
        artifact.write_arrays(self.out / CHECKPOINT, state)
        self.ledger.draw(self.cfg.algorithm, f"seed {self.cfg.seed}")

    def _restore(self, file: Path, arrays: Mapping[str, np.ndarray]) -> None:
        self._check_shapes(file, arrays)
        counts = _Counts(**unpack(arrays["counts"]))
        self.counts, self._before = counts, _Counts(**unpack(arrays["counts"]))
        self.learner.restore(_under("learner.", arrays))
        self.observation = self.environment.restore(_under("environment.", arrays))
        self.best = policy_of(arrays, "best.", self.best.description(), str(file))
        self.episodes = Episodes(arrays["episode_reward"], arrays["episode_steps"])
        self.recent = arrays["recent"]

    def _check_shapes(self, file: Path, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in self._state().items():
            if name not in arrays:
                raise BunrakuError(f"{file}: is not a checkpoint of this run (lacks {name})")
            if name not in ("counts", "recent") and arrays[name].shape != array.shape:
                raise BunrakuError(f"{file}: {name} has shape {arrays[name].shape}; this run's has {array.shape}")


def _known(value: float) -> float | None:
    """JSON has no word for what is not known yet."""
    return value if np.isfinite(value) else None


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _learner(cfg: TrainConfig, environment: Shifts) -> Learner:
    from bunraku.imitation.awr import AWR

    sizes = environment.observation_size, environment.action_size
    mirror = environment.mirror if cfg.mirror else None
    if cfg.algorithm == "ppo":
        return PPO(*sizes, cfg.policy, cfg.ppo, cfg.seed, mirror)
    return AWR(*sizes, cfg.policy, cfg.awr, cfg.seed, mirror)
