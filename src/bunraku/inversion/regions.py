"""Which part of a rig a vertex belongs to, told by the controls that move it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.rig import DifferentiableRig
from bunraku.inversion.information import motion_at

FAINT = 0.05  # of the strongest control's motion at a vertex; what moves it less says nothing of where it is
NAMED = 3


@dataclass(frozen=True, eq=False)
class Region:
    """The controls nearest to a vertex."""

    vertex: int
    controls: tuple[str, ...]
    """Up to three, nearest first; none for a vertex that nothing moves."""
    motion: Float[np.ndarray, "named"]
    """How far each moves the vertex per range (root mean square over poses), in the rig's unit."""


class RegionSums:
    """Motions at a few vertices, summed up pose by pose."""

    def __init__(self, rig: DifferentiableRig, vertices: Int[np.ndarray, "chosen"]) -> None:
        self.rig, self.vertices, self.poses = rig, vertices, 0
        self.at = np.zeros((len(rig.spec), len(vertices)))
        self.everywhere = np.zeros(len(rig.spec))

    def add(self, jacobian: Float[np.ndarray, "poses controls coordinates"]) -> None:
        """Count in the Jacobian of some poses, in coordinates per range."""
        moved = motion_at(self.rig.reduce(), jacobian, self.vertices)
        self.at += (moved**2).sum(axis=3).sum(axis=0)
        self.everywhere += (jacobian**2).sum(axis=2).sum(axis=0) / len(self.rig.neutral)
        self.poses += len(jacobian)

    def regions(self, names: tuple[str, ...]) -> tuple[Region, ...]:
        """Controls that move a vertex more than they move the mesh on the whole come first: what moves everything
        (a root) is near to nothing.
        """
        found: list[Region] = []
        for column, vertex in enumerate(self.vertices):
            at = self.at[:, column]
            strong = (at > FAINT**2 * at.max()) & (at > 0)
            local = np.where(strong, at / np.where(strong, self.everywhere, 1.0), -1.0)
            nearest = np.argsort(-local, kind="stable")[: min(NAMED, int(strong.sum()))]
            motion = np.sqrt(at[nearest] / max(self.poses, 1))
            found.append(Region(int(vertex), tuple(names[i] for i in nearest), motion))
        return tuple(found)
