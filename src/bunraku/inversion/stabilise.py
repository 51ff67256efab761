"""A head that moves as a whole, taken out of a capture before a rig that cannot move as a whole is solved on it.

The capture must be in the rig's axes and unit already (`align`). What is taken out is kept, so that results can be put
back to where they were captured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import DifferentiableRig, Rig, diagonal
from bunraku.core.rotations import rotvec_from_quat
from bunraku.core.transforms import apply, compose, invert_affine
from bunraku.inversion.align import moved
from bunraku.inversion.procrustes import Mode, Motions, Per, motions
from bunraku.inversion.separate import Separation, separate
from bunraku.inversion.steadying import bridged, places, smoothed
from bunraku.inversion.still import Still, displacement, stable_vertices

BETTER = 10.0  # by which factor, in squared displacement, a drift must stand out of its error and of what a rig feigns
SIZE = 0.02  # a scale further than this from 1 is said
ROUNDS = 4  # at most so many solves follow one another with the drift told again in between
LEAST = 2e-3  # of the diagonal: below this, a motion that only shows beside the controls may be the rig's own error
TINY = 1e-9  # of the diagonal: a motion below this is none


@dataclass(frozen=True)
class StabiliseConfig:
    """How the motion of a whole head is taken out."""

    mode: Mode = "rigid"
    """rigid: turned and shifted; similarity: scaled uniformly too."""
    per: Per = "frame"
    """frame: a motion for each frame; shot: one for all."""
    share: float = 0.01
    """Vertices that controls move by less than this share of the diagonal stand still."""
    seed: int = 0
    """Of the poses that typical motion is told from."""


@dataclass(frozen=True, eq=False)
class Stabilisation:
    """What is taken out of a capture."""

    transforms: Float[np.ndarray, "frames 3 4"]
    """From the (aligned) capture to the rig at each frame: y = A·x + b as [A | b], A a rotation times a scale."""
    held: Bool[np.ndarray, "frames"]
    """Too little was seen in these frames: interpolated between neighbours, or held at the ends."""
    standard_error: Float[np.ndarray, "frames"]
    """What the transform's error moves the mesh by (root mean square, rig unit), for independent noise; 0 if given."""
    rotation_error_rad: Float[np.ndarray, "frames"]
    """Standard error of the rotation about its least known axis."""
    outliers: float
    """Share of the vertices looked at that counted for nearly nothing."""
    said: str
    """One line for people."""

    @property
    def is_identity(self) -> bool:
        """Nothing changes."""
        return bool((self.transforms == np.eye(3, 4)).all())

    def apply(self, capture: MeshSequence) -> MeshSequence:
        """The capture without the motion; what is missing stays missing.

        Raises:
            BunrakuError: a capture of another number of frames.
        """
        if capture.frames != len(self.transforms):
            raise BunrakuError(f"the capture has {capture.frames} frames; {len(self.transforms)} were stabilised")
        return capture if self.is_identity else moved(capture, self.transforms)

    def restore(self, meshes: Float[np.ndarray, "frames vertices 3"]) -> Float[np.ndarray, "frames vertices 3"]:
        """Meshes of the rig, such as those of solved controls, back where the (aligned) capture was."""
        return restore(meshes, self.transforms)

    def __str__(self) -> str:
        return self.said


def restore(
    meshes: Float[np.ndarray, "frames vertices 3"], transforms: Float[np.ndarray, "transforms 3 4"]
) -> Float[np.ndarray, "frames vertices 3"]:
    """Meshes in the rig's space put back into the space that `transforms` (capture to rig) lead from.

    Raises:
        BunrakuError: another number of frames.
    """
    if len(meshes) != len(transforms):
        raise BunrakuError(f"{len(meshes)} frames of meshes; there are transforms for {len(transforms)}")
    return apply(invert_affine(transforms), meshes)


def unchanged(frames: int, said: str) -> Stabilisation:
    """Nothing taken out, and why."""
    still = np.tile(np.eye(3, 4), (frames, 1, 1))
    zeros = np.zeros(frames)
    return Stabilisation(still, np.zeros(frames, bool), zeros, zeros, 0.0, said)


def stabilise(
    capture: MeshSequence, neutral: Float[np.ndarray, "vertices 3"], vertices: Still, cfg: StabiliseConfig | None = None
) -> Stabilisation:
    """The motion of given vertices against the rig's neutral, to be taken out whatever it is.

    Raises:
        BunrakuError: vertices of another number, none to go by, or in no frame three of them that are seen.
    """
    cfg = cfg or StabiliseConfig()
    found = _motions(capture, neutral, vertices, cfg)
    return _taken_out(found, neutral, vertices, cfg)


