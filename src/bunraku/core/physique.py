"""What of a simulated character decides whether a clip fits it; without any physics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Physique:
    """A character's joint tree, the ranges of its joints and the balls that its skin rests on; z up, in metres."""

    skeleton: Skeleton
    """One joint per body, named as the body; the first in `order` is the free root."""
    hinge_axes: Mapping[str, Float[np.ndarray, "3"]]
    """Joints that turn about one axis only: its unit vector in the joint's own frame."""
    ranges_rad: Mapping[str, tuple[float, float]]
    """Least and greatest angle of hinges with limits; (0, greatest angle) of balls with limits."""
    fixed: frozenset[str]
    """Joints that do not turn at all: hands, toes and the like that are welded to their parent."""
    ball_joints: Int[np.ndarray, "balls"]
    """Index of the joint that carries each ball: a box counts as eight balls of radius 0 at its corners, a capsule
    as one at each end."""
    ball_pos: Float[np.ndarray, "balls 3"]
    """Centre in the joint's frame."""
    ball_radius: Float[np.ndarray, "balls"]
    feet: tuple[str, ...]
    """Joints that carry the balls on which the character stands at rest."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the character's own file says of joints: a part of the body ("left_knee", "spine") or the joint of clips
    that drives it; empty: it stays at rest."""
