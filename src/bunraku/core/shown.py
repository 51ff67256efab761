"""Meshes over time as they can be looked at: what was solved, beside what was captured."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

Vertices = Callable[[Int[np.ndarray, "rows"]], Float[np.ndarray, "rows vertices 3"]]
"""The mesh at the rows asked for."""
Captured = Callable[
    [Int[np.ndarray, "rows"]], tuple[Float[np.ndarray, "rows points 3"], Bool[np.ndarray, "rows points"]]
]
"""Captured points at the rows asked for, in the same space as the mesh, and which of them are there."""
_BLOCK = 16
_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class Shown:
    """A moving mesh, maybe with a capture beside it."""

    name: str
    faces: Int[np.ndarray, "triangles 3"]
    frames: int
    fps: Fraction
    start_frame: int
    solved: Vertices
    captured: Captured | None = None
    captured_faces: Int[np.ndarray, "others 3"] | None = None
    """The capture's own triangles, of one with another topology; None: its points are the mesh's vertices, in order."""
    up: Literal["y", "z"] = "y"
    unit: str = ""
    """Of lengths, where it is known."""
    frame_error: Float[np.ndarray, "frames"] | None = None
    """Mean error of each frame, where it is known already."""

    @property
    def compares(self) -> bool:
        """Whether there is an error to be seen: captured points that correspond to vertices."""
        return self.captured is not None and self.captured_faces is None

    def error(self, row: int) -> Float[np.ndarray, "vertices"]:
        """Distance of each vertex from where it was captured at a row; NaN where it was not."""
        assert self.captured is not None
        rows = np.array([row])
        points, there = self.captured(rows)
        apart = np.linalg.norm(self.solved(rows)[0] - points[0], axis=1)
        return np.where(there[0], apart, np.nan)

    def usual_error(self, samples: int = 24) -> float:
        """The 99th percentile of the errors of some frames spread over all: where a scale of colours should end."""
        rows = np.unique(np.linspace(0, self.frames - 1, min(samples, self.frames)).astype(int))
        errors = np.concatenate([self.error(int(row)) for row in rows])
        known = errors[np.isfinite(errors)]
        return float(np.percentile(known, 99)) if len(known) else 0.0


def remembered(vertices: Vertices, frames: int) -> Vertices:
    """The same, asked for in blocks of neighbouring rows, the last few of which are kept: for looking around."""
    kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def block(number: int) -> np.ndarray:
        if number not in kept:
            kept[number] = vertices(np.arange(number * _BLOCK, min(frames, (number + 1) * _BLOCK)))
            while len(kept) > _BLOCKS:
                kept.popitem(last=False)
        kept.move_to_end(number)
        return kept[number]

    def at(rows: Int[np.ndarray, "rows"]) -> Float[np.ndarray, "rows vertices 3"]:
        return np.stack([block(int(row) // _BLOCK)[int(row) % _BLOCK] for row in rows])

    return at
