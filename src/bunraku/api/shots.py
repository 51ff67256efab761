"""Many captures of one rig, in one go: one approximation for all, each shot a take of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import capture_hash, load_sequence, open_rig
from bunraku.api.matching import Matching
from bunraku.api.rigs import fit, sampled_into
from bunraku.api.told import Told
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.compute.task import Outcome, Payload, Piece, Task, Work
    from bunraku.core.rig import Rig
    from bunraku.inversion.guidance import Instructions
    from bunraku.inversion.invert import InvertConfig

KIND = "shots"
MODEL, SAMPLES, PLAN = "shared-model", "shared-samples", "plan.json"
SUMMARY = ("summary.json", "summary.csv")
COLUMNS = {
    "frames": "frames",
    "error_mean": "mean_vertex_error",
    "error_p95": "p95_vertex_error",
    "error_max": "max_vertex_error",
    "relative_error": "relative_error",
    "roughness": "roughness",
    "active_controls": "active_controls",
    "seconds": "wall_seconds",
}
"""The columns of the summary between name and state, and the metrics that they are."""


def invert_many(
    captures: Sequence[Path],
    rig: str,
    out: Path,
    cfg: InvertConfig | None = None,
    *,
    model: Path | None = None,
    controls: tuple[str, ...] = (),
    instructions: Instructions | None = None,
    matching: Matching | None = None,
    stable: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Each capture inverted into the take OUT/NAME, NAME being the file's without its ending.

    What an approximation is needed for is decided, sampled and fitted once for all. Takes that are finished are kept
    as they are; more captures may be added later. A shot that fails does not stop the others: its row in `shots` (and
    in OUT/summary.json and summary.csv, which are written after every shot) says why.

    Raises:
        BunrakuError: no captures, two of one name, an OUT made with other settings, a rig or model that cannot be
            used: what concerns all shots, before any of them is begun.
    """
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import restrict
    from bunraku.inversion.invert import InvertConfig

    cfg = cfg or InvertConfig()
    if workers < 1:
        raise BunrakuError(f"--workers {workers}: needs at least 1")
    shots = _named(captures)
    moving = restrict(open_rig(rig), controls)
    told = Told(rig, cfg, controls, instructions, matching or Matching(), stable, device)
    common = told.identity()
    made_with = {} if model is None else {"model": _hash(model)}
    artifact.open_output(out, KIND, {**common, **made_with}, seed=cfg.seed, overwrite=overwrite)
    summary = _Summary(out, shots)
    for name, capture in shots.items():
        summary.keep(name, _finished(out / name, capture, common))
    left = {name: capture for name, capture in shots.items() if not summary.done(name)}
    with artifact.alone(out):
        if left and model is None:
            model = _shared_model(moving, rig, out, cfg, list(left.values()), device, workers, progress)
        for outcome in _outcomes(left, told, out, model, workers, overwrite):
            name = list(left)[outcome.key]
            summary.add(name, outcome)
            progress("shots", summary.settled, len(shots), f"{name}: {summary.rows[name]['state']}")
    result = summary.result(model)
    artifact.finish_output(out, {}, {"shots": list(shots)}, result)
    return result


def _named(captures: Sequence[Path]) -> dict[str, Path]:
    from bunraku.core.errors import BunrakuError

    if not captures:
        raise BunrakuError("no captures; name at least one")
    shots: dict[str, Path] = {}
    for capture in captures:
        name = capture.stem
        if name in shots:
            raise BunrakuError(f"{shots[name]} and {capture} would both become the take {name}; rename one")
        if not name or name.startswith(".") or name in (MODEL, SAMPLES):
            raise BunrakuError(f"{capture}: a take cannot be named {name!r} here; rename the file")
        shots[name] = capture
    return shots


def _hash(model: Path) -> str:
    from bunraku.core import artifact

    artifact.load(model, "model")  # says what is wrong where there is none
    return artifact.file_hash(model / artifact.MANIFEST)


