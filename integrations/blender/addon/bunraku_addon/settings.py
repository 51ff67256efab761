# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel asks for, kept in the scene."""

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from . import classes


def _is_mesh(_, one):
    return one.type == "MESH"


def _is_armature(_, one):
    return one.type == "ARMATURE"


class Settings(bpy.types.PropertyGroup):
    """An inversion's rig, capture and options; a policy and what plays it; what was last said."""

    mesh: PointerProperty(
        name="Rig",
        type=bpy.types.Object,
        poll=_is_mesh,
        description="The mesh that the rig moves; its armature is found",
    )
    capture: PointerProperty(
        name="Capture",
        type=bpy.types.Object,
        poll=_is_mesh,
        description="The mesh to follow: with shape keys, a cache, or animated in any other way; points as the rig's",
    )
    start: IntProperty(name="From", default=1, description="First frame of the capture")
    end: IntProperty(name="To", default=24, description="Last frame of the capture")
    controls: StringProperty(
        name="Controls", description="Names and patterns between commas (arm*.r?); empty: all that the rig has"
    )
    refine: IntProperty(
        name="Evaluations", default=10, min=0, max=1000, description="How often the rig is asked per frame"
    )
    more: StringProperty(name="More", description="Further options of `bunraku rig invert`, as on a command line")
    scripts: BoolProperty(name="Let the file run its scripts", description="Code of whoever made it")
    layer: BoolProperty(
        name="Above the animation that is there",
        description="Add to the rig's own animation in a layer, instead of taking its place",
    )
    folder: StringProperty(
        name="Folder", subtype="DIR_PATH", description="Where captures and takes are kept; empty: beside this file"
    )
    run: StringProperty(name="Run", subtype="DIR_PATH", description="A run of `bunraku mimic train`")
    policy: StringProperty(
        name="Policy",
        subtype="FILE_PATH",
        description="A policy of a bop bag: `bunraku mimic export RUN --to policy.npz`",
    )
    seconds: FloatProperty(name="Seconds", default=10.0, min=0.1, max=3600.0)
    armature: PointerProperty(
        name="Armature",
        type=bpy.types.Object,
        poll=_is_armature,
        description="What the motion is put on; empty: an armature of the simulated character is made",
    )
    mapping: StringProperty(
        name="Bones", description="Joints and their bones where names differ: chest=Spine2, neck=Neck"
    )
    status: StringProperty(name="Status", options={"SKIP_SAVE"})
    progress: FloatProperty(name="Progress", min=0.0, max=1.0, options={"SKIP_SAVE"})


def of(context):
    """The scene's settings."""
    return context.scene.bunraku


CLASSES = (Settings,)


def register():
    """Make it known."""
    classes.register(CLASSES)
    bpy.types.Scene.bunraku = PointerProperty(type=Settings)


def unregister():
    """Forget it."""
    del bpy.types.Scene.bunraku
    classes.unregister(CLASSES)
