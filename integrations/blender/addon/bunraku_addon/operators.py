# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel's buttons do. Work is a generator: run to its end at once, or a little at each tick of a timer."""

import time

import bpy
from bpy.props import BoolProperty

from . import classes, settings
from .invert import invert, pause
from .preferences import MistakeError

TICK_S = 0.1
AT_ONCE_S = 0.05
RUNNING = set()
"""What works now, so that it can be cancelled from elsewhere: one at a time."""


class Work:
    """Mixed into operators that work long: they give `work(context)`, a generator of (what, share)."""

    def execute(self, context):
        """All at once: for scripts, and where there is no window."""
        try:
            for what, share in self.work(context):
                self.tell(context, what, share)
                pause()
        except MistakeError as error:
            return self.failed(context, error)
        return self.finished(context)

    def invoke(self, context, event):
        """A little at a time, while the user may go on."""
        if RUNNING:
            self.report({"WARNING"}, "Bunraku works already; cancel that first")
            return {"CANCELLED"}
        self.going = self.work(context)
        self.stopped = False
        self.timer = context.window_manager.event_timer_add(TICK_S, window=context.window)
        context.window_manager.modal_handler_add(self)
        RUNNING.add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """At each tick: a little more."""
        if event.type == "ESC" or self.stopped:
            self.end(context)
            settings.of(context).status = "cancelled; what was solved so far is kept"
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        began = time.monotonic()
        try:
            while time.monotonic() - began < AT_ONCE_S:
                before = getattr(self, "last", None)
                self.last = next(self.going)
                self.tell(context, *self.last)
                if self.last == before:
                    break  # a process that is waited for
        except StopIteration:
            self.end(context)
            return self.finished(context)
        except MistakeError as error:
            self.end(context)
            return self.failed(context, error)
        return {"RUNNING_MODAL"}

    def cancel(self, context):
        """Blender is closing, or another file is opened."""
        self.end(context)

    def end(self, context):
        """Stop what still runs."""
        RUNNING.discard(self)
        context.window_manager.event_timer_remove(self.timer)
        self.going.close()
        settings.of(context).progress = 0.0

    def tell(self, context, what, share):
        """Show where it is."""
        chosen = settings.of(context)
        chosen.status, chosen.progress = what, share
        for area in context.screen.areas if context.screen else ():
            if area.type == "VIEW_3D":
                area.tag_redraw()

    def failed(self, context, error):
        """Say what is wrong."""
        chosen = settings.of(context)
        chosen.status, chosen.progress = str(error), 0.0
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}

    def finished(self, context):
        """Say what came of it."""
        settings.of(context).progress = 0.0
        self.report({"INFO"}, settings.of(context).status)
        return {"FINISHED"}


class Invert(Work, bpy.types.Operator):
    """Find the control curves with which the rig follows the capture, as an action on the rig"""

    bl_idname = "bunraku.invert"
    bl_label = "Invert"
    bl_options = {"REGISTER", "UNDO"}

    resume: BoolProperty(name="Resume", description="Go on with what was cancelled, on the same capture and rig")

    def work(self, context):
        """The inversion."""
        return invert(context, self.resume)


class Cancel(bpy.types.Operator):
    """Stop; what was solved so far is kept for Resume"""

    bl_idname = "bunraku.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context):
        """Only while something works."""
        return bool(RUNNING)

    def execute(self, context):
        """The next tick sees it."""
        for one in RUNNING:
            one.stopped = True
        return {"FINISHED"}


class SelectedControls(bpy.types.Operator):
    """Solve for the selected bones alone"""

    bl_idname = "bunraku.selected_controls"
    bl_label = "From Selected Bones"

    @classmethod
    def poll(cls, context):
        """Only with bones selected."""
        return bool(context.selected_pose_bones)

    def execute(self, context):
        """Fill the field."""
        settings.of(context).controls = ",".join(f"{bone.name}.*" for bone in context.selected_pose_bones)
        return {"FINISHED"}


class CaptureRange(bpy.types.Operator):
    """Take the scene's frames for those of the capture"""

    bl_idname = "bunraku.capture_range"
    bl_label = "Scene's Frames"

    def execute(self, context):
        """Fill the fields."""
        chosen = settings.of(context)
        chosen.start, chosen.end = context.scene.frame_start, context.scene.frame_end
        return {"FINISHED"}


CLASSES = (Invert, Cancel, SelectedControls, CaptureRange)


def register():
    """Make them known."""
    classes.register(CLASSES)


def unregister():
    """Stop what works, and forget them."""
    for one in list(RUNNING):
        one.end(bpy.context)
    classes.unregister(CLASSES)
