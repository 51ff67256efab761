"""Anything that can be looked at, in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.showing import Up, up_of
from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.core.playback import Playback
    from bunraku.motion.problem import Problem
    from bunraku.viewer.clip import Mark
    from bunraku.viewer.server import Scene, ServeConfig

Kind = Literal["auto", "rig", "sequence", "clip"]
_RIGS = (".glb", ".gltf", ".usd", ".usda", ".usdc", ".usdz", ".blend")


@dataclass(frozen=True)
class ViewConfig:
    """What is looked at beside what was named."""

    kind: Kind = "auto"
    """What a file is, where its ending leaves that open."""
    model: Path | None = None
    """An approximation from `bunraku rig fit`, beside its rig, their difference as colour."""
    rig: str | None = None
    """A take's rig, where it is not the one that the take names (a python: rig runs only when named here)."""
    other: Path | None = None
    """Another take of the same capture, to compare with."""
    character: str | None = None
    """Whom a clip is shown on; without it the humanoid for clips on its joints, bones for others."""
    policy: Literal["best", "last"] = "last"
    """Which of a run's policies acts."""
    up: Up = "auto"
    """The axis that points upwards: y, z; auto: z for Blender's files, y for others."""


def view(
    source: str,
    cfg: ViewConfig | None = None,
    serve: ServeConfig | None = None,
    *,
    ready: Callable[[str], None] = print,
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Show a rig, a mesh sequence, a take, a clip or a run until Ctrl-C; `ready` is told the address.

    Raises:
        BunrakuError: nothing there, or nothing that can be looked at; an address that cannot be had.
    """
    from bunraku.viewer import server as serving

    build = scene_of(source, cfg or ViewConfig())
    served = serving.start(f"bunraku: {Path(source).name[:60]}", serve or serving.ServeConfig())
    try:
        scene = build(served.viser)
        scene.tick(0.0)
        ready(served.url)
        serving.run(scene, ended)
    finally:
        served.close()


def scene_of(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    """Opens what is named, and returns what puts it into a server.

    Raises:
        BunrakuError: as `view`.
    """
    kind = _kind(source, cfg)
    if kind in ("take", "run") and not Path(source).is_dir():
        raise BunrakuError(f"{source}: is no folder")
    openers: dict[str, Callable[[str, ViewConfig], Callable[[Any], Scene]]] = {
        "take": _take_scene,
        "run": _run_scene,
        "rig": _rig_scene,
        "model": _model_scene,
        "sequence": _sequence_scene,
        "clip": _clip_scene,
    }
    wrong = {"model": ("rig",), "rig": ("take",), "other": ("take",), "character": ("clip",)}
    for option, kinds in wrong.items():
        if getattr(cfg, option) is not None and kind not in kinds:
            raise BunrakuError(f"--{option}: is for a {' or a '.join(kinds)}; {source} is a {kind}")
    return openers[kind](source, cfg)


def _kind(source: str, cfg: ViewConfig) -> str:
    from bunraku.core import artifact
    from bunraku.core.npy import open_npz
    from bunraku.formats.clip import READ
    from bunraku.motion.plan import PLANS
    from bunraku.rigs.open import BUILT_IN

    path = Path(source)
    if cfg.kind != "auto":
        return cfg.kind
    if source in BUILT_IN or source.startswith(("python:", "host:")):
        return "rig"
    if source in PLANS and not path.exists():
        return "clip"
    file = path if path.exists() else Path(source.partition("#")[0])
    if not file.exists():
        raise BunrakuError(f"{source}: no such file or folder, and no rig of that name ({', '.join(BUILT_IN)})")
    if file.is_dir():
        kind = artifact.kind_of(file)
        known = {"take": "take", "run": "run", "model": "model", "samples": "rig"}
        if kind is not None and kind not in known:
            raise BunrakuError(f"{source}: is a {kind}; a take, a run, a model or samples can be looked at")
        return known[kind] if kind else "rig" if (file / "dataset.npz").is_file() else "sequence"
    if file.suffix.lower() == ".npz":
        held = open_npz(file)
        return "clip" if "joints" in held else "rig" if "controls" in held else "sequence"
    if file.suffix.lower() in _RIGS:
        return "rig"
    return "clip" if file.suffix.lower() in READ else "sequence"


def _rig_scene(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    from bunraku.api.doors import loaded_model, open_rig
    from bunraku.rigs.recorded import RecordedRig

    rig = open_rig(source)
    if isinstance(rig, RecordedRig):
        raise BunrakuError(f"{source}: recorded samples know their own poses only; 'bunraku rig fit' makes a model")
    model: Any = None if cfg.model is None else loaded_model(cfg.model)
    if model is not None:
        if len(model.neutral) != len(rig.neutral):
            raise BunrakuError(
                f"--model {cfg.model}: has {len(model.neutral)} vertices, {source} has {len(rig.neutral)}"
            )
        for name in model.spec.names:
            rig.spec.index(name)

    def build(server: Any) -> Scene:
        from bunraku.viewer.rig import RigScene

        return RigScene(server, rig, Path(source).name, up_of(source, cfg.up), model)

    return build


def _model_scene(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    from bunraku.api.doors import loaded_model

    model: Any = loaded_model(Path(source))

    def build(server: Any) -> Scene:
        from bunraku.viewer.rig import RigScene

        return RigScene(server, model, Path(source).name, up_of(source, cfg.up))

    return build


def _sequence_scene(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    from bunraku.api.showing import shown_sequence

    shown = shown_sequence(Path(source), cfg.up)

    def build(server: Any) -> Scene:
        from bunraku.viewer.meshes import MeshScene

        return MeshScene(server, [shown])

    return build


def _take_scene(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    from bunraku.api.showing import shown_take

    both = [shown_take(path, cfg.rig, cfg.up) for path in (Path(source), cfg.other) if path is not None]
    if len(both) > 1 and both[0].frames != both[1].frames:
        raise BunrakuError(f"--other {cfg.other}: has {both[1].frames} frames, {source} has {both[0].frames}")

    def build(server: Any) -> Scene:
        from bunraku.viewer.meshes import MeshScene

        return MeshScene(server, both)

    return build


def _run_scene(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    from bunraku.mimic.live import live

    acting = live(Path(source), cfg.policy)

    def build(server: Any) -> Scene:
        from bunraku.viewer.run import RunScene

        return RunScene(server, acting)

    return build


def _clip_scene(source: str, cfg: ViewConfig) -> Callable[[Any], Scene]:
    from bunraku.api.clips import default_character, open_clip, open_physique
    from bunraku.motion.carry import check_for
    from bunraku.motion.check import check

    clip = open_clip(source, cfg.character)
    named = cfg.character or default_character(clip)
    if named is None:
        playback, report = _bones(clip), check(clip)
    else:
        physique = open_physique(named)
        report, carried = check_for(clip, physique)
        playback = _on_character(carried.clip if carried else clip, named)
    marks = [_mark(problem, playback) for problem in report.problems]

    def build(server: Any) -> Scene:
        from bunraku.viewer.clip import ClipScene

        return ClipScene(server, playback, Path(source).name, marks)

    return build


def _on_character(clip: Clip, character: str) -> Playback:
    """The bodies of a character under a clip on its joints."""
    from bunraku.core.playback import Playback
    from bunraku.imitation.character import build, open_character
    from bunraku.imitation.physique import physique
    from bunraku.imitation.solids import solids
    from bunraku.motion.pose import clip_pose, fitted

    built = build(open_character(character))
    body = physique(built)
    pos, quat = clip_pose(fitted(clip, body))
    order = [body.skeleton.names.index(name) for name in built.character.body_names]
    return Playback(built.character.body_names, clip.times_s, pos[:, order], quat[:, order], solids(built))


def _bones(clip: Clip) -> Playback:
    """A clip's own joints, as sticks from each to its children."""
    import numpy as np

    from bunraku.core.playback import Playback
    from bunraku.core.solid import Solid
    from bunraku.motion.pose import clip_pose

    pos, quat = clip_pose(clip)
    bones = clip.skeleton
    size = max(float(np.ptp(pos[0], axis=0).max()), 1e-6)
    found = list[Solid]()
    for joint in range(len(bones)):
        found.append(_ball(joint, 0.018 * size))
        if bones.parents[joint] >= 0:
            found.append(_stick(int(bones.parents[joint]), bones.rest_translation[joint], 0.012 * size))
    # About as large as a person, whatever the file's unit is.
    factor = 1.8 / size
    scaled = [Solid(s.joint, s.kind, s.size * factor, s.pos * factor, s.quat) for s in found]
    return Playback(bones.names, clip.times_s, pos * factor, quat, tuple(scaled))


def _ball(joint: int, radius: float) -> Any:
    import numpy as np

    from bunraku.core.solid import Solid

    return Solid(joint, "ellipsoid", np.full(3, radius), np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))


