"""Capture to curves: aligned, solved, refined on the true rig, measured."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from bunraku.compute.attempt import attempt
from bunraku.compute.threads import one_thread
from bunraku.core import artifact
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.metrics import Metrics, MetricValue
from bunraku.core.progress import Progress, silent
from bunraku.core.reduced import project
from bunraku.core.rig import DifferentiableRig, Restricted, Rig, diagonal
from bunraku.core.take import Take
from bunraku.inversion.account import Observability, nearly_observed, observability
from bunraku.inversion.align import IDENTITY, Alignment, align, moved
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.discrete import switched
from bunraku.inversion.encoder import Encoder, EncoderConfig, load_encoder, save_encoder, train_encoder
from bunraku.inversion.evaluate import evaluate
from bunraku.inversion.follow import follow, paced, tangent
from bunraku.inversion.guidance import Instructions, Limits, limits
from bunraku.inversion.noise import NORMAL, jitter
from bunraku.inversion.pairs import cancelling_pairs, mirrored_pairs, named_pairs
from bunraku.inversion.plan import Counted
from bunraku.inversion.problem import vertex_weights
from bunraku.inversion.refine import Evaluate, FiniteDifferences, RefineConfig, difference_step, refine
from bunraku.inversion.solve import CLEAN, Solution, SolveConfig, continuous_branch, solve
from bunraku.inversion.stabilise import Stabilisation, StabiliseConfig, drift, settled, stabilise, unchanged
from bunraku.inversion.still import Still, stable_vertices


@dataclass(frozen=True)
class InvertConfig:
    """How a capture becomes curves."""

    method: Literal["solve", "follow", "encoder"] = "solve"
    """The direct solver; the true rig followed from frame to frame (black boxes of many controls, steady captures); or
    a network trained to answer this shot (the published method) before the refinement."""
    refine: int = 8
    """True evaluations per frame that a rig without derivatives is asked after the approximation's answer."""
    smooth: float | Literal["auto"] = "auto"
    """Weight of smoothness over the whole shot: the relative error that a second difference of one range may cost;
    auto: each curve as smooth as the capture's own noise says, 0: frame by frame.
    """
    neutral: float = 0.0
    """Weight of the prior that controls rest at neutral."""
    sparse: float | Literal["auto"] = "auto"
    """Weight of the prior that few controls are active; auto: what noise alone explains is exactly neutral."""
    robust: Literal["auto", "none", "huber", "geman-mcclure"] = "auto"
    """What becomes of vertices that are far off; auto: they lose their say where there are any."""
    symmetric: float = 0.0
    """Weight of the prior that mirrored twins, found by mirroring the rig or named in the instructions, move alike."""
    cancelling: float = 0.0
    """Weight of the prior that of two controls that undo each other one rests."""
    align: Literal["auto", "none"] = "auto"
    """Whether a capture in other axes, units or places is mended, or solved as given with a warning."""
    stabilise: Literal["auto", "none", "rigid", "similarity"] = "auto"
    """A head that moves as a whole: taken out where the rig itself cannot follow and it is plain (auto), never, or
    whatever it is, without or with a uniform scale.
    """
    per: Literal["frame", "shot"] = "frame"
    """Whether that motion is one for each frame or one for the shot."""
    seed: int = 0
    """Of everything that draws at random."""

    @property
    def solver(self) -> SolveConfig:
        """What of it the solver is told."""
        return SolveConfig(neutral=self.neutral, sparse=self.sparse, smooth=self.smooth, robust=self.robust)


@dataclass(frozen=True, eq=False)
class _Costs:
    """Clocks at the start of an inversion."""

    wall_s: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=time.process_time)

    def spent(self, evaluations: int) -> Metrics:
        values = {
            "rig_evaluations": evaluations,
            "cpu_seconds": time.process_time() - self.cpu_s,
            "wall_seconds": time.perf_counter() - self.wall_s,
        }
        return Metrics(values, {"cpu_seconds": "s", "wall_seconds": "s"})


