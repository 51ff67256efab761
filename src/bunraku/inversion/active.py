"""Active sampling: an approximation that is weak around a shot is sampled there and fine-tuned, until that helps no
more."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.compute.task import Engine, Task
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.npy import read_npy
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import Rig, diagonal
from bunraku.inversion.approximation import KIND, Approximation, load_model, save_model
from bunraku.inversion.dataset import SampleSet, joined, load_samples
from bunraku.inversion.finetune import TuneConfig, fine_tune
from bunraku.inversion.nearby import nearby
from bunraku.inversion.sample import evaluate_poses
from bunraku.inversion.solve import SolveConfig, solve

ROUNDS = "improvement"
"""The kind of a folder of rounds."""
MODEL = "model"
_CHECKED = "checked"
_NEAR = "near"

LEAST_COUNT = 1e-4
"""How little the squares of samples of an earlier round count beside those of the best."""

Stopped = Literal["rounds", "patience", "budget"]


@dataclass(frozen=True)
class ActiveConfig:
    """How much is sampled around a shot, and when it is enough."""

    rounds: int = 4
    """At most so often the rig is sampled and the approximation fine-tuned."""
    samples_per_round: int = 200
    """Poses at which the rig is evaluated in a round: up to a third of them solved frames, to know the error."""
    budget: int = 0
    """At most so many evaluations of the rig in all; 0 for as many as the rounds need."""
    patience: int = 1
    """Stop after so many rounds in a row without improvement."""
    improvement: float = 0.1
    """The validated error counts as improved when it falls by at least this share."""
    spread: float = 0.1
    """How far a control strays at most from the solved curves: a standard deviation, as a share of its range."""
    active: float = 12.0
    """Mean number of controls that stray at once."""
    seed: int = 0
    """Another seed samples other poses."""
    tune: TuneConfig = field(default_factory=TuneConfig)


@dataclass(frozen=True)
class Round:
    """What was found before the samples of a round were learnt. Errors are mean vertex distances / diagonal."""

    number: int
    evaluations: int
    """Of the rig, up to and with the validation of this round."""
    approximation_error: float
    """Approximation against rig at solved frames."""
    capture_error: float
    """Rig against capture at the same frames, over what was captured."""
    checked: int
    """At so many frames, those at which the rig failed left out."""


@dataclass(frozen=True, eq=False)
class Improved:
    """The approximation that was validated best, and what led there."""

    approximation: Approximation
    samples: SampleSet | None
    """All there are: those that the approximation came with, then the new ones; None where there are none."""
    history: tuple[Round, ...]
    best: int
    """The round whose approximation it is; 0: none was better than the first."""
    evaluations: int
    """Of the rig, in all."""
    stopped: Stopped
    """Why there was no further round."""


def improve(
    rig: Rig,
    approximation: Approximation,
    samples: SampleSet | None,
    capture: MeshSequence,
    solving: SolveConfig | None = None,
    cfg: ActiveConfig | None = None,
    *,
    out: Path | None = None,
    source: Mapping[str, Any] | None = None,
    task: Task | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Improved:
    """The approximation made better around one (aligned) shot of its rig.

    A round solves the shot on the approximation, asks the rig at some of the solved frames for the error, samples it
    where the error is (see `nearby`) and fine-tunes (see `fine_tune`; `samples` are those that the approximation was
    fitted to, None where they are gone). The best one by validated error is kept. `out` is a folder in which every
    step is kept: the same call after an interruption goes on from there to the same result. `source`, `task` and
    `engine` as for `sample`.

    Raises:
        BunrakuError: settings out of range, a rig or capture of another shape than the approximation's, a rig that
            fails everywhere, an `out` of other inputs.
    """
    solving, cfg = solving or SolveConfig(), cfg or ActiveConfig()
    check(cfg)
    _check_shapes(rig, approximation, capture)
    with tempfile.TemporaryDirectory() as folder:
        place = out if out is not None else Path(folder)
        settings = _settings(approximation, samples, capture, solving, cfg, source)
        artifact.open_output(place, ROUNDS, settings, seed=cfg.seed)
        work = _Work(rig, capture, samples, solving, cfg, place, dict(source or {}), task, engine, device, progress)
        improved = work.run(approximation)
        artifact.finish_output(place, {}, {}, {**about(improved)})
        if out is None and improved.samples is not None:  # the folder goes: what was sampled must not go with it
            improved = replace(improved, samples=_held(improved.samples))
    return improved


def about(improved: Improved) -> dict[str, Any]:
    """What the command prints of it, JSON-able."""
    first, best = improved.history[0], improved.history[improved.best]
    return {
        "rounds": len(improved.history) - 1,
        "best_round": improved.best,
        "stopped": improved.stopped,
        "rig_evaluations": improved.evaluations,
        "approximation_error_before": first.approximation_error,
        "approximation_error": best.approximation_error,
        "capture_error_before": first.capture_error,
        "capture_error": best.capture_error,
        "history": [asdict(one) for one in improved.history],
    }


def check(cfg: ActiveConfig) -> None:
    """Refuse settings that make no sense.

    Raises:
        BunrakuError: a number out of range.
    """
    least = {
        "rounds": (cfg.rounds, 1),
        "samples-per-round": (cfg.samples_per_round, 3),
        "budget": (cfg.budget, 0),
        "patience": (cfg.patience, 1),
        "spread": (cfg.spread, 0),
        "active": (cfg.active, 1),
        "tune.products": (cfg.tune.products, 0),
        "tune.degree": (cfg.tune.degree, 2),
        "tune.components": (cfg.tune.components, 0),
        "tune.forget": (cfg.tune.forget, 1),
        "tune.epochs": (cfg.tune.epochs, 0),
        "tune.rehearsal": (cfg.tune.rehearsal, 10),
    }
    for name, (value, lowest) in least.items():
        if not np.isfinite(value) or value < lowest:
            raise BunrakuError(f"--{name} {value}: must be at least {lowest}")
    if not 0 <= cfg.improvement < 1:
        raise BunrakuError(f"--improvement {cfg.improvement}: expected a share from 0 to below 1")
    if not (np.isfinite(cfg.tune.learning_rate) and cfg.tune.learning_rate > 0):
        raise BunrakuError(f"--tune.learning-rate {cfg.tune.learning_rate}: must be above 0")
    if 0 < cfg.budget < 6:
        raise BunrakuError(f"--budget {cfg.budget}: a round and its validation need at least 6 evaluations")


def _check_shapes(rig: Rig, model: Approximation, capture: MeshSequence) -> None:
    if rig.spec.names != model.spec.names:
        other = sorted(set(rig.spec.names) ^ set(model.spec.names)) or list(rig.spec.names)
        raise BunrakuError(f"the model and the rig have different controls, among them: {', '.join(other[:8])}")
    for name, count in (("model", len(model.neutral)), ("capture", capture.vertex_count)):
        if count != len(rig.neutral):
            raise BunrakuError(f"the {name} has {count} vertices, the rig {len(rig.neutral)}: they must correspond")


def _settings(
    model: Approximation,
    samples: SampleSet | None,
    capture: MeshSequence,
    solving: SolveConfig,
    cfg: ActiveConfig,
    source: Mapping[str, Any] | None,
) -> dict[str, Any]:
    weights = [array for layer in model.layers for array in layer]
    weights += [array for array in (model.basis, model.skip, model.products, capture.valid) if array is not None]
    given = [array for array in (capture.weights,) if array is not None]
    known = None if samples is None else {"count": samples.count, "source": dict(samples.source)}
    return {
        **asdict(cfg),
        "solve": asdict(solving),
        "inputs": artifact.array_hash(capture.vertices, model.mean, model.terms, *weights, *given),
        "samples": known,
        "source": dict(source or {}),
    }


@dataclass(frozen=True, eq=False)
class _Work:
    """Everything that the rounds share. Each of their steps finds what it has left, or does it."""

    rig: Rig
    capture: MeshSequence
    known: SampleSet | None
    solving: SolveConfig
    cfg: ActiveConfig
    out: Path
    source: dict[str, Any]
    task: Task | None
    engine: Engine | None
    device: str
    progress: Progress

    def run(self, model: Approximation) -> Improved:
        cfg, best, best_model, first = self.cfg, 0, model, model
        history: list[Round] = []
        sets: list[SampleSet] = []
        solved, spent, reference, stall = None, 0, np.inf, 0
        stopped: Stopped = "rounds"
        for number in range(cfg.rounds + 1):
            solved = self.solved(number, model, solved)
            found, frames, error = self.validated(number, model, solved, spent)
            spent = found.evaluations
            history.append(found)
            sets.append(load_samples(self.folder(number) / _CHECKED))
            self.progress("improve", number, cfg.rounds, f"relative error {found.approximation_error:.2e}")
            if found.approximation_error < history[best].approximation_error:
                best, best_model = number, model
            stall = 0 if found.approximation_error < reference * (1 - cfg.improvement) else stall + 1
            reference = min(reference, found.approximation_error)
            if stall >= cfg.patience:
                stopped = "patience"
                break
            count = self.affordable(spent)
            if number == cfg.rounds or count < 1:
                stopped = "rounds" if number == cfg.rounds else "budget"
                break
            everywhere = np.interp(np.arange(len(solved)), frames, error)
            sets.append(self.sampled(number, best_model, solved, everywhere, count))
            spent += sets[-1].count
            model = self.tuned(number, best_model, first, sets, history)
        everything = joined([*([] if self.known is None else [self.known]), *sets])
        return Improved(best_model, everything, tuple(history), best, spent, stopped)

    def folder(self, number: int) -> Path:
        return self.out / f"round_{number:02d}"

    @property
    def frames_checked(self) -> int:
        """How many frames a round is validated at."""
        within = self.cfg.budget // 3 if self.cfg.budget else self.cfg.samples_per_round
        return min(self.capture.frames, self.cfg.samples_per_round // 3, within)

    def affordable(self, spent: int) -> int:
        """How many poses may be sampled, so that what comes of them can be validated."""
        count = self.cfg.samples_per_round - self.frames_checked
        return min(count, self.cfg.budget - spent - self.frames_checked) if self.cfg.budget else count

    def solved(
        self, number: int, model: Approximation, start: np.ndarray | None
    ) -> Float[np.ndarray, "frames controls"]:
        file = self.folder(number) / "solved.npy"
        if file.is_file():
            return read_npy(file)
        controls = solve(model, self.capture, self.solving, start=start, progress=self.progress).controls
        file.parent.mkdir(parents=True, exist_ok=True)
        artifact.write_array(file, controls)
        return controls

    def validated(
        self, number: int, model: Approximation, solved: np.ndarray, spent: int
    ) -> tuple[Round, Int[np.ndarray, "checked"], Float[np.ndarray, "checked"]]:
        """The round, the frames at which the rig could be asked, and the approximation's relative error there."""
        frames = checked_frames(self.capture.frames, self.frames_checked, number)
        asked = self.evaluated(solved[frames], self.folder(number) / _CHECKED)
        meshes = np.full((len(frames), *self.rig.neutral.shape), np.nan)
        for shard in (asked.read_shard(i) for i in range(asked.shards)):
            meshes[shard.start : shard.start + len(shard.controls)] = shard.vertices
        shown = np.isfinite(meshes).all(axis=(1, 2))
        if not shown.any():
            raise BunrakuError(f"the rig fails at each of the {len(frames)} solved poses that it was asked for")
        frames, meshes, unit = frames[shown], meshes[shown], diagonal(self.rig.neutral)
        error = np.linalg.norm(model.evaluate(solved[frames]) - meshes, axis=2).mean(axis=1) / unit
        off = np.linalg.norm(meshes - self.capture.vertices[frames], axis=2)
        seen: Bool[np.ndarray, "checked vertices"] = np.ones(off.shape, bool)
        seen = seen if self.capture.valid is None else self.capture.valid[frames]
        capture_error = float(off[seen].mean()) / unit if seen.any() else float("nan")
        found = Round(number, spent + asked.count, float(error.mean()), capture_error, len(frames))
        return found, frames, error

    def sampled(
        self, number: int, model: Approximation, solved: np.ndarray, error: np.ndarray, count: int
    ) -> SampleSet:
        cfg = self.cfg
        poses = nearby(
            model, solved, error, count, active=cfg.active, spread=cfg.spread, seed=cfg.seed, number=number
        )  # fmt: skip
        return self.evaluated(poses, self.folder(number) / _NEAR)

    def evaluated(self, poses: np.ndarray, folder: Path) -> SampleSet:
        more: dict[str, Any] = {"task": self.task, "engine": self.engine, "progress": self.progress}
        evaluate_poses(self.rig, poses, folder, source=self.source, **more)
        return load_samples(folder)

    def tuned(
        self,
        number: int,
        model: Approximation,
        first: Approximation,
        sets: Sequence[SampleSet],
        history: Sequence[Round],
    ) -> Approximation:
        place = self.folder(number) / MODEL
        output = artifact.open_output(place, KIND, {"round": number}, seed=self.cfg.seed)
        if output.result is None:
            # Poses of earlier rounds stray further, and what a model leaves of them is larger: as their errors tell.
            error = np.repeat([max(one.approximation_error, 1e-12) for one in history], 2)
            counts = np.maximum((error.min() / error) ** 2, LEAST_COUNT)
            more: dict[str, Any] = {"seed": self.cfg.seed, "device": self.device, "progress": self.progress}
            tuned = fine_tune(model, self.known, sets, self.cfg.tune, counts=counts.tolist(), first=first, **more)
            save_model(place, tuned, {"round": number})
        return load_model(place)  # what was written, so that a resumed call has exactly the same


def checked_frames(frames: int, count: int, number: int) -> Int[np.ndarray, "count"]:
    """`count` frames evenly over the shot; in another round others, between them."""
    # The golden section: any few rounds in a row spread evenly.
    offset = (0.5 + number * 0.6180339887498949) % 1.0
    return np.minimum(((np.arange(count) + offset) * frames / count).astype(np.int64), frames - 1)


def _held(samples: SampleSet) -> SampleSet:
    """The same set with its shards in memory."""
    shards = [samples.read_shard(number) for number in range(samples.shards)]
    return replace(samples, read_shard=shards.__getitem__)
