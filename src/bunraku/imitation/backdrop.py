"""What a picture's character stands in: ground with a grid, soft light, colours that tell left from right."""

from __future__ import annotations

import mujoco
import numpy as np

from bunraku.imitation.character import Character
from bunraku.imitation.screen import LIGHT_W

RIGHT, LEFT, MIDDLE = (0.0, 0.447, 0.698, 1.0), (0.902, 0.624, 0.0, 1.0), (0.60, 0.63, 0.67, 1.0)
"""Blue, orange (of Okabe and Ito's palette, which colour-blind people can tell apart) and grey."""
GHOST = (0.0, 0.62, 0.451, 0.28)
FOVY_DEG = 35.0
_GRID = "backdrop_grid"
_UNPAINTED = (0.5, 0.5, 0.5, 1.0)


def dressed(character: Character, samples: int = 0) -> mujoco.MjModel:
    """A character's model with ground, sky and light, in coordinates the same as its own; colours of its own stay.

    `samples` per pixel make edges smooth, and drawing slow.
    """
    spec = mujoco.MjSpec.from_string(character.xml, assets=dict(character.files))
    for light in list(spec.lights):
        spec.delete(light)
    ground = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    set_scene(spec, samples)
    if not ground:
        ground = [_ground(spec)]
    for geom in ground:
        geom.material = _GRID
    for body in spec.bodies:
        for geom in body.geoms if body.name != "world" else ():
            if not geom.material and tuple(np.round(geom.rgba, 3)) == _UNPAINTED:
                geom.rgba = _colour(body.name or "")
    return spec.compile()


def empty(samples: int = 0) -> mujoco.MjSpec:
    """Ground, sky and light without anybody."""
    spec = mujoco.MjSpec()
    set_scene(spec, samples)
    _ground(spec).material = _GRID
    return spec


def set_scene(spec: mujoco.MjSpec, samples: int) -> None:
    """Sky, light and the ground's material."""
    vis = spec.visual
    vis.global_.fovy = FOVY_DEG
    vis.quality.offsamples, vis.quality.numslices, vis.quality.numstacks = samples, 20, 12
    vis.headlight.ambient, vis.headlight.diffuse = [0.42, 0.42, 0.44], [0.25, 0.25, 0.25]
    vis.headlight.specular = [0.0, 0.0, 0.0]
    vis.map.znear, vis.map.zfar, vis.map.haze = 0.01, 60.0, 0.35
    vis.rgba.haze = [0.95, 0.96, 0.97, 1.0]
    spec.stat.extent = 1.0
    spec.add_texture(
        name="backdrop_sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.89, 0.93],
        rgb2=[0.95, 0.96, 0.97],
        width=64,
        height=384,
    )
    tile = np.full((128, 128, 3), (226, 228, 231), np.uint8)
    tile[:1] = tile[-1:] = tile[:, :1] = tile[:, -1:] = 196
    texture = spec.add_texture(name=_GRID, type=mujoco.mjtTexture.mjTEXTURE_2D, width=128, height=128, nchannel=3)
    texture.data = tile.tobytes()
    spec.add_material(
        name=_GRID, textures=["", _GRID, *[""] * 8], texrepeat=[1.0, 1.0], texuniform=True, reflectance=0, specular=0
    )
    spec.worldbody.add_light(
        pos=[0, 0, 4],
        dir=list(LIGHT_W),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=False,
        diffuse=[0.55, 0.55, 0.53],
        specular=[0.15, 0.15, 0.15],
        ambient=[0.0, 0.0, 0.0],
    )


def _ground(spec: mujoco.MjSpec) -> mujoco.MjsGeom:
    kind = mujoco.mjtGeom.mjGEOM_PLANE
    return spec.worldbody.add_geom(name="backdrop_ground", type=kind, size=[0, 0, 0.05], contype=0, conaffinity=0)


def _colour(body: str) -> tuple[float, float, float, float]:
    words = body.lower().replace("-", "_").replace(".", "_").split("_")
    if {"right", "r"} & {words[0], words[-1]}:
        return RIGHT
    return LEFT if {"left", "l"} & {words[0], words[-1]} else MIDDLE
