"""Run in Blender's Python: the add-on installed from its archive, its operators run; prints what came of it as JSON.

python blender_addon_trial.py ADDON.zip BUNRAKU invert COLUMN.blend FOLDER
python blender_addon_trial.py ADDON.zip BUNRAKU play POLICY.npz
python blender_addon_trial.py ADDON.zip BUNRAKU bake RUN
"""

import json
import math
import sys
import time
from types import SimpleNamespace

import bpy
import numpy as np

archive, program, what, *rest = sys.argv[1:]


def tell(**told):
    print("TOLD", json.dumps(told))


def installed():
    bpy.ops.preferences.addon_install(filepath=archive, overwrite=True)
    bpy.ops.preferences.addon_enable(module="bunraku_addon")
    bpy.context.preferences.addons["bunraku_addon"].preferences.program = program


def points(one):
    shown = one.evaluated_get(bpy.context.evaluated_depsgraph_get())
    found = np.empty(3 * len(shown.data.vertices), np.float32)
    shown.data.vertices.foreach_get("co", found)
    return found.reshape(-1, 3)


def actor():
    """A second column that moves: what is captured."""
    scene = bpy.context.scene
    rig, mesh = bpy.data.objects["Rig"].copy(), bpy.data.objects["Column"].copy()
    rig.name, mesh.name, mesh.data = "Actor", "Captured", bpy.data.objects["Column"].data.copy()
    rig.animation_data_clear()
    for bone in rig.pose.bones:
        bone.location = (0, 0, 0)  # where the old action had put it
    for one in (rig, mesh):
        scene.collection.objects.link(one)
    mesh.parent, mesh.modifiers["Armature"].object = rig, rig
    mesh.data.shape_keys.animation_data_clear()
    mesh.data.shape_keys.key_blocks["Grown"].value = 0.25  # as its driver has it
    for frame in range(1, 7):
        share = (frame - 1) / 5
        rig.pose.bones["low"].rotation_quaternion = (math.cos(0.2 * share), math.sin(0.2 * share), 0, 0)
        rig.pose.bones["middle"].rotation_euler = (0.5 * share, 0, -0.3 * share)
        mesh.data.shape_keys.key_blocks["Wide"].value = 0.6 * share
        rig.pose.bones["low"].keyframe_insert("rotation_quaternion", frame=frame)
        rig.pose.bones["middle"].keyframe_insert("rotation_euler", frame=frame)
        mesh.data.shape_keys.key_blocks["Wide"].keyframe_insert("value", frame=frame)
    return mesh


def refused(operator, **options):
    try:
        operator(**options)
    except RuntimeError as error:
        return str(error).strip()
    return ""


def invert(path, folder):
    bpy.ops.wm.open_mainfile(filepath=path, use_scripts=False, load_ui=False)
    chosen = bpy.context.scene.bunraku
    nothing = refused(bpy.ops.bunraku.invert)
    chosen.mesh, chosen.capture = bpy.data.objects["Column"], actor()
    chosen.start, chosen.end, chosen.folder, chosen.refine = 1, 6, folder, 5
    chosen.controls = "nothing.*"
    wrong = refused(bpy.ops.bunraku.invert)
    chosen.controls = "low.r?,middle.r?,Column.Wide"
    broken = cancelled(chosen)
    bpy.ops.bunraku.invert(resume=True)
    errors = []
    for frame in range(1, 7):
        bpy.context.scene.frame_set(frame)
        errors.append(float(np.abs(points(bpy.data.objects["Column"]) - points(bpy.data.objects["Captured"])).max()))
    rig, data = bpy.data.objects["Rig"], bpy.data.objects["Column"].data
    colours = np.empty(4 * len(data.vertices), np.float32)
    data.color_attributes["bunraku_error_colour"].data.foreach_get("color", colours)
    status = chosen.status
    names = [rig.animation_data.action.name, data.shape_keys.animation_data.action.name]
    tell(
        nothing=nothing,
        wrong=wrong,
        errors=errors,
        status=status,
        actions=names,
        old_kept=bpy.data.actions["Old"].use_fake_user,
        attribute=[data.attributes["bunraku_error"].data_type, data.attributes["bunraku_error"].domain],
        yellow=float(colours.reshape(-1, 4)[:, 0].max()),
        cancelled=broken,
    )


