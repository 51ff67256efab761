# SPDX-License-Identifier: GPL-3.0-or-later
"""Solved curves brought home: written into a copy of the file, and the copy played to see what they do."""

import bpy
import bunraku_host as protocol
import numpy as np

from bunraku_blender import action, discover, scripts, stage
from bunraku_blender.channels import ROTATIONS, Property, RotationVector, ShapeKey
from bunraku_blender.pose import Poser

CHANNELS, SURVEY, WRITE, PLAY = 32, 33, 34, 35
"""Requests beside those of every rig."""
MESSAGE_BYTES = 4 << 20


def handlers(poser):
    """By the kind of request; `poser()` is the open rig, which `CHANNELS` asks for."""
    return {CHANNELS: lambda message: _channels(poser()), SURVEY: _survey, WRITE: _write, PLAY: _play}


def _channels(poser):
    yield protocol.DONE, {"channels": [_channel(control, poser.mesh) for control in poser.controls]}, {}


def _channel(control, mesh):
    """Where a control is: the block, the path of the animated property in it, and what it is when nothing moves it."""
    setter = control.setter
    if isinstance(setter, ShapeKey):
        path = f'key_blocks["{bpy.utils.escape_identifier(setter.key.name)}"].value'
        return _said(["KEY", mesh.name], path, 0, "", "Shape keys", [0.0])
    if isinstance(setter, Property):
        owner = setter.owner
        path = f'["{bpy.utils.escape_identifier(setter.name)}"]'
        bone = isinstance(owner, bpy.types.PoseBone)
        default = owner.id_properties_ui(setter.name).as_dict().get("default", 0.0)
        block = owner.id_data if bone else owner
        where = owner.path_from_id() + path if bone else path
        return _said(["OBJECT", block.name], where, 0, "", owner.name, [float(default)])
    bone = setter.bone
    mode, attribute = "", setter.attribute
    if isinstance(setter, RotationVector):
        mode = bone.rotation_mode
        attribute = ROTATIONS.get(mode, "rotation_euler")
    base = list(bpy.types.PoseBone.bl_rna.properties[attribute].default_array)
    base = base if mode else [base[control.slot]]
    block = ["OBJECT", bone.id_data.name]
    return _said(block, f"{bone.path_from_id()}.{attribute}", control.slot, mode, bone.name, base)


def _said(block, path, index, mode, group, base):
    return {"block": block, "path": path, "index": index, "mode": mode, "group": group, "base": base}


def _survey(message):
    """What the file's own animation gives channels that a layer above it will be added to, frame by frame.

    The layer is put there with keys that change nothing: what is read then is what Blender will add to.
    """
    asked = message.plain
    mesh, rigs = _open(asked)
    beneath = _animated(mesh, rigs)
    curves = _curves(asked["curves"], message.arrays["keys"], mesh, rigs)
    _layer(asked, curves, mesh, rigs)
    ours = {(curve.block.name, curve.path) for curve in curves}
    rows = []
    for frame in range(asked["start"], asked["start"] + asked["frames"]):
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        shown = {curve.block: curve.block.evaluated_get(graph) for curve in curves}
        rows.append([_value(shown[curve.block], curve) for curve in curves])
    render = bpy.context.scene.render
    told = {
        "fps": [render.fps, render.fps_base],
        "beneath": sorted({path for name, path in beneath if (name, path) not in ours}),
    }
    yield protocol.DONE, told, {"values": np.array(rows, np.float64).reshape(asked["frames"], len(curves))}


def _value(block, curve):
    found = block.path_resolve(curve.path)
    return float(found[curve.index]) if hasattr(found, "__len__") else float(found)


def _animated(mesh, rigs):
    """(block, path) of all that the actions and strips that play now animate."""
    found = set()
    for block in (*rigs, mesh, mesh.data.shape_keys):
        data = block.animation_data if block is not None else None
        if data is None:
            continue
        tracks = [track for track in data.nla_tracks if not track.mute] if data.use_nla else []
        actions = [data.action, *(strip.action for track in tracks for strip in track.strips if not strip.mute)]
        for each in actions:
            found |= {(block.name, curve.data_path) for curve in stage.curves_of(each)} if each is not None else set()
    return found


