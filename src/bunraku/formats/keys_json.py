"""Keyed curves as JSON: `{"fps": [num, den], "start_frame", "frames", "neutral": {control: value}, "controls":
{control: [{"frame", "value", "in", "out", "interpolation"}, …]}}`.

`in` and `out` are slopes in the control's unit per frame; `interpolation` ("cubic" or "step") says how the curve goes
from a key to the next; a control without keys rests at neutral. More about the keys may stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.keys import KeyedCurves, Keys, keyed_curves, keys
from bunraku.core.mesh_sequence import frame_rate

_PARTS = ("frame", "value", "in", "out", "interpolation")


def save_json_keys(path: Path, saved: KeyedCurves, about: Mapping[str, Any] | None = None) -> None:
    """Write keyed curves; numbers as the shortest text that reads back as the same double. `about`: more, JSON-able.

    Raises:
        BunrakuError: the file cannot be written, no space left.
    """
    content = {
        "fps": [saved.fps.numerator, saved.fps.denominator],
        "start_frame": saved.start_frame,
        "frames": saved.frames,
        **(about or {}),
        "neutral": dict(zip(saved.names, saved.neutral.tolist(), strict=True)),
        "controls": {name: _rows(own) for name, own in zip(saved.names, saved.keys, strict=True)},
    }
    artifact.write_json(path, content)


def _rows(own: Keys) -> list[dict[str, float | str]]:
    columns = (own.frames.tolist(), own.values.tolist(), own.slope_in.tolist(), own.slope_out.tolist())
    rows = zip(*columns, own.interpolation, strict=True)
    return [dict(zip(_PARTS, (int(row[0]) if row[0].is_integer() else row[0], *row[1:]), strict=True)) for row in rows]


def load_json_keys(path: Path) -> KeyedCurves:
    """Keyed curves from JSON. Slopes that are left out are 0, interpolations cubic.

    Raises:
        BunrakuError: missing, not JSON of this form, keys that are not in order or not finite.
    """
    about = read_json_keys(path)
    names, rests = list(about["controls"]), about["neutral"]
    lacking = next((name for name in names if not _is_number(rests.get(name))), None)
    if lacking is not None:
        raise BunrakuError(f"{path}: the neutral of {lacking!r} is {rests.get(lacking)!r}; expected a number")
    own = [_keys(f"{path}: {name!r}", about["controls"][name]) for name in names]
    for whole in ("start_frame", "frames"):
        if type(about[whole]) is not int:
            raise BunrakuError(f"{path}: {whole} is {about[whole]!r}; expected a whole number")
    neutral = [float(rests[name]) for name in names]
    fps = _rate(path, about["fps"])
    return keyed_curves(names, own, neutral, fps, about["start_frame"], about["frames"], name=str(path))


def read_json_keys(path: Path) -> dict[str, Any]:
    """The whole file as it stands, what else is in it included.

    Raises:
        BunrakuError: missing, or not JSON of this form.
    """
    about = artifact.read_json(path)
    if not isinstance(about, dict):
        raise BunrakuError(f"{path}: is not keyed curves; expected an object with fps, frames, controls")
    missing = {"fps", "start_frame", "frames", "neutral", "controls"} - about.keys()
    if missing:
        raise BunrakuError(f"{path}: is not keyed curves; it lacks {', '.join(sorted(missing))}")
    for part in ("controls", "neutral"):
        if not isinstance(about[part], dict):
            raise BunrakuError(f"{path}: {part} must be an object with a member for each control")
    return about


def _keys(name: str, rows: Any) -> Keys:
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {"frame", "value"} <= row.keys() for row in rows
    ):
        raise BunrakuError(f"{name}: expected a list of keys with frame, value, in, out, interpolation")
    for row in rows:
        wrong = next((part for part in _PARTS[:4] if not _is_number(row.get(part, 0))), None)
        if wrong is not None:
            raise BunrakuError(f"{name}: {wrong} is {row[wrong]!r}; expected a number")
    frames, values, slope_in, slope_out = ([float(row.get(part, 0)) for row in rows] for part in _PARTS[:4])
    return keys(
        frames, values, slope_in, slope_out, [str(row.get("interpolation", "cubic")) for row in rows], name=name
    )


def _rate(path: Path, fps: Any) -> Fraction:
    if _is_number(fps):
        return frame_rate(fps, str(path))
    if isinstance(fps, list) and len(fps) == 2 and all(type(part) is int and part > 0 for part in fps):
        return Fraction(fps[0], fps[1])
    raise BunrakuError(f"{path}: fps is {fps!r}; expected a number or [numerator, denominator]")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
