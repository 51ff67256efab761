"""Run in Blender's Python: prints as JSON what animation a .blend file holds on its armature.

python blender_look.py FILE.blend
"""

import json
import sys

import bpy

bpy.ops.wm.open_mainfile(filepath=sys.argv[sys.argv.index("--") + 1], use_scripts=False, load_ui=False)


def curves_of(action):
    """Its curves, by path and index: rows of frame, value, interpolation."""
    if hasattr(action, "layers"):
        bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
        curves = [curve for bag in bags for curve in bag.fcurves]
    else:
        curves = action.fcurves
    return {
        f"{curve.data_path}[{curve.array_index}]": [[*key.co, key.interpolation] for key in curve.keyframe_points]
        for curve in curves
    }


scene, rig = bpy.context.scene, bpy.data.objects["Rig"]
data = rig.animation_data
told = {
    "fps": [scene.render.fps, scene.render.fps_base],
    "range": [scene.frame_start, scene.frame_end],
    "action": data.action.name if data.action else None,
    "actions": {action.name: curves_of(action) for action in bpy.data.actions},
    "tracks": [
        {"mute": track.mute, "strips": [[strip.name, strip.blend_type] for strip in track.strips]}
        for track in data.nla_tracks
    ],
}
print("LOOK", json.dumps(told))
