# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in Blender or in a Python with `bpy`: writes a .blend with Rigify's human rig on a body made here.

    python rigify_human.py -- OUT.blend      or      blender --background --python rigify_human.py -- OUT.blend

The body is capsules around the rig's deforming bones, melted together; its weights fall off with the distance to each
bone. Two shape keys swell the upper arms as the elbows bend and one fills the chest as the property "breath" of the
bone `chest` says: all three are driven. Nothing in the file is anybody else's but the rig's own bones and shapes.

Beside it stands OUT.controls.toml: which controls are animated, and how far they go.
"""

import sys
from pathlib import Path

import bpy
import numpy as np

# Radii of the capsules [m] by the beginnings of the deforming bones' names, at their heads and tails.
RADII = {
    "DEF-spine.006": (0.085, 0.095),
    "DEF-spine.005": (0.055, 0.06),
    "DEF-spine.004": (0.06, 0.055),
    "DEF-spine": (0.125, 0.13),
    "DEF-pelvis": (0.08, 0.07),
    "DEF-shoulder": (0.07, 0.065),
    "DEF-upper_arm": (0.058, 0.048),
    "DEF-forearm": (0.046, 0.036),
    "DEF-hand": (0.045, 0.045),
    "DEF-thigh": (0.078, 0.06),
    "DEF-shin": (0.055, 0.045),
    "DEF-foot": (0.05, 0.048),
    "DEF-toe": (0.046, 0.042),
}
VOXEL = 0.028
"""Size of the body's faces [m]."""
NEAR = 0.06
"""Bones nearer to each other than this share their vertices [m]."""
INFLUENCES = 4
SMOOTHED = 4
"""Times that weights are averaged over neighbouring vertices."""

CHOICES = """\
# What is animated on this rig: limbs by their IK handles, nothing stretched, small corrections by the tweak bones.
exclude = [
    "*.s[xyz]", "root.*", "*_parent.*", "*rubber_tweak", "*_ik_target.*",
    "thigh_fk.*", "shin_fk.*", "foot_fk.*", "toe_fk.*", "upper_arm_fk.*", "forearm_fk.*", "hand_fk.*",
]

[limits]
"*.t[xyz]" = [-0.05, 0.05]
"*.r[xyz]" = [-0.5, 0.5]
"*tweak*.t[xyz]" = [-0.03, 0.03]
"torso.t[xyz]" = [-0.3, 0.3]
"torso.r[xyz]" = [-0.8, 0.8]
"*_ik.*.t[xyz]" = [-0.05, 0.05]
"hand_ik.*.t[xyz]" = [-0.4, 0.4]
"hand_ik.*.r[xyz]" = [-1.2, 1.2]
"foot_ik.*.t[xyz]" = [-0.3, 0.3]
"foot_ik.*.r[xyz]" = [-0.8, 0.8]
"head.r[xyz]" = [-0.9, 0.9]
"""
"""Written beside the file, where Bunraku looks for it."""


class Bone:
    """A deforming bone as a capsule."""

    def __init__(self, bone):
        self.name = bone.name
        self.head, self.tail = np.array(bone.head_local), np.array(bone.tail_local)
        self.radii = next(radii for start, radii in RADII.items() if bone.name.startswith(start))
        self.side = next((side for side in "LR" if f".{side}" in bone.name), "")

    def distances(self, points):
        """From points (N, 3) to the bone's line [m]; how far along it (0 to 1)."""
        along = self.tail - self.head
        share = np.clip((points - self.head) @ along / (along @ along), 0, 1)
        return np.linalg.norm(points - self.head - share[:, None] * along, axis=1), share


