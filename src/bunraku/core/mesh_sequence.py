"""A mesh that moves: what a capture is and what a rig makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.errors import BunrakuError


@dataclass(frozen=True, eq=False)
class MeshSequence:
    """Vertices over time on one topology. Build with `mesh_sequence`, which checks what comes in."""

    vertices: Float[np.ndarray, "frames vertices 3"]
    """Positions in the unit and axes of whoever made the file; finite (missing ones are 0, not valid)."""
    faces: Int[np.ndarray, "triangles 3"]
    """Triangles as vertex indices; may be empty."""
    fps: Fraction
    """Frames per second, exact (24000/1001 stays that)."""
    start_frame: int = 0
    """The number of the first frame in the shot that it was cut from."""
    weights: Float[np.ndarray, "vertices"] | None = None
    """How much each vertex counts, ≥ 0; None is 1 everywhere."""
    valid: Bool[np.ndarray, "frames vertices"] | None = None
    """False where a vertex of a frame is missing; None is True everywhere."""
    confidence: Float[np.ndarray, "frames"] | None = None
    """How much each frame counts, > 0 (of one that does not, nothing is valid); None is 1 everywhere."""
    about: Mapping[str, float | str] = field(default_factory=dict[str, float | str])
    """What the file says of its unit ("unit_m") and axes ("up_axis"), where it does; nothing is converted by it."""

    @property
    def frames(self) -> int:
        """How many frames."""
        return self.vertices.shape[0]

    @property
    def vertex_count(self) -> int:
        """How many vertices."""
        return self.vertices.shape[1]

    @property
    def missing(self) -> int:
        """How many (frame, vertex) pairs are missing."""
        return 0 if self.valid is None else int(self.valid.size - self.valid.sum())

    def times_s(self) -> Float[np.ndarray, "frames"]:
        """Seconds since the first frame, k / fps."""
        return np.arange(self.frames) / float(self.fps)


def mesh_sequence(
    vertices: np.ndarray,
    faces: np.ndarray | None = None,
    fps: Fraction | float | int = 24,
    start_frame: int = 0,
    weights: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    name: str = "mesh sequence",
    about: Mapping[str, float | str] | None = None,
    confidence: np.ndarray | None = None,
) -> MeshSequence:
    """A checked `MeshSequence` from vertices (frames, vertices, 3), faces (triangles, 3), weights (vertices,),
    valid (frames, vertices) and confidence (frames,); NaN and infinite positions become missing vertices, and so do
    those of frames of no confidence.

    Raises:
        BunrakuError: wrong shapes, no frame or vertex, a rate that is not positive, a face that names no
            vertex, negative weights, no valid vertex at all. `name` is how the message calls the culprit.
    """
    if vertices.dtype.kind in "iu":
        vertices = vertices.astype(np.float64)
    if vertices.dtype.kind != "f":
        raise BunrakuError(f"{name}: vertices are {vertices.dtype}, not numbers")
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise BunrakuError(f"{name}: vertices have shape {vertices.shape}; expected (frames, vertices, 3)")
    if vertices.shape[0] == 0 or vertices.shape[1] == 0:
        raise BunrakuError(
            f"{name}: has {vertices.shape[0]} frames of {vertices.shape[1]} vertices; needs at least one"
        )
    rate = frame_rate(fps, name)
    triangles = np.zeros((0, 3), np.int32) if faces is None else np.asarray(faces, np.int32)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise BunrakuError(f"{name}: faces have shape {triangles.shape}; expected (triangles, 3)")
    if triangles.size and not 0 <= int(triangles.min()) <= int(triangles.max()) < vertices.shape[1]:
        culprit = int(triangles.min() if triangles.min() < 0 else triangles.max())
        raise BunrakuError(f"{name}: a face names vertex {culprit}; there are {vertices.shape[1]}")
    if weights is not None:
        _check_weights(weights, vertices.shape[1], name)
    if valid is not None and valid.shape != vertices.shape[:2]:
        raise BunrakuError(f"{name}: valid has shape {valid.shape}; expected {vertices.shape[:2]}")
    finite = np.asarray(np.isfinite(vertices).all(axis=2))
    if confidence is not None:
        _check_confidence(confidence, len(vertices), name)
        finite &= (confidence > 0)[:, None]
        confidence = np.where(confidence > 0, confidence, 1.0)
    if valid is not None:
        finite &= np.asarray(valid, bool)
    if not finite.any():
        raise BunrakuError(f"{name}: every vertex of every frame is missing or not finite")
    all_there = bool(finite.all())
    clean = vertices if all_there else np.where(finite[..., None], vertices, 0).astype(vertices.dtype)
    there = None if all_there else finite
    return MeshSequence(clean, triangles, rate, int(start_frame), weights, there, confidence, about or {})


def frame_rate(fps: Fraction | float | int, name: str) -> Fraction:
    """The rate as an exact fraction; NTSC decimals (23.976, 29.97, 59.94) become their x000/1001.

    Raises:
        BunrakuError: not a positive finite number.
    """
    if not isinstance(fps, Fraction) and not np.isfinite(fps):
        raise BunrakuError(f"{name}: frame rate {fps} is not a number")
    if fps <= 0:
        raise BunrakuError(f"{name}: frame rate {fps} is not positive")
    if isinstance(fps, Fraction):
        return fps
    for whole in (24, 30, 48, 60, 120):
        ntsc = Fraction(whole * 1000, 1001)
        # Files write 23.976 or 23.98; nothing else lies that close to these rates but the whole number.
        if abs(fps - ntsc) < 0.004 * whole / 24:
            return ntsc
    return Fraction(fps).limit_denominator(100_000)


def _check_weights(weights: np.ndarray, vertex_count: int, name: str) -> None:
    if weights.shape != (vertex_count,):
        raise BunrakuError(f"{name}: weights have shape {weights.shape}; expected ({vertex_count},)")
    if not np.isfinite(weights).all() or (weights < 0).any() or not (weights > 0).any():
        raise BunrakuError(f"{name}: weights must be finite, none negative and at least one positive")


def _check_confidence(confidence: np.ndarray, frames: int, name: str) -> None:
    if confidence.shape != (frames,):
        raise BunrakuError(f"{name}: confidence has shape {confidence.shape}; expected ({frames},)")
    if not np.isfinite(confidence).all() or (confidence < 0).any():
        raise BunrakuError(f"{name}: confidence must be finite and not negative")
