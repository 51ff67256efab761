"""Linear feedback along a clip: the simulation, fitted by linear models phase by phase, and the gains that are best for
them.

Fitted time-varying linear models of contact dynamics: Levine & Abbeel, "Learning Neural Network Policies with Guided
Policy Search under Unknown Dynamics", NeurIPS 2014. Feedback of this form suffices for many motions: Liu, van de Panne
& Yin, "Guided Learning of Control Graphs for Physics-Based Characters", ACM Trans. Graph. 35(3), 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.rotations import quat_conjugate, quat_rotate
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.following import Following
from bunraku.imitation.landmarks import to_heading

PLACE, TURN, SPEED = 0.02, 0.06, 0.6
"""How far characters are from the clip while it is explored: m, rad, and per second."""
_ACTION = 0.3
"""How far actions go, in their units."""
_NEAR = 3.75
"""Beyond so many of these (root mean square) a linear model is not asked for."""


def deviation(following: Following, qvel: Float[np.ndarray, "count nv"]) -> Float[np.ndarray, "count state"]:
    """How far characters are from their reference, whose velocities are `qvel`: linear coordinates (the root's in the
    reference's heading frame), rotation vectors, hinges; then the velocities of each.
    """
    body, reference = following.body, following.moment
    place = following.qpos[:, body.linear_q] - reference.qpos[:, body.linear_q]
    drift = following.qvel[:, body.linear_v] - qvel[:, body.linear_v]
    for root in (place, drift):
        root[:, :3] = to_heading(reference.landmarks.heading, root[:, :3])
    # The reference's spin is turned from its own body's frame into the simulated one's.
    wanted = quat_rotate(quat_conjugate(following.quat_errors), qvel[:, body.quat_v])
    spin = (following.qvel[:, body.quat_v] - wanted).reshape(len(place), -1)
    hinge = following.qvel[:, body.hinge_v] - qvel[:, body.hinge_v]
    turn = following.rotvec_errors.reshape(len(place), -1)
    return np.concatenate([place, turn, following.hinge_errors, drift, spin, hinge], axis=1)


def spreads(body: Anatomy) -> Float[np.ndarray, "state"]:
    """What a deviation is measured in."""
    turns = 3 * len(body.quat_q) + len(body.hinge_q)
    return np.concatenate([np.full(len(body.linear_q), PLACE), np.full(turns, TURN), np.full(_size(body), SPEED)])


def _size(body: Anatomy) -> int:
    return len(body.linear_q) + 3 * len(body.quat_q) + len(body.hinge_q)


def cost(body: Anatomy, weights: Float[np.ndarray, "rotations"]) -> Float[np.ndarray, "state"]:
    """What squared deviations cost: the reward's pose and velocity terms to second order; and the root's place and
    turn, which decide about falls a second later.
    """
    hinges = len(body.hinge_q)
    turns = np.concatenate([np.repeat(weights[hinges:], 3), weights[:hinges]])
    place = np.full(len(body.linear_q), 10.0)
    # .65·exp(−2 Σ w θ²) and .1·exp(−.1 Σ w |Δv|²)
    pose = 1.3 * turns
    pose[:3] += 1.0
    return np.concatenate([place, pose, np.full(len(place), 0.1), 0.01 * turns])


@dataclass(frozen=True, eq=False)
class LinearModels:
    """x' = A·x + B·u + c for each phase: deviations one control step later."""

    a: Float[np.ndarray, "phases state state"]
    b: Float[np.ndarray, "phases state action"]
    c: Float[np.ndarray, "phases state"]


class Experience:
    """What was seen of the simulation near the clip, summed up phase by phase for least squares."""

    def __init__(self, phases: int, scale: Float[np.ndarray, "state"], actions: int, *, loops: bool) -> None:
        self.loops, self._state = loops, len(scale)
        self._near = scale
        self._scale = np.concatenate([scale, np.full(actions, _ACTION), [1.0]])
        size = len(self._scale)
        self._squares, self._products = np.zeros((phases, size, size)), np.zeros((phases, size, len(scale)))

    @property
    def phases(self) -> int:
        """Parts of the clip, a control step long each."""
        return len(self._squares)

    def add(
        self,
        phase: Int[np.ndarray, "count"],
        before: Float[np.ndarray, "count state"],
        actions: Float[np.ndarray, "count action"],
        after: Float[np.ndarray, "count state"],
        counted: Bool[np.ndarray, "count"],
    ) -> None:
        """Take in a control step of many characters; those that are far from the clip are left out."""
        counted = counted & (np.square(before / self._near).mean(axis=1) < _NEAR**2) & np.isfinite(after).all(axis=1)
        inputs = np.concatenate([before, actions, np.ones((len(before), 1))], axis=1) / self._scale
        for k in np.unique(phase[counted]):
            own = counted & (phase == k)
            self._squares[k] += inputs[own].T @ inputs[own]
            self._products[k] += inputs[own].T @ after[own]

    def models(self, ridge: float = 0.01) -> LinearModels:
        """Ridge regression; each phase borrows from its neighbours, with half the weight."""
        squares, products = self._lent(self._squares), self._lent(self._products)
        rows = squares[:, -1, -1]
        held = squares + ridge * np.maximum(rows, 1.0)[:, None, None] * np.eye(squares.shape[1])
        found = np.swapaxes(np.linalg.solve(held, products) / self._scale[:, None], 1, 2)
        return LinearModels(found[..., : self._state], found[..., self._state : -1], found[..., -1])

    def _lent(self, sums: np.ndarray) -> np.ndarray:
        before, after = np.roll(sums, 1, axis=0), np.roll(sums, -1, axis=0)
        if not self.loops:
            before[0], after[-1] = 0.0, 0.0
        return sums + 0.5 * (before + after)


@dataclass(frozen=True, eq=False)
class LinearFeedback:
    """u = K·x + k of the phase."""

    gains: Float[np.ndarray, "phases action state"]
    offsets: Float[np.ndarray, "phases action"]
    limit: float
    """Actions are cut off there."""

    def actions(
        self, phase: Int[np.ndarray, "count"], state: Float[np.ndarray, "count state"]
    ) -> Float[np.ndarray, "count action"]:
        """What it does about deviations."""
        found = np.einsum("nas,ns->na", self.gains[phase], state) + self.offsets[phase]
        return np.clip(found, -self.limit, self.limit)


def best_feedback(
    models: LinearModels,
    costs: Float[np.ndarray, "state"],
    *,
    loops: bool,
    effort: float = 0.1,
    discount: float = 0.99,
    cycles: int = 8,
    limit: float = 1.5,
) -> LinearFeedback:
    """The feedback of least discounted cost Σ xᵀQx + effort·|u|² for these models.

    By Riccati's recursion, backwards through the clip, `cycles` times where it loops; states are extended by a 1, so
    that what pushes characters off the clip by itself is answered by an offset.
    """
    phases, state, action = models.b.shape
    keep = np.zeros((phases, state + 1, state + 1))
    keep[:, :state, :state], keep[:, :state, state], keep[:, state, state] = models.a, models.c, 1.0
    act = np.concatenate([models.b, np.zeros((phases, 1, action))], axis=1)
    now = np.diag(np.concatenate([costs, [0.0]]))
    later, gains = now, np.zeros((phases, action, state + 1))
    for k in [*reversed(range(phases))] * (cycles if loops else 1):
        # u = −(R + γ BᵀPB)⁻¹ γ BᵀPA·x; P ← Q + γ AᵀP(A + BK)
        pull = discount * act[k].T @ later
        gains[k] = -np.linalg.solve(effort * np.eye(action) + pull @ act[k], pull @ keep[k])
        later = now + discount * keep[k].T @ later @ (keep[k] + act[k] @ gains[k])
        later = (later + later.T) / 2
    return LinearFeedback(gains[..., :state], gains[..., state], limit)
