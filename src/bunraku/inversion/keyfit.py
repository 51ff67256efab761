"""Keys fitted to sampled curves: cubic Hermite segments whose values and slopes are a banded least squares.

The unknowns of a key are its value and its slope: two slopes at a corner, none where it bounds a hold, whose two keys
share one value. Curves that are keyed together share key frames and the layout of unknowns, one column each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.keys import hermite, hermite_weights

SLOPE_PRIOR = 1e-8  # weight of "slopes are the curve's own" in the sum of squares, where a frame has about 1
PIN = 1e6  # weight of what is known already
BAND = 5  # two neighbouring keys have at most 6 unknowns: a value and two slopes each


@dataclass(frozen=True, eq=False)
class Shape:
    """Curves to be keyed together, and what is known of them before any key is set."""

    values: Float[np.ndarray, "frames columns"]
    gain: Float[np.ndarray, "frames columns"]
    """How far the mesh moves per unit of the control."""
    lower: Float[np.ndarray, "columns"]
    upper: Float[np.ndarray, "columns"]
    corner: Bool[np.ndarray, "frames"]
    """The slope may jump here."""
    held: Bool[np.ndarray, "gaps"]
    """Nothing moves from this frame to the next; frames − 1 of them."""

    def error(self, fitted: Float[np.ndarray, "frames columns"]) -> Float[np.ndarray, "frames"]:
        """About how far the mesh would stray in each frame, were these the only curves."""
        return np.sqrt(((self.gain * (fitted - self.values)) ** 2).sum(axis=1))

    @property
    def jump(self) -> Bool[np.ndarray, "frames"]:
        """Both sides of a jump: corners side by side."""
        beside = np.pad(self.corner, 1)
        return self.corner & (beside[:-2] | beside[2:])

    def between(self, first: int, last: int) -> Shape:
        """The part from one frame to another, both included."""
        part = slice(first, last + 1)
        return Shape(
            self.values[part], self.gain[part], self.lower, self.upper, self.corner[part], self.held[first:last]
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """Keys, and the curves that they make."""

    frames: Int[np.ndarray, "keys"]
    values: Float[np.ndarray, "keys columns"]
    slope_in: Float[np.ndarray, "keys columns"]
    slope_out: Float[np.ndarray, "keys columns"]
    fitted: Float[np.ndarray, "frames columns"]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which unknown each key's value and slopes are; −1 is a slope of 0."""

    value: Int[np.ndarray, "keys"]
    slope_in: Int[np.ndarray, "keys"]
    slope_out: Int[np.ndarray, "keys"]
    unknowns: int


def layout(shape: Shape, frames: Int[np.ndarray, "keys"]) -> Layout:
    """The unknowns of keys at these frames, in the order of the keys."""
    moves = np.concatenate([[0], np.cumsum(~shape.held)])
    hold = moves[frames[1:]] == moves[frames[:-1]]  # segments that hold from end to end
    before, after = np.concatenate([[False], hold]), np.concatenate([hold, [False]])
    corner = shape.corner[frames]
    free_in, free_out = ~before & (~after | corner), ~after & (~before | corner)
    two = free_in & free_out & corner
    index = np.cumsum(np.stack([~before, free_in | free_out, two], axis=1).ravel()).reshape(-1, 3) - 1
    # A key that ends a hold has the value of the key that begins it.
    begins = np.maximum.accumulate(np.where(before, 0, np.arange(len(frames))))
    slope_out = np.where(two, index[:, 2], index[:, 1])
    return Layout(
        index[begins, 0],
        np.where(free_in, index[:, 1], -1),
        np.where(free_out, slope_out, -1),
        int(index[-1, 2]) + 1,
    )


def fit(shape: Shape, frames: Int[np.ndarray, "keys"], pins: Pins | None = None) -> Fit:
    """Values and slopes of least squared distance (weighted by gain) from the curves, within the bounds.

    A weak prior sets slopes that no frame determines (keys one frame apart) to the curves' own.
    """
    from scipy.linalg import solveh_banded

    plan = layout(shape, frames)
    weights, own = _design(plan, frames, len(shape.values))
    strength = (shape.gain**2).mean(axis=1)
    weighted = weights * (strength / max(float(strength.max()), 1e-300) + 1e-6)[:, None]
    # Lower form of LAPACK: bands[i − j, j] = A[i, j].
    apart = own[:, :, None] - own[:, None, :]
    below = apart >= 0
    cell = (apart * plan.unknowns + own[:, None, :])[below]
    products = (weighted[:, :, None] * weights[:, None, :])[below]
    bands = np.bincount(cell, products, (BAND + 1) * plan.unknowns).reshape(BAND + 1, -1)
    right = np.empty((plan.unknowns, shape.values.shape[1]))
    for column, values in enumerate(shape.values.T):
        right[:, column] = np.bincount(own.ravel(), (weighted * values[:, None]).ravel(), plan.unknowns)
    for unknowns, known, weight in (*_own_slopes(shape, plan, frames), *(pins.rows(plan) if pins else ())):
        np.add.at(bands[0], unknowns, weight)
        np.add.at(right, unknowns, weight * known)
    bands[0] += 1e-14  # slopes beyond the first and the last key, which nothing sees
    solved = solveh_banded(bands, right, lower=True, check_finite=False)
    slopes = np.concatenate([solved, np.zeros((1, right.shape[1]))])  # −1 takes the last row
    return _bounded(shape, frames, solved[plan.value], slopes[plan.slope_in], slopes[plan.slope_out])


