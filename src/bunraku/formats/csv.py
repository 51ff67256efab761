"""Curves as a table: `frame,time_s,control…`, one row per frame."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from bunraku.core import artifact
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate


def save_csv_curves(path: Path, saved: Curves) -> None:
    """Write curves as CSV, UTF-8; numbers as the shortest text that reads back as the same double.

    `time_s` counts from the first frame.

    Raises:
        BunrakuError: the file cannot be written, no space left.
    """
    header, text = io.StringIO(newline=""), io.StringIO(newline="")
    # The writer quotes names with a carriage return only where that ends its lines.
    csv.writer(header, lineterminator="\r\n").writerow(["frame", "time_s", *saved.names])
    text.write(header.getvalue().removesuffix("\r\n") + "\n")
    table = csv.writer(text, lineterminator="\n")
    for row, values in enumerate(saved.values.tolist()):
        time_s = float(row / saved.fps)
        table.writerow([saved.start_frame + row, repr(time_s), *map(repr, values)])
    artifact.write_bytes(path, text.getvalue().encode())


def load_csv_curves(path: Path) -> Curves:
    """Curves from CSV. The frame rate comes from the times: exact where they were written by us, NTSC rates
    recognised where they were rounded; 24 where there is only one frame.

    Raises:
        BunrakuError: missing, not this table, a row of another length, a value that is no number, frames that do
            not follow one another, times that do not grow evenly.
    """
    rows = _rows(path)
    header = rows[0] if rows else []
    if header[:2] != ["frame", "time_s"] or len(header) < 3:
        raise BunrakuError(f"{path}: begins with {','.join(header)[:60]!r}; expected frame,time_s,control…")
    if len(rows) < 2:
        raise BunrakuError(f"{path}: has no frames")
    table = [_numbers(path, line, header, row) for line, row in enumerate(rows[1:], 2)]
    start = table[0][0]
    for line, row in enumerate(table, 2):
        if row[0] != start + line - 2:
            raise BunrakuError(f"{path}: frame {row[0]:g} at row {line}; expected {start + line - 2:g}")
    fps = _rate(path, [row[1] for row in table])
    values = np.array([row[2:] for row in table])
    return curves(header[2:], values, fps, int(start), name=str(path))


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return [row for row in csv.reader(handle) if row]
    except FileNotFoundError:
        raise BunrakuError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BunrakuError(f"{path}: cannot be read ({str(error)[:100]})") from None


def _numbers(path: Path, line: int, header: Sequence[str], row: Sequence[str]) -> list[float]:
    if len(row) != len(header):
        raise BunrakuError(f"{path}: row {line} has {len(row)} values; the header names {len(header)}")
    values: list[float] = []
    for name, text in zip(header, row, strict=True):
        try:
            values.append(float(text))
        except ValueError:
            raise BunrakuError(f"{path}: row {line}: {name!r} is {text[:40]!r}; expected a number") from None
    if not values[0].is_integer() or not math.isfinite(values[1]):
        raise BunrakuError(
            f"{path}: row {line}: frame {row[0]} and time {row[1]}; expected a whole and a finite number"
        )
    return values


def _rate(path: Path, times_s: Sequence[float]) -> Fraction:
    if len(times_s) == 1:
        return Fraction(24)
    steps, span = len(times_s) - 1, times_s[-1] - times_s[0]
    if span <= 0:
        raise BunrakuError(f"{path}: time_s does not grow from the first row to the last")
    measured = steps / span
    for row, time_s in enumerate(times_s):
        if abs((time_s - times_s[0]) * measured - row) > 0.1:
            raise BunrakuError(f"{path}: time_s {time_s:g} at row {row + 2} is not evenly spaced")
    exact = Fraction(measured).limit_denominator(1001)
    written_by_us = exact > 0 and all(float(row / exact) == time_s for row, time_s in enumerate(times_s))
    return exact if written_by_us else frame_rate(measured, str(path))