def make_rig():
    """Rigify's basic human, generated: the armature object. The figure that it is generated from is removed."""
    for one in list(bpy.data.objects):
        bpy.data.objects.remove(one)
    bpy.ops.preferences.addon_enable(module="rigify")
    bpy.ops.object.armature_basic_human_metarig_add()
    meta = bpy.context.object
    from rigify import generate

    generate.generate_rig(bpy.context, meta)
    rig = next(one for one in bpy.data.objects if one.type == "ARMATURE" and one is not meta)
    bpy.data.objects.remove(meta)
    # The buttons that Rigify writes into the file as a script: the rig moves without them, and nothing is to be run.
    for text in list(bpy.data.texts):
        bpy.data.texts.remove(text)
    return rig


def capsule(bone, rings=8, around=16):
    """Points and faces of a closed tube with round ends about a bone."""
    along = bone.tail - bone.head
    axis = along / np.linalg.norm(along)
    across = np.linalg.svd(axis[None])[2][1:]
    tilt = np.concatenate([np.linspace(-np.pi / 2, 0, rings)[1:], np.linspace(0, np.pi / 2, rings)[:-1]])
    ends = np.repeat([0, 1], rings - 1)
    radius = np.array(bone.radii)[ends]
    middles = bone.head + ends[:, None] * along + (radius * np.sin(tilt))[:, None] * axis
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    circle = np.cos(turn)[:, None] * across[0] + np.sin(turn)[:, None] * across[1]
    points = middles[:, None] + (radius * np.cos(tilt))[:, None, None] * circle
    poles = [bone.head - bone.radii[0] * axis, bone.tail + bone.radii[1] * axis]
    count, first, last = len(middles), len(middles) * around, len(middles) * around + 1
    faces = []
    for i in range(around):
        j = (i + 1) % around
        for ring in range(count - 1):
            faces.append((ring * around + i, ring * around + j, (ring + 1) * around + j, (ring + 1) * around + i))
        faces.append((first, j, i))
        faces.append((last, (count - 1) * around + i, (count - 1) * around + j))
    return np.concatenate([points.reshape(-1, 3), poles]), faces


def make_body(bones):
    """A closed mesh object about all bones, triangles and quadrilaterals of about the size of a voxel."""
    points, faces = [], []
    for bone in bones:
        own, tube = capsule(bone)
        start = sum(map(len, points))
        points.append(own)
        faces += [tuple(start + index for index in face) for face in tube]
    rough = bpy.data.meshes.new("rough")
    rough.from_pydata(np.concatenate(points).tolist(), [], faces)
    body = bpy.data.objects.new("body", rough)
    bpy.context.scene.collection.objects.link(body)
    melted = body.modifiers.new("melt", "REMESH")
    melted.mode, melted.voxel_size = "VOXEL", VOXEL
    soft = body.modifiers.new("smooth", "SMOOTH")
    soft.factor, soft.iterations = 0.5, 8
    shown = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = bpy.data.meshes.new_from_object(shown)
    mesh.name = "body"
    body.modifiers.clear()
    body.data = mesh
    bpy.data.meshes.remove(rough)
    return body


def vertices_of(mesh):
    """Positions (V, 3)."""
    found = np.empty(3 * len(mesh.vertices))
    mesh.vertices.foreach_get("co", found)
    return found.reshape(-1, 3)


def weights(mesh, bones):
    """(V, bones), rows summing to 1: near bones count, those of the closest bone's surroundings alone."""
    points = vertices_of(mesh)
    scaled = np.empty((len(points), len(bones)))
    for column, bone in enumerate(bones):
        distance, share = bone.distances(points)
        scaled[:, column] = distance / (bone.radii[0] + share * (bone.radii[1] - bone.radii[0]))
    allowed = neighbours(bones)[np.argmin(scaled, axis=1)]
    found = np.where(allowed, np.exp(-((1.6 * scaled) ** 2)), 0.0) + 1e-12 * allowed
    found /= found.sum(axis=1, keepdims=True)
    edges = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", edges)
    one, other = edges.reshape(-1, 2).T
    count = np.bincount(edges, minlength=len(points))[:, None] + 1.0
    for _ in range(SMOOTHED):
        around = found.copy()
        np.add.at(around, one, found[other])
        np.add.at(around, other, found[one])
        found = around / count
    least = np.sort(found, axis=1)[:, -INFLUENCES]
    found[(found < least[:, None]) | (found < 1e-3)] = 0.0
    return found / found.sum(axis=1, keepdims=True)


