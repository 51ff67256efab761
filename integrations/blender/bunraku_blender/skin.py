# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin as Blender holds it, where one Armature modifier is all that moves the mesh: bones, weights, rest points.

What is said here may be wrong for a rig (constraints move bones otherwise): the other side compares before it believes.
"""

import numpy as np


def skin(mesh):
    """Arrays of the skin and the names of its bones; None where the mesh is more than skin."""
    worn = [one for one in mesh.modifiers if one.show_viewport]
    keys = mesh.data.shape_keys
    if len(worn) != 1 or worn[0].type != "ARMATURE" or worn[0].object is None or not worn[0].use_vertex_groups:
        return None
    if worn[0].use_deform_preserve_volume or worn[0].use_bone_envelopes or (keys and len(keys.key_blocks) > 1):
        return None
    rig = worn[0].object
    bones = list(rig.pose.bones)
    place = {bone.name: index for index, bone in enumerate(bones)}
    world, shown = np.array(rig.matrix_world), np.array(mesh.matrix_world)
    at = [np.array(bone.bone.matrix_local) for bone in bones]
    parents = np.array([place[bone.parent.name] if bone.parent else -1 for bone in bones], np.int32)
    rest = [np.linalg.inv(at[p]) @ m if p >= 0 else m for p, m in zip(parents, at, strict=False)]
    influences, weights = _weights(mesh, place, bones)
    points = np.empty(3 * len(mesh.data.vertices), np.float32)
    mesh.data.vertices.foreach_get("co", points)
    return [bone.name for bone in bones], {
        "skin_world": world,
        "skin_mesh": shown,
        "skin_parents": parents,
        "skin_rest": np.stack(rest),
        "skin_bind": np.stack([np.linalg.inv(world @ m) @ shown for m in at]),
        "skin_influences": influences,
        "skin_weights": weights,
        "skin_points": points.reshape(-1, 3),
    }


def _weights(mesh, place, bones):
    """Bone numbers and weights per vertex, filled up with bone −1 of weight 0."""
    bone_of = {}
    for group in mesh.vertex_groups:
        bone = place.get(group.name)
        if bone is not None and bones[bone].bone.use_deform:
            bone_of[group.index] = bone
    rows = [[(bone_of[g.group], g.weight) for g in v.groups if g.group in bone_of] for v in mesh.data.vertices]
    width = max([len(row) for row in rows] or [0]) or 1
    influences = np.full((len(rows), width), -1, np.int32)
    weights = np.zeros((len(rows), width), np.float32)
    for vertex, row in enumerate(rows):
        for slot, (bone, weight) in enumerate(row):
            influences[vertex, slot], weights[vertex, slot] = bone, weight
    return influences, weights
