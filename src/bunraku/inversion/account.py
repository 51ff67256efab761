"""What a capture can say about a rig's controls at all, whatever the solver."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.reduced import ReducedRig
from bunraku.core.rig import DifferentiableRig

SPECTRUM = 1e-10  # eigenvalues of the scaled JᵀJ below this share of the largest are directions that no vertex shows
SHARE = 0.01  # a control of which more than this share (squared) lies in such directions is not determined
POSES = 8  # poses that are looked at


def unobservable(
    rig: DifferentiableRig, controls: Float[np.ndarray, "frames controls"], *, reduced: ReducedRig | None = None
) -> Bool[np.ndarray, "controls"]:
    """True for the controls that the mesh does not determine around given poses.

    Either no vertex moves with a control, or it can be traded for others (a joint without skin of its own above one
    that can do the
    same). Told from the null space of JᵀJ, scaled to unit diagonal: a control counts as undetermined when in the
    average pose
    more than 1 % of its unit vector lies in it.
    """
    reduced = rig.reduce() if reduced is None else reduced
    chosen = np.unique(np.linspace(0, len(controls) - 1, POSES).round().astype(int))
    _, jacobian = reduced.linearize(controls[chosen])
    jacobian = jacobian * rig.spec.range[:, None]
    length = np.sqrt((jacobian**2).sum(axis=2))
    dead = length <= 1e-9 * length.max(axis=1, keepdims=True)
    unit = jacobian / np.where(dead, 1.0, length)[..., None]
    values, vectors = np.linalg.eigh(unit @ np.swapaxes(unit, 1, 2))
    null = values <= SPECTRUM * values[:, -1:]
    share = (vectors**2 * null[:, None, :]).sum(axis=2)
    return np.where(dead, 1.0, share).mean(axis=0) > SHARE
