"""What a solve wants, as terms: free functions that return *weighted residuals* and their Jacobians; the solver adds
them up.

Unknowns are u = (control − neutral) / range, so that a weight means the same for an angle and for a morph. Mesh
residuals are divided by √V·D (V vertices, D the neutral diagonal): the mesh term of a frame is its squared relative
RMS error, and the weight of another term says how large a relative error it may cost. A smoothness of 1e-3 trades a
relative error of 1e-3 for a second difference of one range.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.reduced import Observation

UNSEEN = 1e-11  # what remains of a control's squared motion, below which it is rounding (of single precision)


def mesh(
    observation: Observation,
    frames: Int[np.ndarray, "chosen"],
    coordinates: Float[np.ndarray, "chosen coordinates"],
    scale: float,
) -> Float[np.ndarray, "chosen coordinates"]:
    """L(z − z*)·scale: the captured mesh is met, in the metric of the vertices that count."""
    return observation.whiten(frames, coordinates - observation.target[frames]) * scale


def mesh_jacobian(
    observation: Observation,
    frames: Int[np.ndarray, "chosen"],
    jacobian: Float[np.ndarray, "chosen controls coordinates"],
) -> Float[np.ndarray, "chosen controls coordinates"]:
    """L·∂z/∂control, transposed: the Jacobian of `mesh` but for its scale and the controls' ranges.

    A control that only moves what does not count in a frame has a row of exact zeros there: rounding must not pull it.
    """
    white = observation.whiten(frames, jacobian)
    if observation.roots is None:
        return white
    kept = (white**2).sum(axis=2) / np.maximum((jacobian**2).sum(axis=2), 1e-30)
    return np.where((kept > UNSEEN * kept.max(axis=1, keepdims=True))[..., None], white, np.zeros_like(white))


def neutral(u: Float[np.ndarray, "*batch controls"], weight: float) -> Float[np.ndarray, "*batch controls"]:
    """weight·u: controls prefer to rest. Its Jacobian is weight·I."""
    return weight * u


def sparsity_weight(u: Float[np.ndarray, "*batch controls"], weight: float) -> Float[np.ndarray, "*batch controls"]:
    """The weights w(u) with (w·u)² ≈ weight²·|u|: an L1 prior by reweighting, which leaves few controls active.

    Iteratively reweighted least squares (Daubechies et al. 2010, eq. 1.4); below 1e-3 of the range it is quadratic,
    so that the
    weight stays finite. Its Jacobian, w held, is diag(w).
    """
    return weight / np.sqrt(np.maximum(np.abs(u), 1e-3))


def smoothness(
    u: Float[np.ndarray, "frames controls"], weight: Float[np.ndarray, "#inner #controls"]
) -> Float[np.ndarray, "inner controls"]:
    """weight·(u[t−1] − 2u[t] + u[t+1]): curves prefer constant velocity. Needs at least three frames (else no
    residual).

    A weight per control says how strongly; rows of zeros break the curves there (a cut).
    """
    if len(u) < 3:
        return np.zeros((0, u.shape[1]))
    return weight * (u[:-2] - 2 * u[1:-1] + u[2:])


def smoothness_bands(
    frames: int, weight: Float[np.ndarray, "#inner controls"]
) -> Float[np.ndarray, "3 frames controls"]:
    """JᵀJ of `smoothness`: for each control its diagonal and the two above (entry k at t couples t and t + k)."""
    bands = np.zeros((3, frames, weight.shape[1]))
    if frames < 3:
        return bands
    squared = np.broadcast_to(weight**2, (frames - 2, weight.shape[1]))
    for offset, factor in enumerate((1, 4, 1)):
        bands[0, offset : offset + frames - 2] += factor * squared
    for offset in (0, 1):
        bands[1, offset : offset + frames - 2] -= 2 * squared
    bands[2, : frames - 2] += squared
    return bands


def smoothness_gradient(
    u: Float[np.ndarray, "frames controls"], weight: Float[np.ndarray, "#inner #controls"]
) -> Float[np.ndarray, "frames controls"]:
    """Jᵀr of `smoothness`."""
    gradient = np.zeros_like(u)
    inner = weight * smoothness(u, weight)
    if len(inner):
        gradient[:-2] += inner
        gradient[1:-1] -= 2 * inner
        gradient[2:] += inner
    return gradient


def huber(distance2: Float[np.ndarray, "*batch"], threshold2: float) -> Float[np.ndarray, "*batch"]:
    """ψ(d)/d of Huber's loss, from squared distances: 1 up to the threshold, threshold/d beyond (Huber 1964)."""
    return np.sqrt(threshold2 / np.maximum(distance2, threshold2))


def geman_mcclure(distance2: Float[np.ndarray, "*batch"], threshold2: float) -> Float[np.ndarray, "*batch"]:
    """ψ(d)/d of Geman and McClure's loss d²/(c² + d²) (1987), 1 at 0: what is far off has no say at all."""
    return (threshold2 / (threshold2 + distance2)) ** 2
