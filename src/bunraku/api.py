"""The product in one-line functions: each opens its files, calls one stage and keeps what comes out.

The command line is a thin coat over these; scripts use them as they are. Importing this module loads nothing heavy.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.controls import ControlSpec
    from bunraku.core.curves import Curves
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.inversion.approximation import Approximation
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig
    from bunraku.inversion.invert import InvertConfig

OPENER = "bunraku.rigs.open:open_rig"
FEW_CONTROLS = 8
"""Up to so many controls are sampled evenly over all of their ranges; more, a few at a time."""


def open_rig(source: str | Path) -> Rig:
    """A rig by name or file: cube, face, figure, a .glb or .gltf file, python:module:function, recorded samples.

    Raises:
        BunrakuError: what does not exist or cannot be read; the message says what does.
    """
    from bunraku.rigs import open as opening

    return opening.open_rig(source)


def load_sequence(path: str | Path) -> MeshSequence:
    """A capture from a file, by its ending."""
    from bunraku.formats.sequence import load_sequence as load

    return load(path)


def load_curves(path: str | Path) -> Curves:
    """Curves from .csv, .json or .npz."""
    from bunraku.formats.curves import load_curves as load

    return load(path)


def save_curves(curves: Curves, path: str | Path) -> None:
    """Curves to .csv, .json or .npz."""
    from bunraku.formats.curves import save_curves as save

    save(curves, path)


def load_take(path: str | Path) -> Take:
    """A take from its folder."""
    from bunraku.core.take import load_take as load

    return load(Path(path))


def invert(
    capture: MeshSequence | str | Path,
    rig: Rig | str | Path,
    cfg: InvertConfig | None = None,
    *,
    model: str | Path | None = None,
    encoder: str | Path | None = None,
    controls: tuple[str, ...] = (),
    progress: Progress = silent,
    **settings: Any,
) -> Take:
    """The control curves of a rig that reproduce a capture.

    A rig without derivatives is asked for finite differences where it is cheap; else it is sampled and approximated
    first (or
    the given `model` is used), and then asked `refine` times per frame. `controls` are patterns of what may move;
    `settings` are
    fields of `InvertConfig` (`refine=5`, `smooth=1e-3`, …).

    Raises:
        BunrakuError: files that cannot be read, a capture that does not fit the rig, unknown controls.
    """
    from bunraku.inversion.invert import InvertConfig

    cfg = replace(cfg or InvertConfig(), **settings)
    sequence = load_sequence(capture) if isinstance(capture, str | Path) else capture
    source = str(rig) if isinstance(rig, str | Path) else None
    opened = open_rig(rig) if isinstance(rig, str | Path) else rig
    with tempfile.TemporaryDirectory() as folder:
        return _inverted(sequence, None, opened, source, cfg, Path(folder), model, encoder, controls, "cpu", progress)


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
        pose = spec.neutral[None]
        opened.evaluate(pose)
        started, asked = time.perf_counter(), 0
        while time.perf_counter() - started < 0.2:
            opened.evaluate(pose)
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
    }


def bake(
    rig: str, animation: str, out: Path, *, fps: Fraction = Fraction(24), overwrite: bool = False
) -> dict[str, Any]:
    """A glTF rig's own animation as a mesh sequence with its true curves."""
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.npz import save_npz_sequence
    from bunraku.rigs.skinned import SkinnedRig
    from bunraku.rigs.skinned import bake as bake_animation

    opened = open_rig(rig)
    if not isinstance(opened, SkinnedRig):
        raise BunrakuError(f"{rig}: has no animations of its own; only glTF files do in this version")
    if out.suffix != ".npz":
        raise BunrakuError(f"{out}: a mesh sequence is written as .npz")
    _refuse_existing(out, overwrite)
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
    return _sampled(moving, rig, out, cfg or SampleConfig(), workers, around, overwrite, progress)


def _sampled(
    moving: Rig,
    source: str | None,
    out: Path,
    cfg: SampleConfig,
    workers: int,
    around: Curves | None,
    overwrite: bool,
    progress: Progress,
) -> dict[str, Any]:
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


