"""Takes in files that other programs animate with: as keys or frame by frame, alone or above other curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import load_curves, load_take, open_rig, rig_source, save_curves
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np

    from bunraku.core.controls import ControlSpec
    from bunraku.core.curves import Curves
    from bunraku.core.keys import KeyedCurves
    from bunraku.core.rig import Rig

PLAIN = (".csv", ".json")
USD = (".usda", ".usdc", ".usd")
GLTF = (".glb", ".gltf")
BLEND = ".blend"
ENDINGS = (*PLAIN, ".npz", ".anim", *USD, *GLTF, BLEND)


@dataclass(frozen=True)
class TakeFile:
    """How a take is written."""

    keys: Path | None = None
    """Keys of `rig simplify` (keys.json); without it those in the take's own folder, if they are of its curves."""
    every_frame: bool = False
    """A key at every frame, although the take was simplified."""
    above: Path | None = None
    """Curves (.csv, .json, .npz) that are there already: what is written is the difference from them, for a layer that
    is added above (.csv, .json, .anim).
    """
    layer: bool = False
    """Into a .blend: above the file's own animation, which stays as it is, by what has to be added to it."""
    reduce: str = "0.0002%"
    """Into a .blend, where the take was not simplified: how far each control's fewer keys may move any vertex, a share
    of the diagonal of the neutral mesh or a length.
    """


