"""BVH: a hierarchy of joints with offsets and channels, then one line of numbers per frame.

Read as the format is used: Y up; rotation channels in degrees, multiplied in the order in which they stand
(`Zrotation Yrotation Xrotation` is R_Z·R_Y·R_X); position channels replace the joint's OFFSET. The format defines
no unit: numbers are kept as they are. The rest pose is that of all rotations at zero. An End Site becomes a joint
named after it, or `<parent>_end`, unless it lies on its parent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton
from bunraku.formats.euler import quats_from_euler
from bunraku.formats.plain_text import check_poses, read_text
from bunraku.formats.y_up import quats_from_y_up, vectors_from_y_up

ENDINGS = (".bvh",)

_CHANNELS = {f"{axis}{kind}".lower(): (kind, axis) for axis in "XYZ" for kind in ("position", "rotation")}
_STEADY = 1e-3
"""Position channels of joints other than the root may wander by this part of the skeleton's size."""


@dataclass
class _Joint:
    name: str
    parent: int
    line: int
    end_site: bool
    offset: list[float] | None = None
    channels: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    first_column: int = 0


def load_bvh(path: Path) -> Clip:
    """The clip of a BVH file, Z up.

    Raises:
        BunrakuError: no such file, a malformed hierarchy (line named), a second root, a joint that moves against
            its parent, frames that are too few or hold another count of numbers than there are channels, what
            is no finite number, a frame time that is not positive; frames count from 0.
    """
    text = read_text(path)
    found = re.search(r"^[ \t]*MOTION[ \t\r]*$", text, re.MULTILINE | re.IGNORECASE)
    if found is None:
        raise BunrakuError(f"{path}: has no line MOTION; expected a BVH file with HIERARCHY and MOTION")
    joints = _parse_hierarchy(text[: found.start()], path)
    rows, frame_time = _parse_motion(text[found.end() :].splitlines(), joints, path)
    check_poses(len(rows), len(joints), path)
    offsets = np.array([joint.offset for joint in joints])
    moves = _translations(joints, offsets, rows, path)
    # The root's own offset stays at rest; that of others is where their position channels hold them.
    offsets[1:] = np.median(moves[:, 1:], axis=0)
    quats = _rotations(joints, rows)
    kept = [index for index, joint in enumerate(joints) if not (joint.end_site and not np.any(offsets[index]))]
    names = [joints[index].name for index in kept]
    place = {-1: -1, **{index: at for at, index in enumerate(kept)}}
    parents = [place[joints[index].parent] for index in kept]
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (len(kept), 1))
    bones = skeleton(names, parents, vectors_from_y_up(offsets[kept]), rest, name=str(path))
    times = frame_time * np.arange(len(rows))
    return clip(bones, times, vectors_from_y_up(moves[:, 0]), quats_from_y_up(quats[:, kept]), name=str(path))


