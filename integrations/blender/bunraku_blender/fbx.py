# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving meshes of .fbx files, imported by Blender and read frame by frame."""

import os

import bpy
import bunraku_host as protocol
import numpy as np

from bunraku_blender import stage
from bunraku_blender.home import played

IMPORT, FRAMES = 36, 37
"""Requests beside those of every rig."""
LOOKED_AT = 5
"""Frames at which meshes are compared to see which of them move."""
SLACK = 1e-2
"""Of a frame: keys are not quite on frames."""
MOST_FRAMES = 1_000_000
IMPORTED = {}


def handlers():
    """By the kind of request."""
    return {IMPORT: _import, FRAMES: _frames}


def _import(message):
    """Open a file: its frame rate and frames, and the triangles of the mesh that moves."""
    path, name = message.plain["path"], message.plain["object"]
    if "fbx_import" not in dir(bpy.ops.wm):
        raise protocol.MistakeError(f"Blender {bpy.app.version_string} is too old to read .fbx well; 4.5 or newer does")
    if not os.path.isfile(path):
        raise protocol.MistakeError(f"no file {path}")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    try:
        # A file's time 0 is frame 0, whatever Blender calls its first frame.
        bpy.ops.wm.fbx_import(filepath=path, use_anim=True, anim_offset=0.0)
    except RuntimeError as error:
        raise protocol.MistakeError(f"Blender cannot read it: {' '.join(str(error).split())[:300]}") from None
    ranges = [action.frame_range for action in bpy.data.actions]
    if not ranges:
        raise protocol.MistakeError("nothing moves in it")
    first = int(np.floor(min(one[0] for one in ranges) + SLACK))
    last = int(np.ceil(max(one[1] for one in ranges) - SLACK))
    if not 0 <= last - first < MOST_FRAMES:
        raise protocol.MistakeError(f"it runs from frame {first} to {last}")
    mesh = _find(name, first, last)
    IMPORTED["mesh"] = mesh
    faces = stage.triangles(mesh)
    told = {
        "fps": scene.render.fps / scene.render.fps_base,
        "start": first,
        "frames": last - first + 1,
        "object": mesh.name,
        "vertices": len(stage.points(mesh)),
    }
    yield protocol.DONE, told, {"faces": faces}


def _find(name, first, last):
    meshes = [one for one in bpy.data.objects if one.type == "MESH"]
    for one in meshes:
        if one.name == name:
            return one
    listed = ", ".join(f"#{one.name}" for one in meshes[:20])
    if name is not None:
        raise protocol.MistakeError(f"no mesh {name!r}; it has: {listed or 'none'}")
    if not meshes:
        raise protocol.MistakeError("it has no mesh")
    shown = {one: [] for one in meshes}
    for frame in np.unique(np.linspace(first, last, LOOKED_AT).round().astype(int)):
        bpy.context.scene.frame_set(int(frame))
        for one in meshes:
            shown[one].append(stage.points(one))
    moved = [one for one in meshes if any((points != shown[one][0]).any() for points in shown[one][1:])]
    if len(moved) == 1:
        return moved[0]
    if not moved and len(meshes) == 1:
        return meshes[0]
    listed = ", ".join(f"#{one.name}" for one in (moved or meshes)[:20])
    raise protocol.MistakeError(f"{len(moved or meshes)} meshes{' that move' * bool(moved)}; add one of {listed}")


def _frames(message):
    """The mesh at frames of the file that was opened."""
    yield from played(IMPORTED["mesh"], message.plain["frames"])
