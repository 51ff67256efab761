"""One inversion with all that it is told: what it is solved on, and by which of the ways."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

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

Method = Literal["solve", "follow", "encoder"]

SAMPLED, FOLLOWED = "samples", "followed"
"""Parts of a take's folder that an interrupted call goes on from; a finished take needs them no more."""
FEW_CONTROLS = 8
"""Up to so many controls are sampled evenly over all of their ranges; more, a few at a time."""
STEADY = 3e-4
"""A capture that flickers by less than this share of the diagonal may be followed on the rig itself."""


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

        self._check()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        moving, approximation, sampled, method = self._solved_on(capture, progress)
        from_samples = isinstance(self.rig, RecordedRig)
        if from_samples and approximation is not None:
            moving, approximation = approximation, None
        if self.matching.topology == "other":
            take = self._followed(capture, moving, approximation, progress)
        else:
            job = replace(self, cfg=replace(self.cfg, method=method))
            take = job._inverted(capture, moving, approximation, true_curves, sampled, progress)
        # Sampling and fitting, where they were needed, are part of the price (of this call: what it resumed is not).
        said: dict[str, MetricValue] = {
            "cpu_seconds": time.process_time() - began_cpu_s,
            "wall_seconds": time.perf_counter() - began_s,
        }
        if from_samples:
            said["measured_on"] = "the model: recorded samples cannot be evaluated anew"
        return _whole(replace(take, metrics=take.metrics.merged(Metrics(said, {}))), self.rig)

    def _check(self) -> None:
        from bunraku.core.errors import BunrakuError

        told = self.instructions
        if self.matching.topology == "other" and told is not None and (told.switches or told.symmetric):
            raise BunrakuError("--topology other: does not take --switch and --twins")

    def _solved_on(
        self, capture: MeshSequence, progress: Progress
    ) -> tuple[Rig, DifferentiableRig | None, int, Method]:
        """The rig with what may move, the approximation where it needs one, what that cost in evaluations, and how the
        curves are found.
        """
        from bunraku.core.errors import BunrakuError
        from bunraku.core.rig import DifferentiableRig, restrict
        from bunraku.rigs.twin import CHECKS, twin_of

        moving, method = restrict(self.rig, self.controls), self.cfg.method
        if self.model is not None:
            approximation = loaded_model(Path(self.model))
            moving = restrict(self.rig, tuple(approximation.spec.names))
            if self.controls and set(moving.spec.names) != set(restrict(self.rig, self.controls).spec.names):
                raise BunrakuError(f"{self.model}: moves other controls than --controls names; give one or the other")
            return moving, approximation, 0, method
        twin = twin_of(self.rig) if method == "solve" else None
        if twin is not None:
            progress("plan", 1, 1, f"bones and skin alone, computed here as {CHECKS} true evaluations confirm")
            return moving, cast(DifferentiableRig, restrict(twin, tuple(moving.spec.names))), CHECKS, method
        if method == "encoder" or (method == "solve" and not isinstance(moving, DifferentiableRig)):
            made, sampled, follows = self._approximated(moving, capture, progress)
            return moving, made, sampled, "follow" if follows else method
        return moving, None, 0, method

    def _approximated(
        self, moving: Rig, capture: MeshSequence, progress: Progress
    ) -> tuple[Approximation | None, int, bool]:
        """An approximation made for this inversion, where one pays, what it cost in evaluations of the rig, and whether
        the shot is followed on the rig instead.
        """
        from bunraku.core.errors import BunrakuError
        from bunraku.core.rig import diagonal
        from bunraku.inversion.draw import SampleConfig
        from bunraku.inversion.fit import FitConfig
        from bunraku.inversion.noise import jitter
        from bunraku.inversion.plan import plan
        from bunraku.rigs.recorded import RecordedRig

        fitting, samples_in, model_in = FitConfig(seed=self.cfg.seed), self.folder / SAMPLED, self.folder / "model"
        if isinstance(moving, RecordedRig):
            if self.source is None:
                raise BunrakuError("recorded samples are named by their path here: pass it in place of the opened rig")
            fit(Path(self.source), model_in, fitting, device=self.device, progress=progress)
            return loaded_model(model_in), 0, False
        count = len(moving.spec)
        samples = min(max(1000, 40 * count), 20_000)
        # What an interrupted call has begun goes on, whatever the clock would say today.
        if (self.folder / FOLLOWED).exists():
            return None, 0, True
        if self.cfg.method != "encoder" and not samples_in.exists():
            told = self.instructions
            tied = self.cfg.symmetric > 0 or self.cfg.cancelling > 0
            tied = tied or (told is not None and bool(told.switches or told.symmetric))
            steady = not tied and count > FEW_CONTROLS and jitter(capture) < STEADY * diagonal(moving.neutral)
            chosen = plan(moving, capture.frames, samples, steady)
            progress("plan", 1, 1, f"{chosen.way}: {chosen.reason}")
            if chosen.way != "approximation":
                return None, 0, chosen.way == "follow"
        sampling = SampleConfig(samples, sampler="sobol" if count <= FEW_CONTROLS else "sparse", seed=self.cfg.seed)
        sampled_into(moving, self.source, samples_in, sampling, 1, None, False, progress)
        fit(samples_in, model_in, fitting, device=self.device, progress=progress)
        return loaded_model(model_in), samples, False

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
            follow_out=self.folder / FOLLOWED,
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
        from bunraku.core.metrics import Metrics
        from bunraku.core.rig import DifferentiableRig, diagonal
        from bunraku.core.take import Take
        from bunraku.inversion.closest_surface import follow_surface
        from bunraku.inversion.guidance import Instructions, limits
        from bunraku.inversion.refine import FiniteDifferences, difference_step

        on = approximation or moving
        if not isinstance(on, DifferentiableRig):
            on = FiniteDifferences(on, difference_step(on))
        kept = limits(moving.spec, self.instructions or Instructions(), capture.frames, capture.start_frame)
        found = follow_surface(on, capture, solver=self.cfg.solver, limits=kept, progress=progress)
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


def _whole(take: Take, rig: Rig) -> Take:
    """The take with a curve for every control of the rig, those that were not solved for at neutral."""
    from bunraku.core.curves import curves

    if take.curves.names == rig.spec.names:
        return take
    values = take.curves.ordered_as(rig.spec)
    return replace(take, curves=curves(rig.spec.names, values, take.curves.fps, take.curves.start_frame))