def _parse_hierarchy(text: str, path: Path) -> list[_Joint]:
    joints: list[_Joint] = []
    names: dict[str, int] = {}  # how often each was asked for
    open_joints: list[int] = []  # a list of our own, not recursion: a hostile file can nest for ever
    expects_brace = False
    pieces = _pieces(text)
    first = next(pieces, (1, ""))
    if first[1].upper() != "HIERARCHY":
        raise BunrakuError(f"{path}: line {first[0]}: {first[1][:40]!r}; a BVH file begins with HIERARCHY")
    for line, piece in pieces:
        label = f"{path}: line {line}"
        word, _, rest = piece.partition(" ")
        keyword = word.upper()
        if expects_brace and keyword != "{":
            raise BunrakuError(f"{label}: {piece[:40]!r}; expected {{ after the name of joint {joints[-1].name!r}")
        if keyword == "{" and not expects_brace:
            raise BunrakuError(f"{label}: {{ without the name of a joint before it")
        expects_brace = False
        if keyword in ("ROOT", "JOINT", "END"):
            _check_place(keyword, bool(joints), bool(open_joints), rest, label)
            above = joints[open_joints[-1]] if open_joints else None
            name = _name(keyword, rest, above, names, label)
            names.setdefault(name, 1)
            joints.append(_Joint(name, open_joints[-1] if open_joints else -1, line, end_site=keyword == "END"))
            expects_brace = True
        elif keyword == "{":
            open_joints.append(len(joints) - 1)
        elif not open_joints:
            raise BunrakuError(f"{label}: {piece[:40]!r} outside of any joint; expected ROOT, or MOTION at the end")
        elif keyword == "}":
            _check_complete(joints[open_joints.pop()], path)
        elif keyword == "OFFSET":
            joints[open_joints[-1]].offset = _offset(rest, f"{label}: joint {joints[open_joints[-1]].name!r}")
        elif keyword == "CHANNELS":
            joints[open_joints[-1]].channels = _channels(rest, f"{label}: joint {joints[open_joints[-1]].name!r}")
        else:
            raise BunrakuError(f"{label}: {word[:40]!r}; expected ROOT, JOINT, End Site, OFFSET, CHANNELS or a brace")
    if not joints or open_joints or expects_brace:
        where = f"inside joint {joints[-1].name!r}" if joints else "without a joint"
        raise BunrakuError(f"{path}: the hierarchy ends {where}")
    columns = 0
    for joint in joints:
        joint.first_column = columns
        columns += len(joint.channels)
    return joints


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for piece in re.split(r"([{}])", line):
            if piece.strip():
                yield number, " ".join(piece.split())


def _check_place(keyword: str, any_yet: bool, inside: bool, rest: str, label: str) -> None:
    if keyword == "ROOT" and any_yet:
        raise BunrakuError(f"{label}: a second ROOT {rest[:40]!r}; a clip has one")
    if keyword != "ROOT" and not inside:
        raise BunrakuError(f"{label}: {keyword} {rest[:40]!r} outside of any joint; expected ROOT first")


def _name(keyword: str, rest: str, above: _Joint | None, names: dict[str, int], label: str) -> str:
    name = rest
    if keyword == "END":
        assert above is not None, "checked by its place"
        if not rest.upper().startswith("SITE"):
            raise BunrakuError(f"{label}: 'End {rest[:40]}'; expected 'End Site'")
        stem = rest[4:].strip() or f"{above.name}_end"
        name = stem
        while name in names:
            names[stem] = names.get(stem, 1) + 1
            name = f"{stem}#{names[stem]}"
    if not name:
        raise BunrakuError(f"{label}: {keyword} has no name")
    if name in names:
        raise BunrakuError(f"{label}: joint {name!r} is there twice; names must be unique")
    if above is not None and above.end_site:
        raise BunrakuError(f"{label}: joint {name!r} hangs below an End Site")
    return name


def _check_complete(joint: _Joint, path: Path) -> None:
    if joint.offset is None:
        raise BunrakuError(f"{path}: joint {joint.name!r} (line {joint.line}) has no OFFSET")


