"""Rigs described, baked, sampled and approximated."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import load_curves, open_rig, refuse_existing
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.curves import Curves
    from bunraku.core.rig import Rig
    from bunraku.inversion.approximation import Approximation
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig

OPENER = "bunraku.rigs.open:open_rig"


def describe(rig: str, *, controls: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `rig describe` prints: controls, size, and how fast one pose after the other is evaluated here."""
    import numpy as np

    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import DifferentiableRig, restrict

    opened = open_rig(rig)
    spec = opened.spec
    columns = spec.select(controls) if controls else np.arange(len(spec))
    shown = spec.take(columns)
    listed = [
        {"name": n, "lower": lo, "upper": up, "neutral": ne, "unit": unit, "driven": bool(driven)}
        for n, lo, up, ne, unit, driven in zip(
            shown.names, shown.lower.tolist(), shown.upper.tolist(), shown.neutral.tolist(), shown.units, shown.driven,
            strict=True,
        )
    ]  # fmt: skip
    if controls:
        restrict(opened, controls)
    rate: float | None = None
    try:
        # A program that sees that nothing has changed evaluates nothing: the pose changes each time.
        poses = np.clip(spec.neutral + np.outer([0.0, 0.1], spec.range), spec.lower, spec.upper)
        opened.evaluate(poses)
        started, asked = time.perf_counter(), 0
        while time.perf_counter() - started < 0.2:
            opened.evaluate(poses[asked % 2][None])
            asked += 1
        rate = asked / (time.perf_counter() - started)
    except BunrakuError:
        rate = None  # recorded samples cannot be evaluated anew
    return {
        "rig": rig,
        "controls": listed,
        "vertices": len(opened.neutral),
        "faces": len(opened.faces),
        "differentiable": isinstance(opened, DifferentiableRig),
        "evaluations_per_second": rate,
        "animations": [animation.name for animation in getattr(opened, "animations", ())],
        **({"about": dict(about)} if (about := getattr(opened, "about", None)) else {}),
        **_said_by_host(opened),
    }


def _said_by_host(rig: Rig) -> dict[str, Any]:
    """What a rig in another program says besides: what could be turned and is no control, and why."""
    from bunraku.rigs.host import HostRig

    if not isinstance(rig, HostRig):
        return {}
    about = rig.description
    more = {name: value for name, value in about.more.items() if name != "skin_bones"}
    return {"program": about.program, **more, "left_out": [asdict(entry) for entry in about.left_out]}


def bake(
    rig: str, animation: str, out: str | Path, *, fps: Fraction = Fraction(24), overwrite: bool = False
) -> dict[str, Any]:
    """A glTF, USD or Blender rig's own animation as a mesh sequence with its true curves."""
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.npz import save_npz_sequence
    from bunraku.rigs import blender_bake
    from bunraku.rigs.host import HostRig
    from bunraku.rigs.skinned import SkinnedRig
    from bunraku.rigs.skinned import bake as bake_animation

    opened, out = open_rig(rig), Path(out)
    played = isinstance(opened, HostRig) and blender_bake.bakes(opened)
    if not (played or isinstance(opened, SkinnedRig)):
        raise BunrakuError(f"{rig}: has no animations of its own; glTF, USD and .blend files do")
    if out.suffix != ".npz":
        raise BunrakuError(f"{out}: a mesh sequence is written as .npz")
    refuse_existing(out, overwrite)
    if isinstance(opened, HostRig):
        sequence, true = blender_bake.bake(opened, animation, fps)
    else:
        assert isinstance(opened, SkinnedRig)
        sequence, true = bake_animation(opened, animation, fps)
    save_npz_sequence(out, sequence, true)
    return {
        "path": str(out),
        "animation": animation,
        "frames": sequence.frames,
        "vertices": sequence.vertex_count,
        "fps": float(fps),
    }


def sample(
    rig: str,
    out: Path,
    cfg: SampleConfig | None = None,
    *,
    controls: tuple[str, ...] = (),
    workers: int = 1,
    curves: Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Random poses of a rig and their meshes, in a folder."""
    from bunraku.core.rig import restrict
    from bunraku.inversion.draw import SampleConfig

    moving = restrict(open_rig(rig), controls)
    around = load_curves(curves) if curves is not None else None
    return sampled_into(moving, rig, out, cfg or SampleConfig(), workers, around, overwrite, progress)


def sampled_into(
    moving: Rig,
    source: str | None,
    out: Path,
    cfg: SampleConfig,
    workers: int,
    around: Curves | None,
    overwrite: bool,
    progress: Progress,
) -> dict[str, Any]:
    """`sample` on a rig that is open; without a `source` that names it, only in this process."""
    import numpy as np

    from bunraku.compute.workers import Workers
    from bunraku.core.rig import Restricted
    from bunraku.inversion.sample import rig_task
    from bunraku.inversion.sample import sample as sample_rig
    from bunraku.rigs.open import rig_identity

    columns = moving.columns if isinstance(moving, Restricted) else np.arange(len(moving.spec))
    task = rig_task(OPENER, source, columns.tolist()) if source is not None else None
    engine = Workers(workers) if workers > 1 and task is not None else None
    identity = rig_identity(source) if source is not None else {}
    result = sample_rig(
        moving, cfg, out, source=identity, task=task, engine=engine, progress=progress, curves=around,
        overwrite=overwrite
    )  # fmt: skip
    return asdict(result)


def fit(
    samples: Path,
    out: Path,
    cfg: FitConfig | None = None,
    *,
    controls: tuple[str, ...] = (),
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A differentiable approximation of a sampled rig, in a folder."""
    from bunraku.core import artifact
    from bunraku.inversion.approximation import save_model
    from bunraku.inversion.dataset import load_samples, narrowed
    from bunraku.inversion.fit import FitConfig, forget_checkpoints
    from bunraku.inversion.fit import fit as fit_samples

    cfg = cfg or FitConfig()
    known = load_samples(samples)
    if controls:
        known = narrowed(known, known.spec.select(controls))
    file = samples / artifact.MANIFEST if samples.is_dir() else samples
    settings = {
        **asdict(cfg),
        "device": device,
        "controls": list(known.spec.names),
        "samples": artifact.file_hash(file),
    }
    settings["source"] = dict(known.source)
    output = artifact.open_output(out, "model", settings, seed=cfg.seed, overwrite=overwrite)
    if output.result is not None:
        return dict(output.result)
    started, cpu = time.perf_counter(), time.process_time()
    model = fit_samples(known, cfg, out=out, device=device, progress=progress)
    result = {
        "path": str(out),
        "samples": known.count,
        "controls": len(known.spec),
        "vertices": len(known.neutral),
        "components": model.component_count,
        **_test_error(model, known),
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.perf_counter() - started,
    }
    save_model(out, model, result)
    forget_checkpoints(out)
    return result


def _test_error(model: Approximation, samples: Any) -> dict[str, float]:
    """Mean vertex distance of the approximation on samples that nothing was chosen by."""
    import numpy as np

    from bunraku.core.rig import diagonal

    total, count = 0.0, 0
    for controls, vertices in samples.batches("test", 64):
        total += float(np.linalg.norm(model.evaluate(controls) - vertices, axis=2).sum())
        count += vertices.shape[0] * vertices.shape[1]
    error = total / count if count else math.nan
    return {"test_vertex_error": error, "test_relative_error": error / diagonal(samples.neutral)}
