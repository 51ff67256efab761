"""Maya's .anim files (ASCII, animVersion 1.1): keyed curves for other programs' animation curves.

A control `node.channel` becomes an attribute of that node: tx, rx, sx … are translateX, rotateX, scaleX …; other
channels keep their names. Angles are in degrees. A fixed tangent's angle is atan of its slope, in the curve's unit
(degrees for angles) per frame, with weight 1 and curves that are not weighted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.keys import KeyedCurves, Keys, keyed_curves, keys
from bunraku.formats.plain_text import read_text

_UNITS = {
    Fraction(15): "game", Fraction(24): "film", Fraction(25): "pal", Fraction(30): "ntsc", Fraction(48): "show",
    Fraction(50): "palf", Fraction(60): "ntscf", Fraction(24000, 1001): "23.976fps", Fraction(30000, 1001): "29.97fps",
    Fraction(48000, 1001): "47.952fps", Fraction(60000, 1001): "59.94fps", Fraction(1): "sec",
    Fraction(1000): "millisec",
}  # fmt: skip
_WHOLE = (
    *(2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 40, 75, 80, 90, 100, 120, 125, 150, 200, 240, 250, 300, 375, 400, 500, 600),
    *(750, 1200, 1500, 2000, 3000, 6000),
)
_RATES = {**{name: rate for rate, name in _UNITS.items()}, **{f"{rate}fps": Fraction(rate) for rate in _WHOLE}}
_CHANNELS = {f"{short}{axis}": f"{long}{axis.upper()}" for short, long in
             (("t", "translate"), ("r", "rotate"), ("s", "scale")) for axis in "xyz"}  # fmt: skip
_SHORT = {long: short for short, long in _CHANNELS.items()}
_MOST_KEYS = 10**7


def time_unit(fps: Fraction, path: Path) -> str:
    """What Maya calls a frame rate.

    Raises:
        BunrakuError: it has no name for it.
    """
    found = next((name for name, rate in _RATES.items() if rate == fps), None)
    if found is None:
        raise BunrakuError(f"{path}: Maya has no time unit of {fps} frames/s; it has: {', '.join(_RATES)}")
    return found


def save_anim(path: Path, saved: KeyedCurves, units: Mapping[str, str], *, fixed: bool = True) -> None:
    """Write curves, one channel per control that has keys.

    `units` says per control "rad" (written in degrees), "m", "unit" or "1". Lengths are written as they are: in metres
    where some control is in "m", else as Maya's centimetres. `fixed`: tangents as the keys have them; else "auto", for
    a key at every frame.

    Raises:
        BunrakuError: a frame rate that Maya does not know, the file cannot be written.
    """
    unit = time_unit(saved.fps, path)
    last = saved.start_frame + saved.frames - 1
    head = ["animVersion 1.1;", "mayaVersion 2020;", f"timeUnit {unit};"]
    head += [f"linearUnit {'m' if 'm' in units.values() else 'cm'};", "angularUnit deg;"]
    head += [f"startTime {saved.start_frame};", f"endTime {last};"]
    lines = list(head)
    children: dict[str, int] = {}
    for name, own, (node, attribute) in zip(saved.names, saved.keys, attributes(saved.names), strict=True):
        if len(own):
            index = children.setdefault(node, 0)
            children[node] += 1
            lines += _curve(node, attribute, index, own, units.get(name, "1"), fixed)
    artifact.write_bytes(path, ("\n".join(lines) + "\n").encode("ascii"))


def attributes(names: Sequence[str]) -> list[tuple[str, str]]:
    """Node and attribute of every control, in characters that Maya's names may have, no two alike."""
    out: list[tuple[str, str]] = []
    taken: set[tuple[str, str]] = set()
    for name in names:
        node, _, channel = name.rpartition(".")
        plain = _plain(node or "controls"), _CHANNELS.get(channel) or _plain(channel)
        number = 1
        chosen = plain
        while chosen in taken:
            number += 1
            chosen = plain[0], f"{plain[1]}_{number}"
        taken.add(chosen)
        out.append(chosen)
    return out


def _plain(name: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_:|]", "_", name)
    return text if text[:1].isalpha() or text[:1] in ("_", "|", ":") else f"_{text}"


def _curve(node: str, attribute: str, index: int, own: Keys, unit: str, fixed: bool) -> list[str]:
    output = {"rad": "angular", "1": "unitless"}.get(unit, "linear")
    scale = 180 / math.pi if unit == "rad" else 1.0
    group = re.match(r"(translate|rotate|scale)[XYZ]$", attribute)
    long = f"{group.group(1)}.{attribute}" if group else attribute
    lines = [f"anim {long} {attribute} {node} 0 0 {index};", "animData {", "  input time;", f"  output {output};"]
    lines += ["  weighted 0;", "  preInfinity constant;", "  postInfinity constant;", "  keys {"]
    for frame, value, slope_in, slope_out, way in zip(
        own.frames.tolist(), own.values.tolist(), own.slope_in.tolist(), own.slope_out.tolist(), own.interpolation,
        strict=True,
    ):  # fmt: skip
        start = f"    {_number(frame)} {_number(value * scale)}"
        arriving, leaving = (math.degrees(math.atan(slope * scale)) for slope in (slope_in, slope_out))
        locked = int(slope_in == slope_out and way != "step")
        if not fixed:
            lines.append(f"{start} auto {'step' if way == 'step' else 'auto'} 1 1 0;")
        elif way == "step":
            lines.append(f"{start} fixed step {locked} 1 0 {_number(arriving)} 1;")
        else:
            lines.append(f"{start} fixed fixed {locked} 1 0 {_number(arriving)} 1 {_number(leaving)} 1;")
    return [*lines, "  }", "}"]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True)
