"""What the user has decided of the curves already: controls that are locked, frozen or driven, keys that are pinned.

All of it is bounds, frame by frame: a value that is decided has its lower bound equal to its upper one, and the
solver, which keeps bounds exactly, works around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core import artifact
from bunraku.core.controls import ControlSpec
from bunraku.core.curves import Curves
from bunraku.core.errors import BunrakuError


@dataclass(frozen=True)
class Pin:
    """A key that must be met."""

    frame: int
    """In the shot's own numbers."""
    control: str
    value: float


@dataclass(frozen=True)
class Instructions:
    """What is decided, in names."""

    lock: tuple[str, ...] = ()
    """Controls (names or shell patterns) that stay at neutral."""
    freeze: Mapping[str, float] = field(default_factory=dict[str, float])
    """Controls that stay at a value."""
    drive: Curves | None = None
    """Curves that are given: their controls follow them."""
    pins: Sequence[Pin] = ()
    """Keys that must be met."""
    switches: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    """Discrete controls and the values that they know: see `inversion.discrete`."""
    symmetric: Sequence[tuple[str, str]] = ()
    """Pairs that move alike, where the symmetric prior shall not look for them itself."""

    @property
    def given(self) -> bool:
        """Anything is said."""
        return self.decides or bool(self.switches or self.symmetric)

    def recorded(self) -> dict[str, Any]:
        """What a take records of them: JSON-able."""
        drive = None if self.drive is None else [list(self.drive.names), artifact.array_hash(self.drive.values)]
        pins = [[pin.frame, pin.control, pin.value] for pin in self.pins]
        return {
            "lock": list(self.lock),
            "freeze": dict(self.freeze),
            "drive": drive,
            "pins": pins,
            "switches": {name: list(values) for name, values in self.switches.items()},
            "symmetric": [list(pair) for pair in self.symmetric],
        }

    @staticmethod
    def shared(recorded: Mapping[str, Any]) -> Instructions:
        """What was recorded, where nothing in it belongs to one shot alone (pins, curves)."""
        assert not recorded["pins"]
        assert recorded["drive"] is None
        return Instructions(
            lock=tuple(recorded["lock"]),
            freeze=recorded["freeze"],
            switches=recorded["switches"],
            symmetric=[(left, right) for left, right in recorded["symmetric"]],
        )

    @property
    def decides(self) -> bool:
        """Any value is decided."""
        return bool(self.lock or self.freeze or self.drive is not None or self.pins)


@dataclass(frozen=True, eq=False)
class Limits:
    """Bounds of the controls, in their own units: one row for all frames, or a row for each."""

    lower: Float[np.ndarray, "rows controls"]
    upper: Float[np.ndarray, "rows controls"]

    @staticmethod
    def of(spec: ControlSpec) -> Limits:
        """The rig's own."""
        return Limits(spec.lower[None], spec.upper[None])

    def at(self, frames: np.ndarray) -> Limits:
        """Of some frames."""
        return self if len(self.lower) == 1 else Limits(self.lower[frames], self.upper[frames])

    def narrowed(
        self, where: Bool[np.ndarray, "frames controls"], values: Float[np.ndarray, "frames controls"]
    ) -> Limits:
        """The same with some values decided, where they were not already."""
        free = where & (self.lower < self.upper)
        lower, upper = (np.broadcast_to(bound, where.shape) for bound in (self.lower, self.upper))
        return Limits(np.where(free, values, lower), np.where(free, values, upper))

    @property
    def decided(self) -> Bool[np.ndarray, "rows controls"]:
        """Where nothing is left to be found."""
        return self.lower == self.upper


def limits(spec: ControlSpec, instructions: Instructions, frames: int, start_frame: int) -> Limits:
    """The bounds that instructions leave.

    Raises:
        BunrakuError: an unknown control, a value outside its control's bounds, driving curves of other frames, a frame
            outside the shot, or two instructions for one value: the message names both.
    """
    if not instructions.decides:
        return Limits.of(spec)
    decided = _Decided(spec, frames, start_frame)
    for column in spec.select(instructions.lock) if instructions.lock else ():
        decided.put(slice(None), int(column), float(spec.neutral[column]), "locked")
    for name, value in instructions.freeze.items():
        decided.put(slice(None), spec.index(name), value, "frozen")
    if instructions.drive is not None:
        decided.drive(instructions.drive)
    for pin in instructions.pins:
        decided.pin(pin)
    return Limits.of(spec).narrowed(np.isfinite(decided.values), decided.values)


class _Decided:
    """Values as they are decided, NaN where they are not, and by what."""

    def __init__(self, spec: ControlSpec, frames: int, start_frame: int) -> None:
        self.spec, self.start_frame = spec, start_frame
        self.values = np.full((frames, len(spec)), np.nan)
        self._by: dict[int, str] = {}

    def put(self, where: slice | int, column: int, values: float | np.ndarray, how: str) -> None:
        """Decide a control in some frames."""
        spec, name = self.spec, self.spec.names[column]
        wanted = np.atleast_1d(np.asarray(values, np.float64))
        for side, out in (
            ("below its lower", wanted < spec.lower[column]),
            ("above its upper", wanted > spec.upper[column]),
        ):
            if out.any():
                bound = (spec.lower if "lower" in side else spec.upper)[column]
                raise BunrakuError(f"control {name!r} is {how} at {wanted[out][0]:g}, {side} bound {bound:g}")
        before = np.atleast_1d(self.values[where, column])
        clash = np.isfinite(before) & (before != np.broadcast_to(wanted, before.shape))
        if clash.any():
            other = f"{self._by[column]} at {before[clash][0]:g}"
            raise BunrakuError(
                f"control {name!r} is {how} at {np.broadcast_to(wanted, before.shape)[clash][0]:g} and {other}"
            )
        self.values[where, column] = values
        self._by[column] = how

    def drive(self, given: Curves) -> None:
        """Follow curves."""
        if given.frames != len(self.values):
            raise BunrakuError(f"the driving curves have {given.frames} frames, the shot {len(self.values)}")
        for name, column in zip(given.names, given.values.T, strict=True):
            self.put(slice(None), self.spec.index(name), column, "driven")

    def pin(self, pin: Pin) -> None:
        """Meet a key."""
        row, last = pin.frame - self.start_frame, self.start_frame + len(self.values) - 1
        if not 0 <= row < len(self.values):
            shot = f"the shot has frames {self.start_frame} to {last}"
            raise BunrakuError(f"control {pin.control!r} is pinned at frame {pin.frame}; {shot}")
        self.put(row, self.spec.index(pin.control), pin.value, f"pinned in frame {pin.frame}")
