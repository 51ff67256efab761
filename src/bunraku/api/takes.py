"""Captures inverted into takes, and takes measured again."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import load_sequence, load_take, loaded_model, open_rig, rig_source
from bunraku.api.rigs import fit, sampled_into
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.curves import Curves
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.inversion.approximation import Approximation
    from bunraku.inversion.invert import InvertConfig

FEW_CONTROLS = 8
"""Up to so many controls are sampled evenly over all of their ranges; more, a few at a time."""


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
        approximation = loaded_model(Path(model))
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
        return loaded_model(folder / "model"), 0
    count = len(moving.spec)
    samples = min(max(1000, 40 * count), 20_000)
    # What an interrupted call has begun goes on, whatever the clock would say today.
    if cfg.method != "encoder" and not (folder / "samples").exists():
        chosen = plan(moving, frames, samples)
        progress("plan", 1, 1, f"{chosen.way}: {chosen.reason}")
        if chosen.way != "approximation":
            return None, 0
    sampling = SampleConfig(samples, sampler="sobol" if count <= FEW_CONTROLS else "sparse", seed=cfg.seed)
    sampled_into(moving, source, folder / "samples", sampling, 1, None, False, progress)
    fit(folder / "samples", folder / "model", FitConfig(seed=cfg.seed), device=device, progress=progress)
    return loaded_model(folder / "model"), samples


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
    opened = open_rig(rig_source(stored.settings, rig, take))
    if isinstance(opened, RecordedRig):
        opened = loaded_model(take / "model")
    capture = Path(stored.settings["capture"]["path"])
    if not capture.exists():
        raise BunrakuError(f"{take}: its capture {capture} is not there any more")
    sequence = load_sequence(capture)
    true = load_true_curves(capture, opened.spec.names)
    _check_fit(capture, sequence, opened, str(rig or stored.settings["rig"]["source"]), true)
    moving = restrict(opened, tuple(stored.settings["controls"]))
    metrics = remeasure(moving, sequence, stored, true).values
    return {**metrics, **_changes(stored.settings, capture, rig)}


def _changes(settings: Mapping[str, Any], capture: Path, rig: str | None) -> dict[str, bool]:
    """Whether the files that a take was made from are still the same."""
    from bunraku.core import artifact
    from bunraku.rigs.open import rig_identity

    source = rig or str(settings["rig"]["source"])
    return {
        "rig_changed": rig_identity(source).get("sha256") != settings["rig"].get("sha256"),
        "capture_changed": artifact.file_hash(capture) != settings["capture"]["sha256"],
    }
