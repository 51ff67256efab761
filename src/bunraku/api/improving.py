"""Models made better around a shot, by sampling their rig there."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.doors import capture_identity, load_sequence, loaded_model, open_rig
from bunraku.api.rigs import OPENER
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.inversion.active import ActiveConfig
    from bunraku.inversion.approximation import Approximation
    from bunraku.inversion.dataset import SampleSet
    from bunraku.inversion.solve import SolveConfig

ROUNDS = "rounds"
"""Folder in an improved model: what was sampled for it, and while the work runs everything else."""


def improve(
    model: Path,
    capture: Path,
    rig: str,
    out: Path,
    cfg: ActiveConfig | None = None,
    *,
    solving: SolveConfig | None = None,
    samples: Path | None = None,
    align: Literal["auto", "none"] = "auto",
    workers: int = 1,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A model like `model` that is better around a captured shot, in a folder; resumes, and repeats a finished result.

    `samples` are those that the model was fitted to: with them (and what earlier improvements of it sampled) it is held
    to the rig elsewhere, without to its own answers.

    Raises:
        BunrakuError: files that cannot be read, a rig that cannot be evaluated or is another than the model's.
    """
    from bunraku.compute.workers import Workers
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.inversion.active import ActiveConfig, about, check
    from bunraku.inversion.active import improve as improve_model
    from bunraku.inversion.approximation import KIND, save_model
    from bunraku.inversion.sample import rig_task
    from bunraku.inversion.solve import SolveConfig
    from bunraku.rigs.open import rig_identity

    cfg, solving = cfg or ActiveConfig(), solving or SolveConfig()
    check(cfg)
    approximation = loaded_model(model)
    moving, columns = _moving(rig, approximation, model)
    sequence = load_sequence(capture)
    if sequence.vertex_count != len(approximation.neutral):
        counts = f"has {sequence.vertex_count} vertices, the model {len(approximation.neutral)}"
        raise BunrakuError(f"{capture}: {counts}; they must correspond one to one")
    known = _known(model, samples, approximation)
    settings = {
        **asdict(cfg),
        "solve": asdict(solving),
        "align": align,
        "device": device,
        "model": {"path": str(model), "sha256": artifact.file_hash(model / artifact.MANIFEST)},
        "capture": capture_identity(capture),
        "rig": rig_identity(rig),
        "samples": None if samples is None else _identity(samples),
    }
    _refuse_itself(out, model, samples)
    output = artifact.open_output(out, KIND, settings, seed=cfg.seed, overwrite=overwrite)
    if output.result is not None:
        return dict(output.result)
    started, cpu = time.perf_counter(), time.process_time()
    aligned, said = _aligned(approximation, sequence, align, progress)
    engine, task = (Workers(workers), rig_task(OPENER, rig, columns)) if workers > 1 else (None, None)
    with artifact.alone(out):
        found = improve_model(
            moving, approximation, known, aligned, solving, cfg,
            out=out / ROUNDS, source=rig_identity(rig), task=task, engine=engine, device=device, progress=progress,
        )  # fmt: skip
    result = {
        "path": str(out),
        **about(found),
        "alignment": said,
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.perf_counter() - started,
    }
    save_model(out, found.approximation, result)
    for left in (out / ROUNDS).glob("round_*/model"):  # the samples stay: the next improvement knows them
        shutil.rmtree(left)
    return result


def _moving(source: str, model: Approximation, path: Path) -> tuple[Rig, list[int]]:
    """The rig with the controls that the model has, and their columns in it."""
    import numpy as np

    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import Restricted, restrict
    from bunraku.rigs.recorded import RecordedRig

    opened = open_rig(source)
    if isinstance(opened, RecordedRig):
        raise BunrakuError(f"--rig {source}: recorded samples cannot be evaluated anew; name the rig itself")
    missing = [name for name in model.spec.names if name not in opened.spec.names]
    if missing:
        raise BunrakuError(f"{path}: is of another rig than {source}, which has no control {missing[0]!r}")
    moving = restrict(opened, tuple(model.spec.names))
    columns = moving.columns if isinstance(moving, Restricted) else np.arange(len(moving.spec))
    return moving, columns.tolist()


def _known(model: Path, samples: Path | None, approximation: Approximation) -> SampleSet | None:
    from bunraku.core.errors import BunrakuError
    from bunraku.inversion.dataset import joined, load_samples, narrowed

    sets: list[SampleSet] = []
    if samples is not None:
        given = load_samples(samples)
        names = approximation.spec.names
        missing = [name for name in names if name not in given.spec.names]
        if missing or given.neutral.shape != approximation.neutral.shape:
            what = f"no control {missing[0]!r}" if missing else f"{len(given.neutral)} vertices"
            raise BunrakuError(f"--samples {samples}: are of another rig than {model} ({what})")
        same = given.spec.names == names
        sets.append(given if same else narrowed(given, given.spec.select(names)))
        sets += [load_samples(folder) for folder in _earlier(model)]
    return joined(sets) if sets else None


def _earlier(model: Path) -> list[Path]:
    rounds = sorted((model / ROUNDS).glob("round_*"))
    return [folder / name for folder in rounds for name in ("checked", "near") if (folder / name).is_dir()]


def _identity(samples: Path) -> dict[str, str]:
    from bunraku.core import artifact

    file = samples / artifact.MANIFEST if (samples / artifact.MANIFEST).is_file() else samples
    return {"path": str(samples), "sha256": artifact.file_hash(file) if file.is_file() else ""}


def _refuse_itself(out: Path, *inputs: Path | None) -> None:
    from bunraku.core.errors import BunrakuError

    for path in inputs:
        if path is not None and out.resolve() == path.resolve():
            raise BunrakuError(f"--out {out}: is what is to be improved; choose another folder")


def _aligned(model: Approximation, capture: MeshSequence, align: str, progress: Progress) -> tuple[MeshSequence, str]:
    from bunraku.inversion.align import align as aligned
    from bunraku.inversion.solve import SolveConfig, solve

    if align == "none":
        return capture, "none, as asked"

    def solved_error(probes: MeshSequence) -> float:
        return float(solve(model, probes, SolveConfig(iterations=20, rescues=0, smooth=0.0)).relative_rms.mean())

    progress("align", 0, 1)
    found = aligned(capture, model.neutral, solved_error)
    progress("align", 1, 1, str(found))
    return found.apply(capture), str(found)
