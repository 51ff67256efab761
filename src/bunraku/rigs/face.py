"""A procedural face-like rig: what production faces are made of, without anybody's face in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.curves import Curves, curves

ROWS, COLUMNS = 40, 50
JAW = 0
_SIDED = 47
_MIDDLE = 5
_TWO_WAY = 6
_PAIRS = 150
_IN_BETWEENS = 30

# Sizes in millimetres. They are set so that a typical pose moves vertices by about 10 mm on average and a
# bounded linear solve leaves more than 0.6 mm (tests hold both).
_SHAPE_MM = 44.0
_PAIR_MM = 14.0
_IN_BETWEEN_MM = 7.0
_JAW_ANGLE = np.deg2rad(24.0)
_HALF_AXES = np.array([76.0, 112.0, 95.0])
_CHUNK = 256


@dataclass(frozen=True)
class Face:
    """100 controls on 2,000 vertices in millimetres, Y up, looking along +Z; deterministic for a seed.

    Local shapes (smooth bumps, most of them in mirrored .L/.R twins), 150 pairwise combinations (corrective
    shapes driven by the product of two controls), in-betweens (further shapes driven by a hat function of
    one control, so with a kink at its middle), and a jaw that turns the lower face about an axis through the
    ears after all shapes have moved it.
    """

    seed: int = 0

    @cached_property
    def spec(self) -> ControlSpec:
        """Controls in 0 … 1, neutral 0; the last twelve sided ones in −1 … 1."""
        middle = [f"middle{i + 1}" for i in range(_MIDDLE)]
        sided = [f"{region}.{side}" for region in _region_names(self._anchors) for side in "LR"]
        lower = np.zeros(1 + _MIDDLE + 2 * _SIDED)
        lower[-2 * _TWO_WAY :] = -1.0
        return control_spec(["jaw.open", *middle, *sided], lower, 1.0, 0.0)

    @cached_property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """The grid's triangles, seen counter-clockwise from the front."""
        index = np.arange(ROWS * COLUMNS, dtype=np.int32).reshape(ROWS, COLUMNS)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
        return np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)

    @cached_property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The head at rest, mirror-symmetric in x, in millimetres."""
        height, side = np.linspace(-1.25, 1.15, ROWS)[:, None], np.linspace(-1.75, 1.75, COLUMNS)[None, :]
        sphere = np.stack(
            [np.cos(height) * np.sin(side), np.sin(height) + 0 * side, np.cos(height) * np.cos(side)], axis=-1
        )
        head = sphere.reshape(-1, 3) * _HALF_AXES
        nose = 22.0 * np.exp(-((head[:, 0] / 12) ** 2) - ((head[:, 1] + 8) / 22) ** 2)
        eyes = 9.0 * np.exp(-(((np.abs(head[:, 0]) - 32) / 15) ** 2) - ((head[:, 1] - 22) / 12) ** 2)
        return head + sphere.reshape(-1, 3) * (np.where(head[:, 2] > 0, nose - eyes, 0.0))[:, None]

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The mesh of every pose, in float64 millimetres."""
        controls = np.asarray(controls, np.float64)
        mesh = np.empty((len(controls), *self.neutral.shape))
        for start in range(0, len(controls), _CHUNK):
            part = controls[start : start + _CHUNK]
            moved = (self._drivers(part) @ self._shapes).reshape(len(part), -1, 3) + self.neutral
            mesh[start : start + _CHUNK] = self._open_jaw(moved, part[:, JAW])
        return mesh

    def _drivers(self, controls: np.ndarray) -> np.ndarray:
        """What each shape is multiplied by: controls, products of pairs, hats."""
        first, second = self._pairs.T
        hat = np.maximum(0.0, 1.0 - np.abs(2.0 * controls[:, self._hats] - 1.0))
        return np.concatenate([controls, controls[:, first] * controls[:, second], hat], axis=1)

    def _open_jaw(self, mesh: np.ndarray, opening: np.ndarray) -> np.ndarray:
        """Blend each vertex with itself turned about the jaw's axis (parallel to x), by its jaw weight."""
        angle = _JAW_ANGLE * opening[:, None]
        y, z = mesh[:, :, 1] - _JAW_AXIS[0], mesh[:, :, 2] - _JAW_AXIS[1]
        cos, sin = np.cos(angle) - 1.0, np.sin(angle)
        weight = self._jaw_weight
        mesh[:, :, 1], mesh[:, :, 2] = (
            mesh[:, :, 1] + weight * (cos * y - sin * z),
            mesh[:, :, 2] + weight * (sin * y + cos * z),
        )
        return mesh

    @cached_property
    def _jaw_weight(self) -> Float[np.ndarray, "vertices"]:
        below = 1.0 / (1.0 + np.exp((self.neutral[:, 1] + 42.0) / 7.0))
        front = 1.0 / (1.0 + np.exp((5.0 - self.neutral[:, 2]) / 12.0))
        return below * front

    @cached_property
    def _anchors(self) -> Float[np.ndarray, "controls 3"]:
        """Where on the head each control acts; the jaw's is the chin. Sided controls alternate left (+x) and
        right."""
        rng = np.random.default_rng([self.seed, 0])
        left = self.neutral[(self.neutral[:, 2] > 15) & (self.neutral[:, 0] > 6)]
        middle = self.neutral[(self.neutral[:, 2] > 15) & (np.abs(self.neutral[:, 0]) < 6)]
        chin = np.array([[0.0, -95.0, 40.0]])
        sided = _spread(left, _SIDED, rng)
        twins = np.stack([sided, sided * [-1, 1, 1]], axis=1).reshape(-1, 3)
        return np.concatenate([chin, _spread(middle, _MIDDLE, rng), twins])

    @cached_property
    def _pairs(self) -> Int[np.ndarray, "pairs 2"]:
        """Controls that are combined: near each other, or the jaw with the lower face."""
        rng = np.random.default_rng([self.seed, 1])
        first, second = np.triu_indices(len(self._anchors), 1)
        distance = np.linalg.norm(self._anchors[first] - self._anchors[second], axis=1)
        near = np.flatnonzero(distance < np.where(first == JAW, 75.0, 55.0))
        chosen = np.sort(rng.choice(near, _PAIRS, replace=False))
        return np.stack([first[chosen], second[chosen]], axis=1)

    @cached_property
    def _hats(self) -> Int[np.ndarray, "hats"]:
        """Controls with an in-between shape at their middle; one-way ones, jaw included."""
        one_way = np.flatnonzero(self.spec.lower == 0)
        others = np.random.default_rng([self.seed, 2]).choice(one_way[1:], _IN_BETWEENS - 1, replace=False)
        return np.concatenate([[JAW], np.sort(others)])

    @cached_property
    def _shapes(self) -> Float[np.ndarray, "drivers coordinates"]:
        """Offsets of all vertices for every driver at 1, in millimetres."""
        rng = np.random.default_rng([self.seed, 3])
        sided = self._bumps(self._anchors[1 + _MIDDLE :: 2], rng, _SHAPE_MM, (14.0, 30.0))
        single = self._bumps(self._anchors[: 1 + _MIDDLE], rng, _SHAPE_MM, (18.0, 32.0))
        single[JAW] *= 0.2  # the jaw's own shape is a mere bulge: its motion is the turn
        grid = sided.reshape(_SIDED, ROWS, COLUMNS, 3)
        twins = np.stack([grid, grid[:, :, ::-1] * [-1, 1, 1]], axis=1).reshape(2 * _SIDED, -1, 3)
        between = self._anchors[self._pairs].mean(axis=1)
        pairs = self._bumps(between, rng, _PAIR_MM, (12.0, 24.0))
        hats = self._bumps(self._anchors[self._hats], rng, _IN_BETWEEN_MM, (12.0, 22.0))
        return np.concatenate([single, twins, pairs, hats]).reshape(-1, self.neutral.size)

    def _bumps(
        self, anchors: np.ndarray, rng: np.random.Generator, size_mm: float, radius_mm: tuple[float, float]
    ) -> np.ndarray:
        """One smooth local shape per anchor: a Gaussian bump in a random direction with a gentle twist."""
        count = len(anchors)
        direction = rng.standard_normal((count, 1, 3))
        direction *= size_mm * rng.uniform(0.5, 1.0, (count, 1, 1)) / np.linalg.norm(direction, axis=-1, keepdims=True)
        away = self.neutral - anchors[:, None]
        radius = rng.uniform(*radius_mm, (count, 1))
        bump = np.exp(-0.5 * (np.linalg.norm(away, axis=-1) / radius) ** 2)
        twist = np.cross(away / radius[..., None], rng.standard_normal((count, 1, 3)) * size_mm * 0.15)
        return bump[..., None] * (direction + twist)


