"""Control values over time: what an inversion gives back to the artist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate


@dataclass(frozen=True, eq=False)
class Curves:
    """The values of named controls at every frame. Build with `curves`."""

    names: tuple[str, ...]
    values: Float[np.ndarray, "frames controls"]
    """One row per frame, in the controls' own units."""
    fps: Fraction
    start_frame: int = 0

    @property
    def frames(self) -> int:
        """How many frames."""
        return self.values.shape[0]

    def of(self, name: str) -> Float[np.ndarray, "frames"]:
        """One control's curve."""
        if name not in self.names:
            raise BunrakuError(f"no curve {name!r}; there are: {', '.join(self.names[:20])}")
        return self.values[:, self.names.index(name)]

    def ordered_as(self, spec: ControlSpec) -> Float[np.ndarray, "frames controls"]:
        """Values in a rig's control order; controls without a curve stay at neutral.

        Raises:
            BunrakuError: a curve that the rig has no control for.
        """
        values = np.tile(spec.neutral, (self.frames, 1))
        for column, name in enumerate(self.names):
            values[:, spec.index(name)] = self.values[:, column]
        return values


def curves(
    names: Sequence[str],
    values: np.ndarray,
    fps: Fraction | float | int = 24,
    start_frame: int = 0,
    name: str = "curves",
) -> Curves:
    """Checked `Curves` from values (frames, controls).

    Raises:
        BunrakuError: shapes that do not fit, no frame, values that are not finite, repeated names.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise BunrakuError(f"{name}: values have shape {array.shape}; expected (frames, {len(names)})")
    if array.shape[0] == 0:
        raise BunrakuError(f"{name}: has no frames")
    if len(set(names)) != len(names):
        raise BunrakuError(f"{name}: a control is named twice")
    if not np.isfinite(array).all():
        frame, column = np.argwhere(~np.isfinite(array))[0]
        raise BunrakuError(f"{name}: {names[column]!r} is not finite at row {frame}")
    return Curves(tuple(names), array, frame_rate(fps, name), int(start_frame))
