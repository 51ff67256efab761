# SPDX-License-Identifier: GPL-3.0-or-later
"""Which `bunraku` is called, and which Blender it calls in turn."""

import os
import shutil
import sys

import bpy
from bpy.props import StringProperty

from . import classes

ADDON = __package__


class MistakeError(Exception):
    """Something that the user has to know, in one line."""


class Preferences(bpy.types.AddonPreferences):
    """Where the programs are."""

    bl_idname = ADDON

    program: StringProperty(
        name="bunraku",
        subtype="FILE_PATH",
        description="The bunraku program, such as .venv/bin/bunraku; empty: the one on the path",
    )
    blender: StringProperty(
        name="Blender for it",
        subtype="FILE_PATH",
        description="The Blender that bunraku evaluates the rig with; empty: this one",
    )

    def draw(self, context):
        """The fields."""
        self.layout.prop(self, "program")
        self.layout.prop(self, "blender")
        try:
            self.layout.label(text=f"calls {program()}", icon="CHECKMARK")
        except MistakeError as error:
            self.layout.label(text=str(error), icon="ERROR")


def _chosen(name):
    addon = bpy.context.preferences.addons.get(ADDON)
    value = getattr(addon.preferences, name, "") if addon is not None and addon.preferences is not None else ""
    return bpy.path.abspath(value) if value else ""


def program():
    """The path of the bunraku to call.

    Raises:
        MistakeError: there is none.
    """
    named = _chosen("program") or os.environ.get("BUNRAKU_PROGRAM", "")
    found = shutil.which(named or "bunraku")
    if found is None:
        what = f"{named}: no such program" if named else "no bunraku on the path"
        raise MistakeError(f"{what}; the add-on's preferences say which bunraku is called")
    return found


def blender():
    """The Blender that bunraku calls: this one, unless another is chosen."""
    return _chosen("blender") or bpy.app.binary_path or sys.executable


CLASSES = (Preferences,)


def register():
    """Make it known."""
    classes.register(CLASSES)


def unregister():
    """Forget it."""
    classes.unregister(CLASSES)