def _write(message):
    """Save a copy of the file with the curves in it."""
    asked = message.plain
    mesh, rigs = _open(asked)
    curves = _curves(asked["curves"], message.arrays["keys"], mesh, rigs)
    if asked["layer"]:
        _layer(asked, curves, mesh, rigs)
    else:
        settle(mesh, rigs, asked["choices"])
        action.assign(action.write(asked["name"], curves))
        scene = bpy.context.scene
        scene.render.fps, scene.render.fps_base = asked["fps"], asked["fps_base"]
        scene.frame_start = max(asked["start"], 0)
        scene.frame_end = max(asked["start"] + asked["frames"] - 1, scene.frame_start)
    bpy.context.scene.frame_set(asked["start"])
    try:
        bpy.ops.wm.save_as_mainfile(
            filepath=asked["to"], copy=True, compress=asked["compress"], relative_remap=True, check_existing=False
        )
    except RuntimeError as error:
        raise protocol.MistakeError(f"Blender cannot write {asked['to']}: {error}") from None
    yield protocol.DONE, {"slotted": action.slotted()}, {}


def _layer(asked, curves, mesh, rigs):
    for block in {curve.block: None for curve in curves}:
        data = block.animation_data_create()
        alone = [track.name for track in data.nla_tracks if track.is_solo]
        if alone:
            raise protocol.MistakeError(
                f"{block.name!r} plays its track {alone[0]!r} alone: nothing can be added to it"
            )
        action.push_down(block)
    for rig in rigs:
        rig.data.pose_position = "POSE"
    action.lay(action.write(asked["name"], curves), asked["start"], asked["start"] + asked["frames"] - 1)


def settle(mesh, rigs, choices):
    """All controls at neutral and what had moved them taken off: actions are kept, without moving anything."""
    owners = [block for block in (mesh, mesh.data.shape_keys, *rigs, *(rig.data for rig in rigs)) if block is not None]
    played = [(block.animation_data, block.animation_data.use_nla) for block in owners if block.animation_data]
    for data, _ in played:
        data.use_tweak_mode = False
        for one in [data.action, *(strip.action for track in data.nla_tracks for strip in track.strips)]:
            if one is not None and one.library is None:
                one.use_fake_user = True
    layer = bpy.context.view_layer.objects
    hidden = mesh.hide_viewport, mesh.hide_get() if mesh.name in layer else None
    animated = stage.rest(mesh, rigs)
    Poser(mesh, discover.controls(mesh, rigs, animated, choices).controls)
    for data, used in played:
        for track in data.nla_tracks:
            track.mute = True
        data.use_nla = used
    if hidden[1] is None:
        bpy.context.scene.collection.objects.unlink(mesh)
    else:
        mesh.hide_set(hidden[1])
    mesh.hide_viewport = hidden[0]


def _open(asked):
    scripts.open_file(asked["path"], asked["scripts_allowed"])
    mesh = stage.find_mesh(asked["object"])
    return mesh, stage.armatures_of(mesh)


def _curves(listed, keys, mesh, rigs):
    blocks = {("OBJECT", rig.name): rig for rig in rigs}
    blocks.update({("OBJECT", mesh.name): mesh, ("KEY", mesh.name): mesh.data.shape_keys})
    made, first = [], 0
    for kind, name, path, index, group, count in listed:
        block = blocks[kind, name]
        if block.library is not None:
            raise protocol.MistakeError(
                f"{name!r} is linked from {block.library.filepath}, where it cannot be keyed; "
                "make a library override of it, or export into a copy of that file"
            )
        made.append(action.Curve(block, path, index, group, keys[first : first + count]))
        first += count
    return made


def _play(message):
    """The mesh at frames of a file, as it plays."""
    asked = message.plain
    mesh, _ = _open(asked)
    stage.show(mesh)
    yield from played(mesh, asked["frames"])


def played(mesh, frames):
    """Meshes at frames of what is open, in parts that are not too long."""
    held, start = [], 0
    for number, frame in enumerate(frames):
        bpy.context.scene.frame_set(frame)
        held.append(stage.points(mesh))
        if len(held[0]) != len(held[-1]):
            raise protocol.MistakeError(f"object {mesh.name!r}: its number of vertices changes at frame {frame}")
        if len(held) * held[-1].nbytes >= MESSAGE_BYTES or number + 1 == len(frames):
            yield protocol.PART, {"start": start}, {"vertices": np.stack(held)}
            held, start = [], number + 1
    yield protocol.DONE, {}, {}
