"""Where a frame's error comes from, in the rig linearised around the solved pose.

With r = Y − rig(c) and J its Jacobian, a small step δ of the controls leaves ‖r − Jδ‖². The least that any step inside
the bounds leaves is off the rig's manifold; what the best step takes off is the solver's to answer for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.inversion.information import unit_diagonal

RIDGE = 1e-10  # on JᵀJ of unit diagonal: directions that no vertex shows take no part in the step
DAMPED = 1e-3  # the same for a step that goes nowhere far, along directions that the mesh clearly shows
ITERATIONS = 50
HALVINGS = 12
STATIONARY = 1e-12  # a last decrease below this share of the largest one ends the iteration


@dataclass(frozen=True, eq=False)
class Split:
    """Squared errors, Σ w‖·‖² over the vertices that count, of each pose."""

    total: Float[np.ndarray, "poses"]
    """Of the residual as it is."""
    floor: Float[np.ndarray, "poses"]
    """Of what the best small step within the bounds leaves: off the rig's manifold."""
    free_floor: Float[np.ndarray, "poses"]
    """The same if there were no bounds; the difference is what they hold back."""
    step: Float[np.ndarray, "poses controls"]
    """That best step within the bounds, per range. Where the mesh hardly tells directions apart it may be long."""
    damped_step: Float[np.ndarray, "poses controls"]
    """A shorter one that keeps out of such directions."""

    @property
    def solver(self) -> Float[np.ndarray, "poses"]:
        """What that step would still remove: total = floor + solver."""
        return self.total - self.floor


def split(
    normal: Float[np.ndarray, "poses controls controls"],
    moment: Float[np.ndarray, "poses controls"],
    total: Float[np.ndarray, "poses"],
    lower: Float[np.ndarray, "poses controls"],
    upper: Float[np.ndarray, "poses controls"],
) -> Split:
    """The split of residuals r of squared size `total`, from H = JᵀWJ, the moments JᵀWr and the room lower ≤ 0 ≤ upper
    that every control has, all per range.
    """
    unit, length = unit_diagonal(normal)
    scale = np.where(length > 0, length, 1.0)
    right = np.where(length > 0, moment / scale, 0.0)
    identity = np.eye(unit.shape[-1])
    solvable = unit + np.where(length > 0, 0.0, 1.0)[..., None] * identity
    free = np.linalg.solve(solvable + RIDGE * identity, right[..., None])[..., 0]
    boxed, damped = (
        bounded_step(solvable + ridge * identity, right, lower * scale, upper * scale) for ridge in (RIDGE, DAMPED)
    )
    floor, free_floor = (
        np.clip(total - 2 * (right * x).sum(axis=1) + ((unit @ x[..., None])[..., 0] * x).sum(axis=1), 0.0, total)
        for x in (boxed, free)
    )
    return Split(total, floor, np.minimum(free_floor, floor), boxed / scale, damped / scale)


def bounded_step(
    hessian: Float[np.ndarray, "poses controls controls"],
    moment: Float[np.ndarray, "poses controls"],
    lower: Float[np.ndarray, "poses controls"],
    upper: Float[np.ndarray, "poses controls"],
) -> Float[np.ndarray, "poses controls"]:
    """The x that minimises xᵀHx/2 − mᵀx inside lower ≤ x ≤ upper (H positive definite, lower ≤ 0 ≤ upper).

    Projected Newton (Bertsekas 1982): controls at a bound that the gradient pushes outward are held, the others take
    Newton's step, cut at the bounds and halved until the cost falls. The free set settles after a few steps, and the
    step is then exact.
    """
    x = np.zeros_like(moment)
    cost = np.zeros(len(x))
    first = np.zeros(len(x))
    left = np.arange(len(x))
    index = np.arange(x.shape[1])
    for _ in range(ITERATIONS):
        gradient = (hessian[left] @ x[left, :, None])[..., 0] - moment[left]
        held = ((x[left] <= lower[left]) & (gradient > 0)) | ((x[left] >= upper[left]) & (gradient < 0))
        system = hessian[left] * (~held[:, :, None] & ~held[:, None, :])
        system[:, index, index] += held
        newton = np.linalg.solve(system, np.where(held, 0.0, -gradient)[..., None])[..., 0]
        best, reached = _searched(hessian[left], moment[left], x[left], newton, lower[left], upper[left], cost[left])
        gained = cost[left] - reached
        first[left] = np.maximum(first[left], gained)
        x[left], cost[left] = best, reached
        left = left[gained > STATIONARY * first[left]]
        if len(left) == 0:
            break
    return x


def _searched(
    hessian: np.ndarray,
    moment: np.ndarray,
    x: np.ndarray,
    newton: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    cost: np.ndarray,
) -> tuple[Float[np.ndarray, "poses controls"], Float[np.ndarray, "poses"]]:
    """The first of the halved, cut steps that lowers the cost, pose by pose; where none does, x itself."""
    best, reached = x.copy(), cost.copy()
    left = np.arange(len(x))
    for halving in range(HALVINGS):
        tried = np.clip(x[left] + newton[left] * 0.5**halving, lower[left], upper[left])
        own = (tried * (0.5 * (hessian[left] @ tried[..., None])[..., 0] - moment[left])).sum(axis=1)
        lower_cost = own < cost[left]
        best[left[lower_cost]], reached[left[lower_cost]] = tried[lower_cost], own[lower_cost]
        left = left[~lower_cost]
        if len(left) == 0:
            break
    return best, reached
