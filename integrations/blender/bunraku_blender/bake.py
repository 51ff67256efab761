# SPDX-License-Identifier: GPL-3.0-or-later
"""An action of the file played on the rig by itself: the meshes that it makes, and what it gives the controls."""

import math

import bpy
import bunraku_host as protocol
import numpy as np

from bunraku_blender import stage

BAKE = 40
"""A request beside those of every rig."""
MESSAGE_BYTES = 4 << 20


def handlers(poser):
    """By the kind of request; `poser()` is the open rig."""
    return {BAKE: lambda message: _bake(poser(), message.plain)}


def _bake(poser, asked):
    mesh, rigs, scene = poser.mesh, stage.armatures_of(poser.mesh), bpy.context.scene
    chosen = bpy.data.actions[asked["animation"]]
    owners = [block for block in (mesh, mesh.data.shape_keys, *rigs) if block is not None]
    for block in owners:
        _assign(block, chosen)
    rate = scene.render.fps / scene.render.fps_base
    first, last = chosen.frame_range
    # The last key belongs to the action, whatever rounding says.
    frames = math.floor((last - first) / rate * asked["fps"] + 1e-6) + 1
    vertices, values, start = [], [], 0
    try:
        for number in range(frames):
            at = first + number * rate / asked["fps"]
            scene.frame_set(math.floor(at), subframe=at - math.floor(at))
            vertices.append(stage.points(mesh))
            values.append([control.setter.read(control.slot) for control in poser.controls])
            if len(vertices) * vertices[-1].nbytes >= MESSAGE_BYTES or number + 1 == frames:
                yield protocol.PART, {"start": start}, {"vertices": np.stack(vertices), "values": np.array(values)}
                vertices, values, start = [], [], number + 1
    finally:
        for block in owners:
            if block.animation_data is not None:
                block.animation_data.action = None
        stage.rest(mesh, rigs)
        poser.rest()
    yield protocol.DONE, {"frames": frames}, {}


def _assign(block, chosen):
    """Give a block an action, where it is the block's: by its slot's name, or because it moves bones or shape keys."""
    keys = isinstance(block, bpy.types.Key)
    own = ("key_blocks",) if keys else ("pose.bones",) if block.type == "ARMATURE" else ()
    if not getattr(chosen, "slots", None):
        if own and any(curve.data_path.startswith(own) for curve in stage.curves_of(chosen)):
            block.animation_data_create().action = chosen
        return
    named = [slot for slot in chosen.slots if slot.target_id_type == block.id_type]
    for slot in sorted(named, key=lambda slot: slot.name_display != block.name):
        if slot.name_display == block.name or (own and _moves(chosen, slot, own)):
            data = block.animation_data_create()
            data.action = chosen
            data.action_slot = slot
            return


def _moves(chosen, slot, paths):
    strips = [strip for layer in chosen.layers for strip in layer.strips]
    bags = [bag for bag in (strip.channelbag(slot) for strip in strips) if bag is not None]
    return any(curve.data_path.startswith(paths) for bag in bags for curve in bag.fcurves)
