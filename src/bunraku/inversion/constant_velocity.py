"""What is believed about controls between frames: a Gaussian over their values and velocities.

The model is the constant velocity of tracking filters: from frame to frame a control moves on by its velocity, which an
unknown acceleration of variance q changes (Bar-Shalom, Li, Kirubarajan 2001, section 6.3.2, its time step 1 frame). All
in units u = (control − neutral)/range, velocities per frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

Square = Float[np.ndarray, "controls controls"]


@dataclass(frozen=True, eq=False)
class Belief:
    """Mean and covariance, in blocks: values with values, values with velocities, velocities with velocities."""

    u: Float[np.ndarray, "controls"]
    velocity: Float[np.ndarray, "controls"]
    uu: Square
    uv: Square
    vv: Square


def nothing_known(u: Float[np.ndarray, "controls"], speed: float) -> Belief:
    """Anywhere in the range about `u`, at rest give or take `speed`."""
    eye = np.eye(len(u))
    return Belief(u, np.zeros(len(u)), eye, np.zeros_like(eye), speed**2 * eye)


def predict(belief: Belief, q: Float[np.ndarray, "controls"], keep: float = 1.0) -> Belief:
    """One frame later; `keep` is what remains of a velocity that nothing has confirmed."""
    carried, spread = keep * belief.uv, keep**2 * belief.vv
    moved = Belief(
        belief.u + keep * belief.velocity,
        keep * belief.velocity,
        belief.uu + carried + carried.T + spread,
        carried + spread,
        spread,
    )
    return widened(moved, q)


def widened(belief: Belief, q: Float[np.ndarray, "controls"]) -> Belief:
    """After accelerations of variance q that held for the last frame: ½a in the value, a in the velocity."""
    noise = np.diag(q)
    return replace(belief, uu=belief.uu + noise / 4, uv=belief.uv + noise / 2, vv=belief.vv + noise)


def corrected(belief: Belief, u: Float[np.ndarray, "controls"], uu: Square) -> Belief:
    """With the values known better: velocities follow as the covariance says.

    p(velocity | values) is unchanged: its mean moves by A·(u − ū), A = vu·uu⁻¹, and its covariance loses
    A·(uu − uu⁺)·Aᵀ.
    """
    gain = np.linalg.solve(belief.uu, belief.uv).T
    vv = belief.vv - gain @ (belief.uu - uu) @ gain.T
    velocity = belief.velocity + gain @ (u - belief.u)
    return Belief(u, velocity, uu, uu @ gain.T, (vv + vv.T) / 2)
