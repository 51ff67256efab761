# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mesh, which armatures, and how they stand when nothing moves them."""

import bpy
import bunraku_host as protocol
import numpy as np

DEFORMING = {"ARMATURE", "HOOK", "LATTICE", "MESH_DEFORM", "SURFACE_DEFORM", "CURVE", "SHRINKWRAP", "NODES", "CAST"}


def find_mesh(name):
    """The mesh object of that name; without a name the only one that something deforms.

    Raises:
        MistakeError: none, or several to choose from.
    """
    meshes = [one for one in bpy.data.objects if one.type == "MESH"]
    if name is not None:
        for one in meshes:
            if one.name == name:
                return one
        listed = ", ".join(one.name for one in _candidates(meshes) or meshes)
        raise protocol.MistakeError(f"no mesh object {name!r}; the file has: {listed or 'none'}")
    moved = _candidates(meshes)
    if len(moved) == 1:
        return moved[0]
    if not meshes:
        raise protocol.MistakeError("the file has no mesh object")
    if not moved and len(meshes) == 1:
        return meshes[0]
    choices = ", ".join(f"#{one.name}" for one in (moved or meshes)[:20])
    kind = "that a rig moves" if moved else "and no rig moves any of them"
    raise protocol.MistakeError(f"{len(moved or meshes)} mesh objects {kind}; add one of {choices} to the file's name")


def _candidates(meshes):
    shapes = {bone.custom_shape for rig in _all_armatures() for bone in rig.pose.bones if bone.custom_shape}
    return [one for one in meshes if one not in shapes and _moved(one)]


def _moved(mesh):
    if mesh.parent is not None and mesh.parent.type == "ARMATURE":
        return True
    keys = mesh.data.shape_keys
    return any(one.type in DEFORMING for one in mesh.modifiers) or (keys is not None and len(keys.key_blocks) > 1)


def _all_armatures():
    return [one for one in bpy.data.objects if one.type == "ARMATURE" and one.pose is not None]


def armatures_of(mesh):
    """The armatures that the mesh depends on, those it depends on directly first."""
    found, waiting = [], [mesh]
    while waiting:
        for target in _depends_on(waiting.pop(0)):
            if target.type == "ARMATURE" and target.pose is not None and target not in found:
                found.append(target)
                waiting.append(target)
    return found


def _depends_on(one):
    targets = [one.parent, *(getattr(modifier, "object", None) for modifier in one.modifiers)]
    constraints = list(one.constraints)
    if one.type == "ARMATURE":
        constraints += [constraint for bone in one.pose.bones for constraint in bone.constraints]
    for constraint in constraints:
        targets.append(getattr(constraint, "target", None))
        targets += [entry.target for entry in getattr(constraint, "targets", ())]
    return [target for target in targets if target is not None and target is not one]


def rest(mesh, rigs):
    """Take all actions off, and put every bone at rest; what the actions had animated, by (block, path, index)."""
    animated = {}
    for owner in (mesh, mesh.data.shape_keys, *rigs, *(rig.data for rig in rigs)):
        data = owner.animation_data if owner is not None else None
        if data is not None:
            data.use_nla = False
            if data.action is not None:
                data.action = None
    for action in bpy.data.actions:
        for curve in curves_of(action):
            animated.setdefault((curve.data_path, curve.array_index), []).append(curve)
    for rig in rigs:
        rig.data.pose_position = "POSE"
        for bone in rig.pose.bones:
            bone.location, bone.scale = (0, 0, 0), (1, 1, 1)
            bone.rotation_quaternion, bone.rotation_euler = (1, 0, 0, 0), (0, 0, 0)
            bone.rotation_axis_angle = (0, 0, 1, 0)
    keys = mesh.data.shape_keys
    for key in keys.key_blocks[1:] if keys is not None else ():
        if (f'key_blocks["{bpy.utils.escape_identifier(key.name)}"].value', 0) in animated:
            key.value = 0
    show(mesh)
    return animated


def show(mesh):
    """What is hidden is not evaluated."""
    mesh.hide_viewport = False
    if mesh.name not in bpy.context.view_layer.objects:
        bpy.context.scene.collection.objects.link(mesh)
    mesh.hide_set(False)


def curves_of(action):
    """An action's F-curves, whatever way this version of Blender holds them."""
    if hasattr(action, "layers"):
        bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
        return [curve for bag in bags for curve in bag.fcurves]
    return list(action.fcurves)


def animations(rigs):
    """Actions that move a bone of the rigs, with their frames."""
    paths = tuple(bone.path_from_id() for rig in rigs for bone in rig.pose.bones)
    moving = [action for action in bpy.data.actions if any(c.data_path.startswith(paths) for c in curves_of(action))]
    return [{"name": a.name, "start": float(a.frame_range[0]), "end": float(a.frame_range[1])} for a in moving]


def triangles(mesh):
    """The triangles of the evaluated mesh (T, 3)."""
    shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    shown.calc_loop_triangles()
    corners = np.zeros(3 * len(shown.loop_triangles), np.int32)
    shown.loop_triangles.foreach_get("vertices", corners)
    return corners.reshape(-1, 3)


def points(mesh):
    """The vertices of the evaluated mesh (V, 3) in world space."""
    shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    found = np.empty(3 * len(shown.data.vertices), np.float32)
    shown.data.vertices.foreach_get("co", found)
    place = np.array(shown.matrix_world, np.float64)
    return (found.reshape(-1, 3) @ place[:3, :3].T + place[:3, 3]).astype(np.float32)
