"""One inversion with all that it is told: what it is solved on, and by which of the ways."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bunraku.api.doors import loaded_model
from bunraku.api.matching import Matching
from bunraku.api.rigs import fit, sampled_into
from bunraku.core.progress import Progress

if TYPE_CHECKING:
    from bunraku.core.curves import Curves
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import DifferentiableRig, Rig
    from bunraku.core.take import Take
    from bunraku.inversion.approximation import Approximation
    from bunraku.inversion.attachment import Attachment
    from bunraku.inversion.guidance import Instructions
    from bunraku.inversion.invert import InvertConfig
    from bunraku.inversion.still import Still

FEW_CONTROLS = 8
"""Up to so many controls are sampled evenly over all of their ranges; more, a few at a time."""


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
class Job:
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

    def _solved_on(self, frames: int, progress: Progress) -> tuple[Rig, DifferentiableRig | None, int]:
        """The rig with what may move, the approximation where it needs one, and what that cost in evaluations."""
        from bunraku.core.errors import BunrakuError
        from bunraku.core.rig import DifferentiableRig, restrict
        from bunraku.rigs.twin import CHECKS, twin_of

        moving = restrict(self.rig, self.controls)
        if self.model is not None:
            approximation = loaded_model(Path(self.model))
            moving = restrict(self.rig, tuple(approximation.spec.names))
            if self.controls and set(moving.spec.names) != set(restrict(self.rig, self.controls).spec.names):
                raise BunrakuError(f"{self.model}: moves other controls than --controls names; give one or the other")
            return moving, approximation, 0
        twin = None if self.cfg.method == "encoder" else twin_of(self.rig)
        if twin is not None:
            progress("plan", 1, 1, f"bones and skin alone, computed here as {CHECKS} true evaluations confirm")
            return moving, cast(DifferentiableRig, restrict(twin, tuple(moving.spec.names))), CHECKS
        if self.cfg.method == "encoder" or not isinstance(moving, DifferentiableRig):
            made, sampled = _approximated(moving, self.source, self.cfg, frames, self.folder, self.device, progress)
            return moving, made, sampled
        return moving, None, 0

    def _inverted(
        self,
        capture: MeshSequence,
        moving: Rig,
        approximation: DifferentiableRig | None,
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
        self, capture: MeshSequence, moving: Rig, approximation: DifferentiableRig | None, progress: Progress
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
