# SPDX-License-Identifier: GPL-3.0-or-later
"""One control each: where it is in Blender, and how it is set."""

import math

from mathutils import Euler, Quaternion, Vector

ROTATIONS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
"""The attribute of a bone that holds its rotation, by its mode; all others are Euler angles."""
EULER = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")


class Control:
    """A named value and what it belongs to."""

    def __init__(self, name, setter, slot, neutral, unit):
        self.name = name
        self.setter = setter
        self.slot = slot
        self.neutral = neutral
        self.unit = unit
        self.lower = self.upper = neutral

    def limit(self, lower, upper):
        """Set the range; it always holds the neutral."""
        self.lower, self.upper = min(lower, self.neutral), max(upper, self.neutral)

    def said(self):
        """What the other side is told."""
        named = ("name", "lower", "upper", "neutral", "unit")
        return {key: getattr(self, key) for key in named}


class Triple:
    """A bone's location or scale, of which some axes are controls."""

    def __init__(self, bone, attribute, rest):
        self.bone, self.attribute = bone, attribute
        self.values = [rest] * 3

    def set(self, slot, value):
        """Take a value; `write` passes it on."""
        self.values[slot] = value

    def write(self):
        """Give Blender the values."""
        setattr(self.bone, self.attribute, self.values)

    def read(self, slot):
        """What Blender has now."""
        return getattr(self.bone, self.attribute)[slot]


class RotationVector(Triple):
    """A bone's rotation as axis times angle, written in the bone's own mode."""

    def __init__(self, bone):
        super().__init__(bone, "", 0.0)

    def write(self):
        """Give Blender the rotation."""
        vector = Vector(self.values)
        angle = vector.length
        mode = self.bone.rotation_mode
        if mode == "AXIS_ANGLE":
            axis = vector / angle if angle > 0 else Vector((0, 0, 1))
            self.bone.rotation_axis_angle = (angle, *axis)
            return
        half = angle / 2
        share = math.sin(half) / angle if angle > 1e-8 else 0.5
        turned = Quaternion((math.cos(half), *(share * value for value in self.values)))
        if mode == "QUATERNION":
            self.bone.rotation_quaternion = turned
        else:
            self.bone.rotation_euler = turned.to_euler(mode)

    def read(self, slot):
        """What Blender has now, within half a turn."""
        mode = self.bone.rotation_mode
        return rotation_vector(mode, getattr(self.bone, ROTATIONS.get(mode, "rotation_euler")))[slot]


class EulerAngles(Triple):
    """A bone of which some rotation axes are locked or driven: the free ones are its own Euler angles."""

    def __init__(self, bone, free):
        super().__init__(bone, "rotation_euler", 0.0)
        self.free = free

    def write(self):
        """Give Blender the free angles."""
        for axis in self.free:
            self.bone.rotation_euler[axis] = self.values[axis]


class Property:
    """A custom property."""

    def __init__(self, owner, name, whole):
        self.owner, self.name, self.whole = owner, name, whole
        self.value = owner[name]

    def set(self, slot, value):
        """Take a value."""
        self.value = round(value) if self.whole else value

    def write(self):
        """Give Blender the value; it does not notice by itself."""
        self.owner[self.name] = self.value
        (self.owner.id_data if self.owner.id_data is not None else self.owner).update_tag()

    def read(self, slot):
        """What Blender has now."""
        return float(self.owner[self.name])


class ShapeKey:
    """A shape key's value."""

    def __init__(self, key):
        self.key, self.value = key, key.value

    def set(self, slot, value):
        """Take a value."""
        self.value = value

    def write(self):
        """Give Blender the value."""
        self.key.value = self.value

    def read(self, slot):
        """What Blender has now."""
        return self.key.value


def rotation_vector(mode, values):
    """The rotation vector of a bone's own rotation channels (quaternion, Euler angles, or angle and axis)."""
    if mode == "QUATERNION":
        turned = Quaternion(values)
    elif mode == "AXIS_ANGLE":
        turned = Quaternion(Vector(values[1:]), values[0])
    else:
        turned = Euler(values, mode).to_quaternion()
    if turned.magnitude < 1e-8:
        return (0.0, 0.0, 0.0)
    turned.normalize()
    if turned.w < 0:
        turned.negate()
    # By the sine: the cosine of a small angle is 1 in single precision, and Blender's own axis and angle go by that.
    along = tuple(turned)[1:]
    sine = math.sqrt(sum(part * part for part in along))
    share = 2 * math.atan2(sine, turned.w) / sine if sine > 0 else 2.0
    return tuple(share * part for part in along)
