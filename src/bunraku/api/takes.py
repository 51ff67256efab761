"""Captures inverted into takes, and takes measured again."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import load_sequence, load_take, loaded_model, open_rig, rig_source
from bunraku.api.matching import C3D, Matching, check, matched, recorded
from bunraku.api.rigs import fit, sampled_into
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.curves import Curves
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.inversion.approximation import Approximation
    from bunraku.inversion.attachment import Attachment
    from bunraku.inversion.guidance import Instructions
    from bunraku.inversion.invert import InvertConfig
    from bunraku.inversion.still import Still

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
        job = _Job(opened, source, cfg, Path(folder), model, encoder, controls, instructions, to, matching, "cpu")
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
        "capture": {"path": str(capture), "sha256": artifact.file_hash(capture)},
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
    job = _Job(opened, rig, cfg, out, model, encoder, controls, instructions, to, matching, device, stable)
    take = job.take(sequence, true, progress)
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


def _read(capture: Path, rig: Rig, matching: Matching, source: str) -> tuple[MeshSequence, Attachment | None]:
    """A capture, and how it corresponds; as it is where nothing does."""
    check(matching)
    if matching.topology == "other":
        return load_sequence(capture), None
    return matched(capture, rig, matching, source)


def _true_curves(capture: Path, rig: Rig, sequence: MeshSequence) -> Curves | None:
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.npz import load_true_curves

    true = None if capture.suffix.lower() == C3D else load_true_curves(capture, rig.spec.names)
    if true is not None and true.frames != sequence.frames:
        raise BunrakuError(f"{capture}: has {sequence.frames} frames, but true curves of {true.frames}")
    return true


def _stable(path: Path, rig: Rig) -> Still:
    """The vertices that a file says stand still: a list of them (.json, .csv, .npy)."""
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.vertex_map import VertexMap, load_vertex_map
    from bunraku.inversion.still import chosen_vertices

    found = load_vertex_map(path)
    if not isinstance(found, VertexMap) or found.given.ndim != 1:
        raise BunrakuError(f"{path}: expected a list of the rig's vertices that stand still")
    return chosen_vertices(rig, found.given, name=str(path))


@dataclass(frozen=True)
class _Job:
    """An inversion with all that it is told."""

    rig: Rig
    source: str | None
    cfg: InvertConfig
    folder: Path
    model: str | Path | None
    encoder: str | Path | None
    controls: tuple[str, ...]
    instructions: Instructions | None
    to: Attachment | None
    matching: Matching
    device: str
    stable: Path | None = None

    def take(self, capture: MeshSequence, true_curves: Curves | None, progress: Progress) -> Take:
        """Do it."""
        from bunraku.core.metrics import Metrics, MetricValue
        from bunraku.rigs.recorded import RecordedRig

        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        moving, approximation, sampled = self._solved_on(capture.frames, progress)
        from_samples = isinstance(self.rig, RecordedRig)
        if from_samples and approximation is not None:
            moving, approximation = approximation, None
        if self.matching.topology == "other":
            take = self._followed(capture, moving, approximation, progress)
        else:
            take = self._inverted(capture, moving, approximation, true_curves, sampled, progress)
        # Sampling and fitting, where they were needed, are part of the price (of this call: what it resumed is not).
        said: dict[str, MetricValue] = {
            "cpu_seconds": time.process_time() - began_cpu_s,
            "wall_seconds": time.perf_counter() - began_s,
        }
        if from_samples:
            said["measured_on"] = "the model: recorded samples cannot be evaluated anew"
        return _whole(replace(take, metrics=take.metrics.merged(Metrics(said, {}))), self.rig)

    def _solved_on(self, frames: int, progress: Progress) -> tuple[Rig, Approximation | None, int]:
        """The rig with what may move, the approximation where it needs one, and what that cost in evaluations."""
        from bunraku.core.errors import BunrakuError
        from bunraku.core.rig import DifferentiableRig, restrict

        moving = restrict(self.rig, self.controls)
        if self.model is not None:
            approximation = loaded_model(Path(self.model))
            moving = restrict(self.rig, tuple(approximation.spec.names))
            if self.controls and set(moving.spec.names) != set(restrict(self.rig, self.controls).spec.names):
                raise BunrakuError(f"{self.model}: moves other controls than --controls names; give one or the other")
            return moving, approximation, 0
        if self.cfg.method == "encoder" or not isinstance(moving, DifferentiableRig):
            made, sampled = _approximated(moving, self.source, self.cfg, frames, self.folder, self.device, progress)
            return moving, made, sampled
        return moving, None, 0

    def _inverted(
        self,
        capture: MeshSequence,
        moving: Rig,
        approximation: Approximation | None,
        true_curves: Curves | None,
        sampled: int,
        progress: Progress,
    ) -> Take:
        from bunraku.core.errors import BunrakuError
        from bunraku.inversion.attachment import attached
        from bunraku.inversion.encoder import load_encoder
        from bunraku.inversion.invert import invert as invert_capture

        stand_in: Any = approximation
        if self.to is not None and not self.to.is_identity:
            if self.cfg.method == "encoder":
                raise BunrakuError("--method encoder: needs a capture that corresponds to the rig vertex by vertex")
            moving = attached(moving, self.to)
            stand_in = None if approximation is None else attached(approximation, self.to)
        return invert_capture(
            moving,
            capture,
            self.cfg,
            approximation=stand_in,
            encoder=None if self.encoder is None else load_encoder(Path(self.encoder)),
            encoder_out=self.folder / "encoder",
            instructions=self.instructions,
            stable=None if self.stable is None else _stable(self.stable, moving),
            true_curves=true_curves,
            sampled=sampled,
            progress=progress,
        )

    def _followed(
        self, capture: MeshSequence, moving: Rig, approximation: Approximation | None, progress: Progress
    ) -> Take:
        """By closest points: no vertex has a counterpart that an error could be measured to."""
        import numpy as np

        from bunraku.core import artifact
        from bunraku.core.curves import curves
        from bunraku.core.errors import BunrakuError
        from bunraku.core.metrics import Metrics
        from bunraku.core.rig import DifferentiableRig, diagonal
        from bunraku.core.take import Take
        from bunraku.inversion.closest_surface import follow_surface
        from bunraku.inversion.refine import FiniteDifferences, difference_step

        if self.instructions is not None and self.instructions.given:
            raise BunrakuError("--topology other: does not take locks, pins and other instructions")
        on = approximation or moving
        if not isinstance(on, DifferentiableRig):
            on = FiniteDifferences(on, difference_step(on))
        found = follow_surface(on, capture, solver=self.cfg.solver, progress=progress)
        values = {
            "frames": capture.frames,
            "vertices": capture.vertex_count,
            "controls": len(moving.spec),
            "surface_distance": float(found.distance.mean()),
            "relative_error": float(found.distance.mean()) / diagonal(moving.neutral),
        }
        solved = curves(moving.spec.names, found.controls, capture.fps, capture.start_frame)
        metrics = Metrics(dict(values), {"surface_distance": "rig unit"})
        nothing = np.zeros(0)
        return Take(solved, metrics, found.distance, nothing, np.eye(3, 4), asdict(self.cfg), artifact.provenance())


def _approximated(
    moving: Rig, source: str | None, cfg: InvertConfig, frames: int, folder: Path, device: str, progress: Progress
) -> tuple[Approximation | None, int]:
    """An approximation made for this inversion, where one pays, and what it cost in evaluations of the rig."""
    from bunraku.core.errors import BunrakuError
    from bunraku.inversion.draw import SampleConfig
    from bunraku.inversion.fit import FitConfig
    from bunraku.inversion.plan import plan
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
    from bunraku.inversion.attachment import attached
    from bunraku.inversion.invert import remeasure
    from bunraku.rigs.recorded import RecordedRig

    stored = load_take(take)
    opened = open_rig(rig_source(stored.settings, rig, take))
    if isinstance(opened, RecordedRig):
        opened = loaded_model(take / "model")
    capture = Path(stored.settings["capture"]["path"])
    if not capture.exists():
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
    from bunraku.core import artifact
    from bunraku.rigs.open import rig_identity

    source = rig or str(settings["rig"]["source"])
    return {
        "rig_changed": rig_identity(source).get("sha256") != settings["rig"].get("sha256"),
        "capture_changed": artifact.file_hash(capture) != settings["capture"]["sha256"],
    }
