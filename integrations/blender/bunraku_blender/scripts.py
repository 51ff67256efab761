# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a .blend file would run code."""

import os

import bpy
import bunraku_host as protocol


def open_file(path, allowed):
    """Open a file; its scripts run only if allowed."""
    if not os.path.isfile(path):
        raise protocol.MistakeError(f"no file {path}")
    # The preference as well: drivers are compiled later than the file is read.
    bpy.context.preferences.filepaths.use_scripts_auto_execute = bool(allowed)
    try:
        bpy.ops.wm.open_mainfile(filepath=path, use_scripts=bool(allowed), load_ui=False)
    except RuntimeError as error:
        raise protocol.MistakeError(f"Blender cannot open it: {error}") from None


def blocked_drivers(mesh, rigs):
    """Drivers of the rig whose expression only Python could evaluate, by their data path."""
    owners = [mesh, mesh.data, mesh.data.shape_keys, *rigs, *(rig.data for rig in rigs)]
    found = []
    for owner in owners:
        for curve in drivers_of(owner):
            driver = curve.driver
            if driver.type == "SCRIPTED" and not driver.is_simple_expression:
                found.append(f"{owner.name}: {curve.data_path}[{curve.array_index}] = {driver.expression[:60]}")
    return found


def drivers_of(owner):
    """The drivers of a data block; none where there is no block or nothing drives it."""
    data = owner.animation_data if owner is not None else None
    return list(data.drivers) if data is not None else []
