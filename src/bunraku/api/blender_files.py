"""Takes brought home to Blender: a copy of the rig's .blend file, keyed, and played again to see what came of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.api.take_files import TakeFile
    from bunraku.core.curves import Curves
    from bunraku.core.keys import KeyedCurves
    from bunraku.core.rig import Rig
    from bunraku.rigs.blender_curves import Channel, FCurve
    from bunraku.rigs.blender_home import BlenderFile, Shot
    from bunraku.rigs.host import HostRig

BLEND = ".blend"
TURNS = 0.2  # of the tolerance as a share of the diagonal [rad]: how far a rotation may stray between keys
KEYS_TOLERANCE = 1e-4  # of the diagonal, for keys of which nothing is known


def write_blend(
    path: Path,
    to: Path,
    opened: Rig,
    source: str,
    solved: Curves,
    keyed: KeyedCurves | None,
    tolerance: float | None,
    cfg: TakeFile,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A copy of the rig's .blend file with the take as an action on its controls; what Blender makes of it.

    `keyed`: the keys to write, else the take's curves are reduced within `cfg.reduce`, or keyed at every frame.
    `tolerance`: of those keys, in the rig's unit, if it is known.

    Raises:
        BunrakuError: a rig that is no .blend file, the file itself as target, linked objects, another rate for a layer.
    """
    from bunraku.core.errors import BunrakuError
    from bunraku.rigs.blender import split
    from bunraku.rigs.blender_home import BlenderFile, Shot, blender_channels, blender_rate
    from bunraku.rigs.host import HostRig

    if not isinstance(opened, HostRig) or split(source)[0].suffix.lower() != BLEND:
        raise BunrakuError(
            f"{to}: only a take on a .blend rig can be written into a copy of its file; this one is on {source}"
        )
    if to.exists() and to.samefile(split(source)[0]):
        raise BunrakuError(f"{to}: is the rig's own file; a copy of another name is written")
    blender_rate(solved.fps)
    shot = Shot(path.name, solved.start_frame, solved.frames, solved.fps)
    channels = blender_channels(opened)
    copy = to.with_name(f".{to.stem}.{os.getpid()}{BLEND}")
    try:
        with BlenderFile(opened) as file:
            if cfg.layer:
                curves, told = _layer(file, shot, channels, opened, solved if keyed is None else keyed.evaluate())
            else:
                curves, told = _action(opened, channels, solved, keyed, tolerance, cfg, progress), {}
            if not curves:
                raise BunrakuError(f"{path}: no control moves, nor rests elsewhere than at neutral: nothing to key")
            told["slotted"] = file.write(copy, shot, curves, layer=cfg.layer)
            told |= _measured(file, copy, shot, opened, solved, progress)
        copy.replace(to)
    finally:
        copy.unlink(missing_ok=True)
    return {
        "action": shot.name,
        "curves": len(curves),
        "keys": sum(len(curve.keys) for curve in curves),
        "keyed_controls": len(_keyed_controls(channels, curves)),
        "other_controls": len(channels) - len(_keyed_controls(channels, curves)),
        "start_frame": shot.start,
        "frames": shot.frames,
        "fps": [shot.fps.numerator, shot.fps.denominator],
        **told,
    }


def _keyed_controls(channels: tuple[Channel, ...], curves: list[FCurve]) -> set[str]:
    places = {(curve.block, curve.path) for curve in curves}
    numbers = {(curve.block, curve.path, curve.index) for curve in curves}
    return {
        c.control
        for c in channels
        if (c.place in places if c.mode else (*c.place, c.index) in numbers)
    }  # fmt: skip


def _action(
    opened: HostRig,
    channels: tuple[Channel, ...],
    solved: Curves,
    keyed: KeyedCurves | None,
    tolerance: float | None,
    cfg: TakeFile,
    progress: Progress,
) -> list[FCurve]:
    """Curves of a new action: reduced keys, turned into the bones' rotation modes."""
    from bunraku.core.rig import diagonal
    from bunraku.inversion.simplify import SimplifyConfig, simplify, tolerance_length
    from bunraku.rigs.blender_curves import fcurves

    share = KEYS_TOLERANCE if tolerance is None else tolerance / diagonal(opened.neutral)
    if keyed is None and not cfg.every_frame:
        share = tolerance_length(cfg.reduce, opened) / diagonal(opened.neutral)
        keyed = simplify(opened, solved, SimplifyConfig(cfg.reduce, rounds=0), progress=progress).keys
    elif keyed is None:
        keyed = _every_frame(opened, solved)
    return fcurves(channels, keyed, min(TURNS * share, 1e-2))


def _every_frame(opened: HostRig, solved: Curves) -> KeyedCurves:
    import numpy as np

    from bunraku.core.keys import keyed_curves, keys
    from bunraku.rigs.blender_curves import every

    spec = opened.spec
    frames = solved.start_frame + np.arange(solved.frames, dtype=np.float64)
    neutral = [float(spec.neutral[spec.index(name)]) for name in solved.names]
    own = [every(frames, column) for column in solved.values.T]
    for column, rest in enumerate(neutral):
        if len(own[column]) == 1 and abs(own[column].values[0] - rest) <= 1e-9:
            own[column] = keys([], [])
    return keyed_curves(solved.names, own, neutral, solved.fps, solved.start_frame, solved.frames)


def _layer(
    file: BlenderFile, shot: Shot, channels: tuple[Channel, ...], opened: HostRig, solved: Curves
) -> tuple[list[FCurve], dict[str, Any]]:
    """Curves of a layer above the file's own animation, so that both together give the take."""
    from bunraku.core.errors import BunrakuError
    from bunraku.rigs.blender_curves import differences, unchanging, wanted

    spec = opened.spec
    layered = wanted(channels, solved.names, solved.values, spec.neutral.tolist())
    beneath = file.survey(shot, unchanging(layered, shot.start))
    if beneath.fps != shot.fps:
        raise BunrakuError(
            f"{opened.source}: plays {beneath.fps} frames/s, the take {shot.fps}: a layer shares the file's frames; "
            "without --layer the copy takes the take's rate"
        )
    others = list(beneath.others)
    told = {"beneath": others[:20] + ([f"and {len(others) - 20} more"] if len(others) > 20 else [])}
    return differences(layered, beneath.values, shot.start), told


def _measured(
    file: BlenderFile, copy: Path, shot: Shot, opened: HostRig, solved: Curves, progress: Progress
) -> dict[str, float]:
    """How far the mesh that Blender plays is from the one of the take's curves, in the rig's unit."""
    import numpy as np

    from bunraku.core.rig import diagonal

    values = solved.ordered_as(opened.spec)
    largest, total, seen = 0.0, 0.0, 0
    for row, meshes in file.play(copy, shot, len(opened.neutral)):
        there = opened.evaluate(values[row : row + len(meshes)])
        distance = np.linalg.norm(meshes - there, axis=2)
        largest, total, seen = max(largest, float(distance.max())), total + float(distance.sum()), seen + distance.size
        progress("play the copy", row + len(meshes), shot.frames)
    assert seen == shot.frames * len(opened.neutral)
    size = diagonal(opened.neutral)
    return {
        "reevaluated_mean_error": total / seen,
        "reevaluated_max_error": largest,
        "relative_error": total / seen / size,
        "relative_max_error": largest / size,
    }
