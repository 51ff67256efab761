"""The least-squares problem of a solve: terms put together, for any subset of the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from bunraku.compute.threads import cores, spread
from bunraku.core.controls import ControlSpec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.reduced import Observation, ReducedRig
from bunraku.inversion import terms
from bunraku.inversion.guidance import Limits

BATCH_BYTES = 48 * 2**20  # of Jacobian held at once, by each thread

Result = TypeVar("Result")


class Tally:
    """One running count, for all threads."""

    def __init__(self) -> None:
        self._lock, self.total = Lock(), 0

    def add(self, count: int) -> None:
        """So many more."""
        with self._lock:
            self.total += count


@dataclass(frozen=True, eq=False)
class Problem:
    """A rig in coordinates, a capture in the same, and the unknowns u = (control − neutral)/range."""

    rig: ReducedRig
    observation: Observation
    spec: ControlSpec
    scale: float
    """1/(√V·D): coordinates to relative RMS error."""
    limits: Limits
    """Bounds of the controls."""
    coupling: Float[np.ndarray, "couplings controls"] | None = None
    """Linear combinations of u that prefer to be 0, their weights in them: symmetric pairs."""
    offset: Float[np.ndarray, "frames coordinates"] | None = None
    """What the rig's coordinates lack in each frame (of what an approximation does not show of the true rig)."""
    asked: Tally = field(default_factory=Tally)
    """The poses that the rig was asked for."""

    def lower(self, frames: Int[np.ndarray, "chosen"]) -> Float[np.ndarray, "#chosen controls"]:
        """Least u."""
        return (self.limits.at(frames).lower - self.spec.neutral) / self.spec.range

    def upper(self, frames: Int[np.ndarray, "chosen"]) -> Float[np.ndarray, "#chosen controls"]:
        """Greatest u."""
        return (self.limits.at(frames).upper - self.spec.neutral) / self.spec.range

    def inside(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"]
    ) -> Float[np.ndarray, "chosen controls"]:
        """The nearest u within the bounds."""
        return np.clip(u, self.lower(frames), self.upper(frames))

    def controls(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"]
    ) -> Float[np.ndarray, "chosen controls"]:
        """Controls of u, exactly the bound where u is at it."""
        own = self.limits.at(frames)
        return np.clip(self.spec.neutral + u * self.spec.range, own.lower, own.upper)

    def coordinates(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"]
    ) -> Float[np.ndarray, "chosen coordinates"]:
        """Where the rig is at u, by its coordinates."""
        own = self.rig.evaluate(self.controls(frames, u))
        return own if self.offset is None else own + self.offset[frames]

    def cost(
        self, frames: Int[np.ndarray, "chosen"], u: Float[np.ndarray, "chosen controls"], prior: np.ndarray
    ) -> Float[np.ndarray, "chosen"]:
        """The cost of each frame: mesh term, diagonal priors of weights `prior`, couplings."""
        self.asked.add(len(frames))
        residual = terms.mesh(self.observation, frames, self.coordinates(frames, u), self.scale)
        return (residual**2).sum(axis=1) + self._preferences(u, prior)

    def _preferences(self, u: np.ndarray, prior: np.ndarray) -> Float[np.ndarray, "chosen"]:
        own = ((prior * u) ** 2).sum(axis=1)
        return own if self.coupling is None else own + ((u @ self.coupling.T) ** 2).sum(axis=1)

    def normal(
        self,
        frames: Int[np.ndarray, "chosen"],
        u: Float[np.ndarray, "chosen controls"],
        prior: np.ndarray,
        *,
        exact: bool = False,
    ) -> tuple[Float[np.ndarray, "chosen controls controls"], Float[np.ndarray, "chosen controls"], np.ndarray]:
        """H = JᵀJ, g = Jᵀr and the cost, of the mesh term, of the diagonal priors (weights `prior`, (chosen,
        controls)) and of the couplings. Products of Jacobians that come in single precision are formed in it too,
        unless they must be `exact`: positive semidefinite to the last digit.
        """
        self.asked.add(len(frames))
        coordinates, jacobian = self.rig.linearize(self.controls(frames, u))
        if self.offset is not None:
            coordinates = coordinates + self.offset[frames]
        residual = terms.mesh(self.observation, frames, coordinates, self.scale)
        jt = terms.mesh_jacobian(self.observation, frames, jacobian)
        if exact:
            jt = jt.astype(np.float64)
        # The Jacobian's own units (range, scale) are put on the small products, not on the large factor.
        unit = self.spec.range * self.scale
        hessian = (jt @ np.swapaxes(jt, 1, 2)).astype(np.float64) * (unit[:, None] * unit)
        gradient = (jt @ residual[..., None].astype(jt.dtype))[..., 0] * unit
        index = np.arange(len(self.spec))
        hessian[:, index, index] += prior**2
        gradient = gradient + prior**2 * u
        if self.coupling is not None:
            hessian += self.coupling.T @ self.coupling
            gradient += (u @ self.coupling.T) @ self.coupling
        return hessian, gradient, (residual**2).sum(axis=1) + self._preferences(u, prior)

    def batches(self, frames: Int[np.ndarray, "chosen"]) -> Iterator[Int[np.ndarray, "batch"]]:
        """Parts of the frames whose Jacobian fits into BATCH_BYTES."""
        size = max(1, BATCH_BYTES // (8 * len(self.spec) * self.observation.target.shape[1]))
        for start in range(0, len(frames), size):
            yield frames[start : start + size]

    def each(
        self, work: Callable[[Int[np.ndarray, "batch"]], Result], frames: Int[np.ndarray, "chosen"]
    ) -> Iterator[Result]:
        """What `work` makes of each batch, in order, on all cores where the rig allows it.

        The batches, and with them all results, are the same for any number of threads.
        """
        return spread(work, self.batches(frames), cores() if self.rig.concurrent else 1)


def vertex_weights(capture: MeshSequence) -> Float[np.ndarray, "rows vertices"] | None:
    """How much each vertex of each frame counts (one row where all frames agree); None where all count 1."""
    if capture.valid is None:
        return None if capture.weights is None else capture.weights[None]
    return capture.valid * (1.0 if capture.weights is None else capture.weights)


@dataclass(frozen=True)
class Priors:
    """The priors that act on each control of each frame alone, by their weights."""

    neutral: float | Float[np.ndarray, "controls"] = 0.0
    """One weight for all controls, or one for each."""
    sparse: float = 0.0

    def weights(self, u: Float[np.ndarray, "chosen controls"]) -> Float[np.ndarray, "chosen controls"]:
        """All of them as one diagonal, at u (the sparse one changes with it)."""
        if self.sparse == 0:
            return np.broadcast_to(self.neutral, u.shape)
        return np.sqrt(np.square(self.neutral) + terms.sparsity_weight(u, self.sparse) ** 2)
