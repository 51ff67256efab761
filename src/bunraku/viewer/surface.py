"""A mesh whose vertices and colours change many times a second.

Viser's meshes that can be updated have one colour each. One that shows an amount is therefore several, one for each
step of the scale, which share out the triangles between them.
"""

from __future__ import annotations

import numpy as np
import viser
from jaxtyping import Float, Int

from bunraku.core.colours import MISSING, shades

STEPS = 10
_NOTHING = np.zeros((3, 3), np.float32)
_NO_FACE = np.zeros((1, 3), np.uint32)


class Surface:
    """A mesh of one colour."""

    def __init__(
        self,
        server: viser.ViserServer,
        name: str,
        faces: Int[np.ndarray, "triangles 3"],
        colour: tuple[int, int, int],
        opacity: float | None = None,
    ) -> None:
        self._server, self._name, self._colour, self._opacity = server, name, colour, opacity
        self._faces = np.asarray(faces, np.uint32)
        self._handle: viser.MeshHandle | viser.PointCloudHandle | None = None

    def show(self, vertices: Float[np.ndarray, "vertices 3"]) -> None:
        """Put its vertices somewhere."""
        points = np.asarray(vertices, np.float32)
        if isinstance(self._handle, viser.MeshHandle):
            self._handle.vertices = points
        elif self._handle is not None:
            self._handle.points = points
        elif len(self._faces):
            self._handle = self._server.scene.add_mesh_simple(
                self._name, points, self._faces, color=self._colour, opacity=self._opacity, side="double"
            )
        else:
            self._handle = self._server.scene.add_point_cloud(
                self._name, points, self._colour, point_size=0.008, point_shape="circle"
            )

    def set_visible(self, visible: bool) -> None:
        """Show or hide it."""
        if self._handle is not None and self._handle.visible != visible:
            self._handle.visible = visible


class AmountSurface:
    """A mesh whose colour says an amount: each triangle the step of the scale that its corners' mean is in."""

    def __init__(self, server: viser.ViserServer, name: str, faces: Int[np.ndarray, "triangles 3"]) -> None:
        self._faces = np.asarray(faces, np.int64)
        middles = (np.arange(STEPS) + 0.5) / STEPS
        colours = [*shades(middles, 1.0), np.array(MISSING, np.uint8)]
        self._parts = [
            server.scene.add_mesh_simple(
                f"{name}/{i}", _NOTHING, _NO_FACE, color=colour, flat_shading=True, side="double", visible=False
            )
            for i, colour in enumerate(colours)
        ]

    def show(
        self, vertices: Float[np.ndarray, "vertices 3"], amounts: Float[np.ndarray, "vertices"], top: float
    ) -> None:
        """New vertices and amounts; NaN: there is none."""
        points = np.asarray(vertices, np.float32)
        step = steps_of(amounts[self._faces].mean(axis=1), top)
        for i, part in enumerate(self._parts):
            faces = self._faces[step == i]
            if len(faces):
                part.vertices, part.faces = compact(points, faces)
            if part.visible != bool(len(faces)):
                part.visible = bool(len(faces))


def steps_of(amounts: Float[np.ndarray, "triangles"], top: float) -> Int[np.ndarray, "triangles"]:
    """The step of the scale that each amount is in; `STEPS` where there is none."""
    known = np.isfinite(amounts)
    step = np.clip(np.where(known, amounts, 0.0) / max(top, 1e-30) * STEPS, 0, STEPS - 1).astype(np.int64)
    return np.where(known, step, STEPS)


def compact(points: np.ndarray, faces: Int[np.ndarray, "triangles 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Only the vertices that triangles use, and the triangles over these."""
    used = np.zeros(len(points), bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return points[used], number[faces].astype(np.uint32)