def _finished(take: Path, capture: Path, common: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a take that is finished and was made of this very capture with these settings."""
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    with contextlib.suppress(BunrakuError, OSError):
        manifest = artifact.read_manifest(take)
        had = manifest["settings"]
        same = all(had.get(key) == value for key, value in json.loads(json.dumps(common)).items())
        of_this = had.get("capture", {}).get("sha256") == capture_hash(capture)
        return manifest["result"] if manifest["state"] == "finished" and same and of_this else None
    return None


def _shared_model(
    moving: Rig,
    rig: str,
    out: Path,
    cfg: InvertConfig,
    captures: Sequence[Path],
    device: str,
    workers: int,
    progress: Progress,
) -> Path | None:
    """One approximation for all shots where one pays; what was decided once stays, whatever the clock says later."""
    from bunraku.core import artifact
    from bunraku.core.rig import DifferentiableRig
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig
    from bunraku.rigs.recorded import RecordedRig

    if isinstance(moving, DifferentiableRig) and cfg.method != "encoder":
        return None
    if (out / MODEL / artifact.MANIFEST).is_file() and artifact.read_manifest(out / MODEL)["state"] == "finished":
        return out / MODEL
    fitting = FitConfig(seed=cfg.seed)
    if isinstance(moving, RecordedRig):
        fit(Path(rig), out / MODEL, fitting, device=device, progress=progress)
        return out / MODEL
    few = 8  # as for a single shot: up to so many controls are sampled evenly over all of their ranges
    count = len(moving.spec)
    sampling = SampleConfig(
        min(max(1000, 40 * count), 20_000), sampler="sobol" if count <= few else "sparse", seed=cfg.seed
    )
    if not (out / PLAN).exists():
        artifact.write_json(out / PLAN, _plan(moving, cfg, captures, sampling.samples))
    chosen = artifact.read_json(out / PLAN)
    progress("plan", 1, 1, f"{chosen['way']}: {chosen['reason']}")
    if chosen["way"] != "approximation":
        return None
    sampled_into(moving, rig, out / SAMPLES, sampling, workers, None, False, progress)
    fit(out / SAMPLES, out / MODEL, fitting, device=device, progress=progress)
    shutil.rmtree(out / SAMPLES, ignore_errors=True)
    return out / MODEL


def _plan(moving: Rig, cfg: InvertConfig, captures: Sequence[Path], samples: int) -> dict[str, str]:
    from bunraku.core.errors import BunrakuError
    from bunraku.inversion.plan import plan

    if cfg.method == "encoder":
        return {"way": "approximation", "reason": "an encoder is trained through one"}
    frames = 0
    for capture in captures:
        # One that cannot be read fails as a shot, later; here it counts for nothing.
        with contextlib.suppress(BunrakuError):
            frames += load_sequence(capture).frames
    return asdict(plan(moving, max(frames, 1), samples))


def _outcomes(
    shots: Mapping[str, Path], told: Told, out: Path, model: Path | None, workers: int, overwrite: bool
) -> Iterator[Outcome]:
    from bunraku.compute.in_process import InProcess
    from bunraku.compute.task import Piece, Task
    from bunraku.compute.workers import Workers

    settings = {**told.plain(), "model": None if model is None else str(model), "overwrite": overwrite}
    task: Task = Task("bunraku.api.shots:one_shot", (settings,))
    pieces: list[Piece] = [
        Piece(key, {"capture": str(capture), "out": str(out / name)})
        for key, (name, capture) in enumerate(shots.items())
    ]
    engine = Workers(min(workers, len(pieces))) if workers > 1 and len(pieces) > 1 else InProcess()
    with contextlib.closing(engine.run(task, pieces)) as outcomes:
        yield from outcomes


def one_shot(settings: Mapping[str, Any]) -> Work:
    """What a worker does with each shot: `invert_file` with what all shots have in common."""
    from bunraku.api.takes import invert_file

    told = Told.of(settings)
    model = None if settings["model"] is None else Path(settings["model"])

    def work(shot: Payload) -> Payload:
        result = invert_file(
            Path(shot["capture"]),
            told.rig,
            Path(shot["out"]),
            told.cfg,
            model=model,
            controls=told.controls,
            instructions=told.instructions,
            matching=told.matching,
            stable=told.stable,
            device=told.device,
            overwrite=settings["overwrite"],
        )
        return {"result": result}

    return work


class _Summary:
    """A row for each shot, on disk after every one."""

    def __init__(self, out: Path, shots: Mapping[str, Path]) -> None:
        self.out = out
        self.rows: dict[str, dict[str, Any]] = {name: _row(name, "waiting", {}) for name in shots}

    @property
    def settled(self) -> int:
        return sum(row["state"] != "waiting" for row in self.rows.values())

    def done(self, name: str) -> bool:
        return self.rows[name]["state"] == "kept"

    def keep(self, name: str, result: Mapping[str, Any] | None) -> None:
        if result is not None:
            self.rows[name] = _row(name, "kept", result)

    def add(self, name: str, outcome: Outcome) -> None:
        if outcome.value is None:
            self.rows[name] = {**_row(name, "failed", {}), "reason": outcome.failure}
        else:
            self.rows[name] = _row(name, "done", outcome.value["result"])
        self.write()

    def result(self, model: Path | None) -> dict[str, Any]:
        self.write()
        count = {
            state: sum(row["state"] == state for row in self.rows.values()) for state in ("done", "kept", "failed")
        }
        return {"shots": list(self.rows.values()), **count, "model": None if model is None else str(model)}

    def write(self) -> None:
        from bunraku.core import artifact

        rows = list(self.rows.values())
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        artifact.write_json(self.out / SUMMARY[0], {"shots": rows})
        artifact.write_bytes(self.out / SUMMARY[1], table.getvalue().encode())


def _row(name: str, state: str, result: Mapping[str, Any]) -> dict[str, Any]:
    measured = {column: result.get(metric) for column, metric in COLUMNS.items()}
    return {"shot": name, **measured, "state": state, "reason": None}