def invert(
    rig: Rig,
    capture: MeshSequence,
    cfg: InvertConfig | None = None,
    *,
    approximation: DifferentiableRig | None = None,
    encoder: Encoder | None = None,
    encoder_out: Path | None = None,
    follow_out: Path | None = None,
    instructions: Instructions | None = None,
    stable: Still | None = None,
    true_curves: Curves | None = None,
    sampled: int = 0,
    progress: Progress = silent,
) -> Take:
    """The curves of `rig` (all of its controls are solved for; see `core.rig.restrict`) that reproduce a capture.

    With an `approximation` (of the same controls) the solve runs on it and `cfg.refine` true evaluations per frame
    follow; without, on the rig itself: by its derivatives, or by finite differences. An `encoder` is a first guess for
    the solver; with the method "encoder" it is the answer before the refinement, and is trained on this capture (and
    kept in `encoder_out`) when none is given; with the method "follow" `follow_out` keeps its state, and an interrupted
    call goes on from there. `instructions` are kept to exactly. `stable` are
    vertices that stand still, where they are not to be found. `true_curves` only serve the control error that is
    reported; `sampled`
    are evaluations already spent on the approximation.

    Raises:
        BunrakuError: another vertex count than the rig's; an approximation of other controls.
    """
    cfg = cfg or InvertConfig()
    _check(rig, capture, approximation)
    if cfg.method == "follow":
        _check_followed(cfg, instructions)
    with one_thread():
        costs = _Costs()
        counted = Counted(rig)
        if cfg.method == "follow" and approximation is None:
            approximation = tangent(counted)
        on = _solved_on(rig, counted, approximation)
        still = stable_vertices(on, seed=cfg.seed) if stable is None else stable
        alignment = _alignment(on, capture, still, progress)
        placed = alignment.apply(capture) if cfg.align == "auto" else capture
        steady = _stabilisation(on, placed, still, cfg)
        aligned = steady.apply(placed)
        if cfg.method == "encoder":
            assert isinstance(approximation, Approximation), "an encoder is trained through an approximation"
            encoder = encoder or _trained(approximation, aligned, cfg, encoder_out, progress)
        start = None if encoder is None else encoder.encode(aligned.vertices, vertex_weights(aligned))
        task = _Task(on, aligned, cfg, *_wanted(on, aligned, cfg, instructions or Instructions(), progress))
        if cfg.method == "solve" and not steady.is_identity and cfg.per == "frame":
            start, steady = settled(on, placed, steady, still, task.on, progress=progress)
            aligned = steady.apply(placed)
            task = replace(task, capture=aligned)
        followed = None
        if cfg.method == "follow":
            pace = paced(len(rig.spec), capture.frames, cfg.refine)
            followed = follow(counted, aligned, pace, progress, limits=task.limits, out=follow_out)
            start = followed.controls
            if not task.limits.decided.any():
                start = continuous_branch(rig.spec, start)
        solved = task.solve(start, None, progress) if cfg.method == "solve" or start is None else None
        if solved is not None and on is approximation and _is_the_models(solved, on, aligned, counted.evaluate):
            # A capture that does not flicker is met by the true rig, not smoothed, nor trusted less in places.
            task = replace(task, cfg=replace(cfg, smooth=0.0 if cfg.smooth == "auto" else cfg.smooth, robust="none"))
            solved = task.solve(start, None, progress)
        controls = solved.controls if solved is not None else start
        assert controls is not None
        solving = solved.evaluations if solved is not None and on is rig else 0
        if approximation is not None and on is not rig and cfg.method != "follow":
            shown, before = 0, np.inf
            if solved is not None and solved.smoothness is not None:
                before, asked = solved.noise.sigma, counted.asked
                solved = task.corrected(counted.evaluate, solved, progress)
                controls, shown = solved.controls, (counted.asked - asked) // capture.frames
            # Noise that went away with the approximation's own error was none: the rest is found on the rig itself.
            if shown == 0 or (solved is not None and solved.noise.sigma < UNREAL * before):
                refining = RefineConfig(max(cfg.refine - shown, 0), cfg.neutral)
                controls = refine(
                    counted.evaluate, approximation, aligned, controls, refining, limits=task.limits, progress=progress
                ).controls
                controls = continuous_branch(rig.spec, controls)
        spent = costs.spent(counted.asked + sampled + solving)
        if followed is not None and len(followed.normal):
            seen_by = nearly_observed(followed.normal)
        else:
            seen_by = observability(on, controls, vertex_weights(aligned))
        true_controls = _true_controls(rig, true_curves)
        measured = evaluate(rig, aligned, controls, seen_by=seen_by, true_controls=true_controls)
    said = str(alignment)
    if cfg.align == "none" and not alignment.is_identity:
        said = f"none, as asked; but the capture looks like {alignment}"
    metrics = (
        measured.metrics.merged(Metrics({"alignment": said, "stabilisation": str(steady)}, {}))
        .merged(_seen(solved, aligned))
        .merged(spent)
    )
    found = curves(rig.spec.names, controls, capture.fps, capture.start_frame)
    matrix = (alignment if cfg.align == "auto" else IDENTITY).matrix
    errors = (measured.frame_error, measured.vertex_error)
    largest = (measured.frame_max, measured.vertex_max)
    taken_out = None if steady.is_identity else steady.transforms
    return Take(found, metrics, *errors, matrix, asdict(cfg), artifact.provenance(), *largest, taken_out)


