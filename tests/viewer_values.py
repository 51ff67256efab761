"""What the viewer's tests show: small things with hostile names."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.live import Glimpse
from bunraku.core.shown import Shown
from bunraku.core.solid import Solid

HOSTILE = "<script>window.harmed = 1</script>"
FACES = np.array([[0, 1, 2], [1, 3, 2]])
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float64)


class Sheet:
    """A square that two controls stretch."""

    def __init__(self, factor: float = 1.0) -> None:
        self.spec = control_spec((f"{HOSTILE}.wide", "deep"), -1.0, 1.0, units=("m", "1"))
        self.faces, self.neutral, self.factor = FACES, SQUARE, factor

    def evaluate(self, controls: np.ndarray) -> np.ndarray:
        return SQUARE[None] * (1 + self.factor * controls[:, None, [0, 1, 1]])


def a_take(name: str = "take", apart: float = 0.1) -> Shown:
    frames = SQUARE[None] + np.arange(30)[:, None, None] * [0.0, 0.0, 0.01]
    points = frames + np.linspace(0, apart, 30)[:, None, None] * np.array([0.0, 0.0, 1.0])
    there = np.ones((30, 4), bool)
    there[3, 2] = False
    error = np.linspace(0, apart, 30)
    return Shown(
        name,
        FACES,
        30,
        Fraction(24),
        100,
        lambda rows: frames[rows],
        lambda rows: (points[rows], there[rows]),
        frame_error=error,
    )


BALL = Solid(0, "ellipsoid", np.full(3, 0.1), np.zeros(3), np.array([1.0, 0, 0, 0]))


class FakeLive:
    """Counts what is asked of it."""

    name, body_names, solids = HOSTILE, ("root", "left_foot"), (BALL, replace(BALL, joint=1))
    control_hz, trained_hz = 30.0, 240.0

    def __init__(self) -> None:
        self.steps, self.pushed, self.physics_hz = 0, list[tuple[str, list[float], float]](), 240.0

    def _glimpse(self) -> Glimpse:
        pos = np.array([[0.1 * self.steps, 0, 1.0], [0.1 * self.steps, 0, 0.0]])
        quat = np.tile(np.array([1.0, 0, 0, 0]), (2, 1))
        return Glimpse(self.steps / 30, pos, quat, pos, quat, 0.5, 0.75, {"pose": 0.25}, "")

    def restart(self) -> Glimpse:
        self.steps = 0
        return self._glimpse()

    def step(self) -> Glimpse:
        self.steps += 1
        return self._glimpse()

    def push(self, body: str, force_w: np.ndarray, seconds: float) -> None:
        self.pushed.append((body, np.round(force_w, 6).tolist(), seconds))

    def set_physics_hz(self, hz: float, *, allowed: bool) -> Glimpse:
        if not allowed and hz != self.trained_hz:
            raise BunrakuError("bound to its rate")
        self.physics_hz = hz
        return self.restart()
