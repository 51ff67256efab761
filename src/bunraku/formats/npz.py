"""Mesh sequences in numpy files, and the true curves that some of them carry for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core import artifact
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence, frame_rate, mesh_sequence
from bunraku.core.npy import Npz, open_npz, read_npy


def load_npz_sequence(path: Path) -> MeshSequence:
    """A mesh sequence: an `.npz` with `vertices (F,V,3)`, or a bare `.npy` of that shape (24 frames per second).

    Optional in an `.npz`: `faces (T,3)`, `fps` (a number, or numerator and denominator; 24 without it), `start_frame`,
    `weights (V,)`, `valid (F,V)`, `confidence (F,)`. NaN and infinite positions count as missing. True curves are not
    looked at.

    Raises:
        BunrakuError: missing, truncated, sizes that do not fit, objects in it, no frame, no finite vertex.
    """
    name = str(path)
    if path.suffix == ".npy":
        return mesh_sequence(_floats(read_npy(path), f"{name}: the array"), name=name)
    npz = open_npz(path)
    vertices = _floats(npz.read("vertices"), f"{name}: 'vertices'")
    faces = _optional(npz, "faces", "iu")
    weights = _optional(npz, "weights", "iuf")
    valid = _optional(npz, "valid", "biu")
    confidence = _optional(npz, "confidence", "iuf")
    if faces is not None and faces.size and vertices.ndim == 3:
        worst = int(faces.min()) if faces.min() < 0 else int(faces.max())
        if not 0 <= worst < vertices.shape[1]:
            raise BunrakuError(f"{name}: a face names vertex {worst}; there are {vertices.shape[1]}")
    return mesh_sequence(
        vertices,
        faces,
        _rate(npz),
        _whole(npz, "start_frame"),
        None if weights is None else weights.astype(np.float64),
        None if valid is None else valid.astype(bool),
        name,
        confidence=None if confidence is None else confidence.astype(np.float64),
    )


def save_npz_sequence(path: Path, sequence: MeshSequence, true_curves: Curves | None = None) -> None:
    """Write a mesh sequence, atomically; missing vertices are 0 and not `valid`.

    Raises:
        BunrakuError: the file cannot be written, no space left, curves of another length.
    """
    arrays: dict[str, Any] = {"vertices": sequence.vertices, "faces": sequence.faces}
    arrays |= {"fps": _ratio(sequence.fps), "start_frame": np.int64(sequence.start_frame)}
    optional = {"weights": sequence.weights, "valid": sequence.valid, "confidence": sequence.confidence}
    arrays |= {name: array for name, array in optional.items() if array is not None}
    if true_curves is not None:
        if true_curves.frames != sequence.frames:
            raise BunrakuError(f"{path}: {true_curves.frames} frames of curves for {sequence.frames} of meshes")
        arrays |= _curve_arrays(true_curves)
    artifact.write_with(path, lambda handle: np.savez(handle, **arrays))


def load_true_curves(path: Path, names: Sequence[str] = ()) -> Curves | None:
    """The true curves of a capture, for evaluation only; None where there are none.

    In an `.npz` they are `curves (F,C)`; a capture `shot_4D.npy` has them in `shot.npy` beside it. Where the file does
    not name its controls, `names` do, if they are as many; else they are called control_0, control_1, ….

    Raises:
        BunrakuError: unreadable, or shapes that do not fit.
    """
    if path.suffix == ".npy":
        beside = path.with_name(path.name.removesuffix("_4D.npy") + ".npy")
        if not path.name.endswith("_4D.npy") or not beside.is_file():
            return None
        values = _floats(read_npy(beside), f"{beside}: the array")
        return curves(_named(values, names), values, name=str(beside))
    npz = open_npz(path)
    return load_npz_curves(path, names) if "curves" in npz else None


def load_npz_curves(path: Path, names: Sequence[str] = ()) -> Curves:
    """Curves from an `.npz` (`curves (F,C)`, optional `control_names (C,)`, `fps`, `start_frame`), or a bare `.npy`.

    Raises:
        BunrakuError: missing, truncated, shapes that do not fit, values that are not finite.
    """
    if path.suffix == ".npy":
        values = _floats(read_npy(path), f"{path}: the array")
        return curves(_named(values, names), values, name=str(path))
    npz = open_npz(path)
    values = _floats(npz.read("curves"), f"{path}: 'curves'")
    inside = _optional(npz, "control_names", "U")
    listed = _named(values, names) if inside is None else [str(name) for name in inside.reshape(-1)]
    return curves(listed, values, _rate(npz), _whole(npz, "start_frame"), name=str(path))


def save_npz_curves(path: Path, saved: Curves) -> None:
    """Write curves as arrays, atomically.

    Raises:
        BunrakuError: the file cannot be written, no space left.
    """
    arrays = _curve_arrays(saved)
    arrays |= {"fps": _ratio(saved.fps), "start_frame": np.int64(saved.start_frame)}
    artifact.write_with(path, lambda handle: np.savez(handle, **arrays))


def _curve_arrays(saved: Curves) -> dict[str, Any]:
    names = np.array(saved.names, np.str_)
    if tuple(str(name) for name in names) != saved.names:
        raise BunrakuError("control names that end in NUL characters cannot be kept in a numpy file")
    return {"curves": saved.values, "control_names": names}


def _named(values: np.ndarray, names: Sequence[str]) -> list[str]:
    count = values.shape[1] if values.ndim == 2 else 0
    return list(names) if len(names) == count else [f"control_{i}" for i in range(count)]


def _ratio(fps: Fraction) -> np.ndarray:
    return np.array([fps.numerator, fps.denominator], np.int64)


def _rate(npz: Npz) -> Fraction:
    if "fps" not in npz:
        return Fraction(24)
    name = str(npz.path)
    given = _kind(npz, "fps", "iuf").reshape(-1)
    if given.size == 1:
        return frame_rate(given[0].item(), name)
    if given.size != 2 or not np.isfinite(given).all() or (given != np.round(given)).any() or (given <= 0).any():
        raise BunrakuError(f"{name}: fps is {given.tolist()[:4]}; expected a number, or numerator and denominator")
    return Fraction(int(given[0]), int(given[1]))


def _whole(npz: Npz, name: str) -> int:
    if name not in npz:
        return 0
    given = _kind(npz, name, "iuf").reshape(-1)
    if given.size != 1 or not np.isfinite(given[0]) or given[0] != np.round(given[0]):
        raise BunrakuError(f"{npz.path}: {name} is {given.tolist()[:4]}; expected a whole number")
    return int(given[0])


def _optional(npz: Npz, name: str, kinds: str) -> np.ndarray | None:
    return _kind(npz, name, kinds) if name in npz else None


def _kind(npz: Npz, name: str, kinds: str) -> np.ndarray:
    array = npz.read(name)
    if array.dtype.kind not in kinds:
        raise BunrakuError(f"{npz.path}: {name!r} holds {array.dtype}, which is not what belongs there")
    return array


def _floats(array: np.ndarray, label: str) -> np.ndarray:
    if array.dtype.kind not in "iuf":
        raise BunrakuError(f"{label} holds {array.dtype}; expected numbers")
    return array if array.dtype.str in ("<f4", "<f8") else array.astype(np.float64)