STEADY = 0.2  # a share of what a solution leaves, below which the capture's own flicker does not explain it
PROBES = 8  # frames in which an approximation is compared with the rig
UNREAL = 0.1  # what remains of a noise that was the approximation's error, once that is known
CORRECTIONS = 3  # solves on an approximation that is mended by what the true rig showed of it; noise hides the rest


@dataclass(frozen=True, eq=False)
class _Task:
    """One shot, and all that is wanted of its curves."""

    rig: DifferentiableRig
    capture: MeshSequence
    cfg: InvertConfig
    limits: Limits
    coupling: Float[np.ndarray, "couplings controls"] | None

    def solve(self, start: np.ndarray | None, offset: np.ndarray | None, progress: Progress) -> Solution:
        return solve(
            self.rig,
            self.capture,
            self.cfg.solver,
            start=start,
            limits=self.limits,
            coupling=self.coupling,
            offset=offset,
            progress=progress,
        )

    def on(self, capture: MeshSequence, start: np.ndarray | None) -> Float[np.ndarray, "frames controls"]:
        """The controls of another capture."""
        return replace(self, capture=capture).solve(start, None, silent).controls

    def corrected(self, evaluate: Evaluate, solved: Solution, progress: Progress) -> Solution:
        """Solved again with what the approximation lacks at the solution added to it, frame by frame (Echeverría and
        Hemker 2005 call this manifold mapping): all priors keep their say, which steps of each frame's own would undo.
        """
        reduced = self.rig.reduce()
        for _ in range(min(self.cfg.refine, CORRECTIONS)):
            shown = attempt(evaluate, solved.controls)
            if shown.failure is not None:
                raise BunrakuError(f"the rig fails at the solved poses: {shown.failure}")
            offset = project(reduced, shown.value) - reduced.evaluate(solved.controls)
            before, solved = solved, self.solve(solved.controls, offset, progress)
            moved = np.abs(solved.controls - before.controls) / self.rig.spec.range
            if solved.smoothness is None or (moved.mean(axis=0) <= 0.1 * solved.smoothness.uncertainty).all():
                break
        return solved


def _is_the_models(
    solved: Solution, approximation: DifferentiableRig, capture: MeshSequence, evaluate: Evaluate
) -> bool:
    """Whether what a solution on an approximation leaves is the approximation's error, and none of the capture's: the
    capture hardly flickers, and the rig itself is as far from the approximation.
    """
    left = solved.noise.sigma
    if left < CLEAN * diagonal(approximation.neutral) or jitter(capture) > STEADY * left:
        return False
    frames = np.unique(np.linspace(0, capture.frames - 1, PROBES).round().astype(int))
    shown = attempt(evaluate, solved.controls[frames])
    if shown.failure is not None:
        return False
    off = np.abs(shown.value - approximation.evaluate(solved.controls[frames]))
    return 2 * NORMAL * float(np.median(off)) > left


def _wanted(
    rig: DifferentiableRig, capture: MeshSequence, cfg: InvertConfig, instructions: Instructions, progress: Progress
) -> tuple[Limits, Float[np.ndarray, "couplings controls"] | None]:
    """Instructions and preferences in the solver's terms."""
    own = limits(rig.spec, instructions, capture.frames, capture.start_frame)
    if instructions.switches:
        own = switched(rig, capture, instructions.switches, cfg.solver, own, progress=progress).limits(own)
    rows: list[np.ndarray] = []
    if cfg.symmetric > 0:
        pairs = instructions.symmetric
        rows.append(cfg.symmetric * (named_pairs(rig, list(pairs)) if pairs else mirrored_pairs(rig)))
    if cfg.cancelling > 0:
        rows.append(cfg.cancelling * cancelling_pairs(rig))
    found = np.concatenate(rows) if rows else np.zeros((0, len(rig.spec)))
    return own, found if len(found) else None


def _seen(solved: Solution | None, capture: MeshSequence) -> Metrics:
    """What the solver found the capture to be like."""
    if solved is None:
        return Metrics({}, {})
    values: dict[str, MetricValue] = {
        "noise": solved.noise.sigma,
        "flicker": solved.noise.flicker,
        "outliers": solved.noise.outliers,
        "cuts": [str(capture.start_frame + int(frame)) for frame in solved.cuts],
        "repeated_frames": [str(capture.start_frame + int(frame)) for frame in np.flatnonzero(solved.repeated)],
        "smoothed": solved.smoothness is not None,
    }
    return Metrics(values, {"noise": "rig unit", "flicker": "rig unit"})


