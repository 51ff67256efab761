# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves what: which bones and properties a mesh depends on, and which constraints leave a bone no say."""

import re

import bpy

from bunraku_blender.scripts import drivers_of

_BONE = re.compile(r'(?:pose\.)?bones\["((?:[^"\\]|\\.)*)"\]')
_PROPERTY = re.compile(r'^\["((?:[^"\\]|\\.)*)"\]')


def reached(mesh, rigs):
    """All that the mesh depends on: ("bone", rig, bone) and ("prop", object, bone or None, property)."""
    drawn = _links(rigs)
    known, waiting = set(), _direct(mesh, rigs)
    while waiting:
        one = waiting.pop()
        if one not in known:
            known.add(one)
            waiting += drawn.get(one, ())
    return known


def _direct(mesh, rigs):
    """What the mesh itself names: bones of its vertex groups, targets of its drivers and modifiers."""
    groups = {group.name for group in mesh.vertex_groups}
    worn = [one.object for one in mesh.modifiers if one.type == "ARMATURE" and one.show_viewport and one.object]
    worn += [mesh.parent] if mesh.parent is not None and mesh.parent_type == "ARMATURE" else []
    found = []
    for rig in rigs:
        for bone in rig.pose.bones if rig in worn else ():
            if bone.bone.use_deform and (bone.name in groups or not groups):
                found.append(("bone", rig.name, bone.name))
    if mesh.parent in rigs and mesh.parent_type == "BONE":
        found.append(("bone", mesh.parent.name, mesh.parent_bone))
    for one in [*mesh.modifiers, *mesh.constraints]:
        found += _targets(one)
    for owner in (mesh, mesh.data, mesh.data.shape_keys):
        for curve in drivers_of(owner):
            found += _read_by(curve)
    # A rig that the mesh needs, but not by name of any bone (a lattice's or a curve's): all of it may matter.
    named = {one[1] for one in found if one[0] == "bone"}
    for rig in rigs:
        if rig.name not in named and rig not in worn:
            found += [("bone", rig.name, bone.name) for bone in rig.pose.bones]
    return found


def _links(rigs):
    """By bone: what it depends on."""
    drawn = {}
    for rig in rigs:
        for bone in rig.pose.bones:
            own = drawn.setdefault(("bone", rig.name, bone.name), [])
            if bone.parent is not None:
                own.append(("bone", rig.name, bone.parent.name))
            own += [one for constraint in bone.constraints for one in _targets(constraint)]
            handles = (bone.bone.bbone_custom_handle_start, bone.bone.bbone_custom_handle_end)
            own += [("bone", rig.name, handle.name) for handle in handles if handle is not None]
            for constraint in bone.constraints:
                if constraint.type in ("IK", "SPLINE_IK"):
                    for member in _chain(bone, constraint.chain_count):
                        needs = [("bone", rig.name, bone.name), *_targets(constraint)]
                        drawn.setdefault(("bone", rig.name, member.name), []).extend(needs)
        for curve in [*drivers_of(rig), *drivers_of(rig.data)]:
            match = _BONE.match(curve.data_path)
            if match:
                name = bpy.utils.unescape_identifier(match[1])
                drawn.setdefault(("bone", rig.name, name), []).extend(_read_by(curve))
                rest = _PROPERTY.match(curve.data_path[match.end() :])
                if rest:
                    driven = ("prop", rig.name, name, bpy.utils.unescape_identifier(rest[1]))
                    drawn.setdefault(driven, []).extend(_read_by(curve))
    return drawn


def _targets(one):
    """The bones that a constraint or a modifier names."""
    pairs = [
        (getattr(one, "target", None), getattr(one, "subtarget", "")),
        (getattr(one, "object", None), getattr(one, "subtarget", "")),
    ]
    pairs.append((getattr(one, "pole_target", None), getattr(one, "pole_subtarget", "")))
    pairs += [(entry.target, entry.subtarget) for entry in getattr(one, "targets", ())]
    return [("bone", target.name, bone) for target, bone in pairs if target is not None and bone]


def _read_by(curve):
    """What a driver's variables read."""
    found = []
    for variable in curve.driver.variables:
        for target in variable.targets:
            if target.id is None:
                continue
            if variable.type != "SINGLE_PROP":
                found += [("bone", target.id.name, target.bone_target)] if target.bone_target else []
                continue
            match = _BONE.match(target.data_path)
            bone = bpy.utils.unescape_identifier(match[1]) if match else None
            rest = _PROPERTY.match(target.data_path[match.end() :] if match else target.data_path)
            if rest:
                found.append(("prop", target.id.name, bone, bpy.utils.unescape_identifier(rest[1])))
            elif bone is not None:
                found.append(("bone", target.id.name, bone))
    return found


def _chain(bone, count):
    """A bone and those above it, as many as an IK chain of that length has (0: all)."""
    members, one = [], bone
    while one is not None and (count == 0 or len(members) < count):
        members.append(one)
        one = one.parent
    return members


def acts(one, driven):
    """Whether a constraint does anything always: valid, on, at full influence that nothing drives."""
    if one.mute or one.influence < 1 or not one.is_valid:
        return False
    place = one.path_from_id()
    if f"{place}.influence" in driven or f"{place}.mute" in driven or f"{place}.enabled" in driven:
        return False
    if hasattr(one, "target"):
        target = one.target
        return target is not None and (target.type != "ARMATURE" or bool(one.subtarget) or one.type != "IK")
    return True


def replaces(one):
    """The attributes of which a constraint that acts leaves nothing of the bone's own."""
    axes = all(getattr(one, f"use_{axis}", True) for axis in "xyz")
    if one.type == "COPY_TRANSFORMS" and one.mix_mode == "REPLACE":
        return ("location", "rotation", "scale")
    if one.type == "COPY_LOCATION" and axes and not one.use_offset:
        return ("location",)
    if one.type == "COPY_ROTATION" and axes and one.mix_mode == "REPLACE":
        return ("rotation",)
    if one.type == "COPY_SCALE" and axes and not one.use_offset and not one.use_add:
        return ("scale",)
    return ("rotation",) if one.type == "TRACK_TO" else ()


def solved_chains(rig):
    """Bones whose rotation an IK or spline constraint finds, with the constraint's name."""
    driven = {curve.data_path for curve in drivers_of(rig)}
    found = {}
    for bone in rig.pose.bones:
        for one in bone.constraints:
            if one.type in ("IK", "SPLINE_IK") and acts(one, driven):
                start = bone if getattr(one, "use_tail", True) else bone.parent
                for member in _chain(start, one.chain_count):
                    found[member.name] = one.name
    return found
