# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig of a .blend file, served: opened once, then posed as often as asked."""

import bpy
import bunraku_host as protocol

from bunraku_blender import bake, discover, fbx, home, scripts, skin, stage
from bunraku_blender.pose import Poser

STATE = {}
"""The open rig: `poser`. A host serves one."""


def serve():
    """Answer until the other side is gone."""
    more = {**home.handlers(lambda: STATE["poser"]), **bake.handlers(lambda: STATE["poser"]), **fbx.handlers()}
    protocol.serve_rig(describe, pose, f"Blender {bpy.app.version_string}", more)


def describe(path, object=None, scripts_allowed=False, choices=None):
    """Open a file and say what can be turned in it."""
    scripts.open_file(path, scripts_allowed)
    mesh = stage.find_mesh(object)
    rigs = stage.armatures_of(mesh)
    blocked = [] if scripts_allowed else scripts.blocked_drivers(mesh, rigs)
    if blocked:
        raise protocol.MistakeError(
            f"{len(blocked)} drivers run scripts, which are off, so that the rig does not move as its author meant: "
            f"{', '.join(blocked[:8])}{', …' if len(blocked) > 8 else ''}; --allow-scripts runs the file's scripts"
        )
    animated = stage.rest(mesh, rigs)
    found = discover.controls(mesh, rigs, animated, choices or {})
    STATE["poser"] = poser = Poser(mesh, found.controls)
    poser.check_vertex_count()
    bones, arrays = skin.skin(mesh) or (None, {})
    return {
        **arrays,
        "skin_bones": bones,
        "controls": [control.said() for control in found.controls],
        "rotations": found.rotations,
        "neutral": poser.neutral,
        "faces": stage.triangles(mesh),
        "left_out": [{"name": name, "why": why} for name, why in found.left_out],
        "animations": stage.animations(rigs),
        "object": mesh.name,
        "armatures": [rig.name for rig in rigs],
        "scripts": scripts_allowed,
        "scripts_blocked": bool(bpy.app.autoexec_fail),
    }


def pose(values):
    """The mesh with the controls at these values."""
    return STATE["poser"].pose(values)