def write_take(
    path: Path, to: Path, rig: str | None, cfg: TakeFile | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """A take to .csv, .json, .npz (solved mesh and curves), .anim, .usda/.usdc/.usd (a copy of a USD rig's file with
    one more SkelAnimation; other rigs' controls as attributes) or .glb/.gltf/.blend (a copy of the rig's file). What
    there is to tell about it: for a .blend how far Blender's mesh is from the take's when it plays the copy.

    Raises:
        BunrakuError: another ending, a rig that the format cannot hold, keys of other curves.
    """
    from bunraku.core.errors import BunrakuError

    cfg = cfg or TakeFile()
    ending = to.suffix.lower()
    if ending not in ENDINGS:
        raise BunrakuError(f"{to}: a take is written as {', '.join(ENDINGS)}")
    if cfg.above is not None and ending not in (*PLAIN, ".anim"):
        why = "has no layers that are added" if ending in (*GLTF, *USD) else "holds a mesh, not a layer"
        if ending == BLEND:
            why = "has animation of its own, above which --layer puts the take"
        raise BunrakuError(f"{to}: {ending} {why}; --above goes with .csv, .json and .anim")
    if cfg.layer and ending != BLEND:
        raise BunrakuError(f"{to}: --layer goes with .blend; for {', '.join((*PLAIN, '.anim'))} there is --above")
    take = load_take(path)
    solved = take.curves
    if ending in PLAIN:
        save_curves(solved if cfg.above is None else _difference(solved, cfg.above, None), to)
        return {}
    source = rig_source(take.settings, rig, path)
    opened = open_rig(source)
    keyed = None if cfg.above is not None else _keys(path, solved, cfg)
    if ending == BLEND:
        from bunraku.api.blender_files import write_blend

        return write_blend(path, to, opened, source, solved, keyed, _tolerance(path, cfg), cfg, progress)
    if ending == ".npz":
        _write_mesh(opened, solved, to)
    elif ending == ".anim":
        _write_anim(opened, solved, keyed, cfg.above, to)
    elif ending in USD:
        _write_usd(opened, source, solved, keyed, path.name, to)
    else:
        _write_gltf(opened, source, solved, keyed, path.name, to)
    return {}


def _tolerance(path: Path, cfg: TakeFile) -> float | None:
    """The tolerance of the keys that would be read, in the rig's unit, where they say it."""
    from bunraku.formats.keys_json import read_json_keys

    file = cfg.keys or path / "keys.json"
    said = (read_json_keys(file).get("result") or {}).get("tolerance") if file.is_file() else None
    return float(said) if isinstance(said, int | float) else None


def _keys(path: Path, solved: Curves, cfg: TakeFile) -> KeyedCurves | None:
    """The take's keys, where there are any and they are wanted."""
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.keys_json import load_json_keys, read_json_keys

    if cfg.every_frame and cfg.keys is not None:
        raise BunrakuError("--every-frame and --keys: only one of them can say where the keys are")
    file = cfg.keys or path / "keys.json"
    if cfg.every_frame or (cfg.keys is None and not file.is_file()):
        return None
    made_of = (read_json_keys(file).get("settings") or {}).get("curves")
    if made_of is not None and made_of != artifact.array_hash(solved.values):
        if cfg.keys is None:
            return None  # of an earlier solve; what is exported is what the take holds now
        raise BunrakuError(f"{file}: was made of other curves than those of {path}")
    found = load_json_keys(file)
    if (found.fps, found.start_frame, found.frames) != (solved.fps, solved.start_frame, solved.frames):
        raise BunrakuError(f"{file}: is of another shot than {path} (rate, start or length differ)")
    return found


def _difference(solved: Curves, above: Path, rotations: np.ndarray | None) -> Curves:
    """What has to be added to curves that are there; `rotations`: triples that are rotation vectors become Euler angles
    first, as programs add those.
    """
    import numpy as np

    from bunraku.core.curves import curves
    from bunraku.core.errors import BunrakuError

    base = load_curves(above)
    if base.fps != solved.fps:
        raise BunrakuError(f"{above}: has {base.fps} frames/s, the take {solved.fps}")
    first = solved.start_frame - base.start_frame
    if first < 0 or first + solved.frames > base.frames:
        last = base.start_frame + base.frames - 1
        raise BunrakuError(
            f"{above}: has frames {base.start_frame} to {last}; the take's are "
            f"{solved.start_frame} to {solved.start_frame + solved.frames - 1}"
        )
    missing = [name for name in solved.names if name not in base.names]
    if missing:
        raise BunrakuError(
            f"{above}: has no curve {missing[0]!r}, which the take has; it has: {', '.join(base.names[:20])}"
        )
    columns = [base.names.index(name) for name in solved.names]
    there = base.values[first : first + solved.frames, columns]
    if rotations is None:
        return curves(solved.names, solved.values - there, solved.fps, solved.start_frame)
    mine, theirs = _with_euler(solved.values, rotations), _with_euler(there, rotations)
    change = mine - theirs
    for triple in rotations:
        # Both run on continuously, but may have begun a turn apart.
        change[:, triple] -= 2 * np.pi * np.rint(change[:1, triple] / (2 * np.pi))
    return curves(solved.names, change, solved.fps, solved.start_frame)


def _write_mesh(opened: Rig, solved: Curves, to: Path) -> None:
    from bunraku.core.mesh_sequence import mesh_sequence
    from bunraku.formats.npz import save_npz_sequence

    mesh = opened.evaluate(solved.ordered_as(opened.spec))
    save_npz_sequence(to, mesh_sequence(mesh, opened.faces, solved.fps, solved.start_frame), solved)


def _write_gltf(opened: Rig, source: str, solved: Curves, keyed: KeyedCurves | None, name: str, to: Path) -> None:
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.gltf_append import append_animation
    from bunraku.rigs.skinned import SkinnedRig
    from bunraku.rigs.skinned import keyed as every_frame
    from bunraku.rigs.skinned_keys import keyed_spline

    if not isinstance(opened, SkinnedRig) or Path(source).suffix.lower() not in GLTF:
        raise BunrakuError(
            f"{to}: only a take on a glTF rig can be written into a copy of its file; this one is on {source}"
        )
    animation = every_frame(opened, solved, name) if keyed is None else keyed_spline(opened, keyed, name)
    append_animation(Path(source), animation, to)


def _write_usd(opened: Rig, source: str, solved: Curves, keyed: KeyedCurves | None, name: str, to: Path) -> None:
    from bunraku.formats.sequence import USD as USD_RIGS
    from bunraku.formats.sequence import parted
    from bunraku.formats.usd_write import append_usd_animation, save_usd_controls
    from bunraku.rigs.skinned import SkinnedRig
    from bunraku.rigs.skinned_motion import motion_of

    file, inside = parted(source)
    if isinstance(opened, SkinnedRig) and file.suffix.lower() in USD_RIGS:
        shown = solved if keyed is None else keyed.evaluate()
        return append_usd_animation(file, inside, motion_of(opened, shown), name, to)
    units = dict(zip(opened.spec.names, opened.spec.units, strict=True))
    return save_usd_controls(to, solved if keyed is None else keyed, units)


def _write_anim(opened: Rig, solved: Curves, keyed: KeyedCurves | None, above: Path | None, to: Path) -> None:
    import numpy as np

    from bunraku.core.keys import keyed_curves, keys
    from bunraku.formats.maya_anim import save_anim, time_unit

    time_unit(solved.fps, to)
    spec = opened.spec
    units = dict(zip(spec.names, spec.units, strict=True))
    triples = _triples(spec, solved.names)
    if keyed is not None:
        return save_anim(to, _euler_keys(keyed, triples), units)
    values = _with_euler(solved.values, triples) if above is None else _difference(solved, above, triples).values
    frames = solved.start_frame + np.arange(solved.frames, dtype=np.float64)
    own = [keys(frames, column) for column in values.T]
    every = keyed_curves(solved.names, own, np.zeros(len(own)), solved.fps, solved.start_frame, solved.frames)
    return save_anim(to, every, units, fixed=False)


def _triples(spec: ControlSpec, names: tuple[str, ...]) -> np.ndarray:
    """Columns of the take that together are rotation vectors."""
    import numpy as np

    place = {name: column for column, name in enumerate(names)}
    named = [[spec.names[int(i)] for i in triple] for triple in spec.rotations]
    return (
        np.array([[place[n] for n in three] for three in named if all(n in place for n in three)])
        .reshape(-1, 3)
        .astype(int)
    )


def _with_euler(values: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """The same curves with rotation vectors as Euler angles about x, y, z (x first), without jumps."""
    from bunraku.formats.euler import running_euler

    out = values.copy()
    for triple in triples:
        out[:, triple] = running_euler(values[:, triple])
    return out


def _euler_keys(keyed: KeyedCurves, triples: np.ndarray) -> KeyedCurves:
    """Keys with rotation vectors as Euler angles: exact at the keys, in value and slope."""
    import numpy as np

    from bunraku.core.keys import keyed_curves, keys
    from bunraku.formats.euler import running_euler
    from bunraku.rigs.skinned_keys import slopes

    own = list(keyed.keys)
    every = keyed.start_frame + np.arange(keyed.frames, dtype=np.float64)
    for triple in triples:
        three = [keyed.keys[i] for i in triple]
        if not any(len(k) for k in three):
            continue
        at = np.unique(np.concatenate([k.frames for k in three]))
        dense = np.unique(np.concatenate([every, at]))

        def curve(frames: np.ndarray, three: list[Any] = three, triple: np.ndarray = triple) -> np.ndarray:
            rest = keyed.neutral[triple]
            columns = [
                k.evaluate(frames) if len(k) else np.full(len(frames), r) for k, r in zip(three, rest, strict=True)
            ]
            return np.stack(columns, axis=1)

        angles = running_euler(curve(dense))[np.searchsorted(dense, at)]
        r = curve(at)
        sides: list[np.ndarray] = []
        for side in (0, 1):
            rate = np.stack([slopes(k, at)[side] if len(k) else np.zeros(len(at)) for k in three], axis=1)
            small = 1e-5
            up, down = (_near_angles(r + sign * small * rate, angles) for sign in (1, -1))
            sides.append((up - down) / (2 * small))
        steps = _steps(three, at)
        for axis, column in enumerate(triple):
            own[column] = keys(at, angles[:, axis], sides[0][:, axis], sides[1][:, axis], steps)
    return keyed_curves(keyed.names, own, keyed.neutral, keyed.fps, keyed.start_frame, keyed.frames)


def _steps(three: list[Any], at: np.ndarray) -> list[str]:
    import numpy as np

    held = np.ones(len(at), bool)
    for own in three:
        if len(own):
            left = np.clip(np.searchsorted(own.frames, at, side="right") - 1, 0, len(own) - 1)
            held &= np.array([way == "step" for way in own.interpolation])[left]
    return ["step" if each else "cubic" for each in held]


def _near_angles(r: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Euler angles of rotation vectors, each on the branch that is nearest to given angles."""
    import numpy as np

    from bunraku.formats.euler import running_euler

    return np.array([running_euler(r[i : i + 1], to[i])[0] for i in range(len(r))]).reshape(-1, 3)
