"""Which bodies must not touch the ground, and where their surface is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.errors import unknown_name
from bunraku.imitation.anatomy import body_frames_w, joint_turns
from bunraku.imitation.character import Built
from bunraku.imitation.motion_table import MotionTable
from bunraku.imitation.physique import balls

_NEAR_M = 0.05
"""A body that the clip brings nearer to the ground than this may touch it: clips are not exact."""


@dataclass(frozen=True, eq=False)
class Touch:
    """Balls on the surface of the bodies whose touch is a fall."""

    names: tuple[str, ...]
    bodies: Int[np.ndarray, "balls"]
    pos: Float[np.ndarray, "balls 3"]
    radius: Float[np.ndarray, "balls"]

    def heights(
        self, pos_w: Float[np.ndarray, "count bodies 3"], turn_w: Float[np.ndarray, "count bodies 3 3"]
    ) -> Float[np.ndarray, "count balls"]:
        """How far above the ground they are [m]."""
        up = turn_w[:, self.bodies, 2]
        return pos_w[:, self.bodies, 2] + np.einsum("npj,pj->np", up, self.pos) - self.radius


def touch(built: Built, table: MotionTable, fall: Sequence[str] | None) -> Touch:
    """What counts as a fall: the bodies named, or else all that the clip itself keeps off the ground.

    Raises:
        BunrakuError: the character has no such body.
    """
    names = built.character.body_names
    bodies, pos, radius = balls(built.model)
    whole = Touch(names, bodies, pos, radius)
    if fall is None:
        # Every fourth row: a hundredth of a second.
        poses = table.poses()[::4]
        frames_w = body_frames_w(table.body, poses, joint_turns(table.body, poses))
        lowest = whole.heights(*frames_w).min(axis=0) if len(bodies) else np.zeros(0)
        fall = [name for i, name in enumerate(names, start=1) if (bodies == i).any() and _off(lowest[bodies == i])]
    for name in fall:
        if name not in names:
            raise unknown_name("body", name, names, "this character has")
    kept = np.isin(bodies, [1 + names.index(name) for name in fall])
    return Touch(tuple(fall), bodies[kept], pos[kept], radius[kept])


def _off(lowest: np.ndarray) -> bool:
    return bool(lowest.min() > _NEAR_M)
