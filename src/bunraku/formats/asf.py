"""ASF, Acclaim's skeleton files: bones with directions, lengths and the axes that they turn about.

All directions and axes are those of the rest pose in the world, Y up. A bone is a segment from the end of its
parent; it turns about its start by C·M·C⁻¹, with C the rotation of its `axis` and M that of its degrees of freedom
(`dof rx ry rz`: about x first). Lengths are in units of 1/`length` inches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.formats.euler import quats_from_euler
from bunraku.formats.plain_text import read_text
from bunraku.formats.y_up import vectors_from_y_up

INCH_M = 0.0254

Line = tuple[int, list[str]]


@dataclass(frozen=True, eq=False)
class Bone:
    """What turns a bone; numbers in the file's axes (Y up)."""

    name: str
    dof: str
    """Letters of the axes it turns about, in the order of their numbers; the first acts first."""
    axis_quat: Float[np.ndarray, "4"]
    """C."""


@dataclass(frozen=True, eq=False)
class Asf:
    """A skeleton and how the numbers of an AMC file move it."""

    skeleton: Skeleton
    """Z up, in metres: the root, a joint at the start of each bone, and `<bone>_end` where chains end."""
    bones: Mapping[str, Bone]
    root_order: tuple[str, ...]
    """Of TX, TY, TZ, RX, RY, RZ, as the root's numbers stand."""
    root_turns: str
    """Letters of the root's rotations; the first acts first."""
    root_position: Float[np.ndarray, "3"]
    """Added to the root's positions; in the file's unit and axes."""
    metres: float
    """One unit of the file."""
    degrees: bool


def load_asf(path: Path) -> Asf:
    """Read an ASF file.

    Raises:
        BunrakuError: no such file, a section or a bone without what it needs, degrees of freedom other than
            rotations, an orientation of the root other than 0, bones that form no tree, no finite numbers.
    """
    sections = _sections(read_text(path), path)
    for needed in ("root", "bonedata", "hierarchy"):
        if needed not in sections:
            raise BunrakuError(f"{path}: has no section :{needed}; expected an ASF file")
    units = {words[0].lower(): words[1:] for _, words in sections.get("units", [])}
    length = _numbers(units.get("length", ["1"]), 1, f"{path}: units, length")[0]
    angle = " ".join(units.get("angle", ["deg"])).lower()
    if length <= 0 or angle not in ("deg", "rad"):
        raise BunrakuError(f"{path}: units are length {length:g}, angle {angle[:20]!r}; expected > 0 and deg or rad")
    degrees, metres = angle == "deg", INCH_M / length
    order, turns, position = _root(sections["root"], path)
    described = _described_bones(sections["bonedata"], path)
    bones = {name: _bone(name, lines, degrees, path) for name, lines in described.items()}
    tips = {name: _tip(name, lines, path) * metres for name, lines in described.items()}
    return Asf(_tree(sections["hierarchy"], tips, path), bones, order, turns, position, metres, degrees)


def _sections(text: str, path: Path) -> dict[str, list[Line]]:
    sections: dict[str, list[Line]] = {}
    current: list[Line] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and words[0].startswith(":"):
            current = []
            if sections.setdefault(words[0][1:].lower(), current) is not current:
                raise BunrakuError(f"{path}: line {number}: section {words[0][:40]} is there twice")
            words = words[1:]
        if words:
            current.append((number, words))
    return sections


def _numbers(words: Sequence[str], count: int, label: str) -> np.ndarray:
    if len(words) != count:
        raise BunrakuError(f"{label}: has {len(words)} numbers; expected {count}")
    values = [number(word, label) for word in words]
    return np.array(values)