def _number(word: str, label: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BunrakuError(f"{label}: {word[:40]!r} is no finite number")
    return value


def _offset(rest: str, label: str) -> list[float]:
    words = rest.split()
    if len(words) != 3:
        raise BunrakuError(f"{label}: OFFSET has {len(words)} numbers; expected 3")
    return [_number(word, label) for word in words]


def _channels(rest: str, label: str) -> list[tuple[str, str]]:
    words = rest.split()
    if not words or words[0] != str(len(words) - 1):
        raise BunrakuError(f"{label}: CHANNELS declares {' '.join(words[:1])[:40]!r} and names {len(words[1:])}")
    unknown = [word for word in words[1:] if word.lower() not in _CHANNELS]
    if unknown:
        raise BunrakuError(f"{label}: no channel {unknown[0][:40]!r}; there are: Xposition … Zposition, Xrotation …")
    channels = [_CHANNELS[word.lower()] for word in words[1:]]
    positions = [axis for kind, axis in channels if kind == "position"]
    if len(set(positions)) != len(positions):
        raise BunrakuError(f"{label}: CHANNELS names a position twice")
    return channels


def _parse_motion(lines: Sequence[str], joints: list[_Joint], path: Path) -> tuple[np.ndarray, float]:
    """Numbers (frames, channels) and the frame time in seconds."""
    filled = [line for line in lines if line.strip()]
    patterns = (r"\s*Frames\s*:\s*(\S+)\s*", r"\s*Frame\s+Time\s*:\s*(\S+)\s*")
    heads = [re.fullmatch(patterns[at], line, re.IGNORECASE) for at, line in enumerate(filled[:2])]
    if len(heads) < 2 or heads[0] is None or heads[1] is None:
        raise BunrakuError(f"{path}: after MOTION, expected the lines 'Frames: …' and 'Frame Time: …'")
    declared, frame_time = heads[0][1], _number(heads[1][1], f"{path}: frame time")
    if not declared.isdecimal():
        raise BunrakuError(f"{path}: Frames is {declared[:40]!r}; expected a whole number")
    if frame_time <= 0:
        raise BunrakuError(f"{path}: frame time is {frame_time:g}; expected seconds greater than 0")
    rows = [_row(line, joints, f"{path}: frame {index}") for index, line in enumerate(filled[2:])]
    if not rows:
        raise BunrakuError(f"{path}: has no frames (declares {declared[:40]})")
    if declared.lstrip("0") != str(len(rows)):
        raise BunrakuError(f"{path}: declares {declared[:40]} frames and holds {len(rows)}")
    return np.stack(rows), frame_time


def _row(line: str, joints: list[_Joint], label: str) -> np.ndarray:
    words = line.split()
    expected = joints[-1].first_column + len(joints[-1].channels)
    if len(words) != expected:
        raise BunrakuError(f"{label} has {len(words)} numbers; expected {expected}")
    try:
        row = np.array(words, np.float64)
    except ValueError:
        row = np.full(1, np.nan)
    if not np.isfinite(row).all():
        for joint in joints:
            for place, (kind, axis) in enumerate(joint.channels, joint.first_column):
                _number(words[place], f"{label}, joint {joint.name!r} {axis}{kind}")
    return row


def _translations(
    joints: list[_Joint], offsets: Float[np.ndarray, "joints 3"], rows: Float[np.ndarray, "frames channels"], path: Path
) -> Float[np.ndarray, "frames joints 3"]:
    """Where each joint lies in its parent's frame, in the file's axes."""
    moves = np.tile(offsets, (len(rows), 1, 1))
    for index, joint in enumerate(joints):
        for column, (kind, axis) in enumerate(joint.channels, joint.first_column):
            if kind == "position":
                moves[:, index, "XYZ".index(axis)] = rows[:, column]
    wander = np.linalg.norm(moves - np.median(moves, axis=0), axis=-1)
    size = np.linalg.norm(moves[:, 1:], axis=-1).max(initial=0)
    for index in np.flatnonzero((wander > _STEADY * size).any(axis=0)):
        if index > 0:
            frame = int(np.argmax(wander[:, index]))
            raise BunrakuError(
                f"{path}: joint {joints[index].name!r} moves against its parent (by {wander[frame, index]:.3g} at "
                f"frame {frame}); only the root's position may change in a clip"
            )
    return moves


def _rotations(
    joints: list[_Joint], rows: Float[np.ndarray, "frames channels"]
) -> Float[np.ndarray, "frames joints 4"]:
    quats = np.zeros((len(rows), len(joints), 4))
    for index, joint in enumerate(joints):
        turns = [(place, axis) for place, (kind, axis) in enumerate(joint.channels) if kind == "rotation"]
        columns = [joint.first_column + place for place, _ in turns]
        quats[:, index] = quats_from_euler(np.deg2rad(rows[:, columns]), "".join(axis for _, axis in turns))
    return quats
