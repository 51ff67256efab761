"""The published toy rig: a cube that is scaled and turned (electronicarts/rig-inversion; see NOTICE)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.curves import Curves, curves

NAMES = ("rx", "ry", "rz", "sx", "sy", "sz")
NEUTRAL = (0.5, 0.5, 0.5, 0.6, 0.6, 0.6)
"""Where every angle is 0 and every scale 1, so that the rig gives its cube back."""

_SIGNS = np.array([-1.0, 1.0])
_CORNERS = np.stack(np.meshgrid(_SIGNS, _SIGNS, _SIGNS, indexing="ij"), axis=-1).reshape(8, 3)
"""Corner 4x + 2y + z, each digit 0 for −1 and 1 for +1."""
_TRIANGLES = np.array(
    [
        0,
        1,
        3,
        0,
        3,
        2,
        4,
        6,
        7,
        4,
        7,
        5,
        0,
        4,
        5,
        0,
        5,
        1,
        2,
        3,
        7,
        2,
        7,
        6,
        0,
        2,
        6,
        0,
        6,
        4,
        1,
        5,
        7,
        1,
        7,
        3,
    ],
    np.int32,
).reshape(-1, 3)


@dataclass(frozen=True)
class Cube:
    """A cube of half-width 1: scaled along its axes, then turned about the fixed x, y and z axes, in that
    order.

    Angles are (control − ½)·90°, scales are control·2.5 − ½; all six controls lie in 0 … 1.
    """

    published_vertices: bool = False
    """Take the published vertex list, whose last corner repeats [1, −1, −1] in place of (1, 1, 1)."""

    @property
    def spec(self) -> ControlSpec:
        """rx, ry, rz, sx, sy, sz."""
        return control_spec(NAMES, 0.0, 1.0, NEUTRAL)

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """Twelve triangles, counter-clockwise seen from outside."""
        return _TRIANGLES

    @property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The cube itself."""
        corners = _CORNERS.copy()
        if self.published_vertices:
            corners[7] = corners[4]
        return corners

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The eight corners of every pose, in float64."""
        controls = np.asarray(controls, np.float64)
        angles = (controls[:, :3] - 0.5) * (np.pi / 2)
        scaled = self.neutral * (controls[:, None, 3:] * 2.5 - 0.5)
        # Row vectors: v·(Rz·Ry·Rx)ᵀ turns about x first.
        turn = _about(2, angles[:, 2]) @ _about(1, angles[:, 1]) @ _about(0, angles[:, 0])
        return scaled @ np.swapaxes(turn, 1, 2)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) about a coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1.0
    matrix[:, i, i] = matrix[:, j, j] = np.cos(angle)
    matrix[:, j, i] = np.sin(angle)
    matrix[:, i, j] = -matrix[:, j, i]
    return matrix


def animation(frames: int = 128, seed: int = 0, *, straight: bool = False) -> Curves:
    """A shot to test with, at 24 fps: the published straight line, or smooth curves that turn back.

    The line joins two random poses and stops one step short of its end pose, as published. The curves are
    the line's middle plus two sines per control with random phases, within 0.05 … 0.95.
    """
    rng = np.random.default_rng(seed)
    if straight:
        start, end = rng.random((2, 6))
        return curves(NAMES, start + (end - start) * np.arange(frames)[:, None] / frames, 24)
    t = np.linspace(0, 2 * np.pi, frames)[:, None]
    phase, share = rng.random((2, 6)) * 2 * np.pi, rng.uniform(0.3, 0.7, 6)
    wave = share * np.sin(t + phase[0]) + (1 - share) * np.sin(2 * t + phase[1])
    return curves(NAMES, 0.5 + 0.45 * wave, 24)
