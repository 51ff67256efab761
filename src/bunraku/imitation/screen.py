"""Pictures of MuJoCo scenes without a screen: an OpenGL context of whatever kind the machine has."""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from bunraku.core.errors import BunrakuError

PACKAGES = "libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libglx-mesa0 libgles2 libosmesa6"
"""Debian's, for a machine that has no OpenGL library."""
LIGHT_W = np.array([-0.3, 0.35, -1.0])
"""Where the light shines to."""
_SHADOW = (0.76, 0.77, 0.79, 1.0)
_SHADOW_Z = 0.003
_MOST_GEOMS = 4000
_GHOST_SIZE = 0.97
_KINDS = {"egl": ("libEGL.so.1", "libGL.so.1"), "osmesa": ("libOSMesa.so.8",)}


@dataclass(frozen=True)
class View:
    """Where a picture is taken from."""

    lookat: tuple[float, float, float]
    """What is in its middle [m]."""
    distance: float
    """From there [m]."""
    azimuth_deg: float
    """0 looks along +x, 90 along +y."""
    elevation_deg: float
    """Negative looks down."""


class Screen:
    """Draws one model, as often as wanted. Use it as a context: graphics memory is not freed by itself."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Open it.

        Raises:
            BunrakuError: a size that cannot be drawn, no OpenGL library.
        """
        if not (16 <= width <= 8192 and 16 <= height <= 8192):
            raise BunrakuError(f"a picture of {width}×{height}: expected 16 to 8192 pixels each way")
        self._size = mujoco.MjrRect(0, 0, width, height)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._gl = open_context(width, height)
        self._context: mujoco.MjrContext | None = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self.model = model
        self.scene = mujoco.MjvScene(model, maxgeom=_MOST_GEOMS)
        # Planar shadows are drawn as geoms: shadow maps, reflections cost ten times as much without a graphics card.
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self.scene.flags[flag] = 0
        for flag in (mujoco.mjtRndFlag.mjRND_SKYBOX, mujoco.mjtRndFlag.mjRND_HAZE):
            self.scene.flags[flag] = 1
        self._options, self._nobody = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._camera = mujoco.MjvCamera()
        self._rows = np.empty((height, width, 3), np.uint8)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, data: mujoco.MjData, view: View) -> None:
        """A new picture of a state."""
        camera = self._camera
        camera.lookat[:], camera.distance = view.lookat, view.distance
        camera.azimuth, camera.elevation = view.azimuth_deg, view.elevation_deg
        everything = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(self.model, data, self._options, self._nobody, self._camera, everything, self.scene)

    def cast_shadows(self) -> None:
        """The shadows of what is in the picture so far, on the ground."""
        flatten = _flattening()
        for i in range(self.scene.ngeom):
            geom = self.scene.geoms[i]
            if geom.type in (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD)):
                continue
            pos = flatten @ np.array(geom.pos, np.float64)
            pos[2] = _SHADOW_Z
            turn = flatten @ np.array(geom.mat, np.float64).reshape(3, 3)
            self.add(geom.type, np.array(geom.size), pos, turn, _SHADOW, geom.dataid, specular=0.0)

    def add_ghost(self, data: mujoco.MjData, rgba: tuple[float, float, float, float]) -> None:
        """The bodies of another state, seen through."""
        first = self.scene.ngeom
        moving = int(mujoco.mjtCatBit.mjCAT_DYNAMIC)
        mujoco.mjv_addGeoms(self.model, data, self._options, self._nobody, moving, self.scene)
        for i in range(first, self.scene.ngeom):
            geom = self.scene.geoms[i]
            # A little smaller: where it coincides with the body it is hidden inside, and does not flicker.
            geom.rgba[:], geom.matid, geom.size[:] = rgba, -1, np.array(geom.size) * _GHOST_SIZE

    def add(
        self,
        kind: int,
        size: np.ndarray,
        pos: np.ndarray,
        turn: np.ndarray,
        rgba: tuple[float, float, float, float],
        dataid: int = -1,
        *,
        material: int = -1,
        specular: float = 0.3,
    ) -> None:
        """A shape of one's own; `turn` may be any matrix."""
        if self.scene.ngeom >= self.scene.maxgeom:
            return
        geom = self.scene.geoms[self.scene.ngeom]
        matrix = np.asarray(turn, np.float64).reshape(9)
        mujoco.mjv_initGeom(geom, kind, np.asarray(size, np.float64), pos, matrix, np.array(rgba, np.float32))
        geom.dataid, geom.matid, geom.specular = dataid, material, specular
        geom.texcoord = int(material >= 0)
        geom.category = int(mujoco.mjtCatBit.mjCAT_DECOR)
        self.scene.ngeom += 1

    def upload_mesh(self, mesh: int) -> None:
        """Tell the graphics memory that a mesh of the model has changed."""
        assert self._context is not None
        mujoco.mjr_uploadMesh(self.model, self._context, mesh)

    def shoot(self) -> UInt8[np.ndarray, "height width 3"]:
        """The picture, top row first; an array of its own."""
        assert self._context is not None
        mujoco.mjr_render(self._size, self.scene, self._context)
        mujoco.mjr_readPixels(self._rows, None, self._size, self._context)
        return self._rows[::-1].copy()

    def close(self) -> None:
        """Free the graphics memory."""
        if self._context is not None:
            self._context.free()
            self._gl.free()
            self._context = None


def _flattening() -> Float[np.ndarray, "3 3"]:
    """Along the light onto the ground. Not quite flat: a shape without any thickness has no normals to be lit by."""
    flat = np.eye(3)
    flat[:2, 2] = -LIGHT_W[:2] / LIGHT_W[2]
    flat[2, 2] = 1e-3
    return flat


def open_context(width: int, height: int) -> Any:
    """An OpenGL context that is current in this thread: MUJOCO_GL names its kind, or EGL and then OSMesa is tried.

    Raises:
        BunrakuError: the machine has no OpenGL library; the message names the packages.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if platform.system() != "Linux":
        context = importlib.import_module("mujoco.rendering.classic.gl_context").GLContext(width, height)
        context.make_current()
        return context
    kinds = [wanted] if wanted in _KINDS else [kind for kind, needs in _KINDS.items() if all(map(_loads, needs))]
    # Only one of them: what PyOpenGL has loaded once stays.
    for kind in kinds[:1]:
        try:
            context = importlib.import_module(f"mujoco.{kind}").GLContext(width, height)
            context.make_current()
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            words = " ".join(str(error).split())[:200]
            other = next((each for each in _KINDS if each != kind), "")
            raise BunrakuError(
                f"OpenGL by {kind} does not work here ({words}); on Debian and Ubuntu: apt install {PACKAGES}; "
                f"MUJOCO_GL={other} chooses the other way"
            ) from None
        return context
    raise BunrakuError(
        f"pictures need an OpenGL library, and there is none; on Debian and Ubuntu: apt install {PACKAGES}"
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
