"""Captures inverted into takes, and takes measured again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import (
    capture_hash,
    capture_identity,
    load_sequence,
    load_take,
    loaded_model,
    open_rig,
    rig_source,
)
from bunraku.api.job import FOLLOWED, SAMPLED, Job
from bunraku.api.matching import Matching, check, matched, recorded
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.curves import Curves
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.inversion.attachment import Attachment
    from bunraku.inversion.guidance import Instructions
    from bunraku.inversion.invert import InvertConfig


def invert(
    capture: MeshSequence | str | Path,
    rig: Rig | str | Path,
    cfg: InvertConfig | None = None,
    *,
    model: str | Path | None = None,
    encoder: str | Path | None = None,
    controls: tuple[str, ...] = (),
    instructions: Instructions | None = None,
    matching: Matching | None = None,
    progress: Progress = silent,
    **settings: Any,
) -> Take:
    """The control curves of a rig that reproduce a capture.

    A rig without derivatives is asked for finite differences where it is cheap; else it is sampled and approximated
    first (or
    the given `model` is used), and then asked `refine` times per frame. `controls` are patterns of what may move,
    `instructions` what is decided already; `matching` says how the points of a capture file correspond; `settings` are
    fields of `InvertConfig` (`refine=5`, `smooth=1e-3`, …).

    Raises:
        BunrakuError: files that cannot be read, a capture that does not fit the rig, unknown controls.
    """
    from bunraku.inversion.invert import InvertConfig

    cfg = replace(cfg or InvertConfig(), **settings)
    source = str(rig) if isinstance(rig, str | Path) else None
    opened = open_rig(rig) if isinstance(rig, str | Path) else rig
    matching = matching or Matching()
    if isinstance(capture, str | Path):
        sequence, to = _read(Path(capture), opened, matching, source or "the rig")
    else:
        sequence, to = capture, None
    with tempfile.TemporaryDirectory() as folder:
        job = Job(opened, source, cfg, Path(folder), model, encoder, controls, instructions, to, matching, "cpu")
        return job.take(sequence, None, progress)


def invert_file(
    capture: Path,
    rig: str,
    out: Path,
    cfg: InvertConfig | None = None,
    *,
    model: Path | None = None,
    encoder: Path | None = None,
    controls: tuple[str, ...] = (),
    instructions: Instructions | None = None,
    matching: Matching | None = None,
    stable: Path | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A capture file inverted into a take folder; resumes, and repeats a finished result."""
    from bunraku.core import artifact
    from bunraku.core.rig import restrict
    from bunraku.core.take import KIND, save_take
    from bunraku.inversion.invert import InvertConfig
    from bunraku.rigs.open import rig_identity

    cfg, matching = cfg or InvertConfig(), matching or Matching()
    opened = open_rig(rig)
    sequence, to = _read(capture, opened, matching, rig)
    true = _true_curves(capture, opened, sequence)
    restrict(opened, controls)  # says what is wrong with them before anything is written
    settings = {
        **asdict(cfg),
        "capture": {**capture_identity(capture), **sequence.about},
        "rig": rig_identity(rig),
        "controls": list(controls),
        "device": device,
        "model": _artifact_identity(model),
        "encoder": _artifact_identity(encoder),
        "instructions": None if instructions is None else instructions.recorded(),
        "matching": matching.identity(),
        "stable": None if stable is None else artifact.file_hash(stable),
    }
    output = artifact.open_output(out, KIND, settings, seed=cfg.seed, overwrite=overwrite)
    if output.result is not None:
        return dict(output.result)
    job = Job(opened, rig, cfg, out, model, encoder, controls, instructions, to, matching, device, stable)
    with artifact.alone(out):
        take = job.take(sequence, true, progress)
        save_take(out, take)
        for part in (SAMPLED, FOLLOWED):  # the model made of samples stays, for other shots
            shutil.rmtree(out / part, ignore_errors=True)
    return dict(take.metrics.values)


def _artifact_identity(path: Path | None) -> dict[str, str] | None:
    """What an inversion records of a model or an encoder that it is given."""
    from bunraku.core import artifact

    if path is None:
        return None
    artifact.read_manifest(path)  # says what is wrong where there is none
    return {"path": str(path), "sha256": artifact.file_hash(path / artifact.MANIFEST)}


def _read(capture: Path, rig: Rig, matching: Matching, source: str) -> tuple[MeshSequence, Attachment | None]:
    """A capture, and how it corresponds; as it is where nothing does."""
    check(matching)
    if matching.topology == "other":
        return load_sequence(capture), None
    return matched(capture, rig, matching, source)


def _true_curves(capture: Path, rig: Rig, sequence: MeshSequence) -> Curves | None:
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.npz import load_true_curves
    from bunraku.formats.sequence import NUMPY

    true = load_true_curves(capture, rig.spec.names) if capture.suffix.lower() in NUMPY else None
    if true is not None and true.frames != sequence.frames:
        raise BunrakuError(f"{capture}: has {sequence.frames} frames, but true curves of {true.frames}")
    return true


def evaluate(take: Path, rig: str | None = None) -> dict[str, Any]:
    """The metrics of a take, recomputed from its capture on the true rig."""
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import restrict
    from bunraku.formats.sequence import parted
    from bunraku.inversion.attachment import attached
    from bunraku.inversion.invert import remeasure
    from bunraku.rigs.recorded import RecordedRig

    stored = load_take(take)
    opened = open_rig(rig_source(stored.settings, rig, take))
    if isinstance(opened, RecordedRig):
        opened = loaded_model(take / "model")
    capture = Path(stored.settings["capture"]["path"])
    if not parted(capture)[0].exists():
        raise BunrakuError(f"{take}: its capture {capture} is not there any more")
    matching = recorded(stored.settings)
    if matching.topology == "other":
        raise BunrakuError(f"{take}: followed a surface of another topology, which only `rig invert` can measure")
    sequence, to = matched(capture, opened, matching, str(rig or stored.settings["rig"]["source"]))
    true = _true_curves(capture, opened, sequence)
    moving = attached(restrict(opened, tuple(stored.settings["controls"])), to)
    metrics = remeasure(moving, sequence, stored, true).values
    return {**metrics, **_changes(stored.settings, capture, rig)}


def _changes(settings: Mapping[str, Any], capture: Path, rig: str | None) -> dict[str, bool]:
    """Whether the files that a take was made from are still the same."""
    from bunraku.rigs.open import rig_identity

    source = rig or str(settings["rig"]["source"])
    return {
        "rig_changed": rig_identity(source).get("sha256") != settings["rig"].get("sha256"),
        "capture_changed": capture_hash(capture) != settings["capture"]["sha256"],
    }
