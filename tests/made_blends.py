"""Runs in a Python that has bpy: writes the small .blend files that tests open into a folder."""

import math
import sys
from pathlib import Path

import bpy

OUT = Path(sys.argv[sys.argv.index("--") + 1])


def empty():
    bpy.ops.wm.read_factory_settings(use_empty=True)


def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / f"{name}.blend"), compress=True)


def armature(bones, modes=()):
    """A chain of bones along Z, each 1 long; the first is at the origin."""
    data = bpy.data.armatures.new("rig")
    rig = bpy.data.objects.new("rig", data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for place, name in enumerate(bones):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = (place, 0, 0), (place, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    for name, mode in zip(bones, modes, strict=False):
        rig.pose.bones[name].rotation_mode = mode
    return rig


def mesh(name, rig=None, bones=(), x=0.0):
    """One triangle for each bone, which follows it."""
    data = bpy.data.meshes.new(name)
    corners = [(0, 0, 0.5), (0.2, 0, 0.5), (0, 0.3, 1.0)]
    points = [(x + place + a, b, c) for place in range(max(len(bones), 1)) for a, b, c in corners]
    data.from_pydata(points, [], [(3 * i, 3 * i + 1, 3 * i + 2) for i in range(len(points) // 3)])
    one = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(one)
    for place, bone in enumerate(bones):
        one.vertex_groups.new(name=bone).add(range(3 * place, 3 * place + 3), 1.0, "REPLACE")
    if rig is not None:
        one.modifiers.new("Armature", "ARMATURE").object = rig
        one.parent = rig
    return one


def drive(owner, path, expression, rig, read, index=-1):
    curve = owner.driver_add(path, index) if index >= 0 else owner.driver_add(path)
    curve.driver.type = "SCRIPTED"
    variable = curve.driver.variables.new()
    variable.name = "v"
    variable.targets[0].id, variable.targets[0].data_path = rig, read
    curve.driver.expression = expression


def modes():
    """Three bones that turn in three ways, and what a rig can say about its controls."""
    empty()
    bones = ("euler", "quaternion", "axis", "hinge", "copied", "aimless", "hidden", "idle")
    rig = armature(bones, ("YZX", "QUATERNION", "AXIS_ANGLE", "XYZ"))
    body = mesh("body", rig, bones[:7])
    pose = rig.pose.bones
    pose["hinge"].lock_rotation = (True, False, True)
    pose["hinge"].lock_location = (True, True, True)
    limit = pose["hinge"].constraints.new("LIMIT_ROTATION")
    limit.owner_space, limit.use_limit_y, limit.min_y, limit.max_y = "LOCAL", True, -0.5, 1.25
    copies = pose["copied"].constraints.new("COPY_TRANSFORMS")
    copies.target, copies.subtarget = rig, "euler"
    pose["aimless"].constraints.new("COPY_TRANSFORMS")
    if hasattr(rig.data, "collections"):
        shown = rig.data.collections.new("hidden")
        shown.assign(rig.data.bones["hidden"])
        shown.is_visible = False
    else:  # before Blender 4.0: the second layer, which is not shown
        rig.data.bones["hidden"].layers = [place == 1 for place in range(32)]
    pose["euler"]["smile"] = 0.25
    pose["euler"].id_properties_ui("smile").update(min=-3.0, max=3.0, soft_min=-1.0, soft_max=2.0)
    pose["euler"]["switch"] = 1
    pose["euler"]["unread"] = 0.5
    body.shape_key_add(name="Basis")
    for name in ("wide", "driven"):
        key = body.shape_key_add(name=name, from_mix=False)
        key.data[0].co.x -= 0.5
        key.value, key.slider_max = 0, 1.5
    drive(body.data.shape_keys.key_blocks["driven"], "value", "v * 2", rig, 'pose.bones["euler"]["smile"]')
    drive(pose["quaternion"], "scale", "1 + v", rig, 'pose.bones["euler"]["switch"]', 2)
    action = bpy.data.actions.new("Wave")
    rig.animation_data_create().action = action
    for frame, angle in ((1, 0.0), (10, 0.8)):
        pose["euler"].rotation_euler = (angle, 0, 0)
        pose["euler"].keyframe_insert("rotation_euler", frame=frame)
    save("modes")


def scripts():
    """A text that would write a file when it is run, and a driver that only Python can evaluate."""
    for name, driven in (("script", False), ("driver", True)):
        empty()
        rig = armature(("bone",))
        body = mesh("body", rig, ("bone",))
        text = bpy.data.texts.new("run.py")
        text.write(f"import bpy\nopen({str(OUT / 'was_run')!r}, 'w').close()\nbpy.app.driver_namespace['odd'] = abs\n")
        text.use_module = True
        if driven:
            body.shape_key_add(name="Basis")
            body.shape_key_add(name="key", from_mix=False).data[0].co.x -= 1
            rig.pose.bones["bone"]["p"] = 0.5
            path = 'pose.bones["bone"]["p"]'
            drive(body.data.shape_keys.key_blocks["key"], "value", "[abs(w) for w in (v,)][0]", rig, path)
        save(name)


def meshes():
    """None, several, and one whose vertices are merged where they meet."""
    empty()
    armature(("bone",))
    save("nothing")
    empty()
    rig = armature(("bone",))
    mesh("left", rig, ("bone",))
    mesh("right", rig, ("bone",), x=3)
    mesh("still")
    save("several")
    empty()
    rig = armature(("bone", "other"))
    body = mesh("body", rig, ("bone", "other"))
    body.shape_key_add(name="Basis")
    key = body.shape_key_add(name="pinch", from_mix=False)
    key.data[1].co = key.data[0].co
    body.modifiers.new("Smooth", "SMOOTH").iterations = 0
    body.modifiers.new("Fuse", "WELD").merge_threshold = 0.15
    save("merging")


def acts():
    """An action that moves a bone, a property and a shape key, and one that turns a bone by more than half a turn."""
    empty()
    bpy.context.scene.render.fps = 30
    rig = armature(("base", "tip"), ("QUATERNION", "XYZ"))
    body = mesh("body", rig, ("base", "tip"))
    body.shape_key_add(name="Basis")
    body.shape_key_add(name="wide", from_mix=False).data[0].co.x -= 0.5
    tip = rig.pose.bones["tip"]
    tip["lift"] = 0.0
    tip.id_properties_ui("lift").update(min=0.0, max=2.0)
    drive(tip, "location", "v", rig, 'pose.bones["tip"]["lift"]', 1)
    keys = body.data.shape_keys
    action = bpy.data.actions.new("Act")
    rig.animation_data_create().action = action
    slotted = hasattr(action, "slots")
    keys.animation_data_create().action = action if slotted else bpy.data.actions.new("Shapes")
    for frame, share in ((1, 0.0), (2, 1e-4), (11, 1.0)):
        rig.pose.bones["base"].rotation_quaternion = (math.cos(share / 2), 0, math.sin(share / 2), 0)
        rig.pose.bones["base"].keyframe_insert("rotation_quaternion", frame=frame)
        tip["lift"] = share
        tip.keyframe_insert('["lift"]', frame=frame)
        keys.key_blocks["wide"].value = share
        keys.key_blocks["wide"].keyframe_insert("value", frame=frame)
    action.use_fake_user = True
    rig.animation_data.action = bpy.data.actions.new("Nod")
    for frame, angle in ((5, 0.0), (9, 4.0)):
        tip.rotation_euler = (angle, 0, 0)
        tip.keyframe_insert("rotation_euler", frame=frame)
    save("acts")


assert math.isclose(bpy.context.scene.unit_settings.scale_length, 1.0)
modes()
scripts()
meshes()
acts()
