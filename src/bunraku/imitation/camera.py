"""Where pictures are taken from: a camera that follows what moves, on a smooth path."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.imitation.backdrop import FOVY_DEG
from bunraku.imitation.screen import View

VIEWS = {
    "quarter": (125.0, -12.0),
    "front": (180.0, -8.0),
    "side": (90.0, -8.0),
    "back": (0.0, -8.0),
    "top": (90.0, -89.0),
}
"""Azimuth and elevation [deg] beside something that faces +x."""
_SMOOTH_S = 0.5
_MARGIN = 1.25
"""Room about what is seen, the captions' strip included."""


def angles_of(camera: str) -> tuple[float, float, float | None]:
    """Azimuth and elevation [deg], and the distance where one is named: "quarter" or the like, or "AZ,EL[,DIST]".

    Raises:
        BunrakuError: neither.
    """
    if camera in VIEWS:
        return (*VIEWS[camera], None)
    try:
        numbers = [float(part) for part in camera.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(map(math.isfinite, numbers)) or (len(numbers) == 3 and numbers[2] <= 0):
        raise BunrakuError(
            f"--camera {camera}: expected {', '.join(VIEWS)}, or AZIMUTH,ELEVATION[,DISTANCE] in degrees and metres"
        )
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None


def following_views(
    points_w: Float[np.ndarray, "frames points 3"], fps: float, camera: str = "quarter", aspect: float = 4 / 3
) -> list[View]:
    """A view for each frame that keeps all points in the picture, at one distance, without following every step.

    Raises:
        BunrakuError: as `angles_of`.
    """
    azimuth, elevation, distance = angles_of(camera)
    low, high = points_w.min(axis=1), points_w.max(axis=1)
    path = smoothed((low + high) / 2, _SMOOTH_S * fps)
    travel = path[-1, :2] - path[0, :2]
    if camera in VIEWS and np.linalg.norm(travel) > 0.5:
        azimuth += math.degrees(math.atan2(travel[1], travel[0]))
    if distance is None:
        distance = _fitting(points_w - path[:, None], azimuth, elevation, aspect)
    return [View((float(x), float(y), float(z)), distance, azimuth, elevation) for x, y, z in path]


def _fitting(points: Float[np.ndarray, "frames points 3"], azimuth: float, elevation: float, aspect: float) -> float:
    """The least distance from which points about the middle of the picture are all inside it."""
    a, e = math.radians(azimuth), math.radians(elevation)
    ahead = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    right = np.array([math.sin(a), -math.cos(a), 0.0])
    tangent = math.tan(math.radians(FOVY_DEG) / 2) / _MARGIN
    across = np.abs(points @ right) / (tangent * aspect)
    along = np.abs(points @ np.cross(right, ahead)) / tangent
    return max(1e-3, float((np.maximum(across, along) - points @ ahead).max()))


def smoothed(path: Float[np.ndarray, "frames 3"], width: float) -> Float[np.ndarray, "frames 3"]:
    """A Gaussian mean over frames (`width` its deviation); beyond the ends the path goes on as it came."""
    reach = max(1, math.ceil(3 * width))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(width, 1e-9)) ** 2)
    # Point-mirrored at the ends, so that a steady walk stays steady there.
    steps = np.minimum(np.arange(1, reach + 1), len(path) - 1)
    before, after = 2 * path[0] - path[steps[::-1]], 2 * path[-1] - path[len(path) - 1 - steps]
    long = np.concatenate([before, path, after])
    return np.stack([np.convolve(long[:, k], weights / weights.sum(), "valid") for k in range(3)], axis=1)
