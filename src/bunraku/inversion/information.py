"""How much a capture says about each control: the rig's Jacobian at given poses, and the variance that follows.

Everything is per range of a control, u = (control − neutral)/range, so that angles, lengths and morphs compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.errors import BunrakuError
from bunraku.core.reduced import MeshBasis, ReducedRig
from bunraku.core.rig import DifferentiableRig

BATCH_BYTES = 192 * 2**20  # of Jacobian held at once
STILL = 1e-9  # a control whose motion is below this share of the strongest's moves nothing
UNSEEN = 1e-11  # what remains of a control's squared motion, below which it is rounding (of single precision)
SPECTRUM = 1e-10  # eigenvalues of the scaled JᵀJ below this share of the largest are directions that no vertex shows
LEAK = 1e-4  # a control of which more than this share (squared) lies in such directions has no finite variance


@dataclass(frozen=True, eq=False)
class Tangent:
    """A rig's motion around some poses, a row per control, per range."""

    poses: slice
    """Which of the poses asked for these are."""
    jacobian: Float[np.ndarray, "poses controls coordinates"]
    """In the rig's coordinates (`core.reduced`), in its unit."""
    normal: Float[np.ndarray, "poses controls controls"]
    """JᵀWJ over the vertices that count, in the rig's unit squared. A control that only moves what does not count in a
    pose has a row of exact zeros."""


def tangents(
    rig: DifferentiableRig,
    controls: Float[np.ndarray, "poses controls"],
    weights: Float[np.ndarray, "#poses vertices"] | None = None,
) -> Iterator[Tangent]:
    """The Jacobian and its normal matrix at every pose, in parts of bounded memory."""
    reduced = rig.reduce()
    coordinates = 3 * len(rig.neutral) if reduced.basis is None else reduced.axes * len(reduced.basis)
    size = max(1, BATCH_BYTES // (16 * len(rig.spec) * coordinates))
    metric = _Metric(reduced, weights)
    for start in range(0, len(controls), size):
        poses = slice(start, min(start + size, len(controls)))
        _, rows = reduced.linearize(controls[poses])
        jacobian = rows.astype(np.float64) * rig.spec.range[:, None]
        normal = np.empty((len(jacobian), len(rig.spec), len(rig.spec)))
        for index, own in enumerate(jacobian):
            normal[index] = metric.normal(poses.start + index, own)
        yield Tangent(poses, jacobian, normal)


class _Metric:
    """JᵀWJ in coordinates: of B·W·Bᵀ only the last is kept, since neighbouring frames often count the same."""

    def __init__(self, reduced: ReducedRig, weights: Float[np.ndarray, "#poses vertices"] | None) -> None:
        self.reduced = reduced
        self.weights = None if weights is None or bool((weights == 1).all()) else weights
        self._of: np.ndarray | None = None
        self._gram = np.empty(0)

    def normal(
        self, pose: int, jacobian: Float[np.ndarray, "controls coordinates"]
    ) -> Float[np.ndarray, "controls controls"]:
        if self.weights is None:
            return jacobian @ jacobian.T
        row = self.weights[min(pose, len(self.weights) - 1)]
        found = self._weighed(row, jacobian) @ jacobian.T
        kept = np.diagonal(found) / np.maximum((jacobian**2).sum(axis=1), 1e-300)
        shown = kept > UNSEEN * max(float(kept.max()), 1e-300)
        return found * (shown[:, None] & shown)

    def _weighed(self, row: Float[np.ndarray, "vertices"], jacobian: np.ndarray) -> np.ndarray:
        basis = self.reduced.basis
        if basis is None:
            return jacobian * np.repeat(row, 3)
        if self._of is None or not np.array_equal(self._of, row):
            rows = np.repeat(row, 3) if self.reduced.axes == 1 else row
            self._of, self._gram = row, (basis * rows) @ basis.T
        return (jacobian.reshape(-1, len(basis)) @ self._gram).reshape(jacobian.shape)


def motion_at(
    reduced: MeshBasis, jacobian: Float[np.ndarray, "poses controls coordinates"], vertices: Int[np.ndarray, "chosen"]
) -> Float[np.ndarray, "poses controls chosen 3"]:
    """How given vertices move, of a Jacobian in coordinates."""
    poses, controls, _ = jacobian.shape
    if reduced.basis is None:
        return jacobian.reshape(poses, controls, -1, 3)[:, :, vertices]
    if reduced.axes == 1:
        columns = reduced.basis.reshape(len(reduced.basis), -1, 3)[:, vertices]
        return (jacobian @ columns.reshape(len(columns), -1)).reshape(poses, controls, -1, 3)
    split = jacobian.reshape(poses, controls, 3, -1) @ reduced.basis[:, vertices]
    return np.swapaxes(split, 2, 3)


def in_coordinates(
    reduced: MeshBasis, offsets: Float[np.ndarray, "poses vertices 3"]
) -> Float[np.ndarray, "poses coordinates"]:
    """B·Δ of offsets between meshes (no origin is taken off)."""
    if reduced.basis is None:
        return offsets.reshape(len(offsets), -1)
    if reduced.axes == 1:
        return offsets.reshape(len(offsets), -1) @ reduced.basis.T
    return (np.ascontiguousarray(np.swapaxes(offsets, 1, 2)) @ reduced.basis.T).reshape(len(offsets), -1)


def unit_diagonal(
    normal: Float[np.ndarray, "*poses controls controls"],
) -> tuple[Float[np.ndarray, "*poses controls controls"], Float[np.ndarray, "*poses controls"]]:
    """JᵀJ with every control scaled to move the mesh by 1, and how far each moved it (0 for those that do not).

    For a direction d of such controls, √(dᵀHd)/‖d‖ is what the mesh moves, as a share of what they would move alone.
    """
    length = np.sqrt(np.maximum(np.diagonal(normal, axis1=-2, axis2=-1), 0.0))
    length = np.where(length > STILL * length.max(axis=-1, keepdims=True), length, 0.0)
    inverse = np.where(length > 0, 1 / np.where(length > 0, length, 1.0), 0.0)
    return normal * inverse[..., :, None] * inverse[..., None, :], length


def deviation_of(
    normal: Float[np.ndarray, "*poses controls controls"], sigma: float
) -> Float[np.ndarray, "*poses controls"]:
    """σ·√diag((JᵀJ)⁺), as shares of the ranges; infinite for controls that reach into the null space."""
    unit, length = unit_diagonal(normal)
    values, vectors = np.linalg.eigh(unit)
    null = values <= SPECTRUM * values[..., -1:]
    inverse = np.where(null, 0.0, 1 / np.where(null, 1.0, values))
    squared = vectors**2
    variance = (squared @ inverse[..., None])[..., 0]
    free: Bool[np.ndarray, "*poses controls"] = (length == 0) | ((squared @ null[..., None])[..., 0] > LEAK)
    return np.where(free, np.inf, sigma * np.sqrt(variance) / np.where(length > 0, length, 1.0))


def control_deviation(
    rig: DifferentiableRig,
    controls: Float[np.ndarray, "frames controls"],
    sigma: float,
    weights: Float[np.ndarray, "rows vertices"] | None = None,
) -> Float[np.ndarray, "frames controls"]:
    """The least standard deviation that any unbiased estimate of each control can have, as a share of its range.

    The Cramér–Rao bound of a frame by itself (Rao 1945; Cramér 1946): σ·√diag((JᵀWJ)⁻¹) at the given poses, for
    independent normal noise of standard deviation `sigma` [the rig's unit] on every coordinate of every vertex. A
    weight w (one row of them, or one per frame) stands for a variance of sigma²/w: 0 is a missing vertex. Infinite
    where the frame does not determine the control; 0 for one whose bounds meet. Other bounds, priors and other frames,
    which all add knowledge, are not in it.

    Raises:
        BunrakuError: a sigma that is negative or not finite; weights or controls of another shape, or negative.
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise BunrakuError(f"sigma {sigma:g}: expected a finite length ≥ 0, in the rig's unit")
    if controls.shape[1] != len(rig.spec):
        raise BunrakuError(f"controls have {controls.shape[1]} columns; the rig has {len(rig.spec)} controls")
    _check_weights(weights, len(controls), len(rig.neutral))
    out = np.empty(controls.shape)
    free = rig.spec.lower < rig.spec.upper
    for tangent in tangents(rig, controls, weights):
        out[tangent.poses] = deviation_of(tangent.normal * (free[:, None] & free), sigma)
    return np.where(free, out, 0.0)


def _check_weights(weights: np.ndarray | None, frames: int, vertices: int) -> None:
    if weights is None:
        return
    if weights.shape not in {(frames, vertices), (1, vertices)}:
        expected = f"({frames}, {vertices}) or (1, {vertices})"
        raise BunrakuError(f"weights have shape {weights.shape}; expected {expected}, (frames, vertices)")
    if not np.isfinite(weights).all() or bool((weights < 0).any()):
        raise BunrakuError("weights must be finite and none negative")
