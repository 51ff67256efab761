"""Keyed curves: what an artist edits. A few keys with tangents per control, and the per-frame curves that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Float

from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate

Interpolation = Literal["cubic", "step"]
INTERPOLATIONS = ("cubic", "step")


@dataclass(frozen=True, eq=False)
class Keys:
    """The keys of one control, in order of time. Build with `keys`, which checks them."""

    frames: Float[np.ndarray, "keys"]
    """Strictly increasing, numbered as the shot is; whole numbers unless somebody moved a key between frames."""
    values: Float[np.ndarray, "keys"]
    """In the control's unit."""
    slope_in: Float[np.ndarray, "keys"]
    """Slope with which the curve arrives at a key, control unit per frame."""
    slope_out: Float[np.ndarray, "keys"]
    """Slope with which it leaves; equal to `slope_in` but at corners."""
    interpolation: tuple[Interpolation, ...]
    """How the curve goes from each key to the next: a cubic Hermite segment, or at the key's value until then."""

    def __len__(self) -> int:
        return len(self.frames)

    def evaluate(self, frames: Float[np.ndarray, "chosen"]) -> Float[np.ndarray, "chosen"]:
        """The curve at given frame numbers; it holds before the first and after the last key."""
        parts = (self.values[:, None], self.slope_in[:, None], self.slope_out[:, None])
        smooth = hermite(self.frames, *parts, frames)[:, 0]
        left = np.clip(np.searchsorted(self.frames, frames, side="right") - 1, 0, len(self) - 1)
        stepped = np.array([way == "step" for way in self.interpolation])
        return np.where(stepped[left], self.values[left], smooth)


@dataclass(frozen=True, eq=False)
class KeyedCurves:
    """Keys for the controls of a shot."""

    names: tuple[str, ...]
    keys: tuple[Keys, ...]
    """One per control; without a key a control rests at neutral."""
    neutral: Float[np.ndarray, "controls"]
    """The value of a control that has no key."""
    fps: Fraction
    start_frame: int
    frames: int
    """How many frames the shot has."""

    @property
    def count(self) -> int:
        """How many keys in all: one value of one control at one frame each."""
        return sum(len(own) for own in self.keys)

    def evaluate(self) -> Curves:
        """The per-frame curves."""
        at = self.start_frame + np.arange(self.frames, dtype=np.float64)
        values = np.tile(self.neutral, (self.frames, 1))
        for column, own in enumerate(self.keys):
            if len(own):
                values[:, column] = own.evaluate(at)
        return curves(self.names, values, self.fps, self.start_frame)


def keys(
    frames: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    slope_in: Sequence[float] | np.ndarray | float = 0.0,
    slope_out: Sequence[float] | np.ndarray | float = 0.0,
    interpolation: Sequence[str] | str = "cubic",
    name: str = "keys",
) -> Keys:
    """Checked `Keys`; single slopes and a single interpolation are spread over all keys.

    Raises:
        BunrakuError: lengths that differ, frames that do not grow, numbers that are not finite, another interpolation.
    """
    at = np.asarray(frames, np.float64).reshape(-1)
    columns: list[np.ndarray] = []
    for what, given in (("values", values), ("slope_in", slope_in), ("slope_out", slope_out)):
        column = np.asarray(given, np.float64)
        if column.ndim > 1 or (column.ndim == 1 and len(column) != len(at)) or (column.ndim == 0 and what == "values"):
            raise BunrakuError(f"{name}: {what} have shape {column.shape}; expected one for each of {len(at)} keys")
        columns.append(np.broadcast_to(column, at.shape).copy())
    ways = (interpolation,) * len(at) if isinstance(interpolation, str) else tuple(interpolation)
    if len(ways) != len(at):
        raise BunrakuError(f"{name}: {len(ways)} interpolations for {len(at)} keys")
    wrong = next((way for way in ways if way not in INTERPOLATIONS), None)
    if wrong is not None:
        raise BunrakuError(f"{name}: no interpolation {wrong!r}; there are: {', '.join(INTERPOLATIONS)}")
    if not all(np.isfinite(column).all() for column in (at, *columns)):
        raise BunrakuError(f"{name}: a key has a number that is not finite")
    back = np.flatnonzero(np.diff(at) <= 0)
    if len(back):
        raise BunrakuError(f"{name}: the key at frame {at[back[0] + 1]:g} follows one at frame {at[back[0]]:g}")
    checked: list[Interpolation] = ["step" if way == "step" else "cubic" for way in ways]
    return Keys(at, columns[0], columns[1], columns[2], tuple(checked))


def keyed_curves(
    names: Sequence[str],
    own: Sequence[Keys],
    neutral: Sequence[float] | np.ndarray,
    fps: Fraction | float | int,
    start_frame: int,
    frames: int,
    name: str = "keyed curves",
) -> KeyedCurves:
    """Checked `KeyedCurves`.

    Raises:
        BunrakuError: repeated names, another number of keys or neutral values than of names, no frame, a neutral
            that is not finite.
    """
    rest = np.asarray(neutral, np.float64)
    if len(set(names)) != len(names):
        raise BunrakuError(f"{name}: a control is named twice")
    if len(own) != len(names) or rest.shape != (len(names),):
        raise BunrakuError(f"{name}: keys of {len(own)} and neutral values of {rest.size} for {len(names)} controls")
    if not np.isfinite(rest).all():
        raise BunrakuError(f"{name}: the neutral of {names[int(np.argmin(np.isfinite(rest)))]!r} is not finite")
    if frames < 1:
        raise BunrakuError(f"{name}: has {frames} frames; a shot has at least one")
    return KeyedCurves(tuple(names), tuple(own), rest, frame_rate(fps, name), int(start_frame), int(frames))


def hermite_weights(s: Float[np.ndarray, "places"], h: Float[np.ndarray, "places"]) -> Float[np.ndarray, "places 4"]:
    """Weights of left value, left slope, right value and right slope at s ∈ [0, 1] of segments h frames long.

    ŷ = (2s³−3s²+1)·y₀ + h(s³−2s²+s)·m₀ + (−2s³+3s²)·y₁ + h(s³−s²)·m₁, the cubic Hermite form.
    """
    s2, s3 = s * s, s * s * s
    return np.stack([2 * s3 - 3 * s2 + 1, h * (s3 - 2 * s2 + s), 3 * s2 - 2 * s3, h * (s3 - s2)], axis=1)


def hermite(
    frames: Float[np.ndarray, "keys"],
    values: Float[np.ndarray, "keys columns"],
    slope_in: Float[np.ndarray, "keys columns"],
    slope_out: Float[np.ndarray, "keys columns"],
    at: Float[np.ndarray, "chosen"],
) -> Float[np.ndarray, "chosen columns"]:
    """Curves that share their key frames, at given frames; they hold before the first and after the last key."""
    if len(frames) == 1:
        return np.repeat(values, len(at), axis=0)
    left = np.clip(np.searchsorted(frames, at, side="right") - 1, 0, len(frames) - 2)
    h = frames[left + 1] - frames[left]
    s = np.clip((at - frames[left]) / h, 0.0, 1.0)
    weights = hermite_weights(s, h)[:, :, None]
    # The weights of both values sum to 1: written so, a hold is exact.
    return (
        values[left]
        + weights[:, 2] * (values[left + 1] - values[left])
        + weights[:, 1] * slope_out[left]
        + weights[:, 3] * slope_in[left + 1]
    )