def _stick(joint: int, to: Any, radius: float) -> Any:
    """From a joint to a point in its frame."""
    import numpy as np

    from bunraku.core.rotations import quat_from_rotvec
    from bunraku.core.solid import Solid

    length = float(np.linalg.norm(to))
    axis = to / length if length > 0 else np.array([0.0, 0.0, 1.0])
    across = np.cross([0.0, 0.0, 1.0], axis)
    angle = np.arctan2(np.linalg.norm(across), axis[2])
    across = across / np.linalg.norm(across) if np.linalg.norm(across) > 1e-9 else np.array([1.0, 0.0, 0.0])
    quat = quat_from_rotvec(across * angle)
    return Solid(joint, "cylinder", np.array([radius, radius, max(length / 2, 1e-6)]), to / 2, quat)


def _mark(problem: Problem, playback: Playback) -> Mark:
    """Where and when a problem is, as its words say."""
    import numpy as np

    from bunraku.viewer.clip import Mark

    where, _, when = f"{problem.where} ".partition("frame")
    bodies = tuple(i for i, name in enumerate(playback.body_names) if name in re.split(r"[,\s]+", where.strip()))
    rows = list[int]()
    for first, last in re.findall(r"(\d+)(?:[–-](\d+))?", when.partition(" and ")[0]):
        end = min(int(last or first), playback.frames - 1)
        rows += range(min(int(first), end), end + 1)
    return Mark(problem.kind, problem.says, problem.severity, bodies, np.array(rows, np.int64))
