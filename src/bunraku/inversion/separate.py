"""A rigid motion of the whole told apart from a rig's own, at solved controls.

No vertex of a face need stand still for its head's motion to be known: it is enough that no change of the controls
looks like it. At solved controls the residual r of a frame is explained by rigid modes M and by the rig's motion J
together,

    min ‖W^½(r + M·δ − J·γ)‖²,   δ = −S⁻¹(MᵀWr − MᵀWJ·(JᵀWJ)⁻¹·JᵀWr),   S = MᵀWM − MᵀWJ·(JᵀWJ)⁻¹·JᵀWM

(variable projection: Golub and Pereyra 1973). δ moves the capture, and S/σ² is the inverse of its covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.rig import DifferentiableRig, diagonal
from bunraku.core.rotations import matrix_from_rotvec
from bunraku.inversion.information import tangents
from bunraku.inversion.procrustes import MAXWELL_MEDIAN
from bunraku.inversion.still import APART, imitated, rigid_modes

REJECTED = 6.0  # a vertex further off than so many standard deviations per coordinate does not count
AT_BOUND = 1e-6  # of the range
SIGNIFICANT = 10.0  # mean squared step in its standard errors, above which the step is no noise
STEP = 0.1  # a step of less than this share of its standard error changes nothing any more
NOTHING = 1e-7  # of the diagonal: less than this is not worth another solve


@dataclass(frozen=True, eq=False)
class Separation:
    """A further motion of each frame."""

    transforms: Float[np.ndarray, "frames 3 4"]
    """Of the capture as it was given, to where it fits better; rotations and shifts."""
    moved: Float[np.ndarray, "frames"]
    """What they move the mesh by, root mean square, in the rig's unit."""
    chi_squared: Float[np.ndarray, "frames"]
    """δᵀSδ/(6σ²): about 1 where there is nothing but noise."""
    standard_error: Float[np.ndarray, "frames"]
    """Root mean square displacement of the mesh by the error of the motion, for independent noise, in its unit."""
    rotation_error_rad: Float[np.ndarray, "frames"]
    """Standard error of the rotation about its least known axis."""
    matters: bool
    """Whether to take them out and solve again."""
    significant: bool
    """Whether they are more than noise."""


def separate(
    on: DifferentiableRig, capture: MeshSequence, controls: Float[np.ndarray, "frames controls"]
) -> Separation:
    """One Gauss–Newton step in the six rigid motions of each frame that allows for every change of the free controls.

    Controls at a bound are held there, as the solver holds them. Vertices are left out as outliers by their distance.
    Frames that cannot tell the two apart stay as they are.
    """
    frames, spec = capture.frames, on.spec
    weights = _weights(on, capture, controls)
    inside = np.minimum(controls - spec.lower, spec.upper - controls) > AT_BOUND * spec.range
    free = inside & ~spec.driven
    out = np.zeros((frames, 6))
    chi, error, turn = np.zeros(frames), np.zeros(frames), np.zeros(frames)
    centre = np.zeros((frames, 3))
    reduced = on.reduce()
    for tangent in tangents(on, controls, None if bool((weights == 1).all()) else weights):
        rows = np.arange(frames)[tangent.poses]
        meshes = np.asarray(on.evaluate(controls[rows]), np.float64)
        centre[rows] = meshes.mean(axis=1)
        for index, frame in enumerate(rows):
            modes = rigid_modes(meshes[index : index + 1])[0]
            residual = np.where(weights[frame][:, None] > 0, capture.vertices[frame] - meshes[index], 0.0)
            fields = np.concatenate([modes, residual[None]]) * np.sqrt(weights[frame])[:, None]
            whole = np.einsum("avx,bvx->ab", fields, fields)
            # The metric of the tangent is W itself: fields go in with all of their weight.
            weighed = np.concatenate([modes, residual[None]]) * weights[frame][:, None]
            taken, _ = imitated(reduced, tangent.jacobian[index], tangent.normal[index], weighed, free[frame])
            counted = 3 * int((weights[frame] > 0).sum()) - int(free[frame].sum()) - 6
            found = _step(whole, whole - taken, counted, len(modes[0]))
            out[frame], chi[frame], error[frame], turn[frame] = found
    return _separation(out, chi, error, turn, centre, diagonal(on.neutral), on)


