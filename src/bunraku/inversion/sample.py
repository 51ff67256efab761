"""Poses of a rig and their meshes, evaluated where there is room and kept on disk: what an approximation learns."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bunraku.compute.attempt import attempt
from bunraku.compute.in_process import InProcess
from bunraku.compute.task import Engine, Payload, Piece, Task, Work, imported
from bunraku.core import artifact
from bunraku.core.curves import Curves
from bunraku.core.errors import BunrakuError
from bunraku.core.npy import read_npy
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import Restricted, Rig, diagonal
from bunraku.core.samples import KIND, Shard, read_shard, shard_files, spec_to_json, write_shard
from bunraku.inversion.draw import SampleConfig, check, draw

ALL_FAIL = 20
"""When so many samples have failed and none has succeeded, the rig is broken and the work stops."""
SHARD_BYTES = 8 << 20


@dataclass(frozen=True)
class Sampled:
    """What a sampling did; the fields are what the command prints."""

    samples: int
    failed: int
    seconds: float
    """Wall time of the last call that evaluated anything."""
    evaluations_per_second: float
    path: str
    shards: int
    bytes: int


def rig_task(opener: str, source: str, columns: Sequence[int] | Int[np.ndarray, "selected"]) -> Task:
    """The task that samples a rig which `opener` ("package.module:function") opens from `source`.

    `columns` are the controls of it that move, in the order of the controls sampled.
    """
    return Task("bunraku.inversion.sample:open_evaluator", (opener, source, [int(column) for column in columns]))


def open_evaluator(opener: str, source: str, columns: list[int]) -> Work:
    """Runs in a worker: open the rig there, and evaluate its poses."""
    rig: Rig = imported(opener)(source)
    everything = columns == list(range(len(rig.spec)))
    return evaluator(rig if everything else Restricted(rig, np.array(columns, np.int64), rig.spec.neutral))


def evaluator(rig: Rig) -> Work:
    """The function that evaluates a piece: controls (n, C) to vertices (n, V, 3), and which rows failed why."""
    vertex_count = len(rig.neutral)

    def work(payload: Payload) -> Payload:
        vertices, failed = _evaluate(rig, payload["controls"], vertex_count)
        return {"vertices": vertices, "rows": list(failed), "reasons": list(failed.values())}

    return work


def _evaluate(rig: Rig, controls: np.ndarray, vertex_count: int) -> tuple[np.ndarray, dict[int, str]]:
    tried = attempt(_meshes, rig, controls, vertex_count)
    failed: dict[int, str] = {}
    if tried.failure is None:
        vertices = tried.value
    else:  # somewhere in the batch; each pose by itself tells where
        vertices = np.full((len(controls), vertex_count, 3), np.nan, np.float32)
        for row in range(len(controls)):
            single = attempt(_meshes, rig, controls[row : row + 1], vertex_count)
            if single.failure is None:
                vertices[row] = single.value[0]
            else:
                failed[row] = single.failure
    for row in np.flatnonzero(~np.isfinite(vertices).all(axis=(1, 2))):
        failed.setdefault(int(row), "the mesh has NaN or infinite positions")
        vertices[row] = np.nan
    return vertices, failed


def _meshes(rig: Rig, controls: np.ndarray, vertex_count: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        vertices = np.asarray(rig.evaluate(controls)).astype(np.float32)
    if vertices.shape != (len(controls), vertex_count, 3):
        raise BunrakuError(f"the rig returned shape {vertices.shape}; expected {(len(controls), vertex_count, 3)}")
    return vertices


def sample(
    rig: Rig,
    cfg: SampleConfig,
    out: Path,
    *,
    source: Mapping[str, Any] | None = None,
    task: Task | None = None,
    engine: Engine | None = None,
    progress: Progress = silent,
    curves: Curves | None = None,
    overwrite: bool = False,
) -> Sampled:
    """Evaluate a rig at drawn poses into a folder; an interrupted call is resumed to the identical set.

    `source` says what the rig is (`{"rig": …, "hash": …}`, JSON-able) and is part of the settings. Without an
    engine the rig is evaluated here; an engine of workers needs the `task` that opens the rig there. `curves`
    are what the sampler "curves" draws around. Samples that the rig fails at are recorded, and left out by readers.

    Raises:
        BunrakuError: settings that make no sense, an output of other settings, a rig that has changed since,
            a rig that fails at every sample, no space left.
    """
    check(rig.spec, cfg, curves)
    plan = _plan(rig, cfg, out, curves)
    settings: dict[str, Any] = asdict(cfg)
    if plan.around is not None:
        settings["curves"] = artifact.array_hash(plan.around)
    return _sampled(plan, settings, dict(source or {}), task, engine, progress, overwrite)


def evaluate_poses(
    rig: Rig,
    poses: Float[np.ndarray, "samples controls"],
    out: Path,
    *,
    source: Mapping[str, Any] | None = None,
    task: Task | None = None,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Sampled:
    """Evaluate a rig at given poses into a folder of samples, in their order; all else is as for `sample`.

    Raises:
        BunrakuError: as `sample`; no poses, or poses of another number of controls.
    """
    if len(poses) == 0 or poses.shape[1] != len(rig.spec):
        raise BunrakuError(f"poses of shape {poses.shape}; expected (1 or more, {len(rig.spec)} controls)")
    cfg = SampleConfig(samples=len(poses))
    plan = replace(_plan(rig, cfg, out, None), given=np.asarray(poses, np.float64))
    settings = {"poses": artifact.array_hash(np.asarray(poses, np.float64)), "seed": cfg.seed}
    return _sampled(plan, settings, dict(source or {}), task, engine, progress, False)


def _sampled(
    plan: _Plan,
    settings: dict[str, Any],
    named: dict[str, Any],
    task: Task | None,
    engine: Engine | None,
    progress: Progress,
    overwrite: bool,
) -> Sampled:
    rig, cfg, out = plan.rig, plan.cfg, plan.out
    settings = {**settings, "shard": plan.rows, "spec": spec_to_json(rig.spec), "source": named}
    output = artifact.open_output(out, KIND, settings, seed=cfg.seed, overwrite=overwrite)
    _keep_mesh(out, rig)
    done = plan.intact(progress)
    if output.result is not None and len(done) == plan.shards:
        return replace(Sampled(**output.result), path=str(out))
    began = time.perf_counter()
    running = engine if engine is not None else InProcess(evaluator(rig))
    with artifact.alone(out):
        evaluated = _Keeper(plan, done, progress).run(running, task)
    seconds = time.perf_counter() - began
    sizes = sum(file.stat().st_size for file in out.iterdir() if file.name != artifact.MANIFEST)
    rate = evaluated / seconds if seconds > 0 else 0.0
    failed = sum(done.values())
    if output.result is not None and output.result["failed"] == failed:
        # Mended, not made anew: what was built on this manifest still stands.
        return replace(Sampled(**output.result), path=str(out))
    result = Sampled(cfg.samples, failed, round(seconds, 3), round(rate, 1), str(out), plan.shards, sizes)
    description = {
        "spec": settings["spec"],
        "source": named,
        "count": cfg.samples,
        "shard_rows": plan.rows,
        "failed": failed,
    }
    artifact.finish_output(out, {}, description, asdict(result))
    return result


def _keep_mesh(out: Path, rig: Rig) -> None:
    """Store the neutral mesh and the faces beside the samples; on resuming, check that the rig is still the same."""
    neutral_file, faces_file = out / "neutral.npy", out / "faces.npy"
    neutral = np.asarray(rig.neutral, np.float64)
    if not (neutral_file.exists() and faces_file.exists()):
        artifact.write_array(neutral_file, neutral)
        artifact.write_array(faces_file, np.asarray(rig.faces))
        return
    kept = read_npy(neutral_file)
    if kept.shape != neutral.shape or np.abs(kept - neutral).max() > 1e-6 * diagonal(kept):
        raise BunrakuError(f"{out}: was made of a rig whose neutral mesh was another; --overwrite replaces it")


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which samples go into which shard."""

    rig: Rig
    cfg: SampleConfig
    out: Path
    rows: int
    around: Float[np.ndarray, "frames controls"] | None
    given: Float[np.ndarray, "samples controls"] | None = None
    """Poses that are not drawn."""

    @property
    def shards(self) -> int:
        return -(-self.cfg.samples // self.rows)

    def span(self, number: int) -> range:
        return range(number * self.rows, min((number + 1) * self.rows, self.cfg.samples))

    def controls(self, indices: range) -> np.ndarray:
        if self.given is not None:
            return self.given[indices.start : indices.stop]
        return draw(self.rig.spec, self.cfg, np.arange(indices.start, indices.stop), self.around)

    def intact(self, progress: Progress) -> dict[int, int]:
        """Shards that are done, and how many of their samples failed."""
        done: dict[int, int] = {}
        for number in range(self.shards):
            span = self.span(number)
            shape = (len(span), len(self.rig.neutral), 3)
            if shard_files(self.out, number)[2].exists():
                with contextlib.suppress(BunrakuError):
                    shard = read_shard(self.out, number, span.start, shape, len(self.rig.spec))
                    done[number] = len(shard.failed)
                progress("checking samples", number + 1, self.shards)
        return done


def _plan(rig: Rig, cfg: SampleConfig, out: Path, curves: Curves | None) -> _Plan:
    fitting = SHARD_BYTES // (12 * len(rig.neutral))
    rows = cfg.shard or int(np.clip(fitting, 1, 256))
    around = None
    if cfg.sampler == "curves" and curves is not None:
        known = [name in rig.spec.names for name in curves.names]
        names = tuple(name for name in curves.names if name in rig.spec.names)
        around = Curves(names, curves.values[:, known], curves.fps, curves.start_frame).ordered_as(rig.spec)
    return _Plan(rig, cfg, out, rows, around)


class _Keeper:
    """Takes outcomes as they come, and writes shards."""

    def __init__(self, plan: _Plan, done: dict[int, int], progress: Progress) -> None:
        self.plan = plan
        self.done = done
        self.progress = progress
        self.held: dict[int, np.ndarray] = {}
        """Controls of the pieces that are being worked on."""
        self.succeeded = sum(len(plan.span(number)) - failed for number, failed in done.items())
        self.evaluated = 0
        self.began = time.perf_counter()

    def run(self, engine: Engine, task: Task | None) -> int:
        """Fill in every shard that is not done; how many samples were evaluated."""
        while todo := [number for number in range(self.plan.shards) if number not in self.done]:
            for number in self._whole(todo, engine, task):
                self._one_by_one(number, engine, task)
        return self.evaluated

    def _whole(self, todo: list[int], engine: Engine, task: Task | None) -> list[int]:
        """Evaluate shards as wholes; those that no worker survived. Ends early if the very first is such a one."""
        lost: list[int] = []
        self.held.clear()
        with contextlib.closing(engine.run(task, self._pieces(todo))) as outcomes:
            for outcome in outcomes:
                controls = self.held.pop(outcome.key)
                if outcome.value is None:
                    lost.append(outcome.key)
                    if self.succeeded == 0:
                        break
                    continue
                failed = dict(zip(outcome.value["rows"], outcome.value["reasons"], strict=True))
                self._keep(outcome.key, controls, outcome.value["vertices"], failed)
        return lost

    def _pieces(self, todo: list[int]) -> Iterator[Piece]:
        for number in todo:
            self.held[number] = self.plan.controls(self.plan.span(number))
            yield Piece(number, {"controls": self.held[number]})

    def _one_by_one(self, number: int, engine: Engine, task: Task | None) -> None:
        """A shard that kills its worker: sample by sample only the guilty ones are lost."""
        controls = self.plan.controls(self.plan.span(number))
        vertices = np.full((len(controls), len(self.plan.rig.neutral), 3), np.nan, np.float32)
        failed: dict[int, str] = {}
        good = 0
        pieces = (Piece(row, {"controls": controls[row : row + 1]}) for row in range(len(controls)))
        with contextlib.closing(engine.run(task, pieces)) as outcomes:
            for outcome in outcomes:
                if outcome.value is None:
                    failed[outcome.key] = outcome.failure or ""
                    self._stop_if_hopeless(len(failed), self.succeeded + good, failed)
                    continue
                good += 1 - len(outcome.value["rows"])
                vertices[outcome.key] = outcome.value["vertices"][0]
                if outcome.value["reasons"]:
                    failed[outcome.key] = outcome.value["reasons"][0]
        self._keep(number, controls, vertices, failed)

    def _keep(self, number: int, controls: np.ndarray, vertices: np.ndarray, failed: Mapping[int, str]) -> None:
        span = self.plan.span(number)
        good = len(span) - len(failed)
        total_failed = sum(self.done.values()) + len(failed)
        self._stop_if_hopeless(total_failed, self.succeeded + good, failed)
        write_shard(self.plan.out, number, Shard(span.start, controls, vertices, failed))
        self.done[number] = len(failed)
        self.succeeded += good
        self.evaluated += len(span)
        finished = sum(len(self.plan.span(shard)) for shard in self.done)
        rate = self.evaluated / max(time.perf_counter() - self.began, 1e-9)
        self.progress("sampling", finished, self.plan.cfg.samples, f"{rate:.0f} poses/s")

    def _stop_if_hopeless(self, failed: int, succeeded: int, reasons: Mapping[int, str]) -> None:
        if succeeded == 0 and failed >= min(ALL_FAIL, self.plan.cfg.samples):
            first = reasons[min(reasons)]
            raise BunrakuError(f"the rig failed at each of the first {failed} samples: {first}")
