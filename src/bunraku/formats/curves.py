"""Curves to and from files, by file ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bunraku.core.curves import Curves
from bunraku.core.errors import BunrakuError
from bunraku.formats.csv import load_csv_curves, save_csv_curves
from bunraku.formats.curves_json import load_json_curves, save_json_curves
from bunraku.formats.npz import load_npz_curves, save_npz_curves

ENDINGS = (".csv", ".json", ".npz")


def save_curves(curves: Curves, path: Path | str, units: Sequence[str] | None = None) -> None:
    """Write curves as `.csv`, `.json` or `.npz`, atomically; `units` (one per control) go where the format has room.

    Raises:
        BunrakuError: another file ending, or the file cannot be written.
    """
    path = Path(path)
    ending = _ending(path)
    if ending == ".csv":
        save_csv_curves(path, curves)
    elif ending == ".json":
        save_json_curves(path, curves, units)
    else:
        save_npz_curves(path, curves)


def load_curves(path: Path | str) -> Curves:
    """Read curves from `.csv`, `.json` or `.npz`.

    Raises:
        BunrakuError: another file ending, or a file that is not what its ending says.
    """
    path = Path(path)
    readers = {".csv": load_csv_curves, ".json": load_json_curves, ".npz": load_npz_curves}
    return readers[_ending(path)](path)


def _ending(path: Path) -> str:
    if path.suffix.lower() not in ENDINGS:
        raise BunrakuError(f"{path}: cannot hold curves by its ending; there are: {', '.join(ENDINGS)}")
    return path.suffix.lower()
