# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering several classes of Blender's."""

import bpy


def register(classes):
    """All, in order."""
    for one in classes:
        bpy.utils.register_class(one)


def unregister(classes):
    """All, the last first."""
    for one in reversed(classes):
        bpy.utils.unregister_class(one)
