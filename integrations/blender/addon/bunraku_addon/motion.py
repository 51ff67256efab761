# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated motion as keys on an armature: every bone turns in the world as its joint turns from rest."""

import re

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from .bundled import module
from .capture import rate
from .preferences import MistakeError

TAIL = 0.1
"""Length of a made bone that has no other after it [m]."""


class Baked:
    """What came of it."""

    def __init__(self, armature, frames, bones, missing):
        self.armature, self.frames, self.bones, self.missing = armature, frames, bones, missing


class Motion:
    """A motion's skeleton, and its rows at the scene's frames."""

    def __init__(self, path, fps):
        try:
            with np.load(path, allow_pickle=False) as file:
                read = {name: file[name] for name in file.files}
            self.joints = [str(name) for name in read["joints"]]
            self.parents = [int(parent) for parent in read["parents"]]
            self.offsets = np.asarray(read["rest_translation"], np.float64)
            self.rest = [Quaternion(row) for row in read["rest_quat"].astype(float)]
            times, roots, turned = (read[name].astype(np.float64) for name in ("times_s", "root_pos_w", "joint_quat"))
        except (OSError, KeyError, ValueError) as error:
            raise MistakeError(f"{path}: is no motion ({' '.join(str(error).split())[:100]})") from None
        at = np.arange(int(np.floor((times[-1] - times[0]) * fps + 1e-6)) + 1) / fps + times[0]
        left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, max(len(times) - 2, 0))
        right = np.minimum(left + 1, len(times) - 1)
        u = np.clip((at - times[left]) / np.where(times[right] > times[left], times[right] - times[left], 1), 0, 1)
        self.roots = roots[left] + u[:, None] * (roots[right] - roots[left])
        signs = np.where((turned[left] * turned[right]).sum(axis=2, keepdims=True) < 0, -1.0, 1.0)
        mixed = (1 - u)[:, None, None] * turned[left] + u[:, None, None] * signs * turned[right]
        self.turned = mixed / np.linalg.norm(mixed, axis=2, keepdims=True)

    def __len__(self):
        return len(self.roots)

    def rest_in_world(self):
        """Rotations and positions of all joints at rest, the root where it is put."""
        turns, places = [], []
        for joint, parent in enumerate(self.parents):
            above = turns[parent] if parent >= 0 else Quaternion()
            start = places[parent] if parent >= 0 else Vector()
            turns.append(above @ self.rest[joint])
            places.append(start + above @ Vector(self.offsets[joint]))
        return turns, places

    def in_world(self, row):
        """Rotations of all joints on a frame."""
        turns = []
        for joint, parent in enumerate(self.parents):
            own = Quaternion(self.turned[row, joint])
            turns.append(turns[parent] @ own if parent >= 0 else own)
        return turns


