"""Frames in, controls out, one at a time: what a live capture needs. Causal, and of bounded work per frame.

Each frame is one maximum-a-posteriori estimate: its mesh term, weighed by the noise that was measured so far, and what
the frames before let expect (an iterated extended Kalman filter; Bell and Cathey 1993), within the bounds. How much it
smooths is found out while it runs: the noise from what the residual does between frames, and each control's agility
from whether its corrections keep their sign or alternate (`stream_learning`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import ThreadpoolController

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.reduced import project, unproject
from bunraku.core.rig import DifferentiableRig, GuessingRig, diagonal
from bunraku.inversion.box import box_step
from bunraku.inversion.constant_velocity import Belief, corrected, nothing_known, predict, widened
from bunraku.inversion.frame_term import FrameTerm, Lens
from bunraku.inversion.stream_learning import Agility, Noise

LEAST_NOISE = 1e-6  # below it a capture counts as clean
SPEED = 0.05  # ranges per frame that a control may have in a frame of which nothing before is known
GATE = 4.0  # standard deviations from which on a correction is taken for a movement that had not been expected
ENOUGH = 0.02  # a step that promises less, in squared standard deviations, is not worth a linearisation
LOST_FRAMES = 15  # after so many frames without a capture nothing is expected any more
UNSEEN_KEEP = 0.8  # what remains of a velocity with each frame that is not seen


@dataclass(frozen=True)
class StreamConfig:
    """How a stream is solved."""

    linearizations: int = 3
    """At most so many times the rig's derivatives are asked for in one frame."""
    recovery: int = 8
    """The same for the first frame, and for one in which a cut resets the filter."""
    smooth: float = 1.0
    """The measured noise counts so many times: 0 follows every frame, more than 1 is smoother and lags more."""
    adapt: float = 0.5
    """How fast each control's agility is learnt, per frame; 0 keeps the first guess."""
    noise_frames: int = 30
    """The noise is the median over so many frames."""
    cut: float = 10.0
    """A frame whose corrections are so many times what was expected (root of the mean square) is a cut; 0 never."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """One solved frame."""

    controls: Float[np.ndarray, "controls"]
    error: float
    """Mean vertex distance over what was captured, in the rig's unit; NaN where nothing was."""
    vertex_error: Float[np.ndarray, "vertices"]
    """Of each vertex; NaN where it was not captured."""
    noise: float
    """What is now believed to be the capture's noise: its standard deviation per coordinate, in the rig's unit."""
    linearizations: int
    cut: bool
    """The filter forgot what was before this frame."""


@dataclass(frozen=True, eq=False)
class _Step:
    """A point, and the quadratic model of the mesh term (noise in it) where it was linearised last."""

    u: np.ndarray
    since: np.ndarray
    """How far `u` is from where it was linearised."""
    rows: np.ndarray
    """∂z/∂control, transposed."""
    hessian: np.ndarray
    gradient: np.ndarray
    cost: float
    """At `u`, but for a constant."""


class Stream:
    """Solves frames in the order in which they are pushed."""

    def __init__(
        self,
        rig: DifferentiableRig,
        cfg: StreamConfig | None = None,
        *,
        evaluate: Callable[[Float[np.ndarray, "poses controls"]], Float[np.ndarray, "poses vertices 3"]] | None = None,
    ) -> None:
        """`rig` is a differentiable rig or an approximation; `evaluate` gives the true rig's meshes where they are
        cheap. It is asked once a frame: for the error, and for what the approximation lacks at this pose, which the
        next frame is then solved with.
        """
        self.rig = rig
        self.cfg = StreamConfig() if cfg is None else cfg
        self.spec = rig.spec
        self.lower = (self.spec.lower - self.spec.neutral) / self.spec.range
        self.upper = (self.spec.upper - self.spec.neutral) / self.spec.range
        self._evaluate = evaluate
        self._reduced = rig.reduce()
        self._lacking = 0.0  # coordinates of the true rig's mesh less the approximation's
        self._lens = Lens(self._reduced)
        self._size = diagonal(rig.neutral)
        self._belief: Belief | None = None
        self._agility = Agility(len(self.spec), self.cfg.adapt)
        self._noise = Noise(len(self.spec), self.cfg.noise_frames)
        self._unseen = 0
        # Made once: to look for the libraries takes longer than a frame has.
        self._threads = ThreadpoolController()

    def push(
        self,
        vertices: Float[np.ndarray, "vertices 3"],
        valid: Bool[np.ndarray, "vertices"] | None = None,
        elapsed: int = 1,
    ) -> Streamed:
        """The controls of the next frame, `elapsed` frames after the one before. NaN and what is not `valid` is
        missing; of a frame of nothing but that the controls are what was expected.

        Raises:
            BunrakuError: another number of vertices than the rig's.
        """
        if vertices.shape != self.rig.neutral.shape:
            raise BunrakuError(f"a frame has shape {vertices.shape}; the rig's is {self.rig.neutral.shape}")
        finite = np.asarray(np.isfinite(vertices).all(axis=1))
        seen = finite if valid is None else finite & valid
        with self._threads.limit(limits=1):
            expected = self._expected(max(1, elapsed))
            if not seen.any():
                return self._unseen_frame(expected)
            return self._solved(np.asarray(vertices, np.float64), seen, expected)

    def _expected(self, elapsed: int) -> Belief | None:
        if self._belief is None or self._unseen + elapsed > LOST_FRAMES:
            return None
        belief = predict(self._belief, self._agility.variance, UNSEEN_KEEP if self._unseen else 1.0)
        for _ in range(elapsed - 1):
            belief = predict(belief, self._agility.variance)
        return belief

    def _unseen_frame(self, expected: Belief | None) -> Streamed:
        self._unseen += 1
        self._noise.forget()
        if expected is not None:
            self._belief = replace(expected, u=np.clip(expected.u, self.lower, self.upper))
        u = np.zeros(len(self.spec)) if self._belief is None else self._belief.u
        nothing = np.full(len(self.rig.neutral), np.nan)
        return Streamed(self._controls(u), float("nan"), nothing, self._noise_in_unit(), 0, False)

    def _solved(self, vertices: np.ndarray, seen: np.ndarray, expected: Belief | None) -> Streamed:
        term = self._lens.look(vertices, seen)
        fresh = expected is None
        if expected is None:
            expected = nothing_known(self._first_guess(vertices, seen), SPEED)
        start = self._linearized(term, np.clip(expected.u, self.lower, self.upper))
        cut = False
        information = np.linalg.inv(expected.uu)
        if not fresh:
            reconsidered, cut = self._reconsidered(expected, information, start)
            if reconsidered is not expected:
                expected, information = reconsidered, np.linalg.inv(reconsidered.uu)
        limit = self.cfg.recovery if fresh or cut else self.cfg.linearizations
        best, asked = self._iterated(term, expected, information, start, limit)
        uu = np.linalg.inv(best.hessian + information)
        mesh = self._mesh(best.u)
        if fresh or cut:
            self._noise.forget()
        beside = mesh + self._left_to_go(best) - vertices
        self._noise.learn(np.where(seen[:, None], beside, np.nan) / self._size)
        self._belief = self._settled(corrected(expected, best.u, uu))
        self._unseen = 0
        distance = np.where(seen, np.linalg.norm(mesh - vertices, axis=1), np.nan)
        error = float(np.nanmean(distance))
        return Streamed(self._controls(best.u), error, distance, self._noise_in_unit(), asked, cut)

    def _first_guess(self, vertices: np.ndarray, seen: np.ndarray) -> np.ndarray:
        if self._belief is not None:
            return self._belief.u
        if isinstance(self.rig, GuessingRig):
            guess = self.rig.guess(mesh_sequence(vertices[None], valid=seen[None]))[0]
            return (guess - self.spec.neutral) / self.spec.range
        return np.zeros(len(self.spec))

    def _controls(self, u: np.ndarray) -> np.ndarray:
        return np.clip(self.spec.neutral + u * self.spec.range, self.spec.lower, self.spec.upper)

    def _noise_in_unit(self) -> float:
        return float(np.sqrt(self._noise.variance)) * self._size

    def _mesh(self, u: np.ndarray) -> np.ndarray:
        """The mesh of the answer; of the true rig where there is one, which also says what the approximation lacks."""
        controls = self._controls(u)[None]
        coordinates = self._reduced.evaluate(controls)
        if self._evaluate is None:
            return unproject(self._reduced, coordinates)[0]
        mesh = self._evaluate(controls)
        self._lacking = (project(self._reduced, mesh) - coordinates)[0]
        return mesh[0]

    def _weight(self) -> float:
        """Of a squared residual: 1/σ² per squared coordinate difference in the rig's unit."""
        noise = max(self.cfg.smooth**2 * self._noise.variance, LEAST_NOISE**2)
        return 1 / (noise * self._size**2)

    def _coordinates(self, u: np.ndarray) -> np.ndarray:
        return self._reduced.evaluate(self._controls(u)[None])[0] + self._lacking

    def _data_cost(self, term: FrameTerm, z: np.ndarray) -> float:
        return float(z @ (term.through(z[None])[0] - 2 * term.moment)) * self._weight()

    def _linearized(self, term: FrameTerm, u: np.ndarray) -> _Step:
        z, rows = self._reduced.linearize(self._controls(u)[None])
        own = z[0] + self._lacking
        hessian, gradient = term.normal(own, rows[0])
        unit, weight = self.spec.range, self._weight()
        cost = self._data_cost(term, own)
        hessian, gradient = hessian * (unit[:, None] * unit) * weight, gradient * unit * weight
        return _Step(u, np.zeros_like(u), rows[0], hessian, gradient, cost)

    def _step(self, at: _Step, expected: Belief, information: np.ndarray, damping: float) -> tuple[np.ndarray, float]:
        """From a point to the minimum of the model there and of what was expected; the decrease that it predicts."""
        gradient = at.gradient + information @ (at.u - expected.u)
        delta, predicted = box_step(
            (at.hessian + information)[None], gradient[None], at.u[None], self.lower, self.upper, np.array([damping])
        )
        return at.u + delta[0], float(predicted[0])

    def _reconsidered(self, expected: Belief, information: np.ndarray, start: _Step) -> tuple[Belief, bool]:
        """What was expected, less sure where the frame contradicts it; whether the contradiction is a cut.

        Of a correction with gain K (prior variance p) the innovation is Δ/K, of variance p/K.
        """
        uu = np.linalg.inv(start.hessian + information)
        u, _ = self._step(start, expected, information, 0.0)
        correction, prior = u - np.clip(expected.u, self.lower, self.upper), np.diagonal(expected.uu)
        gain = np.maximum(1 - np.diagonal(uu) / prior, 1e-6)
        score = correction / np.sqrt(gain * prior)
        if self.cfg.cut > 0 and float((score**2).mean()) > self.cfg.cut**2:
            self._agility.startled()
            return nothing_known(start.u, SPEED), True
        self._agility.learn(score)
        over = np.abs(score) > GATE
        if not over.any():
            return expected, False
        extra = np.where(over, np.minimum((correction / gain) ** 2 - prior / gain, 1.0), 0.0)
        return widened(expected, 4 * extra), False

    def _iterated(
        self, term: FrameTerm, expected: Belief, information: np.ndarray, start: _Step, limit: int
    ) -> tuple[_Step, int]:
        """Gauss–Newton steps from the first linearisation on, damped where one has failed."""

        def whole(step: _Step) -> float:
            off = step.u - expected.u
            return step.cost + float(off @ information @ off)

        best, asked, damping = start, 1, 0.0
        while True:
            u, predicted = self._step(best, expected, information, damping)
            if predicted < ENOUGH or asked >= limit:
                # The last step has no linearisation of its own; it must be an improvement all the same.
                cost = self._data_cost(term, self._coordinates(u))
                last = replace(best, u=u, since=best.since + u - best.u, cost=cost)
                return (last if whole(last) < whole(best) else best), asked
            tried = self._linearized(term, u)
            asked += 1
            if whole(tried) < whole(best):
                best, damping = tried, damping / 10
            else:
                damping = max(10 * damping, 1e-2)

    def _left_to_go(self, at: _Step) -> np.ndarray:
        """How the mesh would move on if the frame alone decided. Without it a filter that lags would take its lag for
        noise, and lag the more.
        """
        size = len(at.u)
        damped = at.hessian + 1e-9 * float(np.diagonal(at.hessian).max(initial=1e-300)) * np.eye(size)
        free = -np.linalg.solve(damped, at.gradient + at.hessian @ at.since)
        moved = (free * self.spec.range) @ at.rows
        return unproject(self._reduced, moved[None])[0] - self._reduced.origin

    def _settled(self, belief: Belief) -> Belief:
        """A control at a bound does not move on beyond it."""
        outward = ((belief.u <= self.lower) & (belief.velocity < 0)) | (
            (belief.u >= self.upper) & (belief.velocity > 0)
        )
        return replace(belief, velocity=np.where(outward, 0.0, belief.velocity))