def number(word: str, label: str) -> float:
    """A finite number, or a `BunrakuError` that begins with the label."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BunrakuError(f"{label}: {word[:40]!r} is no finite number")
    return value


def _root(lines: list[Line], path: Path) -> tuple[tuple[str, ...], str, np.ndarray]:
    given = {words[0].lower(): words[1:] for _, words in lines}
    order = tuple(word.upper() for word in given.get("order", []))
    if sorted(order) != ["RX", "RY", "RZ", "TX", "TY", "TZ"]:
        raise BunrakuError(f"{path}: root: order is {' '.join(order)[:40]!r}; expected TX TY TZ RX RY RZ in some order")
    turns = "".join(given.get("axis", ["XYZ"])).upper()
    if sorted(turns) != ["X", "Y", "Z"]:
        raise BunrakuError(f"{path}: root: axis is {turns[:40]!r}; expected XYZ in some order")
    orientation = _numbers(given.get("orientation", ["0"] * 3), 3, f"{path}: root: orientation")
    if orientation.any():
        raise BunrakuError(f"{path}: root: orientation is {orientation.tolist()}; only 0 0 0 is read")
    return order, turns, _numbers(given.get("position", ["0"] * 3), 3, f"{path}: root: position")


def _described_bones(lines: list[Line], path: Path) -> dict[str, dict[str, list[str]]]:
    bones: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] | None = None
    for line, words in lines:
        keyword = words[0].lower()
        if (keyword == "begin") != (current is None):
            raise BunrakuError(f"{path}: line {line}: {words[0][:40]!r} in :bonedata; expected blocks of begin … end")
        if current is None:
            current = {}
        elif keyword == "end":
            name = " ".join(current.get("name", []))
            if not name or name in bones or name == "root":
                raise BunrakuError(f"{path}: line {line}: a bone is named {name[:40]!r}; names must be unique")
            bones[name], current = current, None
        elif keyword not in current:  # `limits` goes on over several lines, and is not needed
            current[keyword] = words[1:]
    if current is not None:
        raise BunrakuError(f"{path}: :bonedata ends inside bone {' '.join(current.get('name', []))[:40]!r}")
    return bones


def _bone(name: str, lines: Mapping[str, list[str]], degrees: bool, path: Path) -> Bone:
    label = f"{path}: bone {name!r}"
    axis = lines.get("axis", ["0", "0", "0", "XYZ"])
    order = axis[3].upper() if len(axis) > 3 else "XYZ"
    if sorted(order) != ["X", "Y", "Z"]:
        raise BunrakuError(f"{label}: axis has the order {order[:40]!r}; expected XYZ in some order")
    angles = _numbers(axis[:3], 3, f"{label}: axis")
    # An order reads first to last here, and outermost to innermost in `quats_from_euler`.
    quat = quats_from_euler((np.deg2rad(angles) if degrees else angles)[::-1], order[::-1])
    dof = [word.lower() for word in lines.get("dof", [])]
    unknown = [word for word in dof if word not in ("rx", "ry", "rz")]
    if unknown or len(set(dof)) != len(dof):
        raise BunrakuError(f"{label}: dof is {' '.join(dof)[:40]!r}; only rx, ry and rz are read, each once")
    return Bone(name, "".join(word[1].upper() for word in dof), quat)


def _tip(name: str, lines: Mapping[str, list[str]], path: Path) -> np.ndarray:
    """Where the bone ends, from its start; in the file's unit and axes."""
    label = f"{path}: bone {name!r}"
    direction = _numbers(lines.get("direction", []), 3, f"{label}: direction")
    return direction * _numbers(lines.get("length", []), 1, f"{label}: length")[0]


def _tree(lines: list[Line], tips: Mapping[str, np.ndarray], path: Path) -> Skeleton:
    parents = _parents(lines, tips, path)
    unplaced = [name for name in tips if name not in parents]
    if unplaced:
        raise BunrakuError(f"{path}: bone {unplaced[0]!r} hangs nowhere in :hierarchy")
    names = ["root", *tips]
    rest = [np.zeros(3), *(tips[parents[name]] if parents[name] != "root" else np.zeros(3) for name in tips)]
    place = {name: index for index, name in enumerate(names)}
    above = [-1, *(place[parents[name]] for name in tips)]
    with_children = set(parents.values())
    for name in tips:
        if name not in with_children:
            names.append(f"{name}_end")
            rest.append(tips[name])
            above.append(place[name])
    quats = np.tile([1.0, 0.0, 0.0, 0.0], (len(names), 1))
    return skeleton(names, above, vectors_from_y_up(np.stack(rest)), quats, name=str(path))


def _parents(lines: list[Line], tips: Mapping[str, np.ndarray], path: Path) -> dict[str, str]:
    parents: dict[str, str] = {}
    for line, words in lines:
        if len(words) == 1 and words[0].lower() in ("begin", "end"):
            continue
        for word in words:
            if word not in tips and word != "root":
                raise BunrakuError(f"{path}: line {line}: no bone {word[:40]!r} in :bonedata")
        for child in words[1:]:
            if child in parents or child == "root":
                raise BunrakuError(f"{path}: line {line}: {child!r} hangs below a second bone, {words[0]!r}")
            parents[child] = words[0]
    return parents
