"""Run in Blender's Python: a column of three bones in three rotation modes, with shape keys and a property.

python blender_column.py FILE.blend         python blender_column.py FILE.fbx MESHES.npy
As FBX it moves by its action, at 29.97 frames a second; beside it, its mesh at every frame.
"""

import sys

import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps = 24

armature = bpy.data.armatures.new("Rig")
rig = bpy.data.objects.new("Rig", armature)
scene.collection.objects.link(rig)
bpy.context.view_layer.objects.active = rig
bpy.ops.object.mode_set(mode="EDIT")
above = None
for number, name in enumerate(("low", "middle", "high")):
    bone = armature.edit_bones.new(name)
    bone.head, bone.tail, bone.parent = (0, 0, number), (0, 0, number + 1), above
    above = bone
bpy.ops.object.mode_set(mode="OBJECT")

corners = [(x, y, z) for z in range(4) for x in (-0.3, 0.3) for y in (-0.3, 0.3)]
sides = [(0, 1, 3, 2), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)]
faces = [tuple(4 * level + corner for corner in side) for level in range(3) for side in sides]
data = bpy.data.meshes.new("Column")
data.from_pydata(corners, [], faces)
mesh = bpy.data.objects.new("Column", data)
scene.collection.objects.link(mesh)
for number, name in enumerate(("low", "middle", "high")):
    mesh.vertex_groups.new(name=name).add(range(4 * number + (4 if number else 0), 4 * number + 8), 1.0, "REPLACE")
mesh.parent = rig
mesh.modifiers.new("Armature", "ARMATURE").object = rig

mesh.shape_key_add(name="Basis")
for name, moved in (("Wide", (0.5, 0, 0)), ("Grown", (0, 0.4, 0))):
    key = mesh.shape_key_add(name=name)
    for corner in (12, 13):
        key.data[corner].co = [a + b for a, b in zip(corners[corner], moved, strict=True)]

bones = rig.pose.bones
bones["middle"].rotation_mode, bones["high"].rotation_mode = "ZXY", "AXIS_ANGLE"
bones["low"]["grow"] = 0.25
bones["low"].id_properties_ui("grow").update(min=0.0, max=1.0, default=0.25)
driver = mesh.data.shape_keys.key_blocks["Grown"].driver_add("value").driver
driver.type = "SUM"
variable = driver.variables.new()
variable.targets[0].id, variable.targets[0].data_path = rig, 'pose.bones["low"]["grow"]'

# An action that is there already: it turns two bones, and moves one that no take of the tests moves.
for frame, turned in ((1, 0.3), (12, -0.4)):
    bones["low"].rotation_quaternion = (1, turned, 0, 0)
    bones["middle"].rotation_euler = (turned, 0.2, -turned)
    bones["high"].location = (0, 0, turned)
    bones["low"].keyframe_insert("rotation_quaternion", frame=frame)
    bones["middle"].keyframe_insert("rotation_euler", frame=frame)
    bones["high"].keyframe_insert("location", frame=frame)
rig.animation_data.action.name = "Old"
arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
if arguments[0].endswith(".fbx"):
    import numpy as np

    scene.frame_start, scene.frame_end = 1, 12
    scene.render.fps, scene.render.fps_base = 30, 1.001
    meshes = []
    for frame in range(1, 13):
        scene.frame_set(frame)
        shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        meshes.append([shown.matrix_world @ vertex.co for vertex in shown.data.vertices])
    np.save(arguments[1], np.array(meshes))
    bpy.ops.export_scene.fbx(filepath=arguments[0])
else:
    bpy.ops.wm.save_as_mainfile(filepath=arguments[0])
