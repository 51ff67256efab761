"""A clip as a user names it, brought to a character, with a word about what is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.core.physique import Physique
    from bunraku.imitation.character import Character

_LIMBS = tuple(f"{side}_{part}" for side in ("right", "left") for part in ("hip", "knee", "shoulder", "elbow"))
_HANDS = ("right_wrist", "left_wrist")
_TRUNK = ("root", "chest", "neck")
FALLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("walk", "run", "jump", "backflip", "spinkick"), (*_TRUNK, *_LIMBS, *_HANDS)),
    **dict.fromkeys(("kick", "punch", "spin", "dance_a", "dance_b"), (*_TRUNK, *_LIMBS, *_HANDS)),
    "cartwheel": (*_TRUNK, *_LIMBS),
    "crawl": _TRUNK,
    **dict.fromkeys(("roll", "getup_facedown", "getup_faceup"), ()),
}
"""Bodies of the humanoid whose touch ends an episode, by published clip (file humanoid3d_<name>.txt)."""


@dataclass(frozen=True, eq=False)
class Fitting:
    """A clip on a character's joints."""

    clip: Clip
    identity: Mapping[str, Any]
    """What a run keeps of where it came from."""
    problems: tuple[str, ...]
    """What it leaves to be wished for, one sentence each."""


def open_clip(source: str | Path, physique: Callable[[], Physique]) -> Clip:
    """A clip from a file, or one that is made in code for a character (asked for only then), by its name.

    Raises:
        BunrakuError: no such file and no such name; a file that cannot be read.
    """
    from bunraku.formats.clip import READ, load_clip
    from bunraku.motion.plan import PLANS
    from bunraku.motion.procedural import make

    path = Path(source)
    if not path.exists():
        if str(source) in PLANS:
            return make(str(source), physique())
        made, endings = ", ".join(PLANS), ", ".join(READ)
        raise BunrakuError(f"{source}: no such clip; expected a file ({endings}) or one made in code: {made}")
    return load_clip(path)


def fitting_clip(source: str | Path, character: Character, *, mend: bool) -> Fitting:
    """A clip carried over to a character, where it is not on its joints already, and mended if asked.

    What is wrong with it is logged as warnings.

    Raises:
        BunrakuError: as `open_clip`; it names no part of the character.
    """
    from bunraku.core.artifact import file_hash
    from bunraku.imitation.character import build
    from bunraku.imitation.physique import physique
    from bunraku.motion.carry import carry, warnings
    from bunraku.motion.check import check

    body = physique(build(character))
    opened = open_clip(source, lambda: body)
    carried = carry(opened, body, mended=mend)
    problems = tuple(f"{source}: {problem.says}" for problem in warnings(check(carried.clip, body)))
    log = logging.getLogger("bunraku")
    for note in carried.notes:
        log.info("%s: %s", source, note)
    if carried.retargeted and carried.retargeted.at_rest:
        rest = ", ".join(carried.retargeted.at_rest)
        log.warning("%s: nothing in it drives %s: at rest, or what the joints that they carry need", source, rest)
    for problem in problems:
        log.warning("%s", problem)
    if problems and not mend:
        log.warning("%s: 'bunraku clip check' says what that means; --mend repairs what can be", source)
    where = {"path": str(source), "sha256": file_hash(Path(source))} if Path(source).exists() else {"made": str(source)}
    return Fitting(carried.clip, {**where, "mended": mend}, problems)


def fall_of(source: str | Path, character: Character) -> tuple[str, ...] | None:
    """What the character's file says; else the published rule for a published clip, by its file's name; else none: what
    the clip keeps off the ground."""
    if character.fall is not None:
        return character.fall
    name = Path(source).stem
    rule = FALLS.get(name.removeprefix("humanoid3d_")) if name.startswith("humanoid3d_") else None
    return rule if rule is not None and set(rule) <= set(character.body_names) else None
