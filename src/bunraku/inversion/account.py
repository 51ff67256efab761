"""What a capture can say about a rig's controls at all, whatever the solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.rig import DifferentiableRig

SPECTRUM = 1e-10  # eigenvalues of the scaled JᵀJ below this share of the largest are directions that no vertex shows
SHARE = 0.01  # a control of which more than this share (squared) lies in such directions is not determined
POSES = 8  # poses that are looked at


@dataclass(frozen=True, eq=False)
class Observability:
    """Which controls a mesh determines."""

    dead: Bool[np.ndarray, "controls"]
    """No vertex moves with them."""
    interchangeable: Bool[np.ndarray, "controls"]
    """They move vertices, but can be traded for others: a joint without skin of its own above one that can do the
    same.
    """

    @property
    def determined(self) -> Bool[np.ndarray, "controls"]:
        """Neither."""
        return ~(self.dead | self.interchangeable)


def observability(rig: DifferentiableRig, controls: Float[np.ndarray, "frames controls"]) -> Observability:
    """What the mesh determines around given poses.

    Told from the null space of JᵀJ, scaled to unit diagonal: a control counts as interchangeable when in the average
    pose
    more than 1 % of its unit vector lies in it.
    """
    chosen = np.unique(np.linspace(0, len(controls) - 1, POSES).round().astype(int))
    _, jacobian = rig.reduce().linearize(controls[chosen])
    jacobian = jacobian.astype(np.float64) * rig.spec.range[:, None]
    length = np.sqrt((jacobian**2).sum(axis=2))
    still = length <= 1e-9 * length.max(axis=1, keepdims=True)
    unit = jacobian / np.where(still, 1.0, length)[..., None]
    values, vectors = np.linalg.eigh(unit @ np.swapaxes(unit, 1, 2))
    null = values <= SPECTRUM * values[:, -1:]
    share = np.where(still, 0.0, (vectors**2 * null[:, None, :]).sum(axis=2)).mean(axis=0)
    dead = still.all(axis=0)
    return Observability(dead, ~dead & (share > SHARE))
