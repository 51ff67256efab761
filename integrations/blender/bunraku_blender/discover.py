# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be turned on a rig, within which limits, and what cannot and why."""

from fnmatch import fnmatchcase

import bpy
import bunraku_host as protocol

from bunraku_blender import limits, reach
from bunraku_blender.channels import EULER, Control, EulerAngles, Property, RotationVector, ShapeKey, Triple
from bunraku_blender.scripts import drivers_of

DRIVEN, HIDDEN, IDLE = "driven", "in a hidden bone collection", "moves nothing of this mesh"
WHOLE = "a whole number: a switch"
FIXED = (DRIVEN, "constrained")
"""Reasons that no choice of the user's overrules: the rig itself sets these."""


class Found:
    """Controls, triples of them that are rotation vectors, and what was left out, with the reason."""

    def __init__(self, controls, rotations, left_out):
        self.controls, self.rotations, self.left_out = controls, rotations, left_out


class Candidate:
    """A control that may be, and the reason why it is none."""

    def __init__(self, control, why, rotation=None):
        self.control, self.why, self.rotation = control, why, rotation


def controls(mesh, rigs, animated, choices):
    """All controls of the rig, as the user's choices leave them."""
    reached = reach.reached(mesh, rigs)
    ranges = limits.Ranges(mesh, animated)
    candidates = []
    for rig in rigs:
        driven = {(curve.data_path, curve.array_index) for curve in drivers_of(rig)}
        chains = reach.solved_chains(rig)
        for bone in rig.pose.bones:
            candidates += _bone(rig, bone, driven, chains, reached, ranges)
        candidates += _properties(rig, rig, rig.name, driven, reached, None, ranges)
    driven = {(curve.data_path, curve.array_index) for curve in drivers_of(mesh)}
    candidates += _properties(mesh, mesh, mesh.name, driven, reached, None, ranges)
    candidates += _shape_keys(mesh)
    _name_apart(candidates)
    _choose(candidates, choices)
    chosen = [one for one in candidates if one.why is None]
    if not chosen:
        raise protocol.MistakeError(f"object {mesh.name!r}: nothing that could be turned moves it")
    columns = {id(one.control): column for column, one in enumerate(chosen)}
    triples = {}
    for one in chosen:
        if one.rotation is not None:
            triples.setdefault(one.rotation, []).append(columns[id(one.control)])
    rotations = [triple for triple in triples.values() if len(triple) == 3]
    left_out = [(one.control.name, one.why) for one in candidates if one.why is not None]
    return Found([one.control for one in chosen], rotations, left_out)


def _bone(rig, bone, driven, chains, reached, ranges):
    place = bone.path_from_id()
    whole = None
    if not _visible(bone.bone):
        whole = HIDDEN
    elif ("bone", rig.name, bone.name) not in reached:
        whole = IDLE
    overruled = _overruled(bone, chains)
    length = "m" if bpy.context.scene.unit_settings.system == "METRIC" else "unit"
    made = []
    for attribute, short, rest, locks, unit in (
        ("location", "t", 0.0, bone.lock_location, length),
        ("scale", "s", 1.0, bone.lock_scale, "1"),
    ):
        setter = Triple(bone, attribute, rest)
        for axis in range(3):
            control = Control(f"{bone.name}.{short}{'xyz'[axis]}", setter, axis, rest, unit)
            control.limit(*ranges.channel(rig, bone, attribute, axis))
            why = whole
            if attribute == "location" and bone.bone.use_connect and bone.parent is not None:
                why = why or "connected to its parent"
            why = "locked" if locks[axis] and why in (None, HIDDEN) else why
            why = overruled.get(attribute, why)
            why = DRIVEN if (f"{place}.{attribute}", axis) in driven else why
            made.append(Candidate(control, why))
    made[3:3] = _rotation(rig, bone, place, driven, overruled, whole, ranges)
    return made + _properties(rig, bone, bone.name, driven, reached, bone, ranges)


