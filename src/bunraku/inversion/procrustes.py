"""Best-fitting rigid motions and similarities of corresponding points, robustly, for all frames of a shot at once.

Points n of a rest pose are seen as x = s·R·n + t plus noise, so the noisy side is fitted to the clean one: the other
way round noise would shrink the scale. Closed form by the singular value decomposition of the covariance, reflections
excluded (Umeyama 1991); outliers lose their weight in iterations (Huber 1964, then Tukey's biweight).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.mesh_sequence import MeshSequence

Mode = Literal["rigid", "similarity"]
Per = Literal["frame", "shot"]

BATCH_BYTES = 64 * 2**20  # of positions held at once
FEWEST = 3  # points that determine a motion
LINE = 1e-3  # points whose second extent is below this share of their first lie on a line
MAXWELL_MEDIAN = 1.5382  # the median distance of a 3-D normal error of unit standard deviation per coordinate
HUBER, TUKEY = 2.5, 6.0  # in standard deviations per coordinate: full weight up to, no weight beyond
HUBER_STEPS, STEPS = 4, 14
SETTLED = 1e-10  # a change of the motions, as a share of the points' extent, below which they stay
LOOKED_AT = 999  # points that the noise of a frame is told from


@dataclass(frozen=True, eq=False)
class Motions:
    """x = s·R·n + t for each frame, and how well it is known. Of frames not `known` the motion is the identity."""

    rotation: Float[np.ndarray, "frames 3 3"]
    scale: Float[np.ndarray, "frames"]
    translation: Float[np.ndarray, "frames 3"]
    known: Bool[np.ndarray, "frames"]
    """Three counting points or more are seen there, not on one line."""
    sigma: Float[np.ndarray, "frames"]
    """Standard deviation of every coordinate of a point of weight 1, in the unit of the rest pose."""
    weight: Float[np.ndarray, "frames"]
    """Σ of the weights in the end."""
    centre: Float[np.ndarray, "frames 3"]
    """Weighted mean of the rest points that were seen."""
    spread: Float[np.ndarray, "frames 3 3"]
    """Σ w (n − centre)(n − centre)ᵀ."""
    outliers: float
    """Share of the seen points that count for nearly nothing in the end."""

    @property
    def transforms(self) -> Float[np.ndarray, "frames 3 4"]:
        """From the capture to the rest pose: n = A·x + b as [A | b]."""
        linear = np.swapaxes(self.rotation, 1, 2) / self.scale[:, None, None]
        return np.concatenate([linear, -(linear @ self.translation[..., None])], axis=2)

    def rotation_error_rad(self) -> Float[np.ndarray, "frames"]:
        """Standard error of the rotation about its least known axis [rad]."""
        return np.sqrt(np.linalg.eigvalsh(self._rotation_covariance())[:, -1])

    def standard_error(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "frames"]:
        """Root mean square over given rest points of what the motion's error moves them, in their unit.

        With errors δt at the centre and a rotation vector δr: E‖δt + δr × q‖² = 3σ²/W + tr(Cov(δr)·(‖q‖²I − q·qᵀ)).
        """
        away = points - self.centre[:, None].mean(axis=0)
        inertia = (away**2).sum() / len(points) * np.eye(3) - away.T @ away / len(points)
        squared = 3 * self.sigma**2 / np.maximum(self.weight, 1e-300)
        return np.sqrt(squared + (self._rotation_covariance() * inertia).sum(axis=(1, 2)))

    def _rotation_covariance(self) -> Float[np.ndarray, "frames 3 3"]:
        """σ²·(Σ w (‖p‖²I − p·pᵀ))⁻¹; 0 of frames that are not known."""
        inertia = np.trace(self.spread, axis1=1, axis2=2)[:, None, None] * np.eye(3) - self.spread
        safe = np.where(self.known[:, None, None], inertia, np.eye(3))
        return np.where(self.known, self.sigma**2, 0.0)[:, None, None] * np.linalg.inv(safe)


def motions(
    rest: Float[np.ndarray, "points 3"],
    capture: MeshSequence,
    weights: Float[np.ndarray, "points"],
    mode: Mode = "rigid",
    per: Per = "frame",
    *,
    robust: bool = True,
) -> Motions:
    """How a rest pose moves in a capture, one motion for each frame, or one for all of them.

    `weights` say how far each point is trusted to stand still (the inverse of a variance, in any unit; 0: not at all);
    what the capture says of its vertices (weights, valid) is respected besides. Time grows linearly with the frames.
    """
    columns = np.flatnonzero(weights > 0)
    # Variances differ by vertex, and errors are judged in the unit of the best.
    trust = weights[columns] / max(float(weights.max(initial=0.0)), 1e-300)
    if capture.weights is not None:
        trust = trust * capture.weights[columns] / max(float(capture.weights[columns].max(initial=0.0)), 1e-300)
    seen = _Seen(rest[columns], capture, columns, trust)
    count = np.ones((capture.frames, len(columns)), np.float32)
    found = _fitted(seen, count, mode, per)
    for step in range(STEPS if robust else 0):
        count = _counts(seen, found, per, HUBER if step < HUBER_STEPS else -TUKEY)
        before, found = found, _fitted(seen, count, mode, per)
        if step != HUBER_STEPS - 1 and _change(before, found) < SETTLED * seen.extent:
            break
    return _judged(seen, found, count, per)


@dataclass(frozen=True, eq=False)
class _Seen:
    rest: Float[np.ndarray, "chosen 3"]
    capture: MeshSequence
    columns: np.ndarray
    trust: Float[np.ndarray, "chosen"]

    @property
    def extent(self) -> float:
        return float(np.linalg.norm(np.ptp(self.rest, axis=0))) if len(self.rest) else 0.0

    def batches(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Frames, their positions (float64) and which of them are seen."""
        size = max(1, BATCH_BYTES // (24 * max(1, len(self.columns))))
        for start in range(0, self.capture.frames, size):
            part = slice(start, min(start + size, self.capture.frames))
            positions = np.asarray(self.capture.vertices[part][:, self.columns], np.float64)
            valid = np.ones(positions.shape[:2], bool)
            if self.capture.valid is not None:
                valid = self.capture.valid[part][:, self.columns]
            yield part, positions, valid


def _fitted(seen: _Seen, count: Float[np.ndarray, "frames chosen"], mode: Mode, per: Per) -> Motions:
    frames = seen.capture.frames
    weight, points = np.zeros(frames), np.zeros(frames, np.int64)
    mean_rest, mean_seen = np.zeros((frames, 3)), np.zeros((frames, 3))
    cross, spread = np.zeros((frames, 3, 3)), np.zeros((frames, 3, 3))
    middle = seen.trust @ seen.rest / max(float(seen.trust.sum()), 1e-300)
    rest = seen.rest - middle
    squares = (rest[:, :, None] * rest[:, None, :]).reshape(-1, 9)
    for part, positions, valid in seen.batches():
        w = count[part] * valid * seen.trust
        total = w.sum(axis=1)
        safe = np.maximum(total, 1e-300)
        weight[part], points[part] = total, (w > 0).sum(axis=1)
        mean_rest[part] = w @ rest / safe[:, None]
        mean_seen[part] = (w[:, None] @ positions)[:, 0] / safe[:, None]
        away = (positions - mean_seen[part][:, None]) * w[..., None]
        cross[part] = np.swapaxes(away, 1, 2) @ rest
        off = mean_rest[part]
        spread[part] = (w @ squares).reshape(-1, 3, 3) - total[:, None, None] * off[:, :, None] * off[:, None, :]
    if per == "shot":
        # The frames' moments about the means of all: Σ w (x − x̄)(n − n̄)ᵀ splits into within and between frames.
        total = max(float(weight.sum()), 1e-300)
        of_rest, of_seen = mean_rest - weight @ mean_rest / total, mean_seen - weight @ mean_seen / total
        cross = (cross + weight[:, None, None] * of_seen[:, :, None] * of_rest[:, None, :]).sum(axis=0, keepdims=True)
        spread = (spread + weight[:, None, None] * of_rest[:, :, None] * of_rest[:, None, :]).sum(axis=0, keepdims=True)
        mean_rest, mean_seen = (weight @ mean_rest / total)[None], (weight @ mean_seen / total)[None]
        weight, points = weight.sum(keepdims=True), points.max(keepdims=True)
    extent = np.linalg.eigvalsh(spread)
    known = (points >= FEWEST) & (extent[:, 1] > LINE**2 * np.maximum(extent[:, 2], 1e-300))
    return _solved(cross, spread, mean_rest, mean_seen, middle, weight, known, mode, frames)


def _solved(
    cross: np.ndarray,
    spread: np.ndarray,
    mean_rest: np.ndarray,
    mean_seen: np.ndarray,
    middle: np.ndarray,
    weight: np.ndarray,
    known: np.ndarray,
    mode: Mode,
    frames: int,
) -> Motions:
    # Umeyama 1991, eq. 40–42: C = U·D·Vᵀ, R = U·diag(1, 1, det)·Vᵀ, s = tr(D·diag)/tr(spread)
    left, values, right = np.linalg.svd(cross)
    proper = np.ones((len(cross), 3))
    proper[:, 2] = np.sign(np.linalg.det(left @ right))
    rotation = np.where(known[:, None, None], (left * proper[:, None]) @ right, np.eye(3))
    scale = np.ones(len(cross))
    if mode == "similarity":
        total = np.trace(spread, axis1=1, axis2=2)
        scale = np.where(known, (values * proper).sum(axis=1) / np.where(total > 0, total, 1.0), 1.0)
        scale = np.where(scale > 0, scale, 1.0)
    centre = mean_rest + middle
    translation = mean_seen - scale[:, None] * (rotation @ centre[..., None])[..., 0]
    translation = np.where(known[:, None], translation, 0.0)

    def each(array: np.ndarray) -> np.ndarray:
        return np.broadcast_to(array, (frames, *array.shape[1:])).copy()

    return Motions(
        rotation=each(rotation),
        scale=each(scale),
        translation=each(translation),
        known=each(known),
        sigma=np.zeros(frames),
        weight=each(weight),
        centre=each(centre),
        spread=each(spread),
        outliers=0.0,
    )


def _errors(seen: _Seen, found: Motions) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Distances in the rest pose's unit, divided by what each vertex's trust allows; 0 where not seen."""
    root = np.sqrt(seen.trust)
    for part, positions, valid in seen.batches():
        turned = seen.rest @ np.swapaxes(found.rotation[part] * found.scale[part, None, None], 1, 2)
        distance = np.linalg.norm(positions - turned - found.translation[part][:, None], axis=2)
        yield part, np.where(valid, distance * root, 0.0) / found.scale[part][:, None], valid


def _counts(seen: _Seen, found: Motions, per: Per, limit: float) -> Float[np.ndarray, "frames chosen"]:
    """What robustness leaves of each weight: Huber's (limit > 0) or the biweight's (limit < 0)."""
    everywhere = 0.0
    if per == "shot":
        typical = np.concatenate([_typical(error, valid) for _, error, valid in _errors(seen, found)])
        everywhere = float(np.median(typical))
    out = np.empty((seen.capture.frames, len(seen.columns)), np.float32)
    for part, error, valid in _errors(seen, found):
        sigma = np.full(len(error), everywhere) if per == "shot" else _typical(error, valid)
        relative = error / np.maximum(sigma, 1e-12 * max(seen.extent, 1e-300))[:, None]
        if limit > 0:
            out[part] = np.minimum(1.0, limit / np.maximum(relative, 1e-300))
        else:
            out[part] = np.maximum(0.0, 1 - (relative / limit) ** 2) ** 2
    return out


def _typical(error: np.ndarray, valid: np.ndarray) -> Float[np.ndarray, "frames"]:
    """The noise per coordinate of each frame, from the median distance of what is seen (of some of it, where much)."""
    some = np.unique(np.linspace(0, error.shape[1] - 1, min(LOOKED_AT, error.shape[1])).round().astype(int))
    ordered = np.sort(np.where(valid[:, some], error[:, some], np.inf), axis=1)
    middle = np.maximum(valid[:, some].sum(axis=1) - 1, 0) // 2
    median = ordered[np.arange(len(ordered)), middle]
    return np.where(np.isfinite(median), median, 0.0) / MAXWELL_MEDIAN


def _change(before: Motions, after: Motions) -> float:
    extent = np.linalg.norm(np.sqrt(np.trace(after.spread, axis1=1, axis2=2) / np.maximum(after.weight, 1e-300)))
    turned = np.abs(after.rotation - before.rotation).max() * extent
    at_centre = [m.scale[:, None] * (m.rotation @ after.centre[..., None])[..., 0] for m in (before, after)]
    shifted = np.abs(at_centre[1] + after.translation - at_centre[0] - before.translation).max()
    return float(max(turned, shifted))


def _judged(seen: _Seen, found: Motions, count: Float[np.ndarray, "frames chosen"], per: Per) -> Motions:
    """The same with the noise that is left: σ² = Σ w e² / (3·Σ w − parameters), w as robustness left them."""
    squared, counted, left_out, there = np.zeros(seen.capture.frames), np.zeros(seen.capture.frames), 0, 0
    for part, error, valid in _errors(seen, found):
        w = count[part] * valid
        squared[part], counted[part] = (w * error**2).sum(axis=1), w.sum(axis=1)
        left_out += int((valid & (count[part] < 0.05)).sum())
        there += int(valid.sum())
    if per == "shot":
        squared, counted = np.full_like(squared, squared.sum()), np.full_like(counted, counted.sum())
    freedom = np.maximum(3 * counted - 7, 1.0)
    return replace(found, sigma=np.sqrt(squared / freedom), outliers=left_out / max(there, 1))
