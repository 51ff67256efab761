"""A character's motion as it can be looked at: shapes that move, and the reference beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.solid import Solid


@dataclass(frozen=True, eq=False)
class Playback:
    """What one character did, z up; frame k at `times_s[k]`."""

    body_names: tuple[str, ...]
    times_s: Float[np.ndarray, "frames"]
    body_pos_w: Float[np.ndarray, "frames bodies 3"]
    """Origins of the bodies' frames [m]."""
    body_quat_w: Float[np.ndarray, "frames bodies 4"]
    """wxyz."""
    solids: tuple[Solid, ...]
    """Their shapes; a solid's `joint` is the body that carries it."""
    ghost_pos_w: Float[np.ndarray, "frames bodies 3"] | None = None
    """Where the reference is at the same times; None: there is none."""
    ghost_quat_w: Float[np.ndarray, "frames bodies 4"] | None = None
    reward: Float[np.ndarray, "frames"] | None = None
    """Of the step that led to each frame; 1 at best."""
    fell: bool = False
    """It ended early: the last frame is the one before the fall."""

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.times_s)