@dataclass(frozen=True, eq=False)
class Pins:
    """What a part of a curve joins on to: value and slope of its first and of its last key, where it joins at all."""

    first: tuple[Float[np.ndarray, "columns"], Float[np.ndarray, "columns"]] | None
    last: tuple[Float[np.ndarray, "columns"], Float[np.ndarray, "columns"]] | None

    def rows(self, plan: Layout) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
        """Unknowns, what they are known to be, and the weight of that."""
        for ends, unknowns in ((self.first, (plan.value[0], plan.slope_out[0])),
                               (self.last, (plan.value[-1], plan.slope_in[-1]))):  # fmt: skip
            for known, unknown in zip(ends or (), unknowns, strict=False):
                if unknown >= 0:
                    yield np.array([unknown]), known[None], PIN


def _design(
    plan: Layout, frames: Int[np.ndarray, "keys"], count: int
) -> tuple[Float[np.ndarray, "frames 4"], Int[np.ndarray, "frames 4"]]:
    """Every frame's value as weights on four unknowns; the first key is the first frame, the last the last."""
    assert len(frames) > 1, "one key makes no segment"
    assert (frames[0], frames[-1]) == (0, count - 1), "keys at both ends"
    spans = np.diff(frames)
    spans[-1] += 1  # the last frame belongs to the last segment
    segment = np.repeat(np.arange(len(spans)), spans)
    h = np.diff(frames).astype(np.float64)[segment]
    weights = hermite_weights((np.arange(count) - frames[segment]) / h, h)
    unknowns = (plan.value[:-1], plan.slope_out[:-1], plan.value[1:], plan.slope_in[1:])
    own = np.stack(unknowns, axis=1)[segment]
    # What is no unknown has no weight; its place is taken by one near by, so that the matrix stays narrow.
    return np.where(own >= 0, weights, 0.0), np.where(own >= 0, own, own[:, :1])


def _own_slopes(
    shape: Shape, plan: Layout, frames: Int[np.ndarray, "keys"]
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Differences of the curves at the keys: central ones, one-sided at corners and ends."""
    values, last = shape.values, len(shape.values) - 1
    before, after = np.maximum(frames - 1, 0), np.minimum(frames + 1, last)
    broken = plan.slope_in != plan.slope_out
    for unknowns, left, right in (
        (plan.slope_in, before, np.where(broken, frames, after)),
        (plan.slope_out, np.where(broken, frames, before), after),
    ):
        there = (unknowns >= 0) & (right > left)
        slope = (values[right[there]] - values[left[there]]) / (right - left)[there, None]
        yield unknowns[there], slope, SLOPE_PRIOR


def _bounded(shape: Shape, frames: np.ndarray, values: np.ndarray, slope_in: np.ndarray, slope_out: np.ndarray) -> Fit:
    """The keys with values and slopes cut back so that no segment leaves the bounds, between frames neither.

    A cubic lies within the hull of its Bézier points y₀, y₀ + h·m₀/3, y₁ − h·m₁/3, y₁.
    """
    values = np.clip(values, shape.lower, shape.upper)
    reach = np.diff(frames)[:, None] / 3.0
    low, high = shape.lower - values, shape.upper - values
    ahead = np.clip(slope_out[:-1], low[:-1] / reach, high[:-1] / reach)
    back = np.clip(slope_in[1:], -high[1:] / reach, -low[1:] / reach)
    smooth = slope_in == slope_out
    slope_in, slope_out = np.concatenate([slope_in[:1], back]), np.concatenate([ahead, slope_out[-1:]])
    # Both of a smooth key's slopes were cut towards 0 from one number: the smaller satisfies both sides.
    smaller = np.where(np.abs(slope_in) < np.abs(slope_out), slope_in, slope_out)
    slope_in, slope_out = np.where(smooth, smaller, slope_in), np.where(smooth, smaller, slope_out)
    at = np.arange(len(shape.values), dtype=np.float64)
    return Fit(frames, values, slope_in, slope_out, hermite(frames.astype(np.float64), values, slope_in, slope_out, at))