def _rotation(rig, bone, place, driven, overruled, whole, ranges):
    mode = bone.rotation_mode
    channel = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")
    set_by_rig = [(f"{place}.{channel}", index) in driven for index in range(4)]
    if mode not in EULER:
        set_by_rig = [any(set_by_rig)] * 3
    why = [DRIVEN if set_by_rig[axis] else ("locked" if bone.lock_rotation[axis] else None) for axis in range(3)]
    free = [axis for axis in range(3) if why[axis] is None]
    setter = EulerAngles(bone, free) if mode in EULER and 0 < len(free) < 3 else RotationVector(bone)
    if mode not in EULER and len(free) < 3 and any(set_by_rig):
        setter = RotationVector(bone)
    made = []
    for axis in range(3):
        control = Control(f"{bone.name}.r{'xyz'[axis]}", setter, axis, 0.0, "rad")
        control.limit(*ranges.rotation(rig, bone, axis, isinstance(setter, EulerAngles)))
        reason = why[axis] if why[axis] == DRIVEN else overruled.get("rotation", whole or why[axis])
        made.append(Candidate(control, reason, (rig.name, bone.name) if len(free) == 3 else None))
    return made


def _visible(bone):
    if hasattr(bone, "collections"):
        shown = [getattr(one, "is_visible_effectively", one.is_visible) for one in bone.collections]
    else:  # before Blender 4.0: layers
        shown = [own and seen for own, seen in zip(bone.layers, bone.id_data.layers)]  # noqa: B905 (Python 3.9)
    return (not shown or any(shown)) and not bone.hide


def _overruled(bone, chains):
    """The attributes of a bone that its constraints, or those of a chain that it is part of, set without its say."""
    said = {}
    driven = {curve.data_path for curve in drivers_of(bone.id_data)}
    for one in bone.constraints:
        replaces = reach.replaces(one) if reach.acts(one, driven) else ()
        for attribute in replaces:
            said[attribute] = f"constrained: {one.name}"
    if bone.name in chains:
        said["rotation"] = f"constrained: {chains[bone.name]}"
    return said


def _properties(rig, owner, prefix, driven, reached, bone, ranges):
    made = []
    for name in sorted(owner.keys()):
        value = owner[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        path = f'["{bpy.utils.escape_identifier(name)}"]'
        place = path if bone is None else bone.path_from_id() + path
        whole = isinstance(value, int)
        lower, upper, neutral = ranges.custom(owner, name, place)
        setter = Property(owner, name, whole)
        control = Control(f"{prefix}.{name}", setter, 0, float(neutral), "1")
        control.limit(lower, upper)
        why = WHOLE if whole else None
        if ("prop", rig.name, bone.name if bone is not None else None, name) not in reached:
            why = IDLE
        made.append(Candidate(control, DRIVEN if (place, 0) in driven else why))
    return made


def _shape_keys(mesh):
    keys = mesh.data.shape_keys
    if keys is None:
        return []
    driven = {curve.data_path for curve in drivers_of(keys)}
    made = []
    for key in keys.key_blocks[1:]:
        control = Control(f"{mesh.name}.{key.name}", ShapeKey(key), 0, key.value, "1")
        control.limit(key.slider_min, key.slider_max)
        why = "muted" if key.mute else None
        why = why if keys.use_relative else "an absolute shape key"
        driven_key = f'key_blocks["{bpy.utils.escape_identifier(key.name)}"].value' in driven
        made.append(Candidate(control, DRIVEN if driven_key else why))
    return made


def _name_apart(candidates):
    """Names that occur again get #2, #3, …"""
    taken = {}
    for one in candidates:
        count = taken[one.control.name] = taken.get(one.control.name, 0) + 1
        if count > 1:
            one.control.name += f"#{count}"


def _choose(candidates, choices):
    """What the user's file says: `include`, `exclude` (patterns), `limits` and `neutral` by pattern."""
    for pattern in choices.get("include", ()):
        for one in _named(candidates, pattern):
            if one.why is not None and not one.why.startswith(FIXED):
                one.why = None
    for pattern in choices.get("exclude", ()):
        for one in _named(candidates, pattern):
            one.why = one.why or "left out by choice"
    for pattern, value in choices.get("neutral", {}).items():
        for one in _named(candidates, pattern):
            one.control.neutral = float(value)
            one.control.limit(min(one.control.lower, value), max(one.control.upper, value))
    for pattern, (lower, upper) in choices.get("limits", {}).items():
        for one in _named(candidates, pattern):
            if not lower <= one.control.neutral <= upper:
                raise protocol.MistakeError(
                    f"limits of {one.control.name!r}: {lower:g} … {upper:g} do not hold its neutral, "
                    f"{one.control.neutral:g}"
                )
            one.control.lower, one.control.upper = float(lower), float(upper)


def _named(candidates, pattern):
    hits = [one for one in candidates if one.control.name == pattern]
    hits = hits or [one for one in candidates if fnmatchcase(one.control.name, pattern)]
    if not hits:
        raise protocol.MistakeError(f"no control matches {pattern!r}")
    return hits
