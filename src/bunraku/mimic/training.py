"""Train a character, or go on with it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.core.errors import BunrakuError
from bunraku.core.progress import Progress, silent
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.judging import judge
from bunraku.mimic.opening import Task, open_task, preset_of, reopen_task

if TYPE_CHECKING:
    from bunraku.imitation.clip_environment import ClipConfig
    from bunraku.imitation.environment import EnvironmentConfig
    from bunraku.imitation.learner import TrainConfig
    from bunraku.imitation.run import Run

_ENDLESS = 10**12


def train(
    character: str | Path,
    out: Path,
    *,
    clip: str | Path | None = None,
    mend: bool = False,
    algorithm: Literal["ppo", "awr"] | None = None,
    samples: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    reward: str = "auto",
    threads: int = 1,
    tensorboard: bool = False,
    cfg: TrainConfig | None = None,
    environment: EnvironmentConfig | ClipConfig | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train a character in the folder `out`, then evaluate it; resumes, and repeats a finished result.

    What is not given is the preset's for this character and algorithm. `samples` and `minutes` only say when to stop:
    a finished run that is given more of either goes on. `reward` is one of `REWARDS` or python:module:function,
    which is called with a `Tracking`. `cfg` and `environment` replace the preset.

    Raises:
        BunrakuError: unknown character, clip or reward, settings that cannot be, `out` made with other settings,
            a corrupt checkpoint, numbers that are not finite.
    """
    from bunraku.imitation.train import train as learn

    task = open_task(str(character), clip, reward, environment, algorithm, threads, mend=mend)
    plan = cfg or preset_of(task.character, algorithm).train
    if minutes is not None and not minutes > 0:
        raise BunrakuError(f"minutes = {minutes:g}: expected more than 0")
    budget = samples if samples is not None else plan.samples if minutes is None else _ENDLESS
    plan = replace(plan, samples=budget, seed=seed, algorithm=algorithm or plan.algorithm)
    # What is to be replaced has used up nothing of the new run's time.
    rest = minutes if overwrite else _remaining(out, minutes)
    if rest is not None and rest <= 0 and _finished(out):
        plan = replace(plan, samples=1)  # its time is over: what it has is the result
    run = learn(
        lambda count: task.environment(count),
        plan,
        out,
        subject=task.subject,
        minutes=rest,
        threads=threads,
        tensorboard=tensorboard,
        overwrite=overwrite,
        progress=progress if minutes is None or samples is not None else _by_time(progress, minutes, rest or 0.0),
    )
    task.keep(out)
    return _with_evaluation(out, run, task)


def _finished(out: Path) -> bool:
    from bunraku.core import artifact

    return artifact.kind_of(out) == "run" and artifact.read_manifest(out)["state"] == "finished"


def _remaining(out: Path, minutes: float | None) -> float | None:
    """Minutes of training that are left of so many in all."""
    from bunraku.imitation.run import history

    if minutes is None:
        return None
    done = history(out) if out.is_dir() else []
    return minutes - (done[-1]["times"]["wall"] / 60 if done else 0.0)


def _by_time(progress: Progress, minutes: float, rest: float) -> Progress:
    """Progress of a training that only the clock ends."""
    began_s, total_s = time.monotonic() - 60 * (minutes - rest), 60 * minutes

    def by_time(stage: str, done: float, total: float, note: str = "") -> None:
        progress(stage, min(time.monotonic() - began_s, total_s), total_s, note)

    return by_time


def _with_evaluation(out: Path, run: Run, task: Task | ClipTask) -> dict[str, Any]:
    """The training's result with an evaluation, which is stored beside it."""
    from bunraku.core import artifact

    result = dict(run.result)
    if "normalized_return" in result:
        return result
    hosted = isinstance(task, Task) and task.world is not None  # the program is running already
    result |= judge(out, run, task if hosted else reopen_task(out, run, None), "last", 32, None)
    manifest = artifact.read_manifest(out)
    artifact.finish_output(out, {}, manifest["description"], result)
    return result
