"""Where a shot that is followed stands, and how it moves on: one Jacobian that is kept true by what steps show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.rig import Rig, diagonal
from bunraku.inversion.box import box_step
from bunraku.inversion.guidance import Limits
from bunraku.inversion.problem import vertex_weights
from bunraku.inversion.refine import difference_step

_HELPS = 0.97
"""A step that leaves a larger share of the cost is the last of its frame."""
_PAID = 0.7
"""A Jacobian was worth its price where the error fell to this share of what it was."""
_PATIENCE = 5
"""So many frames without another, after one that was not."""
_AT_FIRST = 0.25
"""Of all evaluations, those that there are before the first frame."""
_STILL = 1e-5
"""A control that moves the mesh by less, as a share of what the strongest does, moves nothing: single precision."""
_LOOK_AGAIN = 4
"""Every so manyeth Jacobian asks again those that moved nothing, and one after another that did not pay."""


@dataclass(frozen=True)
class FollowConfig:
    """How a shot is followed."""

    steps: int = 6
    """At most so many true evaluations for a frame, beside Jacobians."""
    enough: float = 2e-4
    """A frame is good with this relative error (root of mean squares, over the diagonal)."""
    every: int = 25
    """A new Jacobian is taken after so many frames, and in between where a frame ends with twice the error."""
    evaluations: int = 6000
    """In all. A quarter of them is for the beginning, the others come frame by frame: where those that have come are
    used up, the Jacobian at hand has to do."""
    neutral: float = 1e-4
    """Weight of the prior that controls rest at neutral: the relative error that one range may cost."""
    steady: float = 3e-4
    """The same for the change from the frame before: what the mesh does not tell stays where it was."""


class Pursuit:
    """Where the rig stands, in shares of the controls' ranges about neutral, and how it moves there."""

    def __init__(self, rig: Rig, capture: MeshSequence, cfg: FollowConfig, limits: Limits) -> None:
        self.rig, self.capture, self.cfg, self.limits = rig, capture, cfg, limits
        spec = rig.spec
        self.lower, self.upper = self._bounds(0)
        self.free = np.flatnonzero((limits.lower < limits.upper).any(axis=0))
        """Controls that are not decided in every frame."""
        self.scale = 1 / (np.sqrt(capture.vertex_count) * diagonal(rig.neutral))
        self.step = difference_step(rig)
        self.evaluations, self.jacobians = 1, 0
        self.weights, self.u = vertex_weights(capture), np.clip(np.zeros(len(spec)), self.lower, self.upper)
        self.before = self.u
        self.place = self._evaluate(self.u[None])[0]
        self.own: np.ndarray | None = None
        self.live = np.arange(len(spec))
        """The controls that the rows of the Jacobian are of."""
        self.jacobian: np.ndarray | None = None
        self.age, self.paid = cfg.every, True
        self.residual = self.place
        self.seen = _Thinned(len(spec))

    def begin(self, controls: Float[np.ndarray, "controls"]) -> None:
        """Go to a pose."""
        spec = self.rig.spec
        self._go((controls - spec.neutral) / spec.range)

    def _go(self, u: Float[np.ndarray, "controls"]) -> None:
        self.u, self.place = u, self._evaluate(u[None])[0]
        self.evaluations += 1

    def _bounds(self, frame: int) -> tuple[Float[np.ndarray, "controls"], Float[np.ndarray, "controls"]]:
        spec, own = self.rig.spec, self.limits.at(np.array([frame]))
        return (own.lower[0] - spec.neutral) / spec.range, (own.upper[0] - spec.neutral) / spec.range

    def face(self, frame: int) -> None:
        """Turn to a frame: what is away from it is the residual from now on."""
        rows = self.weights
        own = None if rows is None else np.repeat(np.sqrt(rows[frame if len(rows) > 1 else 0]), 3)
        changed = own is not None and (self.own is None or not np.array_equal(own, self.own))
        self.own = own
        # What is missing may be NaN, and has weight 0.
        self.target = np.nan_to_num(np.asarray(self.capture.vertices[frame], np.float64).reshape(-1))
        self.before = self.u
        self.come = self.cfg.evaluations * (_AT_FIRST + (1 - _AT_FIRST) * (frame + 1) / self.capture.frames)
        self.lower, self.upper = self._bounds(frame)
        if not ((self.lower <= self.u) & (self.u <= self.upper)).all():
            # What is decided here is not what was at hand.
            self._go(np.clip(self.u, self.lower, self.upper))
        self.residual = self._away(self.place)
        self.age += 1
        if changed and self.jacobian is not None:
            self.square = self._squared()

    def controls(self, u: Float[np.ndarray, "*poses controls"]) -> Float[np.ndarray, "*poses controls"]:
        """In the rig's own units."""
        spec = self.rig.spec
        return np.clip(spec.neutral + u * spec.range, spec.lower, spec.upper)

    def error(self) -> float:
        """Relative root of mean squares at the frame that is faced."""
        return float(np.linalg.norm(self.residual))

    def wants_derivatives(self) -> bool:
        """Whether the Jacobian at hand has become too old, or is no longer good enough."""
        if self.age > self.cfg.every:
            return True
        return self.error() > 2 * self.cfg.enough and (self.paid or self.age > _PATIENCE)

    def differentiate(self) -> bool:
        """Take the derivatives here by differences and step on, unless that is too dear."""
        everything = self.jacobians % _LOOK_AGAIN == 0 or not self.paid
        asked = self.free if everything else self.live
        count = len(asked)
        if self.evaluations + count > self.come:
            return False
        before = self.error()
        steps = np.where(self.u + self.step > self.upper, -self.step, self.step)
        moved = self._evaluate(self.u + np.diag(steps)[asked])
        rows = (moved - self.place) / steps[asked, None] * self.scale
        length = np.linalg.norm(rows, axis=1)
        kept = length > _STILL * length.max(initial=0.0)
        self.live, self.jacobian = asked[kept], rows[kept]
        self.square = self._squared()
        self.seen.add(self.live, self.square)
        self.evaluations, self.jacobians, self.age = self.evaluations + count, self.jacobians + 1, 0
        self.improve()
        self.paid = self.error() < _PAID * before
        return True

    def improve(self) -> None:
        """Step towards the frame while it helps."""
        if self.jacobian is None:
            return
        damping, cost = 0.0, self._cost(self.u, self.residual)
        for _ in range(self.cfg.steps):
            if self.error() <= self.cfg.enough:
                return
            delta = self._step(damping)
            u = np.clip(self.u + delta, self.lower, self.upper)
            place = self._evaluate(u[None])[0]
            self.evaluations += 1
            self._learn(u - self.u, (place - self.place) * self.scale)
            residual = self._away(place)
            tried = self._cost(u, residual)
            if tried < cost:
                helps, cost, damping = tried < _HELPS * cost, tried, 0.3 * damping
                self.u, self.place, self.residual = u, place, residual
                if not helps:
                    return
            else:
                damping = max(5 * damping, 1e-2)

    def packed(self) -> dict[str, np.ndarray]:
        """All that decides how it goes on from here."""
        nothing, count = np.zeros(0), len(self.u)
        numbers = [self.age, self.paid, self.evaluations, self.jacobians, self.seen.every, self.seen.come]
        return {
            "numbers": np.array(numbers, np.int64),
            "u": self.u,
            "place": self.place,
            "live": self.live,
            "own": nothing if self.own is None else self.own,
            "jacobian": np.zeros((0, len(self.place))) if self.jacobian is None else self.jacobian,
            "square": np.zeros((0, 0)) if self.jacobian is None else self.square,
            "seen": np.stack(self.seen.kept) if self.seen.kept else np.zeros((0, count, count)),
        }

    def unpack(self, packed: Mapping[str, np.ndarray]) -> None:
        """Go on from there."""
        age, paid, self.evaluations, self.jacobians, every, come = map(int, packed["numbers"])
        self.age, self.paid, self.seen.every, self.seen.come = age, bool(paid), every, come
        self.u, self.place, self.live = packed["u"], packed["place"], packed["live"]
        self.own = packed["own"] if len(packed["own"]) else None
        self.jacobian = packed["jacobian"] if len(packed["jacobian"]) else None
        self.square, self.seen.kept = packed["square"], list(packed["seen"])

    def _step(self, damping: float) -> Float[np.ndarray, "controls"]:
        neutral, steady, live = self.cfg.neutral**2, self.cfg.steady**2, self.live
        assert self.jacobian is not None
        u = self.u[live]
        gradient = self.jacobian @ self._weighed(self.residual) + neutral * u + steady * (u - self.before[live])
        hessian = self.square + (neutral + steady) * np.eye(len(u))
        lower, upper = self.lower[None, live], self.upper[None, live]
        delta = np.zeros(len(self.u))
        delta[live] = box_step(hessian[None], gradient[None], u[None], lower, upper, np.array([damping]))[0][0]
        return delta

    def _learn(self, moved: Float[np.ndarray, "controls"], change: Float[np.ndarray, "coordinates"]) -> None:
        """Broyden's update: the least change of the Jacobian that explains what a step has done."""
        assert self.jacobian is not None
        delta = moved[self.live]
        length = float(delta @ delta)
        if length < 1e-18:
            return
        surprise = (change - delta @ self.jacobian) / length
        # (J + δ·sᵀ)·(J + δ·sᵀ)ᵀ, without the product of two large matrices
        crossed = np.outer(self.jacobian @ self._weighed(self._weighed(surprise)), delta)
        self.square += crossed + crossed.T + float((self._weighed(surprise) ** 2).sum()) * np.outer(delta, delta)
        self.jacobian += np.outer(delta, surprise)

    def _squared(self) -> Float[np.ndarray, "controls controls"]:
        assert self.jacobian is not None
        weighed = self._weighed(self.jacobian)
        return weighed @ weighed.T

    def _cost(self, u: np.ndarray, residual: np.ndarray) -> float:
        priors = (self.cfg.neutral * u, self.cfg.steady * (u - self.before))
        return float(residual @ residual + sum(float(prior @ prior) for prior in priors))

    def _away(self, place: Float[np.ndarray, "coordinates"]) -> Float[np.ndarray, "coordinates"]:
        return self._weighed((place - self.target) * self.scale)

    def _weighed(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.own is None else rows * self.own

    def _evaluate(self, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses coordinates"]:
        return np.asarray(self.rig.evaluate(self.controls(u)), np.float64).reshape(len(u), -1)


class _Thinned:
    """Every so manyeth of what comes, so that few are kept and they are spread over all."""

    MOST = 8

    def __init__(self, controls: int) -> None:
        self.kept: list[np.ndarray] = []
        self.every, self.come = 1, 0
        self.none = np.zeros((0, controls, controls))

    def add(self, live: Int[np.ndarray, "live"], normal: Float[np.ndarray, "live live"]) -> None:
        """Another one, of the controls that move anything."""
        if self.come % self.every == 0:
            whole = np.zeros(self.none.shape[1:])
            whole[np.ix_(live, live)] = normal
            self.kept.append(whole)
        self.come += 1
        if len(self.kept) > self.MOST:
            self.kept, self.every = self.kept[::2], 2 * self.every

    def normals(self) -> Float[np.ndarray, "kept controls controls"]:
        """Those that were kept."""
        return np.stack(self.kept) if self.kept else self.none