def pairs(text):
    """Joints and bones of `chest=Spine2, neck=Neck`."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        joint, equals, bone = part.partition("=")
        if not equals:
            raise MistakeError(f"{part!r}: expected JOINT=BONE")
        found[joint.strip()] = bone.strip()
    return found


def bake(context, path, armature, named, name):
    """Keys on the bones that the motion's joints belong to, from the scene's first frame on.

    Without an armature one is made of the motion's own skeleton. Rest poses should face the same way.

    Raises:
        MistakeError: no motion, a bone that is not there, no joint that has a bone.
    """
    scene = context.scene
    moving = Motion(path, float(rate(scene)))
    if armature is None:
        armature = made(context, moving, name)
    bones = matched(moving.joints, armature, named)
    missing = [joint for joint in moving.joints if joint not in bones]
    if not bones:
        raise MistakeError(
            f"{armature.name}: no bones called {', '.join(moving.joints[:6])}, …; the field Bones says which is which"
        )
    frames = scene.frame_start + np.arange(len(moving))
    curves = _curves(moving, armature, bones, frames)
    action = module("bunraku_blender.action")
    action.assign(action.write(name, curves))
    scene.frame_end = max(scene.frame_end, int(frames[-1]))
    scene.frame_set(scene.frame_current)
    return Baked(armature, len(moving), len(bones), missing)


def matched(joints, armature, named):
    """Pose bones by joint: as named, else of the same name but for case, spaces and punctuation."""
    plain = {_plain(bone.name): bone for bone in armature.pose.bones}
    found = {}
    for joint, bone in named.items():
        if joint not in joints:
            raise MistakeError(f"no joint {joint!r}; the motion has: {', '.join(joints)}")
        if bone not in armature.pose.bones:
            raise MistakeError(f"{armature.name}: no bone {bone!r}")
        found[joint] = armature.pose.bones[bone]
    for joint in joints:
        if joint not in found and _plain(joint) in plain:
            found[joint] = plain[_plain(joint)]
    return found


def _plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _curves(moving, armature, bones, frames):
    curve = module("bunraku_blender.action").Curve
    joint_of = {bone.name: moving.joints.index(joint) for joint, bone in bones.items()}
    rest_turns, rest_places = moving.rest_in_world()
    world = armature.matrix_world.to_quaternion()
    order = [bone for bone in armature.pose.bones if bone.name in joint_of]
    turned = {bone.name: np.empty((len(moving), 4)) for bone in order}
    top = order[0]
    shifts = np.empty((len(moving), 3))
    size = _scale(armature, top, rest_places[joint_of[top.name]], moving)
    for row in range(len(moving)):
        now = moving.in_world(row)
        posed = {}
        for bone in armature.pose.bones:
            above = posed[bone.parent.name] if bone.parent else Quaternion()
            rest = _local(bone)
            joint = joint_of.get(bone.name)
            if joint is None:
                posed[bone.name] = above @ rest
                continue
            change = now[joint] @ rest_turns[joint].inverted()
            wanted = world.inverted() @ change @ world @ bone.bone.matrix_local.to_quaternion()
            posed[bone.name] = wanted
            turned[bone.name][row] = (above @ rest).inverted() @ wanted
        root = Vector(moving.roots[row]) - rest_places[0]
        shifts[row] = bone_space(armature, top, Vector(root) * size)
    made_curves = []
    for bone in order:
        made_curves += _rotation(curve, armature, bone, frames, turned[bone.name])
    if not (top.bone.use_connect and top.parent):
        path = f"{top.path_from_id()}.location"
        made_curves += [curve(armature, path, i, top.name, rows(frames, shifts[:, i])) for i in range(3)]
    return made_curves


def _local(bone):
    """A bone's rest rotation in its parent's."""
    own = bone.bone.matrix_local.to_quaternion()
    return bone.parent.bone.matrix_local.to_quaternion().inverted() @ own if bone.parent else own


def _scale(armature, top, place, moving):
    """How much larger the armature is: by the heights of the topmost bone and its joint, 1 where they say nothing."""
    height = (armature.matrix_world @ top.bone.matrix_local.translation).z - armature.matrix_world.translation.z
    joint = place.z - min(one.z for one in moving.rest_in_world()[1])
    return height / joint if height > 1e-3 and joint > 1e-3 else 1.0


def bone_space(armature, bone, shift):
    """A shift in the world as the location of a bone without a moved parent."""
    turn = (armature.matrix_world.to_3x3() @ bone.bone.matrix_local.to_3x3()).inverted_safe()
    return turn @ shift


def _rotation(curve, armature, bone, frames, quats):
    """Curves in the bone's own rotation mode: quaternions on one hemisphere, Euler angles without jumps."""
    signs = np.cumprod(np.where(np.append(1, (quats[1:] * quats[:-1]).sum(axis=1)) < 0, -1.0, 1.0))
    values, channel = quats * signs[:, None], "rotation_quaternion"
    if bone.rotation_mode == "AXIS_ANGLE":
        channel, found = "rotation_axis_angle", []
        for row in values:
            axis, angle = Quaternion(row).to_axis_angle()
            found.append((angle, *axis) if not found or axis.dot(Vector(found[-1][1:])) >= 0 else (-angle, *-axis))
        values = np.array(found)
    elif bone.rotation_mode != "QUATERNION":
        channel, found = "rotation_euler", []
        for row in values:
            near = (found[-1],) if found else ()
            found.append(Quaternion(row).to_euler(bone.rotation_mode, *near))
        values = np.array(found)
    path = f"{bone.path_from_id()}.{channel}"
    return [curve(armature, path, i, bone.name, rows(frames, values[:, i])) for i in range(values.shape[1])]


def rows(frames, values):
    """A key at every frame; one where nothing moves."""
    if len(values) == 1 or np.ptp(values) < 1e-7:
        return np.array([[frames[0], values[0], 0, 0, 0]], np.float64)
    slopes = np.gradient(values, frames.astype(np.float64))
    return np.stack([frames, values, slopes, slopes, np.zeros(len(values))], axis=1)


def made(context, moving, name):
    """An armature of the motion's own skeleton: a bone for each joint, from it to the joints after it."""
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    context.scene.collection.objects.link(armature)
    context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    _, places = moving.rest_in_world()
    for joint, parent in enumerate(moving.parents):
        bone = data.edit_bones.new(moving.joints[joint])
        below = [places[child] for child, above in enumerate(moving.parents) if above == joint]
        bone.head = places[joint]
        bone.tail = sum(below, Vector()) / len(below) if below else places[joint] + Vector((0, 0, TAIL))
        if (bone.tail - bone.head).length < 1e-3:
            bone.tail = bone.head + Vector((0, 0, TAIL))
        if parent >= 0:
            bone.parent = data.edit_bones[moving.joints[parent]]
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature
