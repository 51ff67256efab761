# SPDX-License-Identifier: GPL-3.0-or-later
"""Skills that were learnt: a bop bag balanced by its policy in Blender's own simulation, any run's motion as keys."""

from pathlib import Path

import bpy
import numpy as np
from bpy.app.handlers import persistent
from bpy.props import FloatProperty

from . import classes, motion, preferences, settings
from .bundled import module
from .invert import run
from .operators import Work
from .preferences import MistakeError

PLAYED = {}
"""By scene: its bags and the player that acts on them."""
START = 1.0
"""How far a bag leans at first [rad]."""


class PlayPolicy(bpy.types.Operator):
    """Make a scene with a bop bag that the policy keeps upright, simulated by Blender: play the animation to see it"""

    bl_idname = "bunraku.play_policy"
    bl_label = "Play as a Simulation"
    bl_options = {"REGISTER"}

    lean: FloatProperty(name="Leaning", default=START, min=-1.5, max=1.5, description="At first [rad]")

    def execute(self, context):
        """Make it."""
        chosen = settings.of(context)
        try:
            player = _player(bpy.path.abspath(chosen.policy))
            play(context, player, chosen.seconds, self.lean)
        except MistakeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _player(path):
    if not path:
        raise MistakeError("choose a policy first: bunraku mimic export RUN --to policy.npz")
    if path.lower().endswith(".onnx"):
        raise MistakeError(
            f"{path}: Blender's Python plays policies as .npz (bunraku mimic export RUN --to policy.npz)"
        )
    try:
        player = module("bunraku_player").Player(path)
    except (OSError, ValueError, KeyError) as error:
        raise MistakeError(f"{path}: cannot be played ({' '.join(str(error).split())[:200]})") from None
    about = player.about
    if "clip" in about or len(player.lowest) != 1 or len(player.mean) != 2:
        raise MistakeError(
            f"{path}: is of {about.get('character', 'another character')!r}; Blender simulates the bop bag on a hinge "
            "(bopbag). Of other characters the motion can be put on an armature"
        )
    return player


def play(context, player, seconds, lean):
    """A new scene with a bag, which the player balances whenever it is played from its first frame.

    Raises:
        MistakeError: nowhere to show it.
    """
    bop_bags = module("bunraku_blender.bop_bags")
    hz = float(player.about["control_hz"])
    if context.window is None:
        raise MistakeError("there is no window to show the scene in")
    scene = bpy.data.scenes.new("Bop bag")
    context.window.scene = scene
    frames = max(1, round(seconds * hz))
    substeps = max(1, round(float(player.about["physics_hz"]) / hz))
    bags = bop_bags.BopBags(1, frames, hz, substeps, scene)
    bags.reset(np.array([[lean]]), np.zeros((1, 1)))
    PLAYED[scene.name] = [bags, player, lean, bop_bags.FIRST]
    return scene


@persistent
def before_frame(scene, *_):
    """Act on what was seen on the frame before; only from frame to frame, as a simulation goes."""
    playing = PLAYED.get(scene.name)
    if playing is None:
        return
    bags, player, _, last = playing
    if scene.frame_current == last + 1:
        seen = np.array([bags.turned[0], bags.speed[0]], np.float32)
        bags.act(np.array([player.controls(seen)]).reshape(1, 1))


@persistent
def after_frame(scene, *_):
    """See what came of it."""
    playing = PLAYED.get(scene.name)
    if playing is None:
        return
    bags, _, lean, last = playing
    if scene.frame_current == last + 1:
        before, bags.turned = bags.turned, bags.angles()
        bags.speed = (bags.turned - before) * bags.hz
    elif scene.frame_current <= module("bunraku_blender.bop_bags").FIRST:
        bags.turned, bags.speed = np.array([lean]), np.zeros(1)
    playing[3] = scene.frame_current


class BakeMotion(Work, bpy.types.Operator):
    """Have bunraku simulate a run, and put the motion as keys on the armature"""

    bl_idname = "bunraku.bake_motion"
    bl_label = "Bake to Keys"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, context):
        """Export, then bake."""
        chosen = settings.of(context)
        folder = bpy.path.abspath(chosen.run)
        if not folder:
            raise MistakeError("choose a run first: a folder of bunraku mimic train")
        to = Path(bpy.app.tempdir) / "bunraku_motion.npz"
        words = [
            preferences.program(),
            "mimic",
            "export",
            folder.rstrip("/\\"),
            "--to",
            str(to),
            "--overwrite",
            "--json",
        ]
        yield from run([*words, "--motion", f"{chosen.seconds:g}"])
        made = motion.bake(context, to, chosen.armature, motion.pairs(chosen.mapping), Path(folder).name)
        chosen.armature = made.armature
        unmatched = f"; no bone for {', '.join(made.missing[:6])}" if made.missing else ""
        chosen.status = f"{made.frames} frames on {made.bones} bones of {made.armature.name}{unmatched}"


CLASSES = (PlayPolicy, BakeMotion)


def register():
    """Make them known, and act in every scene that is played."""
    classes.register(CLASSES)
    bpy.app.handlers.frame_change_pre.append(before_frame)
    bpy.app.handlers.frame_change_post.append(after_frame)


def unregister():
    """Let bags fall, and forget them."""
    bpy.app.handlers.frame_change_pre.remove(before_frame)
    bpy.app.handlers.frame_change_post.remove(after_frame)
    PLAYED.clear()
    classes.unregister(CLASSES)