def drift(
    rig: Rig, capture: MeshSequence, cfg: StabiliseConfig | None = None, *, still: Still | None = None
) -> Stabilisation:
    """The same only where the capture asks for it: the motion is ten times (squared) what its own error, and what the
    rig's controls feign on these vertices, would show. Otherwise nothing, and why.

    `still` is `stable_vertices(rig)` where known.

    Raises:
        BunrakuError: a capture of another number of vertices than the rig's.
    """
    cfg = cfg or StabiliseConfig()
    still = stable_vertices(rig, cfg.share, seed=cfg.seed) if still is None else still
    _check(capture, rig.neutral, still)
    if still.kind == "none":
        return unchanged(capture.frames, f"none: {still}")
    seen = _counted(capture, still)
    if not seen.any():
        return unchanged(capture.frames, "none: too little is seen of what stands still on this rig")
    found = _motions(capture, rig.neutral, still, cfg)
    moved = displacement(found, rig.neutral)[found.known]
    error = found.standard_error(rig.neutral)[found.known]
    present = np.sqrt((moved**2).mean())
    expected = np.sqrt(still.feigned**2 + (error**2).mean() + (TINY * diagonal(rig.neutral)) ** 2)
    if present**2 <= BETTER * expected**2:
        told = f"{present:.3g} where {expected:.3g} could be feigned"
        return unchanged(capture.frames, f"none: the whole moves by no more than can be told ({told})")
    return _taken_out(found, rig.neutral, still, cfg, _size(capture, rig, still, cfg))


def known(
    transforms: Float[np.ndarray, "frames 3 4"], neutral: Float[np.ndarray, "vertices 3"], *, name: str = "transforms"
) -> Stabilisation:
    """A user's own transform of every frame, from the (aligned) capture to the rig's space.

    Raises:
        BunrakuError: not finite, or not a rotation with a uniform scale; the message names the frame.
    """
    if not np.isfinite(transforms).all():
        raise BunrakuError(f"{name}: frame {int(np.argwhere(~np.isfinite(transforms))[0][0])} is not finite")
    linear = transforms[:, :, :3]
    gram = np.swapaxes(linear, 1, 2) @ linear
    size = np.trace(gram, axis1=1, axis2=2) / 3
    off = np.abs(gram - size[:, None, None] * np.eye(3)).max(axis=(1, 2)) > 1e-4 * size
    wrong = np.flatnonzero(off | (np.linalg.det(linear) <= 0))
    if len(wrong):
        raise BunrakuError(f"{name}: frame {wrong[0]} is not a rotation with a uniform scale (and no reflection)")
    zeros = np.zeros(len(transforms))
    said = _told(transforms, neutral, "taken out per frame, as given")
    return Stabilisation(transforms.astype(np.float64), np.zeros(len(zeros), bool), zeros, zeros, 0.0, said)


def settled(
    on: DifferentiableRig,
    aligned: MeshSequence,
    first: Stabilisation,
    still: Still,
    solve: Callable[[MeshSequence, Float[np.ndarray, "frames controls"] | None], Float[np.ndarray, "frames controls"]],
    *,
    progress: Progress = silent,
) -> tuple[Float[np.ndarray, "frames controls"], Stabilisation]:
    """Controls and drift that belong together: solved, the drift told again beside the controls' own motion, solved.

    Where no vertex stands still by itself, `first` has a part of the rig's own motion in it; a Gauss–Newton step in
    the rigid motions that allows for every change of the controls (`separate`) puts that right. Ends when the steps
    no longer matter. `solve` is given the stabilised capture and the controls so far. For motions per frame: one for
    the whole shot needs a `solve` and nothing more.
    """
    controls = solve(first.apply(aligned), None)
    if still.kind not in ("still", "calm"):
        return controls, first
    out = first
    for round_ in range(ROUNDS):
        progress("stabilise", round_, ROUNDS, out.said)
        step = separate(on, out.apply(aligned), controls)
        if not step.matters or (out is first and first.is_identity and not _worth_it(step, on)):
            break
        transforms = bridged(compose(step.transforms, out.transforms), out.held, on.neutral.mean(axis=0))
        out = replace(
            out,
            transforms=transforms,
            standard_error=step.standard_error,
            rotation_error_rad=step.rotation_error_rad,
            said=_told(transforms, on.neutral, "taken out per frame, beside the controls"),
        )
        controls = solve(out.apply(aligned), controls)
    if out is not first:
        steady = _smoothed(out, on.neutral)
        controls = controls if steady is out else solve(steady.apply(aligned), controls)
        out = steady
    progress("stabilise", ROUNDS, ROUNDS, out.said)
    return controls, out


def _worth_it(step: Separation, on: Rig) -> bool:
    """More than noise, and more than a rig that is not quite the captured one (or its approximation) would show."""
    return step.significant and float(np.sqrt((step.moved**2).mean())) > LEAST * diagonal(on.neutral)


