"""Simple shapes that show where a body is, and their surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.rotations import matrix_from_quat

Kind = Literal["ellipsoid", "capsule", "cylinder", "box"]

_SEGMENTS = 16
_ARCS = 8
"""From pole to pole."""


@dataclass(frozen=True, eq=False)
class Solid:
    """One shape that a joint carries."""

    joint: int
    kind: Kind
    size: Float[np.ndarray, "3"]
    """Half extents along the shape's axes [m]; of a capsule (radius, radius, half the length of its straight part)."""
    pos: Float[np.ndarray, "3"]
    """Its centre in the joint's frame [m]."""
    quat: Float[np.ndarray, "4"]
    """From the shape's axes to the joint's, wxyz; capsules and cylinders lie along z."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles, counter-clockwise seen from outside."""

    positions: Float[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]
    """Unit vectors outwards."""
    triangles: Int[np.ndarray, "triangles 3"]


def surface(solid: Solid) -> Surface:
    """A coarse surface of a solid, in the joint's frame. Every vertex lies on the shape itself."""
    own = _box(solid.size) if solid.kind == "box" else _turned(solid.kind, solid.size)
    turn = matrix_from_quat(solid.quat)
    return Surface(own.positions @ turn.T + solid.pos, own.normals @ turn.T, own.triangles)


def joined(surfaces: list[Surface]) -> Surface:
    """Several surfaces as one."""
    counts = [len(each.positions) for each in surfaces]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return Surface(
        np.concatenate([each.positions for each in surfaces]),
        np.concatenate([each.normals for each in surfaces]),
        np.concatenate([each.triangles + start for each, start in zip(surfaces, starts, strict=True)]),
    )


def _profile(kind: Kind, size: Float[np.ndarray, "3"]) -> Float[np.ndarray, "points 4"]:
    """(distance from the axis, height) and the same of the normal, from the lower pole to the upper one."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, _ARCS + 1)
    c, s = np.cos(angle), np.sin(angle)
    c[[0, -1]] = 0.0
    if kind == "cylinder":
        return np.array([[0, -1, 0, -1], [1, -1, 0, -1], [1, -1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 0, 1.0]])
    ball = np.stack([c, s, c, s], axis=1)
    if kind == "ellipsoid":
        return ball
    # A capsule's equator stands twice: at the lower and at the upper end of its straight part. Of radius 1 here.
    lower, upper = ball[: _ARCS // 2 + 1].copy(), ball[_ARCS // 2 :].copy()
    lower[:, 1] -= size[2] / size[0]
    upper[:, 1] += size[2] / size[0]
    return np.concatenate([lower, upper])


def _turned(kind: Kind, size: Float[np.ndarray, "3"]) -> Surface:
    """A profile turned about z."""
    points = _profile(kind, size)
    scale = np.full(3, size[0]) if kind == "capsule" else size
    around = 2 * np.pi * np.arange(_SEGMENTS) / _SEGMENTS
    ring = np.stack([np.cos(around), np.sin(around)], axis=1)
    positions = np.concatenate([points[:, None, :1] * ring, np.repeat(points[:, None, 1:2], _SEGMENTS, 1)], axis=2)
    normals = np.concatenate([points[:, None, 2:3] * ring, np.repeat(points[:, None, 3:], _SEGMENTS, 1)], axis=2)
    # Normals go with the inverse of the scale.
    normals = normals / scale
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    row, here = np.arange(len(points) - 1)[:, None] * _SEGMENTS, np.arange(_SEGMENTS)
    beside = (here + 1) % _SEGMENTS
    a, b, c, d = row + here, row + beside, row + _SEGMENTS + beside, row + _SEGMENTS + here
    triangles = np.concatenate(
        [np.stack([a, b, c], axis=-1).reshape(-1, 3), np.stack([a, c, d], axis=-1).reshape(-1, 3)]
    )
    flat = (positions * scale).reshape(-1, 3)
    return Surface(flat, normals.reshape(-1, 3), triangles[_area(flat, triangles) > 0])


def _area(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    corner = positions[triangles]
    return np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)


def _box(size: Float[np.ndarray, "3"]) -> Surface:
    """Four corners for each of six faces, so that edges are sharp."""
    positions, normals = list[np.ndarray](), list[np.ndarray]()
    for axis in range(3):
        for side in (-1.0, 1.0):
            normal, u, v = np.zeros(3), np.zeros(3), np.zeros(3)
            normal[axis], u[(axis + 1) % 3], v[(axis + 2) % 3] = side, side, 1.0
            positions += [normal - u - v, normal + u - v, normal + u + v, normal - u + v]
            normals += [normal] * 4
    first = 4 * np.arange(6)[:, None, None]
    triangles = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return Surface(np.array(positions) * size, np.array(normals), triangles)
