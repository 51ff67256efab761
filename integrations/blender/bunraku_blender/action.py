# SPDX-License-Identifier: GPL-3.0-or-later
"""F-curves written into a new action, and actions put above each other, in whatever way this Blender holds them."""

import bpy

FREE, ALIGNED = "FREE", "ALIGNED"


class Curve:
    """Keys of one channel: `keys` rows are frame, value, slope before and after [per frame], 1 where it steps."""

    def __init__(self, block, path, index, group, keys):
        self.block, self.path, self.index, self.group, self.keys = block, path, index, group, keys


def write(name, curves):
    """New actions with these curves on the blocks that they belong to: a list of (block, action, slot).

    From Blender 4.4 on there is one action with a slot for each block; earlier an action for each, without a slot.
    """
    blocks = []
    for curve in curves:
        if curve.block not in blocks:
            blocks.append(curve.block)
    made = []
    action = bpy.data.actions.new(name) if slotted() else None
    for block in blocks:
        own = [curve for curve in curves if curve.block == block]
        if action is None:
            alone = bpy.data.actions.new(name if len(blocks) == 1 else f"{name} {block.name}")
            made.append((block, alone, None))
            new = alone.fcurves.new
            for curve in own:
                fill(new(curve.path, index=curve.index, action_group=curve.group), curve.keys)
            continue
        slot = action.slots.new(id_type=block.id_type, name=block.name)
        layer = action.layers[0] if action.layers else action.layers.new("Layer")
        strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
        bag = strip.channelbag(slot, ensure=True)
        made.append((block, action, slot))
        for curve in own:
            fill(bag.fcurves.new(curve.path, index=curve.index, group_name=curve.group), curve.keys)
    return made


def slotted():
    """Whether actions have slots: from Blender 4.4 on."""
    return "slots" in bpy.types.Action.bl_rna.properties


def fill(curve, keys):
    """Set a curve's keys.

    A handle at a third of the way to the next key makes time run evenly along the segment, which is thereby the cubic
    Hermite segment of the two slopes.
    """
    points = curve.keyframe_points
    points.add(len(keys))
    for i, (frame, value, before, after, step) in enumerate(keys.tolist()):
        back = (frame - keys[i - 1, 0]) / 3 if i else 1.0
        ahead = (keys[i + 1, 0] - frame) / 3 if i + 1 < len(keys) else 1.0
        point = points[i]
        point.interpolation = "CONSTANT" if step else "BEZIER"
        point.handle_left_type = point.handle_right_type = ALIGNED if before == after else FREE
        point.co = (frame, value)
        point.handle_left = (frame - back, value - back * before)
        point.handle_right = (frame + ahead, value + ahead * after)


def assign(made):
    """Make written actions the active ones of their blocks."""
    for block, action, slot in made:
        data = block.animation_data_create()
        data.action = action
        if slot is not None:
            data.action_slot = slot


def push_down(block):
    """Turn a block's active action into a strip of its own track, above the tracks that are there."""
    data = block.animation_data_create()
    data.use_tweak_mode = False
    if not data.use_nla:
        for track in data.nla_tracks:
            track.mute = True
        data.use_nla = True
    action, slot = data.action, getattr(data, "action_slot", None)
    if action is None:
        return
    blend, held, influence = data.action_blend_type, data.action_extrapolation, data.action_influence
    data.action = None
    strip = _strip(data, action.name, action, slot)
    strip.blend_type, strip.extrapolation, strip.influence = blend, held, influence


def lay(made, first, last):
    """Put written actions on a track above all others, combined with what is beneath; they hold from first to last."""
    for block, action, slot in made:
        data = block.animation_data_create()
        strip = _strip(data, action.name, action, slot)
        strip.action_frame_start, strip.action_frame_end = first, max(last, first + 1)
        strip.frame_start, strip.frame_end = first, max(last, first + 1)
        strip.blend_type, strip.extrapolation = "COMBINE", "NOTHING"


def _strip(data, name, action, slot):
    track = data.nla_tracks.new()
    track.name = name
    strip = track.strips.new(name, int(action.frame_range[0]), action)
    if slot is not None:
        strip.action_slot = slot
    return strip
