"""Where things stand in the browser: ground, light, camera; everything about as large as a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import viser
from jaxtyping import Float

_SIZE = 1.8
_ROW_GAP = 1.25
_LEFT = 0.35
_SEEN = 0.36
"""Half of the width that is seen beside the panel, one metre away [m]."""


@dataclass(frozen=True, eq=False)
class Place:
    """From a mesh's own space to the stage: x ↦ factor·x + offset; side by side with others in its row."""

    factor: float
    offset: Float[np.ndarray, "3"]
    aside: Float[np.ndarray, "3"]
    """From one of a row to the next."""

    def width(self, columns: int) -> float:
        """Of so many of them side by side [m]."""
        return float(self.aside[0]) * columns

    def put(self, vertices: Float[np.ndarray, "vertices 3"], slot: float = 0.0) -> np.ndarray:
        """Vertices on the stage."""
        return np.asarray(vertices * self.factor + (self.offset + slot * self.aside), np.float32)


def place_of(meshes: Float[np.ndarray, "meshes vertices 3"], up: Literal["y", "z"]) -> Place:
    """Room for meshes like these: on the ground, in the middle."""
    low, high = meshes.min(axis=(0, 1)), meshes.max(axis=(0, 1))
    span = np.asarray(high - low, np.float64)
    factor = _SIZE / max(float(span.max()), 1e-12)
    k = "xyz".index(up)
    middle = np.asarray(low + high, np.float64) / 2
    middle[k] = low[k]
    aside = np.zeros(3)
    aside[0] = max(0.3, float(span[0]) * factor * _ROW_GAP)
    return Place(factor, -middle * factor, aside)


def set_stage(
    server: viser.ViserServer, up: Literal["y", "z"], width: float = 1.0, *, facing: tuple[float, float] | None = None
) -> viser.GridHandle:
    """Ground with a grid, soft light, and a camera that looks at the middle; `facing` is where the camera stands."""
    scene = server.scene
    scene.set_up_direction("+y" if up == "y" else "+z")
    ground = scene.add_grid(
        "/ground",
        plane="xz" if up == "y" else "xy",
        width=20,
        height=20,
        infinite_grid=True,
        cell_color=(214, 217, 222),
        section_color=(186, 190, 198),
        fade_distance=18.0,
        shadow_opacity=0.18,
    )
    scene.configure_default_lights(True, cast_shadow=True)
    along, across = facing or ((2.9, 0.7) if up == "y" else (-2.9, 0.7))
    # What stands side by side is seen whole, beside the panel too.
    away = max(1.0, width / 2 / _SEEN / 3.0)
    look_at, position = np.zeros(3), np.zeros(3)
    k, front = "xyz".index(up), 2 if up == "y" else 1
    look_at[k], position[k] = 0.85, 1.25
    position[front], position[0] = along * away, across * away
    # To the left of the middle, which is where the panel leaves room.
    look_at[0] += _LEFT * away
    position[0] += _LEFT * away
    camera = server.initial_camera
    camera.position, camera.look_at, camera.fov = position, look_at, 0.7
    return ground


def set_ground(ground: viser.GridHandle, gone: Float[np.ndarray, "3"]) -> None:
    """Move the ground's grid under something that is kept in the middle though it has gone somewhere."""
    cell = 1.0
    ground.position = (-float(gone[0] % cell), -float(gone[1] % cell), 0.0)
