"""What can be turned on a rig: named controls with their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.errors import BunrakuError, unknown_name


@dataclass(frozen=True, eq=False)
class ControlSpec:
    """Names, ranges and units of a rig's controls, in the order of its control vector: see `control_spec`."""

    names: tuple[str, ...]
    lower: Float[np.ndarray, "controls"]
    upper: Float[np.ndarray, "controls"]
    neutral: Float[np.ndarray, "controls"]
    """The value at which a control does nothing; not always 0 and not always mid-range."""
    units: tuple[str, ...]
    """Per control: "rad", "1" (a pure number), or the rig's length unit: "m", or "unit" where not known."""
    driven: Bool[np.ndarray, "controls"]
    """True for what the rig itself sets (drivers, constraints): never sampled nor solved for."""
    rotations: Int[np.ndarray, "rotations 3"]
    """Columns that together are one rotation vector [rad], so that errors can be measured as angles."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def range(self) -> Float[np.ndarray, "controls"]:
        """upper − lower, 1 where they are equal, so that it can be divided by."""
        width = self.upper - self.lower
        return np.where(width > 0, width, 1.0)

    def index(self, name: str) -> int:
        """The column of a control.

        Raises:
            BunrakuError: no control of that name; the message lists those that exist.
        """
        if name not in self.names:
            raise unknown_name("control", name, self.names, "this rig has")
        return self.names.index(name)

    def select(self, patterns: Sequence[str]) -> Int[np.ndarray, "selected"]:
        """The columns whose names match any of the shell patterns, in the rig's order.

        Raises:
            BunrakuError: a pattern that matches nothing.
        """
        chosen = np.zeros(len(self), bool)
        for pattern in patterns:
            # An exact name wins over its meaning as a pattern: names may hold '[' or '*'.
            hits = [name == pattern for name in self.names]
            if not any(hits):
                hits = [fnmatchcase(name, pattern) for name in self.names]
            if not any(hits):
                raise unknown_name("control", pattern, self.names, "this rig has")
            chosen |= np.array(hits)
        return np.flatnonzero(chosen)

    def take(self, columns: Int[np.ndarray, "selected"]) -> ControlSpec:
        """The spec of some columns; a rotation of which only a part is taken is no longer a rotation."""
        columns = np.asarray(columns, np.int64)
        where = {int(old): new for new, old in enumerate(columns)}
        kept = [[where[int(c)] for c in triple] for triple in self.rotations if all(int(c) in where for c in triple)]
        return ControlSpec(
            tuple(self.names[i] for i in columns),
            self.lower[columns],
            self.upper[columns],
            self.neutral[columns],
            tuple(self.units[i] for i in columns),
            self.driven[columns],
            np.array(kept, np.int64).reshape(-1, 3),
        )


def control_spec(
    names: Sequence[str],
    lower: Sequence[float] | np.ndarray | float = 0.0,
    upper: Sequence[float] | np.ndarray | float = 1.0,
    neutral: Sequence[float] | np.ndarray | float = 0.0,
    units: Sequence[str] | str = "1",
    driven: Sequence[bool] | np.ndarray | bool = False,
    rotations: Sequence[Sequence[int]] | np.ndarray = (),
) -> ControlSpec:
    """A checked `ControlSpec`; scalars are spread over all controls.

    Raises:
        BunrakuError: no controls, repeated names, another length, a bound that is not finite, lower > upper,
            a neutral outside its bounds; the message names the control.
    """
    count = len(names)
    if count == 0:
        raise BunrakuError("a rig needs at least one control; this one has none")
    if len(set(names)) != count:
        twice = next(name for name in names if list(names).count(name) > 1)
        raise BunrakuError(f"control {twice!r} is named twice; names must be unique")

    def spread(values: Sequence[float] | np.ndarray | float, what: str) -> np.ndarray:
        array = np.asarray(values, np.float64)
        if array.ndim > 1 or (array.ndim == 1 and len(array) != count):
            raise BunrakuError(f"{what} has shape {array.shape}; expected one value for each of the {count} controls")
        return np.broadcast_to(array, (count,)).copy()

    low, high, rest = spread(lower, "lower"), spread(upper, "upper"), spread(neutral, "neutral")
    for i, name in enumerate(names):
        if not np.isfinite([low[i], high[i], rest[i]]).all():
            raise BunrakuError(f"control {name!r}: lower, upper and neutral must be finite numbers")
        if low[i] > high[i]:
            raise BunrakuError(f"control {name!r}: lower {low[i]:g} is above upper {high[i]:g}")
        if not low[i] <= rest[i] <= high[i]:
            raise BunrakuError(f"control {name!r}: neutral {rest[i]:g} is outside {low[i]:g} … {high[i]:g}")
    unit_list = (units,) * count if isinstance(units, str) else tuple(units)
    if len(unit_list) != count:
        raise BunrakuError(f"units: {len(unit_list)} given for {count} controls")
    flags = np.broadcast_to(np.asarray(driven, bool), (count,)).copy()
    triples = np.asarray(rotations, np.int64).reshape(-1, 3)
    return ControlSpec(tuple(names), low, high, rest, unit_list, flags, triples)
