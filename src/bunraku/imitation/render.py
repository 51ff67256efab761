"""Pictures of a simulated character, without a screen: what it did, over the ghost of what it should have done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from bunraku.core.rotations import quat_rotate
from bunraku.imitation.anatomy import body_poses_w
from bunraku.imitation.backdrop import GHOST, dressed
from bunraku.imitation.camera import following_views
from bunraku.imitation.character import Built
from bunraku.imitation.screen import Screen, View


@dataclass(frozen=True)
class RenderConfig:
    """How pictures are taken."""

    width: int = 640
    """Of a picture [pixels]."""
    height: int = 480
    """Of a picture [pixels]."""
    camera: str = "quarter"
    """quarter, front, side, back, top, or AZIMUTH,ELEVATION[,DISTANCE] [deg, m]. It follows on a smooth path."""
    ghost: bool = True
    """Show through the character where its reference is."""


def render(
    built: Built,
    qpos: Float[np.ndarray, "frames nq"],
    fps: float,
    cfg: RenderConfig,
    ghost_qpos: Float[np.ndarray, "frames nq"] | None = None,
    chosen: Iterable[int] | None = None,
    samples: int = 0,
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """A picture of each state, or of the `chosen` frames; `samples` per pixel make edges smooth and drawing slow.

    Raises:
        BunrakuError: no such camera, a size that cannot be drawn, no OpenGL library.
    """
    views = following_views(_corners_w(built, qpos), fps, cfg.camera, cfg.width / cfg.height)
    frames = range(len(qpos)) if chosen is None else chosen
    model = dressed(built.character, samples)
    return _pictures(model, qpos, views, frames, ghost_qpos if cfg.ghost else None, cfg)


def _pictures(
    model: mujoco.MjModel,
    qpos: np.ndarray,
    views: list[View],
    frames: Iterable[int],
    ghost_qpos: np.ndarray | None,
    cfg: RenderConfig,
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    data, other = mujoco.MjData(model), mujoco.MjData(model)
    with Screen(model, cfg.width, cfg.height) as screen:
        for k in frames:
            _pose(model, data, qpos[k])
            screen.begin(data, views[k])
            screen.cast_shadows()
            if ghost_qpos is not None:
                _pose(model, other, ghost_qpos[k])
                screen.add_ghost(other, GHOST)
            yield screen.shoot()


def _pose(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray) -> None:
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)


def _corners_w(built: Built, qpos: np.ndarray) -> np.ndarray:
    """Two corners of a box that holds the shapes of every body, in each frame."""
    pos, quat = body_poses_w(built.anatomy, qpos)
    model = built.model
    # The world's own shapes, the ground among them, reach anywhere.
    shapes = np.flatnonzero(model.geom_bodyid > 0)
    body, reach = model.geom_bodyid[shapes], model.geom_rbound[shapes][:, None]
    middle = pos[:, body] + quat_rotate(quat[:, body], model.geom_pos[shapes][None])
    return np.stack([(middle - reach).min(axis=1), (middle + reach).max(axis=1)], axis=1)
