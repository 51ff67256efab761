"""Curves as JSON: `{"fps": [num, den], "start_frame", "names", "units", "values"}`, one list of values per frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core import artifact
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate


def save_json_curves(path: Path, saved: Curves, units: Sequence[str] | None = None) -> None:
    """Write curves as JSON; `units` (one per control) are written along where given.

    Raises:
        BunrakuError: the file cannot be written, no space left.
    """
    about = {
        "fps": [saved.fps.numerator, saved.fps.denominator],
        "start_frame": saved.start_frame,
        "names": list(saved.names),
        "units": None if units is None else list(units),
    }
    rows = ",\n".join(json.dumps(row) for row in saved.values.tolist())
    text = json.dumps(about, ensure_ascii=False, indent=1).removesuffix("\n}")
    artifact.write_bytes(path, f'{text},\n "values": [\n{rows}\n ]\n}}\n'.encode())


def load_json_curves(path: Path) -> Curves:
    """Curves from JSON; `fps` may be a number too.

    Raises:
        BunrakuError: missing, not JSON of this form, values that are not finite.
    """
    if not path.exists():
        raise BunrakuError(f"{path}: no such file")
    about = artifact.read_json(path)
    if not isinstance(about, dict) or not {"names", "values"} <= about.keys():
        raise BunrakuError(f"{path}: is not curves; expected an object with fps, start_frame, names and values")
    names = about["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BunrakuError(f"{path}: names must be a list of texts")
    start = about.get("start_frame", 0)
    if not isinstance(start, int):
        raise BunrakuError(f"{path}: start_frame is {start!r}; expected a whole number")
    return curves(names, _values(path, about["values"]), _rate(path, about.get("fps", 24)), start, name=str(path))


def _values(path: Path, rows: Any) -> np.ndarray:
    try:
        return np.array(rows, np.float64)
    except (ValueError, TypeError):
        raise BunrakuError(f"{path}: values must be lists of numbers, one of equal length per frame") from None


def _rate(path: Path, fps: Any) -> Fraction:
    if isinstance(fps, (int, float)) and not isinstance(fps, bool):
        return frame_rate(fps, str(path))
    if isinstance(fps, list) and len(fps) == 2 and all(type(part) is int and part > 0 for part in fps):
        return Fraction(fps[0], fps[1])
    raise BunrakuError(f"{path}: fps is {fps!r}; expected a number or [numerator, denominator]")
