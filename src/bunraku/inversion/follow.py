"""A shot followed frame by frame on the true rig itself: no samples, no approximation, few evaluations.

For rigs without derivatives and with many controls, of which a black-box approximation would need far more samples than
a shot has frames. One Jacobian by finite differences is kept true by what every step shows (Broyden 1965) and carried
from frame to frame; another is taken where steps no longer help.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import Rig, diagonal
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.box import box_step
from bunraku.inversion.problem import vertex_weights
from bunraku.inversion.refine import FiniteDifferences, difference_step

_HELPS = 0.97
"""A step that leaves a larger share of the cost is the last of its frame."""
_PAID = 0.7
"""A Jacobian was worth its price where the error fell to this share of what it was."""
_LOST = 10.0
"""So many times a typical frame's error."""
_PATIENCE = 5
"""So many frames without another, after one that was not."""
_STILL = 1e-5
"""A control that moves the mesh by less, as a share of what the strongest does, moves nothing: single precision."""
_LOOK_AGAIN = 4
"""Every so manyeth Jacobian asks again those that moved nothing; the others leave them out, and at rest."""


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
    """In all; when they are used up, the Jacobian at hand has to do."""
    neutral: float = 1e-4
    """Weight of the prior that controls rest at neutral: the relative error that one range may cost."""
    steady: float = 3e-4
    """The same for the change from the frame before: what the mesh does not tell stays where it was."""


@dataclass(frozen=True, eq=False)
class Followed:
    """The curves of a shot, and what they cost."""

    controls: Float[np.ndarray, "frames controls"]
    relative_rms: Float[np.ndarray, "frames"]
    """On the true rig."""
    evaluations: int
    """Of the true rig, in all."""
    jacobians: int
    """How many times derivatives were taken."""
    normal: Float[np.ndarray, "poses controls controls"]
    """JᵀJ, per range and relative, at some of the poses where they were."""


def follow(rig: Rig, capture: MeshSequence, cfg: FollowConfig | None = None, progress: Progress = silent) -> Followed:
    """The controls of an aligned capture, each frame begun from the one before, the first from neutral.

    Raises:
        BunrakuError: a pose that the rig fails at.
    """
    cfg = cfg or FollowConfig()
    state = _State(rig, capture, cfg)
    controls, errors = np.empty((capture.frames, len(rig.spec))), np.empty(capture.frames)
    for frame in range(capture.frames):
        state.face(frame)
        state.improve()
        while state.wants_derivatives() and state.differentiate():
            pass
        controls[frame], errors[frame] = state.controls(state.u), state.error()
        note = f"error {errors[: frame + 1].mean():.1e}, {state.evaluations / (frame + 1):.0f} evaluations a frame"
        progress("follow", frame + 1, capture.frames, note)
    # A frame that lost its way tries again from the one behind it, which found on.
    for frame in reversed(range(capture.frames - 1)):
        if errors[frame] > _LOST * max(cfg.enough, float(np.median(errors))) and errors[frame + 1] < errors[frame]:
            state.begin(controls[frame + 1])
            state.face(frame)
            state.differentiate()
            if state.error() < errors[frame]:
                controls[frame], errors[frame] = state.controls(state.u), state.error()
    return Followed(controls, errors, state.evaluations, state.jacobians, state.seen.normals())


class _State:
    """Where the rig stands, in shares of the controls' ranges about neutral, and how it moves there."""

    def __init__(self, rig: Rig, capture: MeshSequence, cfg: FollowConfig) -> None:
        self.rig, self.capture, self.cfg = rig, capture, cfg
        spec = rig.spec
        self.lower, self.upper = (spec.lower - spec.neutral) / spec.range, (spec.upper - spec.neutral) / spec.range
        self.scale = 1 / (np.sqrt(capture.vertex_count) * diagonal(rig.neutral))
        self.step = difference_step(rig)
        self.evaluations, self.jacobians = 1, 0
        self.weights, self.u = vertex_weights(capture), np.zeros(len(spec))
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
        self.u = (controls - spec.neutral) / spec.range
        self.place = self._evaluate(self.u[None])[0]
        self.evaluations += 1

    def face(self, frame: int) -> None:
        """Turn to a frame: what is away from it is the residual from now on."""
        rows = self.weights
        own = None if rows is None else np.repeat(np.sqrt(rows[frame if len(rows) > 1 else 0]), 3)
        changed = own is not None and (self.own is None or not np.array_equal(own, self.own))
        self.own = own
        # What is missing may be NaN, and has weight 0.
        self.target = np.nan_to_num(np.asarray(self.capture.vertices[frame], np.float64).reshape(-1))
        self.before = self.u
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
        asked = np.arange(len(self.u)) if self.jacobians % _LOOK_AGAIN == 0 else self.live
        count = len(asked)
        if self.evaluations + count > self.cfg.evaluations:
            return False
        before = self.error()
        steps = np.where(self.u + self.step > self.upper, -self.step, self.step)
        moved = self._evaluate(self.u + np.diag(steps)[asked])
        rows = (moved - self.place) / steps[asked, None] * self.scale
        length = np.linalg.norm(rows, axis=1)
        kept = length > _STILL * length.max()
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


JACOBIANS = 20.0
"""Evaluations a frame that a shot's Jacobians may cost."""
SPARE = 10
"""Jacobians beside those: the first frames, and motion that bends."""


def paced(controls: int, frames: int, steps: int) -> FollowConfig:
    """How a shot is followed with about `JACOBIANS` + `steps` evaluations a frame."""
    every = max(1, round(controls / JACOBIANS))
    allowed = round((JACOBIANS + steps) * frames) + SPARE * controls
    return FollowConfig(steps=max(steps, 1), enough=1e-5, every=every, evaluations=allowed)


def tangent(rig: Rig) -> Approximation:
    """The rig's linear approximation at neutral, by finite differences: `controls` + 1 evaluations."""
    spec = rig.spec
    differences = FiniteDifferences(rig, difference_step(rig))
    mesh, jacobian = differences.linearize(spec.neutral[None])
    rows = jacobian[0].reshape(len(spec), -1) * spec.range[:, None]
    basis, skip = np.linalg.qr(rows.T)
    return Approximation(
        spec=spec,
        faces=rig.faces,
        neutral=rig.neutral,
        centre=spec.neutral,
        spread=spec.range,
        mean=mesh[0].reshape(-1),
        basis=np.ascontiguousarray(basis.T),
        scale=1.0,
        skip=skip,
        terms=np.zeros((0, 1), np.int64),
        products=np.zeros((len(skip), 0)),
        layers=(),
    )
