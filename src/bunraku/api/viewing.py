"""Anything that can be looked at, in the browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.showing import Up, up_of
from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
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
    from bunraku.api.clip_showing import bones, mark_of, on_character
    from bunraku.api.clips import default_character, open_clip, open_physique
    from bunraku.motion.carry import check_for
    from bunraku.motion.check import check

    clip = open_clip(source, cfg.character)
    named = cfg.character or default_character(clip)
    if named is None:
        playback, report = bones(clip), check(clip)
    else:
        physique = open_physique(named)
        report, carried = check_for(clip, physique)
        playback = on_character(carried.clip if carried else clip, named)
    marks = [mark_of(problem, playback) for problem in report.problems]

    def build(server: Any) -> Scene:
        from bunraku.viewer.clip import ClipScene

        return ClipScene(server, playback, Path(source).name, marks)

    return build
