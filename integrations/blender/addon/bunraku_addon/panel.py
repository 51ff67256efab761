# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in the sidebar of the 3D view."""

import bpy

from . import classes, operators, settings


class _Panel:
    bl_space_type, bl_region_type, bl_category = "VIEW_3D", "UI", "Bunraku"


class InvertPanel(_Panel, bpy.types.Panel):
    """A rig that follows a capture."""

    bl_label = "Bunraku"
    bl_idname = "BUNRAKU_PT_invert"

    def draw(self, context):
        """Fields, button, progress."""
        chosen, layout = settings.of(context), self.layout
        layout.use_property_split = True
        for name in ("mesh", "capture"):
            layout.prop(chosen, name)
        row = layout.row(align=True)
        row.prop(chosen, "start")
        row.prop(chosen, "end", text="")
        row.operator("bunraku.capture_range", text="", icon="TIME")
        row = layout.row(align=True)
        row.prop(chosen, "controls")
        row.operator("bunraku.selected_controls", text="", icon="BONE_DATA")
        for name in ("refine", "layer", "scripts", "folder", "more"):
            layout.prop(chosen, name)
        show_work(layout, chosen, "bunraku.invert", "Invert")


class PolicyPanel(_Panel, bpy.types.Panel):
    """Skills that were learnt, played here."""

    bl_label = "Skills"
    bl_idname = "BUNRAKU_PT_policy"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        """Fields and buttons."""
        chosen, layout = settings.of(context), self.layout
        layout.use_property_split = True
        layout.prop(chosen, "seconds")
        layout.prop(chosen, "policy")
        layout.operator("bunraku.play_policy", icon="PHYSICS")
        layout.separator()
        for name in ("run", "armature", "mapping"):
            layout.prop(chosen, name)
        layout.operator("bunraku.bake_motion", icon="KEYINGSET")


def show_work(layout, chosen, operator, label):
    """The button, or how far it is and the way out."""
    if operators.RUNNING:
        row = layout.row(align=True)
        row.progress(factor=chosen.progress, text=chosen.status)
        row.operator("bunraku.cancel", text="", icon="X")
        return
    row = layout.row(align=True)
    row.operator(operator, text=label)
    row.operator(operator, text="", icon="FILE_REFRESH").resume = True
    for line in wrapped(chosen.status):
        layout.label(text=line)


def wrapped(text, width=48):
    """Lines of about so many letters: labels do not wrap."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if lines[0] else []


CLASSES = (InvertPanel, PolicyPanel)


def register():
    """Make them known."""
    classes.register(CLASSES)


def unregister():
    """Forget them."""
    classes.unregister(CLASSES)