class _Key:
    frame: float
    value: float
    ways: tuple[str, str]
    angles: tuple[float | None, float | None]


def load_anim(path: Path) -> KeyedCurves:
    """Keyed curves of a .anim file; controls are called `node.rx` and so on, angles come in radians.

    Fixed, flat, linear and step tangents are read as they are; "auto" and others as the slope between the neighbours.
    Static channels (without keys) are left out.

    Raises:
        BunrakuError: missing, not .anim, truncated, a time unit that is none, numbers that are not finite.
    """
    text = re.sub(r"(//|#)[^\n]*", "", read_text(path))
    if not re.match(r"\s*animVersion\b", text):
        raise BunrakuError(f"{path}: does not begin with animVersion; expected a Maya .anim file")
    head = text.partition("anim ")[0]
    said = dict(re.findall(r"(\w+)\s+([^;{}\s]+)\s*;", head))
    unit = said.get("timeUnit", "film")
    if unit not in _RATES:
        raise BunrakuError(f"{path}: its timeUnit is {unit[:20]!r}; expected one of: {', '.join(_RATES)}")
    radians = said.get("angularUnit", "deg") == "rad"
    names, own = _channels(path, text, radians)
    first, last = (_finite(path, said[word], word) if word in said else None for word in ("startTime", "endTime"))
    frames = np.concatenate([one.frames for one in own]) if own else np.zeros(1)
    start = math.floor(frames.min() if first is None else first)
    end = math.ceil(frames.max() if last is None else last)
    if not 0 < end - start + 1 < _MOST_KEYS:
        raise BunrakuError(f"{path}: runs from frame {start} to {end}; expected a shot")
    return keyed_curves(names, own, np.zeros(len(names)), _RATES[unit], start, end - start + 1, str(path))


def _channels(path: Path, text: str, radians: bool) -> tuple[list[str], list[Keys]]:
    names: list[str] = []
    own: list[Keys] = []
    for piece in re.split(r"(?m)^\s*anim\s+", text)[1:]:
        header, _, body = piece.partition(";")
        words = header.split()
        if len(words) < 6:
            continue  # a node without animation
        data = re.fullmatch(r"\s*animData\s*\{(.*?)keys\s*\{(.*?)\}\s*\}\s*", body, re.DOTALL)
        if data is None:
            raise BunrakuError(f"{path}: {words[2][:40]}.{words[1][:40]} has no whole animData; the file is truncated")
        angular = re.search(r"output\s+angular", data.group(1)) is not None
        scale = math.pi / 180 if angular and not radians else 1.0
        name = f"{words[2]}.{_SHORT.get(words[1], words[1])}"
        rows = [_key(path, name, line) for line in data.group(2).split(";") if line.strip()]
        if rows:
            names.append(name)
            own.append(_keys(rows, scale, f"{path}: {name}"))
    return names, own


def _key(path: Path, name: str, line: str) -> _Key:
    words = line.split()
    if len(words) < 7:
        raise BunrakuError(f"{path}: {name[:60]} has the key {' '.join(words)[:60]!r}; expected time, value, tangents")
    frame, value = (_finite(path, word, name) for word in words[:2])
    rest = [_finite(path, word, name) for word in words[7:]]
    arriving = rest.pop(0) if words[2] == "fixed" and rest else None
    if arriving is not None and rest:
        rest.pop(0)
    leaving = rest[0] if words[3] == "fixed" and rest else None
    return _Key(frame, value, (words[2], words[3]), (arriving, leaving))


def _keys(rows: list[_Key], scale: float, name: str) -> Keys:
    frames, values = np.array([row.frame for row in rows]), np.array([row.value for row in rows])
    if (np.diff(frames) <= 0).any():
        raise BunrakuError(f"{name}: its keys are not in the order of time")
    chords = np.diff(values) / np.diff(frames) if len(rows) > 1 else np.zeros(1)
    before, after = np.append(chords[0], chords)[: len(rows)], np.append(chords, chords[-1])[: len(rows)]
    wide = np.gradient(values, frames) if len(rows) > 1 else np.zeros(1)
    slopes = np.empty((2, len(rows)))
    for i, row in enumerate(rows):
        for side, chord in enumerate((before[i], after[i])):
            angle, way = row.angles[side], row.ways[side]
            known = {"flat": 0.0, "linear": chord, "step": 0.0}
            slopes[side, i] = math.tan(math.radians(angle)) if angle is not None else known.get(way, wide[i])
    steps = ["step" if row.ways[1] in ("step", "stepnext") else "cubic" for row in rows]
    return keys(frames, scale * values, scale * slopes[0], scale * slopes[1], steps, name)


def _finite(path: Path, word: str, name: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BunrakuError(f"{path}: {name[:60]} has {word[:40]!r} where a number is expected")
    return value
