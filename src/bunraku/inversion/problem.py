"""The least-squares problem of a solve: terms put together, for any subset of the frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.reduced import Observation, ReducedRig
from bunraku.inversion import terms

BATCH_BYTES = 192 * 2**20  # of Jacobian held at once


@dataclass(frozen=True, eq=False)
class Problem:
    """A rig in coordinates, a capture in the same, and the unknowns u = (control − neutral)/range."""

    rig: ReducedRig
    observation: Observation
    spec: ControlSpec
    scale: float
    """1/(√V·D): coordinates to relative RMS error."""
    asked: list[int] = field(default_factory=lambda: [0])
    """One running count of the poses that the rig was asked for."""

    @property
    def lower(self) -> Float[np.ndarray, "controls"]:
        """Least u."""
        return (self.spec.lower - self.spec.neutral) / self.spec.range

    @property
    def upper(self) -> Float[np.ndarray, "controls"]:
        """Greatest u."""
        return (self.spec.upper - self.spec.neutral) / self.spec.range

    def controls(self, u: Float[np.ndarray, "chosen controls"]) -> Float[np.ndarray, "chosen controls"]:
        """Controls of u, exactly the bound where u is at it."""
        return np.clip(self.spec.neutral + u * self.spec.range, self.spec.lower, self.spec.upper)

    def cost(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"], prior: np.ndarray
    ) -> Float[np.ndarray, "chosen"]:
        """The cost of each frame: mesh term and diagonal priors of weights `prior`."""
        self.asked[0] += len(frames)
        residual = terms.mesh(self.observation, frames, self.rig.evaluate(self.controls(u)), self.scale)
        return (residual**2).sum(axis=1) + ((prior * u) ** 2).sum(axis=1)

    def normal(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"], prior: np.ndarray
    ) -> tuple[Float[np.ndarray, "chosen controls controls"], Float[np.ndarray, "chosen controls"], np.ndarray]:
        """H = JᵀJ, g = Jᵀr and the cost, of the mesh term and of the diagonal priors (weights `prior`, (chosen,
        controls)).
        """
        self.asked[0] += len(frames)
        coordinates, jacobian = self.rig.linearize(self.controls(u))
        residual = terms.mesh(self.observation, frames, coordinates, self.scale)
        jt = terms.mesh_jacobian(self.observation, frames, jacobian)
        # The Jacobian's own units (range, scale) are put on the small products, not on the large factor.
        unit = self.spec.range * self.scale
        hessian = (jt @ np.swapaxes(jt, 1, 2)).astype(np.float64) * (unit[:, None] * unit)
        gradient = (jt @ residual[..., None].astype(jt.dtype))[..., 0] * unit
        index = np.arange(len(self.spec))
        hessian[:, index, index] += prior**2
        cost = (residual**2).sum(axis=1) + ((prior * u) ** 2).sum(axis=1)
        return hessian, gradient + prior**2 * u, cost

    def batches(self, frames: Int[np.ndarray, "chosen"]) -> Iterator[Int[np.ndarray, "batch"]]:
        """Parts of the frames whose Jacobian fits into BATCH_BYTES."""
        size = max(1, BATCH_BYTES // (8 * len(self.spec) * self.observation.target.shape[1]))
        for start in range(0, len(frames), size):
            yield frames[start : start + size]


def vertex_weights(capture: MeshSequence) -> Float[np.ndarray, "rows vertices"] | None:
    """How much each vertex of each frame counts (one row where all frames agree); None where all count 1."""
    if capture.valid is None:
        return None if capture.weights is None else capture.weights[None]
    return capture.valid * (1.0 if capture.weights is None else capture.weights)


@dataclass(frozen=True)
class Priors:
    """The priors that act on each control of each frame alone, by their weights."""

    neutral: float = 0.0
    sparse: float = 0.0

    def weights(self, u: Float[np.ndarray, "chosen controls"]) -> Float[np.ndarray, "chosen controls"]:
        """All of them as one diagonal, at u (the sparse one changes with it)."""
        if self.sparse == 0:
            return np.full_like(u, self.neutral)
        return np.sqrt(self.neutral**2 + terms.sparsity_weight(u, self.sparse) ** 2)