def cancelled(chosen):
    """The button pressed, ticks of its timer by hand (there is no window), and cancelled once the process runs."""
    from bunraku_addon import invert as inverting
    from bunraku_addon import operators

    begun, start = [], inverting.Command.__init__

    def seen(self, *arguments, **options):
        start(self, *arguments, **options)
        begun.append(self)

    inverting.Command.__init__ = seen
    timers = SimpleNamespace(
        event_timer_add=lambda *_, **__: "timer", event_timer_remove=lambda _: None, modal_handler_add=lambda _: None
    )
    context = SimpleNamespace(window_manager=timers, window=None, screen=None, scene=bpy.context.scene)

    class Pressed(operators.Work):
        work = staticmethod(lambda _: inverting.invert(bpy.context, False))

        def report(self, *_):
            pass

    bpy.context.scene.frame_set(4)
    work, tick = Pressed(), SimpleNamespace(type="TIMER")
    work.invoke(context, None)
    again = Pressed().invoke(context, None)
    while not begun or (begun[0].share == 0.0 and begun[0].alive):
        work.modal(context, tick)
        time.sleep(0.05)
    ran = begun[0].alive
    bpy.ops.bunraku.cancel()
    return {
        "again": list(again),
        "ran": ran,
        "last": list(work.modal(context, tick)),
        "status": chosen.status,
        "frame": bpy.context.scene.frame_current,
        "ended": not begun[0].alive,
        "idle": not operators.RUNNING,
    }


def play(policy):
    scene = bpy.context.scene
    chosen = scene.bunraku
    nothing = refused(bpy.ops.bunraku.play_policy)
    chosen.policy, chosen.seconds = policy, 4.0
    bpy.ops.bunraku.play_policy(lean=0.8)
    made = bpy.context.window.scene
    leaning = []
    for frame in range(made.frame_start, made.frame_start + 72):
        made.frame_set(frame)
        place = made.objects["bag 0"].evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world
        leaning.append(math.atan2(place[0][2], place[2][2]))
    tell(nothing=nothing, first=leaning[0], last=leaning[-1], scenes=[one.name for one in bpy.data.scenes])


def bake(run):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="bunraku_addon")
    bpy.context.preferences.addons["bunraku_addon"].preferences.program = program
    chosen = bpy.context.scene.bunraku
    chosen.run, chosen.seconds = run, 1.0
    bpy.ops.bunraku.bake_motion()
    made = chosen.armature
    with np.load(f"{bpy.app.tempdir}/bunraku_motion.npz") as file:
        motion = {name: file[name] for name in file.files}
    tell(
        status=chosen.status,
        bones=[bone.name for bone in made.pose.bones],
        joints=[str(name) for name in motion["joints"]],
        swing=swing(made, motion),
    )


def swing(armature, motion):
    """Largest angle between a bone's and its joint's turn from rest on the last frame, and the largest turn."""
    scene = bpy.context.scene
    from mathutils import Quaternion

    row = len(motion["times_s"]) - 1
    scene.frame_set(scene.frame_start + round(float(motion["times_s"][row]) * scene.render.fps))
    worst, most, now, rest = 0.0, 0.0, [], []
    for joint, parent in enumerate(motion["parents"]):
        own, still = Quaternion(motion["joint_quat"][row, joint]), Quaternion(motion["rest_quat"][joint])
        now.append(now[parent] @ own if parent >= 0 else own)
        rest.append(rest[parent] @ still if parent >= 0 else still)
        bone = armature.pose.bones[str(motion["joints"][joint])]
        turned = bone.matrix.to_quaternion() @ bone.bone.matrix_local.to_quaternion().inverted()
        wanted = now[joint] @ rest[joint].inverted()
        worst, most = max(worst, turned.rotation_difference(wanted).angle), max(most, wanted.angle)
    return [worst, most]


installed()
{"invert": invert, "play": play, "bake": bake}[what](*rest)
bpy.ops.preferences.addon_disable(module="bunraku_addon")
print("DISABLED", "bunraku_addon" not in bpy.context.preferences.addons, hasattr(bpy.types.Scene, "bunraku"))
