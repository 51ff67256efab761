"""Captures in which some vertices are far off: what they say is moved towards what the rest says.

An M-estimate by modified residuals (Huber 1981, §7.8): the solved mesh plus ψ(r) takes the place of the captured
positions, and plain least squares on that has the same fixed point, where Jᵀψ(r) = 0. The metric stays as it is, so
that no frame needs a factor of its own; what remains wrong shrinks in each round to the share of what is far off.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.reduced import observe, project
from bunraku.inversion import terms
from bunraku.inversion.noise import residuals
from bunraku.inversion.problem import Problem, vertex_weights

Loss = Literal["huber", "geman-mcclure"]
HUBER2, GEMAN_MCCLURE2 = 4.0, 20.0
"""Squared distances, in units of the noise's variance per coordinate, at which the losses begin to bend."""


def cleaned(
    problem: Problem, capture: MeshSequence, u: Float[np.ndarray, "frames controls"], loss: Loss, sigma: float
) -> Problem:
    """The problem with targets that are robust around a solution; `sigma` is the noise per coordinate [rig unit]."""
    targets: list[np.ndarray] = []
    weights = vertex_weights(capture)
    whole = [np.arange(capture.frames)]
    for frames in problem.batches(whole[0]) if weights is None else whole:
        moved = _moved(problem, capture, u, frames, loss, sigma)
        own = project(problem.rig, moved) if weights is None else observe(problem.rig, moved, weights).target
        targets.append(own)
    return replace(problem, observation=replace(problem.observation, target=np.concatenate(targets)))


def _moved(
    problem: Problem, capture: MeshSequence, u: np.ndarray, frames: np.ndarray, loss: Loss, sigma: float
) -> Float[np.ndarray, "chosen vertices 3"]:
    left = residuals(problem, capture, u, frames)
    captured = np.asarray(capture.vertices[frames], np.float64)
    seen = np.isfinite(left[..., 0])
    distance2 = (np.where(seen[..., None], left, 0.0) ** 2).sum(axis=-1)
    variance = max(sigma, 1e-150) ** 2
    if loss == "huber":
        share = terms.huber(distance2, HUBER2 * variance)
    else:
        share = terms.geman_mcclure(distance2, GEMAN_MCCLURE2 * variance)
    return captured - np.where(seen[..., None], (1 - share[..., None]) * left, 0.0)