def neighbours(bones):
    """(bones, bones): which share vertices: those that nearly touch, never left with right."""
    found = np.eye(len(bones), dtype=bool)
    steps = np.linspace(0, 1, 9)[:, None]
    for i, one in enumerate(bones):
        line = one.head + steps * (one.tail - one.head)
        for j, other in enumerate(bones):
            apart = {one.side, other.side} == {"L", "R"}
            found[i, j] |= not apart and other.distances(line)[0].min() < NEAR
    return found


def bind(body, rig, bones):
    """The body follows the rig."""
    found = weights(body.data, bones)
    for column, bone in enumerate(bones):
        group = body.vertex_groups.new(name=bone.name)
        for vertex in np.flatnonzero(found[:, column]):
            group.add([int(vertex)], float(found[vertex, column]), "REPLACE")
    body.parent = rig
    worn = body.modifiers.new("rig", "ARMATURE")
    worn.object = rig
    return found


def correct(body, rig, bones, found):
    """Shape keys that the rig drives: biceps with the elbows, the chest with a property."""
    points = vertices_of(body.data)
    names = [bone.name for bone in bones]
    body.shape_key_add(name="Basis", from_mix=False)
    for side in "LR":
        arm = bones[names.index(f"DEF-upper_arm.{side}.001")]
        distance, share = arm.distances(points)
        outward = points - (arm.head + share[:, None] * (arm.tail - arm.head))
        outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
        own = found[:, [names.index(f"DEF-upper_arm.{side}"), names.index(f"DEF-upper_arm.{side}.001")]].sum(axis=1)
        swell = 0.02 * own * np.exp(-(((share - 0.3) / 0.4) ** 2)) * np.exp(-((distance / 0.08) ** 2))
        driver = add_key(body, f"biceps.{side}", points + swell[:, None] * outward)
        angle = driver.variables.new()
        angle.name, angle.type = "angle", "ROTATION_DIFF"
        ends = (f"DEF-upper_arm.{side}.001", f"DEF-forearm.{side}")
        for target, bone in zip(angle.targets, ends, strict=False):
            target.id, target.bone_target = rig, bone
        driver.expression = "smoothstep(0.1, 2.2, angle)"
    chest = rig.pose.bones["chest"]
    chest["breath"] = 0.0
    chest.id_properties_ui("breath").update(min=0.0, max=1.0, soft_min=0.0, soft_max=1.0, default=0.0)
    own = found[:, [names.index("DEF-spine.002"), names.index("DEF-spine.003")]].sum(axis=1)
    fuller = points + own[:, None] * np.array([0.06, 0.2, 0.0]) * (points - bones[names.index("DEF-spine.003")].head)
    driver = add_key(body, "breath", fuller)
    said = driver.variables.new()
    said.name, said.type = "breath", "SINGLE_PROP"
    said.targets[0].id, said.targets[0].data_path = rig, 'pose.bones["chest"]["breath"]'
    driver.expression = "breath"


def add_key(body, name, points):
    """A driven shape key; its driver."""
    key = body.shape_key_add(name=name, from_mix=False)
    key.data.foreach_set("co", points.astype(np.float32).ravel())
    return key.driver_add("value").driver


def main(path):
    """Make the file."""
    rig = make_rig()
    bones = [Bone(one) for one in rig.data.bones if one.use_deform and "breast" not in one.name]
    body = make_body(bones)
    correct(body, rig, bones, bind(body, rig, bones))
    bpy.ops.wm.save_as_mainfile(filepath=str(path), check_existing=False, compress=True)
    path.with_name(f"{path.stem}.controls.toml").write_text(CHOICES)
    print(f"{path}: {len(rig.data.bones)} bones, {len(body.data.vertices)} vertices")


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--") + 1]).resolve())