def _trained(
    model: Approximation, capture: MeshSequence, cfg: InvertConfig, out: Path | None, progress: Progress
) -> Encoder:
    settings = EncoderConfig(seed=cfg.seed)
    if out is None:
        return train_encoder(model, capture, settings, progress=progress)
    weights = [] if capture.valid is None else [capture.valid]
    made_from = artifact.array_hash(capture.vertices, model.mean, *weights)
    output = artifact.open_output(out, "encoder", {**asdict(settings), "made_from": made_from}, seed=cfg.seed)
    if output.result is not None:
        return load_encoder(out)
    trained = train_encoder(model, capture, settings, out=out, progress=progress)
    save_encoder(out, trained, {"controls": len(model.spec), "frames": capture.frames})
    return trained


def remeasure(rig: Rig, capture: MeshSequence, take: Take, true_curves: Curves | None = None) -> Metrics:
    """A take's metrics computed again from its capture on a rig.

    What was spent, and which controls were observable, stays as recorded.
    """
    whole, columns = (rig.whole, rig.columns) if isinstance(rig, Restricted) else (rig, np.arange(len(rig.spec)))
    # Contiguous, as they were when first measured: sums then round alike.
    controls = np.ascontiguousarray(take.curves.ordered_as(whole.spec)[:, columns])
    seen_by = Observability(_recorded(rig, take, "unobservable"), _recorded(rig, take, "interchangeable"))
    true_controls = _true_controls(rig, true_curves)
    placed = moved(capture, take.transforms if take.stabilisation is not None else take.alignment)
    return take.metrics.merged(evaluate(rig, placed, controls, seen_by=seen_by, true_controls=true_controls).metrics)


def _true_controls(rig: Rig, true: Curves | None) -> Float[np.ndarray, "frames controls"] | None:
    """The true curves of what is solved for; those of other controls are not looked at."""
    known = [] if true is None else [column for column, name in enumerate(true.names) if name in rig.spec.names]
    if true is None or not known:
        return None
    names = [true.names[column] for column in known]
    return curves(names, true.values[:, known], true.fps, true.start_frame).ordered_as(rig.spec)


def _check(rig: Rig, capture: MeshSequence, approximation: DifferentiableRig | None) -> None:
    vertices = len(rig.neutral)
    if capture.vertex_count != vertices:
        raise BunrakuError(
            f"the capture has {capture.vertex_count} vertices, the rig {vertices}: they must correspond one to one"
        )
    if approximation is None:
        return
    if approximation.spec.names != rig.spec.names:
        other = sorted(set(approximation.spec.names) ^ set(rig.spec.names)) or list(rig.spec.names)
        raise BunrakuError(f"the model and the rig have different controls, among them: {', '.join(other[:8])}")
    if len(approximation.neutral) != vertices:
        raise BunrakuError(f"the model has {len(approximation.neutral)} vertices, the rig {vertices}")


def _check_followed(cfg: InvertConfig, instructions: Instructions | None) -> None:
    """Frame by frame there are bounds and nothing else."""
    wanted = [name for name in ("symmetric", "cancelling") if getattr(cfg, name) > 0]
    wanted += [name for name in ("switches", "symmetric") if instructions is not None and getattr(instructions, name)]
    if wanted:
        raise BunrakuError(f"--method follow: does not take {wanted[0]}; --method solve does")


def _solved_on(rig: Rig, counted: Counted, approximation: DifferentiableRig | None) -> DifferentiableRig:
    if approximation is not None:
        return approximation
    return rig if isinstance(rig, DifferentiableRig) else FiniteDifferences(counted, difference_step(counted))


def _stabilisation(on: DifferentiableRig, capture: MeshSequence, still: Still, cfg: InvertConfig) -> Stabilisation:
    if cfg.stabilise == "none":
        return unchanged(capture.frames, "none, as asked")
    how = StabiliseConfig("similarity" if cfg.stabilise == "similarity" else "rigid", cfg.per, seed=cfg.seed)
    if cfg.stabilise == "auto":
        return drift(on, capture, how, still=still)
    return stabilise(capture, on.neutral, still, how)


def _alignment(rig: DifferentiableRig, capture: MeshSequence, still: Still, progress: Progress) -> Alignment:
    progress("align", 0, 1)

    def solved_error(probes: MeshSequence) -> float:
        return float(solve(rig, probes, SolveConfig(iterations=20, rescues=0)).relative_rms.mean())

    found = align(capture, rig.neutral, solved_error, still.weights)
    progress("align", 1, 1, str(found))
    return found


def _recorded(rig: Rig, take: Take, kind: str) -> Bool[np.ndarray, "controls"]:
    names = take.metrics.values[kind]
    assert isinstance(names, list)
    return np.isin(rig.spec.names, names)
