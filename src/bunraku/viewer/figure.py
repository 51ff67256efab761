"""A character in the browser: shapes on bodies that move."""

from __future__ import annotations

import numpy as np
import viser
from jaxtyping import Float

from bunraku.core.solid import Solid, joined, surface

RIGHT, LEFT, MIDDLE, GHOST = (0, 114, 178), (230, 159, 0), (153, 161, 171), (0, 158, 115)


class Figure:
    """All shapes of a body are one mesh, which moves as a whole."""

    def __init__(
        self,
        server: viser.ViserServer,
        name: str,
        body_names: tuple[str, ...],
        solids: tuple[Solid, ...],
        *,
        ghost: bool = False,
    ) -> None:
        self.handles: dict[int, viser.MeshHandle] = {}
        for body in sorted({solid.joint for solid in solids}):
            shape = joined([surface(solid) for solid in solids if solid.joint == body])
            self.handles[body] = server.scene.add_mesh_simple(
                f"{name}/{body}",
                np.asarray(shape.positions, np.float32),
                np.asarray(shape.triangles, np.uint32),
                color=GHOST if ghost else colour_of(body_names[body]),
                opacity=0.3 if ghost else None,
                scale=0.97 if ghost else 1.0,
                cast_shadow=not ghost,
                receive_shadow=False,
            )

    def show(self, pos_w: Float[np.ndarray, "bodies 3"], quat_w: Float[np.ndarray, "bodies 4"]) -> None:
        """Put all bodies somewhere."""
        for body, handle in self.handles.items():
            handle.position = pos_w[body]
            handle.wxyz = quat_w[body]

    def set_visible(self, visible: bool) -> None:
        """Show or hide it."""
        for handle in self.handles.values():
            handle.visible = visible


def colour_of(body: str) -> tuple[int, int, int]:
    """Blue for what is right, orange for what is left, grey for the rest."""
    parts = body.lower().replace("-", "_").replace(".", "_").split("_")
    if {"right", "r"} & {parts[0], parts[-1]}:
        return RIGHT
    return LEFT if {"left", "l"} & {parts[0], parts[-1]} else MIDDLE