def _smoothed(out: Stabilisation, neutral: Float[np.ndarray, "vertices 3"]) -> Stabilisation:
    transforms, left = smoothed(out.transforms, out.standard_error, out.held, neutral)
    error, angle = np.sqrt(left) * out.standard_error, np.sqrt(left) * out.rotation_error_rad
    there = ~out.held
    typical = np.sqrt((error[there] ** 2).mean())
    degrees = np.rad2deg(np.sqrt((angle[there] ** 2).mean()))
    said = f"{out.said}{', smoothed' if left < 1 else ''} (standard error {typical:.2g} and {degrees:.2g}°)"
    held = int(out.held.sum())
    said += f"; {held} frames that show too little interpolated" if held else ""
    return replace(out, transforms=transforms, standard_error=error, rotation_error_rad=angle, said=said)


def _told(transforms: Float[np.ndarray, "frames 3 4"], neutral: Float[np.ndarray, "vertices 3"], how: str) -> str:
    return f"the head drifts by up to {_travel(transforms, neutral)}: {how}"


def _check(capture: MeshSequence, neutral: Float[np.ndarray, "rig_vertices 3"], vertices: Still) -> None:
    if not capture.vertex_count == len(neutral) == len(vertices.weights):
        counts = f"{capture.vertex_count} vertices, the rig {len(neutral)}, the weights {len(vertices.weights)}"
        raise BunrakuError(f"the capture has {counts}: they must correspond one to one")


def _counted(capture: MeshSequence, still: Still) -> Bool[np.ndarray, "frames"]:
    """Frames in which three or more of the vertices are seen."""
    used = still.weights > 0 if capture.weights is None else (still.weights > 0) & (capture.weights > 0)
    if capture.valid is None:
        return np.full(capture.frames, int(used.sum()) >= 3)
    return capture.valid[:, used].sum(axis=1) >= 3


def _motions(
    capture: MeshSequence, neutral: Float[np.ndarray, "vertices 3"], vertices: Still, cfg: StabiliseConfig
) -> Motions:
    _check(capture, neutral, vertices)
    if cfg.mode not in ("rigid", "similarity") or cfg.per not in ("frame", "shot"):
        raise BunrakuError(f"stabilise {cfg.mode} per {cfg.per}: expected rigid or similarity, per frame or shot")
    if vertices.kind == "none":
        raise BunrakuError(f"cannot stabilise: {vertices}")
    found = motions(neutral, capture, vertices.weights, cfg.mode, cfg.per)
    if not found.known.any():
        raise BunrakuError(f"cannot stabilise: in no frame are three of {vertices} seen that are not on one line")
    return found


def _taken_out(
    found: Motions, neutral: Float[np.ndarray, "vertices 3"], vertices: Still, cfg: StabiliseConfig, addition: str = ""
) -> Stabilisation:
    transforms = bridged(found.transforms, ~found.known, neutral.mean(axis=0))
    # What the controls feign is no noise that neighbours average out.
    error = np.where(found.known, np.hypot(found.standard_error(neutral), vertices.feigned), 0.0)
    said = _told(transforms, neutral, f"taken out per {cfg.per}, from {vertices}")
    out = Stabilisation(transforms, ~found.known, error, found.rotation_error_rad(), found.outliers, said)
    if cfg.per == "frame" and vertices.kind != "calm":
        out = _smoothed(out, neutral)
    return replace(out, said=out.said + addition)


def _size(capture: MeshSequence, rig: Rig, still: Still, cfg: StabiliseConfig) -> str:
    """Says so where the capture is of another size, which a rigid motion leaves."""
    if cfg.mode == "similarity":
        return ""
    scales = motions(rig.neutral, capture, still.weights, "similarity", "shot").scale
    larger = float(scales[0]) - 1
    # A head in motion averages to a smaller one when all frames share a motion: that is not its size.
    each = motions(rig.neutral, capture, still.weights, "similarity", "frame")
    larger = float(np.median(each.scale[each.known])) - 1 if cfg.per == "frame" else larger
    if still.kind == "calm" or abs(larger) < SIZE:
        return ""
    return f"; its size is {100 * (1 + larger):.0f} % of the rig's, which mode similarity would mend"


def _travel(transforms: Float[np.ndarray, "frames 3 4"], neutral: Float[np.ndarray, "vertices 3"]) -> str:
    """The farthest that the middle of the mesh is from the rig's, and the largest turn."""
    middle = neutral.mean(axis=0)
    own = places(transforms, middle)
    shift = np.linalg.norm(own.middle - middle, axis=1).max()
    angle = np.linalg.norm(rotvec_from_quat(own.quat), axis=1).max()
    return f"{shift:.3g} and {np.rad2deg(angle):.2g}°"