def invert_file(
    capture: Path,
    rig: str,
    out: Path,
    cfg: InvertConfig | None = None,
    *,
    model: Path | None = None,
    encoder: Path | None = None,
    controls: tuple[str, ...] = (),
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A capture file inverted into a take folder; resumes, and repeats a finished result."""
    from bunraku.core import artifact
    from bunraku.core.rig import restrict
    from bunraku.core.take import KIND, save_take
    from bunraku.formats.npz import load_true_curves
    from bunraku.inversion.invert import InvertConfig
    from bunraku.rigs.open import rig_identity

    cfg = cfg or InvertConfig()
    sequence = load_sequence(capture)
    opened = open_rig(rig)
    true = load_true_curves(capture, opened.spec.names)
    _check_fit(capture, sequence, opened, rig, true)
    restrict(opened, controls)  # says what is wrong with them before anything is written
    settings = {
        **asdict(cfg),
        "capture": {"path": str(capture), "sha256": artifact.file_hash(capture)},
        "rig": rig_identity(rig),
        "controls": list(controls),
        "device": device,
        "model": _artifact_identity(model),
        "encoder": _artifact_identity(encoder),
    }
    output = artifact.open_output(out, KIND, settings, seed=cfg.seed, overwrite=overwrite)
    if output.result is not None:
        return dict(output.result)
    take = _inverted(sequence, true, opened, rig, cfg, out, model, encoder, controls, device, progress)
    save_take(out, take)
    shutil.rmtree(out / "samples", ignore_errors=True)  # the model made of them stays, for other shots
    return dict(take.metrics.values)


def _artifact_identity(path: Path | None) -> dict[str, str] | None:
    """What an inversion records of a model or an encoder that it is given."""
    from bunraku.core import artifact

    if path is None:
        return None
    artifact.read_manifest(path)  # says what is wrong where there is none
    return {"path": str(path), "sha256": artifact.file_hash(path / artifact.MANIFEST)}


def _check_fit(capture: Path, sequence: MeshSequence, rig: Rig, source: str, true: Curves | None) -> None:
    from bunraku.core.errors import BunrakuError

    if sequence.vertex_count != len(rig.neutral):
        counts = f"has {sequence.vertex_count} vertices, {source} has {len(rig.neutral)}"
        raise BunrakuError(f"{capture}: {counts}; they must correspond one to one")
    if true is not None and true.frames != sequence.frames:
        raise BunrakuError(f"{capture}: has {sequence.frames} frames, but true curves of {true.frames}")


def _inverted(
    capture: MeshSequence,
    true_curves: Curves | None,
    rig: Rig,
    source: str | None,
    cfg: InvertConfig,
    folder: Path,
    model: str | Path | None,
    encoder: str | Path | None,
    controls: tuple[str, ...],
    device: str,
    progress: Progress,
) -> Take:
    from bunraku.core.errors import BunrakuError
    from bunraku.core.metrics import Metrics, MetricValue
    from bunraku.core.rig import DifferentiableRig, restrict
    from bunraku.inversion.encoder import load_encoder
    from bunraku.inversion.invert import invert as invert_capture
    from bunraku.rigs.recorded import RecordedRig

    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    moving = restrict(rig, controls)
    approximation: Approximation | None = None
    sampled = 0
    if model is not None:
        approximation = _loaded_model(Path(model))
        moving = restrict(rig, tuple(approximation.spec.names))
        if controls and set(moving.spec.names) != set(restrict(rig, controls).spec.names):
            raise BunrakuError(f"{model}: moves other controls than --controls names; give one or the other")
    elif cfg.method == "encoder" or not isinstance(moving, DifferentiableRig):
        approximation, sampled = _approximated(moving, source, cfg, capture.frames, folder, device, progress)
    recorded = isinstance(rig, RecordedRig)
    take = invert_capture(
        approximation if recorded and approximation is not None else moving,
        capture,
        cfg,
        approximation=None if recorded else approximation,
        encoder=None if encoder is None else load_encoder(Path(encoder)),
        encoder_out=folder / "encoder",
        true_curves=true_curves,
        sampled=sampled,
        progress=progress,
    )
    # Sampling and fitting, where they were needed, are part of the price (of this call: what it resumed is not in it).
    said: dict[str, MetricValue] = {
        "cpu_seconds": time.process_time() - began_cpu_s,
        "wall_seconds": time.perf_counter() - began_s,
    }
    if recorded:
        said["measured_on"] = "the model: recorded samples cannot be evaluated anew"
    return _whole(replace(take, metrics=take.metrics.merged(Metrics(said, {}))), rig)


def _loaded_model(path: Path) -> Approximation:
    from bunraku.inversion.approximation import load_model

    return load_model(path)


def _approximated(
    moving: Rig, source: str | None, cfg: InvertConfig, frames: int, folder: Path, device: str, progress: Progress
) -> tuple[Approximation | None, int]:
    """An approximation made for this inversion, where one pays, and what it cost in evaluations of the rig."""
    from bunraku.core.errors import BunrakuError
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig
    from bunraku.inversion.invert import plan
    from bunraku.rigs.recorded import RecordedRig

    if isinstance(moving, RecordedRig):
        if source is None:
            raise BunrakuError("recorded samples are named by their path here: pass it in place of the opened rig")
        fit(Path(source), folder / "model", FitConfig(seed=cfg.seed), device=device, progress=progress)
        return _loaded_model(folder / "model"), 0
    count = len(moving.spec)
    samples = min(max(1000, 40 * count), 20_000)
    # What an interrupted call has begun goes on, whatever the clock would say today.
    if cfg.method != "encoder" and not (folder / "samples").exists():
        chosen = plan(moving, frames, samples)
        progress("plan", 1, 1, f"{chosen.way}: {chosen.reason}")
        if chosen.way != "approximation":
            return None, 0
    sampling = SampleConfig(samples, sampler="sobol" if count <= FEW_CONTROLS else "sparse", seed=cfg.seed)
    _sampled(moving, source, folder / "samples", sampling, 1, None, False, progress)
    fit(folder / "samples", folder / "model", FitConfig(seed=cfg.seed), device=device, progress=progress)
    return _loaded_model(folder / "model"), samples


def _whole(take: Take, rig: Rig) -> Take:
    """The take with a curve for every control of the rig, those that were not solved for at neutral."""
    from bunraku.core.curves import curves

    if take.curves.names == rig.spec.names:
        return take
    values = take.curves.ordered_as(rig.spec)
    return replace(take, curves=curves(rig.spec.names, values, take.curves.fps, take.curves.start_frame))


def evaluate(take: Path, rig: str | None = None) -> dict[str, Any]:
    """The metrics of a take, recomputed from its capture on the true rig."""
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import restrict
    from bunraku.formats.npz import load_true_curves
    from bunraku.inversion.invert import remeasure
    from bunraku.rigs.recorded import RecordedRig

    stored = load_take(take)
    opened = open_rig(_rig_source(stored.settings, rig, take))
    if isinstance(opened, RecordedRig):
        opened = _loaded_model(take / "model")
    capture = Path(stored.settings["capture"]["path"])
    if not capture.exists():
        raise BunrakuError(f"{take}: its capture {capture} is not there any more")
    sequence = load_sequence(capture)
    true = load_true_curves(capture, opened.spec.names)
    _check_fit(capture, sequence, opened, str(rig or stored.settings["rig"]["source"]), true)
    moving = restrict(opened, tuple(stored.settings["controls"]))
    metrics = remeasure(moving, sequence, stored, true).values
    return {**metrics, **_changes(stored.settings, capture, rig)}


def _rig_source(settings: Mapping[str, Any], named: str | None, take: Path) -> str:
    from bunraku.core.errors import BunrakuError

    if named is not None:
        return named
    source = str(settings["rig"]["source"])
    if source.startswith("python:"):
        raise BunrakuError(f"{take}: its rig {source} runs code; name it again with --rig to allow that")
    return source


def _changes(settings: Mapping[str, Any], capture: Path, rig: str | None) -> dict[str, bool]:
    """Whether the files that a take was made from are still the same."""
    from bunraku.core import artifact
    from bunraku.rigs.open import rig_identity

    source = rig or str(settings["rig"]["source"])
    return {
        "rig_changed": rig_identity(source).get("sha256") != settings["rig"].get("sha256"),
        "capture_changed": artifact.file_hash(capture) != settings["capture"]["sha256"],
    }


def export(path: Path, to: Path, *, rig: str | None = None, overwrite: bool = False) -> dict[str, Any]:
    """A take to .csv, .json, .npz (solved mesh and curves) or .glb/.gltf (a copy of the rig's file); a model or an
    encoder to .npz or .onnx.
    """
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    kind = artifact.read_manifest(path)["kind"]
    writers = {"take": _export_take, "model": _export_arrays, "encoder": _export_arrays}
    if kind not in writers:
        raise BunrakuError(f"{path}: is a {kind}; a take, a model or an encoder can be exported")
    _refuse_existing(to, overwrite)
    writers[kind](path, to, rig)
    return {"path": str(to), "kind": kind, "bytes": to.stat().st_size}


def _export_take(path: Path, to: Path, rig: str | None) -> None:
    from bunraku.core.errors import BunrakuError
    from bunraku.core.mesh_sequence import mesh_sequence
    from bunraku.formats.gltf_append import append_animation
    from bunraku.formats.npz import save_npz_sequence
    from bunraku.rigs.skinned import SkinnedRig, keyed

    take = load_take(path)
    ending = to.suffix.lower()
    if ending in (".csv", ".json"):
        return save_curves(take.curves, to)
    if ending not in (".npz", ".glb", ".gltf"):
        raise BunrakuError(f"{to}: a take is written as .csv, .json, .npz, .glb or .gltf")
    source = _rig_source(take.settings, rig, path)
    opened = open_rig(source)
    if ending == ".npz":
        mesh = opened.evaluate(take.curves.ordered_as(opened.spec))
        solved = mesh_sequence(mesh, opened.faces, take.curves.fps, take.curves.start_frame)
        return save_npz_sequence(to, solved, take.curves)
    if not isinstance(opened, SkinnedRig):
        raise BunrakuError(
            f"{to}: only a take on a glTF rig can be written into a copy of its file; this one is on {source}"
        )
    return append_animation(Path(source), keyed(opened, take.curves, path.name), to)


def _export_arrays(path: Path, to: Path, rig: str | None) -> None:
    import json

    import numpy as np

    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    kind = artifact.read_manifest(path)["kind"]
    if to.suffix.lower() == ".onnx":
        (_export_model_onnx if kind == "model" else _export_encoder_onnx)(path, to)
        return
    if to.suffix.lower() != ".npz":
        raise BunrakuError(f"{to}: a model or encoder is written as .npz or .onnx")
    stored = artifact.load(path, kind)
    arrays = dict(stored.arrays)
    arrays["description"] = np.frombuffer(json.dumps(stored.manifest["description"]).encode(), np.uint8)
    with artifact.disk_errors(to), to.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def _export_model_onnx(path: Path, to: Path) -> None:
    from bunraku.formats.onnx import approximation_graph, require_onnx, save_onnx

    require_onnx(to)
    model = _loaded_model(path)
    graph = approximation_graph(
        centre=model.centre,
        spread=model.spread,
        scale=model.scale,
        skip=model.skip,
        terms=model.terms,
        products=model.products,
        layers=model.layers,
        activation=model.activation,
        mean=model.mean,
        basis=model.basis,
    )
    save_onnx(to, graph, _control_metadata(model.spec))


def _export_encoder_onnx(path: Path, to: Path) -> None:
    from bunraku.formats.onnx import encoder_graph, require_onnx, save_onnx
    from bunraku.inversion.encoder import load_encoder

    require_onnx(to)
    encoder = load_encoder(path)
    spec = encoder.spec
    graph = encoder_graph(
        mean=encoder.mean,
        basis=encoder.basis,
        unit=encoder.unit,
        skip=encoder.skip,
        layers=encoder.layers,
        neutral=spec.neutral,
        span=spec.range,
        lower=spec.lower,
        upper=spec.upper,
    )
    save_onnx(to, graph, _control_metadata(spec))


def _control_metadata(spec: ControlSpec) -> dict[str, str]:
    """Names, units and bounds of the controls, in the order of the network's columns."""
    import json

    columns = {"lower": spec.lower.tolist(), "upper": spec.upper.tolist(), "neutral": spec.neutral.tolist()}
    columns |= {"controls": list(spec.names), "units": list(spec.units)}
    return {name: json.dumps(values) for name, values in columns.items()}


def _refuse_existing(path: Path, overwrite: bool) -> None:
    from bunraku.core.errors import BunrakuError

    if path.exists() and not overwrite:
        raise BunrakuError(f"{path}: exists already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise BunrakuError(f"{path}: its folder {path.parent} does not exist")
