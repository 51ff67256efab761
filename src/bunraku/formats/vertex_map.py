"""Files that say which point of a capture is which of a rig.

A map of vertices: `.json` (an array with the rig's vertex for each of the capture's, null or −1 for none; or pairs
`[capture, rig]`), `.csv` (the same in one column or two, a header allowed), `.npy` (the same as integers).
Markers: `.json`, `{"marker": vertex}` or `{"marker": {"triangle": [i, j, k], "weights": [a, b, c]}}`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.npy import read_npy
from bunraku.formats.plain_text import read_text

ENDINGS = (".json", ".csv", ".npy")
NONE = -1
FORM = "an array, pairs, or markers {name: vertex} or {name: {triangle: [i, j, k], weights: [a, b, c]}}"


@dataclass(frozen=True, eq=False)
class VertexMap:
    """Either an entry for each vertex of the capture, or pairs (capture, rig)."""

    given: Int[np.ndarray, "entries"] | Int[np.ndarray, "entries 2"]


@dataclass(frozen=True, eq=False)
class MarkerMap:
    """For each marker the rig's vertices that it hangs on, and their weights."""

    markers: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]


def load_vertex_map(path: Path | str) -> VertexMap | MarkerMap:
    """Read a map by its ending.

    Raises:
        BunrakuError: no such file, another ending, or not one of the forms above; whether the vertices exist is for
            those to say who know the capture and the rig.
    """
    path = Path(path)
    if not path.exists():
        raise BunrakuError(f"{path}: no such file")
    ending = path.suffix.lower()
    if ending == ".npy":
        return VertexMap(_entries(path, read_npy(path)))
    if ending == ".csv":
        return VertexMap(_csv(path))
    if ending == ".json":
        return _json(path)
    raise BunrakuError(f"{path}: no map by its ending; these are read: {', '.join(ENDINGS)}")


def _entries(path: Path, array: np.ndarray) -> Int[np.ndarray, "..."]:
    if array.dtype.kind not in "iu":
        raise BunrakuError(f"{path}: holds {array.dtype}; expected whole numbers, the rig's vertices")
    if array.ndim != 1 and (array.ndim != 2 or array.shape[1] != 2):
        raise BunrakuError(f"{path}: has shape {array.shape}; expected an entry for each vertex, or pairs (n, 2)")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise BunrakuError(f"{path}: names vertex {array.max()}")
    return array.astype(np.int64)


def _csv(path: Path) -> Int[np.ndarray, "..."]:
    rows = [(line, row) for line, row in enumerate(csv.reader(read_text(path).splitlines()), 1) if row]
    if rows and not any(_is_whole(cell) for cell in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise BunrakuError(f"{path}: has no entries")
    width = len(rows[0][1])
    if width not in (1, 2):
        raise BunrakuError(f"{path}: has {width} columns; expected the rig's vertex, or the capture's and the rig's")
    for line, row in rows:
        if len(row) != width or not all(_is_whole(cell) for cell in row):
            raise BunrakuError(f"{path}: row {line} is {','.join(row)[:60]!r}; expected {width} whole numbers")
    table = np.array([[int(cell) for cell in row] for _, row in rows])
    return table[:, 0] if width == 1 else table


def _is_whole(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 18


def _json(path: Path) -> VertexMap | MarkerMap:
    given = artifact.read_json(path)
    if isinstance(given, dict) and given:
        return MarkerMap({name: _marker(path, name, place) for name, place in given.items()})
    if not isinstance(given, list) or not given:
        raise BunrakuError(f"{path}: is no map; expected {FORM}")
    if isinstance(given[0], list):
        for index, pair in enumerate(given):
            if not isinstance(pair, list) or len(pair) != 2 or not all(_is_index(part) for part in pair):
                raise BunrakuError(f"{path}: entry {index} is {str(pair)[:60]}; expected [capture, rig]")
        return VertexMap(np.array(given, np.int64))
    entries = [NONE if vertex is None else vertex for vertex in given]
    for index, vertex in enumerate(entries):
        if not _is_index(vertex):
            raise BunrakuError(f"{path}: entry {index} is {str(vertex)[:60]}; expected a vertex of the rig, or null")
    return VertexMap(np.array(entries, np.int64))


def _is_index(value: Any) -> bool:
    return type(value) is int and -(2**62) < value < 2**62


def _marker(path: Path, name: str, place: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if _is_index(place):
        return (place,), (1.0,)
    if isinstance(place, dict) and place.keys() == {"triangle", "weights"}:
        corners, weights = place["triangle"], place["weights"]
        whole = isinstance(corners, list) and len(corners) == 3 and all(_is_index(corner) for corner in corners)
        if whole and isinstance(weights, list) and len(weights) == 3 and all(_is_number(weight) for weight in weights):
            return tuple(corners), tuple(float(weight) for weight in weights)
    expected = "a vertex, or {triangle: [i, j, k], weights: [a, b, c]}"
    raise BunrakuError(f"{path}: marker {name!r} is {str(place)[:60]}; expected {expected}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
