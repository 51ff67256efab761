# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture inverted: baked, solved by bunraku on a copy of this file, and brought back as an action."""

import json
import shlex
import struct
import time
from pathlib import Path

import bpy
import numpy as np

from . import capture, preferences, settings
from .bundled import module
from .command import Command
from .preferences import MistakeError

SCALAR, COLOUR = "bunraku_error", "bunraku_error_colour"
POLL_S = 0.2
# From well met to badly met, told apart by those who see few colours too: dark blue, teal, yellow.
RAMP = ((0.27, 0.0, 0.33), (0.13, 0.57, 0.55), (0.99, 0.91, 0.14))


def invert(context, resume):
    """Do it; yields (what, how much) many times; what is left of it is in `folder_of`.

    Raises:
        MistakeError: nothing to invert, or what bunraku says is wrong.
    """
    chosen = settings.of(context)
    mesh = _checked(chosen)
    program = preferences.program()
    folder = folder_of(chosen)
    shot, rig = folder / "capture.npz", folder / "rig.blend"
    take = folder / f"{chosen.capture.name}".replace("/", "_")
    if not (resume and shot.is_file() and rig.is_file()):
        for share in capture.bake(context.scene, chosen.capture, chosen.start, chosen.end, shot):
            yield "bake the capture", share
        _save_copy(rig)
    common = ["--blender", preferences.blender(), "--json", *(["--allow-scripts"] if chosen.scripts else [])]
    words = [program, "rig", "invert", str(shot), "--rig", f"{rig}#{mesh.name}", "--out", str(take), "--no-report"]
    words += ["--refine", str(chosen.refine), *(["--controls", chosen.controls] if chosen.controls else [])]
    words += [*shlex.split(chosen.more), *common, *([] if resume else ["--overwrite"])]
    solved = yield from run(words)
    home = folder / "home.blend"
    layer = ["--layer"] if chosen.layer else []
    words = [program, "rig", "export", str(take), "--to", str(home), "--overwrite", *layer, *common]
    written = yield from run(words)
    _bring(mesh, home, written, chosen.layer)
    coloured = paint(mesh, vertex_errors(take))
    context.scene.frame_set(context.scene.frame_current)
    told = f"{solved['relative_error']:.1e} of the rig's size from the capture, {written['keys']} keys"
    chosen.status = told if coloured else f"{told}; no colours: modifiers change the number of points"


def folder_of(chosen):
    """Where captures and takes of this rig are."""
    named = bpy.path.abspath(chosen.folder) if chosen.folder else ""
    if not named:
        named = bpy.path.abspath("//bunraku") if bpy.data.filepath else str(Path(bpy.app.tempdir) / "bunraku")
    folder = Path(named) / chosen.mesh.name.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _checked(chosen):
    for one, what in ((chosen.mesh, "the rig's mesh"), (chosen.capture, "the capture's mesh")):
        if one is None:
            raise MistakeError(f"choose {what} first")
    if chosen.mesh == chosen.capture:
        raise MistakeError("the rig's mesh and the capture are the same object")
    return chosen.mesh


def _save_copy(path):
    path.unlink(missing_ok=True)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False, compress=False)
    except RuntimeError as error:
        raise MistakeError(f"the copy of this file cannot be written: {error}") from None


def run(words):
    """Run a command while yielding what it says; its result. Interrupted where the work is broken off."""
    command = Command(words)
    try:
        while command.alive:
            yield command.text or words[2], command.share
        return command.result()
    finally:
        command.stop()


def _bring(mesh, home, written, layer):
    """Take the action out of the copy, and put it on this file's rig."""
    name = written["action"]
    with bpy.data.libraries.load(str(home)) as (there, here):
        here.actions = [one for one in there.actions if one == name or one.startswith(f"{name} ")]
    rigs = module("bunraku_blender.stage").armatures_of(mesh)
    made = []
    for action in here.actions:
        action.use_fake_user = True
        for block in (*rigs, mesh, mesh.data.shape_keys):
            found, slot = _slot(action, block) if block is not None else (False, None)
            if found:
                made.append((block, action, slot))
    if not made:
        raise MistakeError(f"{home}: its action {name!r} fits nothing of this rig")
    actions, shot = module("bunraku_blender.action"), (written["start_frame"], written["frames"])
    if layer:
        for block, _, _ in made:
            actions.push_down(block)
        actions.lay(made, shot[0], shot[0] + shot[1] - 1)
    else:
        module("bunraku_blender.home").settle(mesh, rigs, {})
        actions.assign(made)


def _slot(action, block):
    """Whether an action is for a block, and by which slot."""
    if not hasattr(action, "slots"):
        fits = action.id_root == ("KEY" if isinstance(block, bpy.types.Key) else "OBJECT")
        return fits and (action.name.endswith(block.name) or " " not in action.name), None
    kind = "KEY" if isinstance(block, bpy.types.Key) else "OBJECT"
    same = [one for one in action.slots if one.target_id_type == kind and one.name_display == block.name]
    return bool(same), same[0] if same else None


def vertex_errors(take):
    """Mean distance of every vertex to the capture (V,), as a take keeps it."""
    with (take / "arrays.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        about = json.loads(file.read(size))["vertex_error"]
        first, last = about["data_offsets"]
        file.seek(8 + size + first)
        kind = {"F64": "<f8", "F32": "<f4"}[about["dtype"]]
        return np.frombuffer(file.read(last - first), kind).astype(np.float64)


def paint(mesh, errors):
    """The error as an attribute and as colours of the mesh; False where its points are not the evaluated ones."""
    data = mesh.data
    if len(errors) != len(data.vertices):
        return False
    for name in (SCALAR, COLOUR):
        if name in data.attributes:
            data.attributes.remove(data.attributes[name])
    data.attributes.new(SCALAR, "FLOAT", "POINT").data.foreach_set("value", errors.astype(np.float32))
    colours = data.color_attributes.new(COLOUR, "FLOAT_COLOR", "POINT")
    colours.data.foreach_set("color", ramp(errors).astype(np.float32).ravel())
    data.color_attributes.active_color = colours
    data.update()
    return True


def ramp(errors):
    """Colours (V, 4) of errors, the largest yellow."""
    largest = float(np.nanmax(errors)) if len(errors) else 0.0
    share = np.nan_to_num(errors / largest) if largest > 0 else np.zeros(len(errors))
    at = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(share, at, [colour[i] for colour in RAMP]) for i in range(3)]
    return np.stack([*channels, np.ones(len(errors))], axis=1)


def pause():
    """Between two looks at a process, where nobody else waits."""
    time.sleep(POLL_S)
