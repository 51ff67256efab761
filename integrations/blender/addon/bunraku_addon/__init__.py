# SPDX-License-Identifier: GPL-3.0-or-later
"""Bunraku in Blender: a panel that inverts rigs and plays policies, by way of the `bunraku` of the user's choice."""

from . import bundled, operators, panel, policies, preferences, settings

bl_info = {
    "name": "Bunraku",
    "author": "The Bunraku project",
    "version": (0, 1, 0),
    "blender": (4, 0, 0),
    "location": "3D View > Sidebar > Bunraku",
    "description": "Captured motion into curves on a rig; simulated skills into motion",
    "category": "Animation",
}

PARTS = (preferences, settings, operators, policies, panel)


def register():
    """Called when the add-on is switched on."""
    for part in PARTS:
        part.register()


def unregister():
    """Called when the add-on is switched off."""
    for part in reversed(PARTS):
        part.unregister()
    bundled.forget()