def _step(whole: np.ndarray, left: np.ndarray, freedom: int, count: int) -> tuple[np.ndarray, float, float, float]:
    """δ, χ²/6, and the standard errors as displacement and as angle, from the moments before and after projection."""
    schur = (left[:6, :6] + left[:6, :6].T) / 2
    root = np.sqrt(np.maximum(np.diagonal(whole)[:6], 1e-300))
    if freedom < 6 or np.linalg.eigvalsh(schur / root[:, None] / root)[0] < APART / 10:
        return np.zeros(6), 0.0, 0.0, 0.0
    inverse = np.linalg.inv(schur / root[:, None] / root) / root[:, None] / root
    delta = -inverse @ left[:6, 6]
    gained = float(delta @ schur @ delta)
    variance = max(float(left[6, 6]) - gained, 0.0) / freedom
    # E of the mean squared displacement: tr(Cov·MᵀM)/V, and for the angle the largest of the rotation's own block.
    moves = float((inverse * whole[:6, :6]).sum()) / count
    angle = float(np.linalg.eigvalsh(inverse[3:, 3:])[-1])
    floor = max(variance, 1e-30 * float(whole[6, 6]))
    return delta, gained / (6 * max(floor, 1e-300)), float(np.sqrt(variance * moves)), float(np.sqrt(variance * angle))


def _separation(
    delta: np.ndarray,
    chi: np.ndarray,
    error: np.ndarray,
    turn: np.ndarray,
    centre: np.ndarray,
    size: float,
    on: DifferentiableRig,
) -> Separation:
    rotation = matrix_from_rotvec(delta[:, 3:])
    shift = centre + delta[:, :3] - (rotation @ centre[..., None])[..., 0]
    away = on.neutral - on.neutral.mean(axis=0)
    inertia = (away**2).sum() / len(away) * np.eye(3) - away.T @ away / len(away)
    turned = np.einsum("fi,ij,fj->f", delta[:, 3:], inertia, delta[:, 3:])
    moved = np.sqrt((delta[:, :3] ** 2).sum(axis=1) + np.maximum(turned, 0.0))
    present, noise = float(np.sqrt((moved**2).mean())), float(np.sqrt((error**2).mean()))
    matters = present > NOTHING * size and (present > STEP * noise) and float(chi.mean()) > STEP**2
    transforms = np.concatenate([rotation, shift[..., None]], axis=2)
    return Separation(transforms, moved, chi, error, turn, matters, float(chi.mean()) > SIGNIFICANT)


def _weights(
    on: DifferentiableRig, capture: MeshSequence, controls: Float[np.ndarray, "frames controls"]
) -> Float[np.ndarray, "frames vertices"]:
    """What counts of the capture, outliers left out; at most 1 (a factor on all weights changes no step)."""
    out = np.ones((capture.frames, capture.vertex_count))
    if capture.weights is not None:
        out *= capture.weights / capture.weights.max()
    if capture.valid is not None:
        out *= capture.valid
    for start in range(0, capture.frames, 16):
        part = slice(start, start + 16)
        away = np.linalg.norm(on.evaluate(controls[part]) - capture.vertices[part], axis=2)
        shown = np.where(out[part] > 0, away, np.nan)
        nothing = np.isnan(shown).all(axis=1)
        shown[nothing] = 0.0
        sigma = np.nanmedian(shown, axis=1, keepdims=True) / MAXWELL_MEDIAN
        out[part] *= away <= REJECTED * np.maximum(sigma, 1e-9 * diagonal(on.neutral))
    return out
