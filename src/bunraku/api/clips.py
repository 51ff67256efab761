"""Clips opened, checked, mended and carried over to characters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.api.doors import refuse_existing

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.core.physique import Physique

DEFAULT_CHARACTER = "humanoid"
"""Whose body the clips that are made in code move, and clips on its joints are judged by, when none is named."""


def open_clip(source: str | Path, character: str | None = None) -> Clip:
    """A clip from a file, or by name one of those that are made in code: standing, squatting, weight_shift, marching,
    arm_raise (on the character, or else on the humanoid).

    Raises:
        BunrakuError: no such file and no such name; a file that cannot be read.
    """
    from bunraku.mimic.fitting import open_clip as opened

    return opened(source, lambda: open_physique(character or DEFAULT_CHARACTER))


def open_physique(character: str) -> Physique:
    """What of a character decides whether a clip fits it.

    Raises:
        BunrakuError: no such character, or one that does not move freely through the world.
    """
    from bunraku.core.errors import BunrakuError
    from bunraku.imitation.character import build, open_character
    from bunraku.imitation.physique import physique

    opened = open_character(character)
    if not opened.free:
        raise BunrakuError(f"{character}: has no free joint at its root; a clip moves one through the world")
    return physique(build(opened))


def load_map(path: str | Path) -> dict[str, str]:
    """A map of joints, {target: source}, from a JSON file; an empty source leaves the target at rest.

    Raises:
        BunrakuError: no such file, or something else in it.
    """
    from bunraku.core.errors import BunrakuError

    try:
        read = json.loads(Path(path).read_text("utf-8"))
    except OSError:
        raise BunrakuError(f"{path}: cannot be read; expected a map of joints as JSON") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BunrakuError(f"{path}: is no JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise BunrakuError(f'{path}: expected {{"joint of the character": "joint of the clip", …}}')
    return read


def check_clip(
    source: str | Path, character: str | None = None, *, names_map: Mapping[str, str] | str | Path | None = None
) -> dict[str, Any]:
    """What is wrong with a clip, and with it on a character: what `clip check` prints.

    A clip on the humanoid's joints is judged on the humanoid when no character is named.
    """
    from bunraku.motion.carry import check_for
    from bunraku.motion.check import check

    clip = open_clip(source, character)
    named = character or default_character(clip)
    told: dict[str, Any] = {"clip": str(source), "character": named}
    if named is None:
        return told | check(clip).as_json() | {"carried_over": None}
    report, carried = check_for(clip, open_physique(named), _map(names_map))
    over = carried.retargeted if carried else None
    return told | report.as_json() | {"carried_over": None if over is None else over.as_json()}


def convert_clip(
    source: str | Path,
    out: Path,
    *,
    mend: bool = False,
    loop: Literal["wrap", "none"] | None = None,
    character: str | None = None,
    names_map: Mapping[str, str] | str | Path | None = None,
    write_map: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """A clip in another format, mended and carried over to a character if asked, said to loop or not to.

    Without a character a clip on the humanoid's joints is mended for the humanoid, any other on its own joints.
    `write_map` writes the map of joints that was used, to be edited and given as `names_map`.

    Raises:
        BunrakuError: what cannot be read, written or carried over; a map without a character.
    """
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.clip import WRITTEN, save_clip
    from bunraku.motion.carry import carry
    from bunraku.motion.mend import mend as mended

    if character is None and (names_map is not None or write_map is not None):
        raise BunrakuError("--map, --write-map: say with --character to which character the joints belong")
    if out.suffix.lower() not in WRITTEN:
        raise BunrakuError(f"{out}: no clip by its ending; these are written: {', '.join(WRITTEN)}")
    refuse_existing(out, overwrite)
    clip = open_clip(source, character)
    clip = clip if loop is None else replace(clip, loop=loop)
    named = character or (default_character(clip) if mend else None)
    notes: tuple[str, ...] = ()
    over = None
    if named is not None:
        done = carry(clip, open_physique(named), _map(names_map), mended=mend)
        clip, notes, over = done.clip, done.notes, done.retargeted
    elif mend:
        own = mended(clip)
        clip, notes = own.clip, own.notes
    if write_map is not None:
        refuse_existing(write_map, overwrite)
        _write_map(write_map, open_physique(str(named)), over.names_map if over else None)
    save_clip(out, clip)
    left = check_clip(out, named)["problems"]
    return {
        "path": str(out),
        "character": named,
        "frames": clip.frames,
        "duration_s": clip.duration_s,
        "notes": list(notes),
        "carried_over": None if over is None else over.as_json(),
        "problems_left": left,
    }


def _map(names_map: Mapping[str, str] | str | Path | None) -> Mapping[str, str] | None:
    return load_map(names_map) if isinstance(names_map, (str, Path)) else names_map


def default_character(clip: Clip) -> str | None:
    """The humanoid, for a clip on its joints; else nobody. Names are compared first: physics is seldom loaded."""
    if not {"root", "chest", "right_hip", "left_knee"} <= set(clip.skeleton.names):
        return None
    from bunraku.motion.pose import fits

    return DEFAULT_CHARACTER if fits(clip, open_physique(DEFAULT_CHARACTER)) else None


def _write_map(path: Path, physique: Physique, names_map: Mapping[str, str] | None) -> None:
    from bunraku.core.artifact import write_bytes

    turning = [name for name in physique.skeleton.names if name not in physique.fixed]
    full = {name: (names_map or dict(zip(turning, turning, strict=True))).get(name, "") for name in turning}
    write_bytes(path, (json.dumps(full, indent=2, ensure_ascii=False) + "\n").encode())