_JAW_AXIS = (-5.0, 5.0)
"""Height and depth (y, z) of the jaw's axis, in millimetres."""


def _region_names(anchors: np.ndarray) -> list[str]:
    """Readable names of the sided controls by the height of their anchors, numbered within a region."""
    names: list[str] = []
    for height in anchors[1 + _MIDDLE :: 2, 1]:
        heights = ((45, "brow"), (12, "eye"), (-15, "cheek"), (-40, "nose"), (-65, "lip"))
        region = next((name for floor, name in heights if height > floor), "chin")
        names.append(f"{region}{1 + sum(name.startswith(region) for name in names)}")
    return names


def _spread(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Some of the points, far apart from each other (each next one is the farthest of a few tried)."""
    chosen = [points[rng.integers(len(points))]]
    while len(chosen) < count:
        tried = points[rng.integers(len(points), size=12)]
        gaps = np.linalg.norm(tried[:, None] - np.array(chosen), axis=-1).min(axis=1)
        chosen.append(tried[np.argmax(gaps)])
    return np.array(chosen)


def animation(rig: Face, frames: int = 96, seed: int = 0) -> Curves:
    """A natural shot at 24 fps: controls rise and fall now and then, some 20 to 25 of them active at a time.

    Events are Hann windows of 1 to 2 seconds with random peaks, spread evenly over controls and time (also
    across the cuts, so that the first and last frames are as busy as the others).
    """
    rng = np.random.default_rng([seed, 4])
    spec = rig.spec
    shortest, longest = 24, 48
    # A window lies above 2 % of the range for about 9/10 of its length.
    active = 0.9 * (shortest + longest) / 2 / (frames + longest)
    events = max(1, round(23.0 / active))
    turns = -(-events // len(spec))
    who = np.concatenate([rng.permutation(len(spec)) for _ in range(turns)])[:events]
    length = rng.uniform(shortest, longest, events)
    centre = rng.uniform(-longest / 2, frames + longest / 2, events)
    sign = np.where(spec.lower[who] < 0, rng.choice([-1.0, 1.0], events), 1.0)
    phase = np.clip((np.arange(frames)[:, None] - centre) / length, -0.5, 0.5)
    windows = sign * rng.uniform(0.25, 1.0, events) * np.cos(np.pi * phase) ** 2
    values = np.zeros((frames, len(spec)))
    np.add.at(values.T, who, windows.T)
    return curves(spec.names, np.clip(values, spec.lower, spec.upper), 24)
