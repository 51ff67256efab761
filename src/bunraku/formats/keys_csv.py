"""Keyed curves as a table, one row per key: `control,frame,time_s,value,slope_in,slope_out,interpolation`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from bunraku.core import artifact
from bunraku.core.keys import KeyedCurves


def save_csv_keys(path: Path, saved: KeyedCurves) -> None:
    """Write keyed curves as CSV, UTF-8, control by control. `time_s` counts from the shot's first frame; slopes are per
    frame; a control without keys has no row.

    Raises:
        BunrakuError: the file cannot be written, no space left.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["control", "frame", "time_s", "value", "slope_in", "slope_out", "interpolation"])
    for name, own in zip(saved.names, saved.keys, strict=True):
        columns = (own.frames.tolist(), own.values.tolist(), own.slope_in.tolist(), own.slope_out.tolist())
        for frame, *numbers, way in zip(*columns, own.interpolation, strict=True):
            time_s = (frame - saved.start_frame) / float(saved.fps)
            shown = int(frame) if frame.is_integer() else frame
            table.writerow([name, shown, repr(time_s), *map(repr, numbers), way])
    artifact.write_bytes(path, text.getvalue().encode())
