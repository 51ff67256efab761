"""Poses of a rig and the meshes they make, as recorded: the layout of a sample folder, and the `.npz` files of others.

A folder of ours holds `neutral.npy`, `faces.npy` and shards: `controls_000007.npy` (float64), `vertices_000007.npy`
(float32) and, written last, `shard_000007.json` with their checksums. A shard counts once its JSON is there.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bunraku.core import artifact
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.npy import open_npz, read_npy

KIND = "samples"


@dataclass(frozen=True, eq=False)
class Shard:
    """Consecutive samples of a set."""

    start: int
    """Index of the first sample in the set."""
    controls: Float[np.ndarray, "samples controls"]
    vertices: Float[np.ndarray, "samples vertices 3"]
    """NaN throughout for a sample that failed."""
    failed: Mapping[int, str]
    """Why, by row of this shard, for samples that the rig could not be evaluated at."""


@dataclass(frozen=True, eq=False)
class SampleFolder:
    """A finished folder of samples; shards are read from disk when asked for, and checked each time."""

    path: Path
    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    count: int
    shard_rows: int
    source: Mapping[str, Any]
    """What was sampled, as the sampling command described it."""

    @property
    def shards(self) -> int:
        """How many shards."""
        return -(-self.count // self.shard_rows)

    def read(self, number: int) -> Shard:
        """One shard.

        Raises:
            BunrakuError: it is missing or corrupt; the message says how to have it made again.
        """
        start = number * self.shard_rows
        shape = (min(self.shard_rows, self.count - start), *self.neutral.shape)
        try:
            return read_shard(self.path, number, start, shape, len(self.spec))
        except BunrakuError as error:
            rig = self.source.get("rig", "RIG")
            again = (
                f"run the `bunraku rig sample {rig} --out {self.path}` that made it again: only that shard is redone"
            )
            raise BunrakuError(f"{error}; {again}") from None


def open_folder(path: Path) -> SampleFolder:
    """A finished sample folder.

    Raises:
        BunrakuError: none there, unfinished, or written by a newer version.
    """
    manifest = artifact.load(path, KIND).manifest
    about = manifest["description"]
    spec = spec_from_json(about["spec"])
    neutral, faces = read_npy(path / "neutral.npy"), read_npy(path / "faces.npy")
    return SampleFolder(path, spec, faces, neutral, about["count"], about["shard_rows"], about["source"])


def shard_files(folder: Path, number: int) -> tuple[Path, Path, Path]:
    """Where a shard's controls, vertices and description are."""
    tail = f"{number:06d}"
    return folder / f"controls_{tail}.npy", folder / f"vertices_{tail}.npy", folder / f"shard_{tail}.json"


def write_shard(folder: Path, number: int, shard: Shard) -> None:
    """Write a shard: arrays first, each atomically, then the description that makes them count.

    Raises:
        BunrakuError: no space left, or the folder cannot be written.
    """
    controls_file, vertices_file, about_file = shard_files(folder, number)
    controls, vertices = np.asarray(shard.controls, np.float64), np.asarray(shard.vertices, np.float32)
    about_file.unlink(missing_ok=True)
    artifact.write_array(controls_file, controls)
    artifact.write_array(vertices_file, vertices)
    about = {
        "start": shard.start,
        "count": len(controls),
        "failed": {str(row): shard.failed[row] for row in sorted(shard.failed)},
        "crc32": {"controls": _crc(controls), "vertices": _crc(vertices)},
    }
    artifact.write_json(about_file, about)


def read_shard(folder: Path, number: int, start: int, shape: tuple[int, int, int], controls: int) -> Shard:
    """Read and check a shard of `shape` (samples, vertices, 3).

    Raises:
        BunrakuError: missing, truncated, of another shape, or its checksum is wrong.
    """
    controls_file, vertices_file, about_file = shard_files(folder, number)
    about = artifact.read_json(about_file)
    expected = {controls_file: ("controls", (shape[0], controls)), vertices_file: ("vertices", shape)}
    arrays: list[np.ndarray] = []
    for file, (name, wanted) in expected.items():
        array = read_npy(file)
        with contextlib.suppress(KeyError, TypeError):
            if about["start"] == start and array.shape == wanted and _crc(array) == about["crc32"][name]:
                arrays.append(array)
                continue
        raise BunrakuError(f"{file}: is corrupt (its shape or checksum is not what was written)")
    failed = {int(row): str(why) for row, why in about["failed"].items()}
    return Shard(start, arrays[0], arrays[1], failed)


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def spec_to_json(spec: ControlSpec) -> dict[str, Any]:
    """A spec as JSON; floats read back exactly."""
    return {
        "names": list(spec.names),
        "lower": spec.lower.tolist(),
        "upper": spec.upper.tolist(),
        "neutral": spec.neutral.tolist(),
        "units": list(spec.units),
        "driven": spec.driven.tolist(),
        "rotations": spec.rotations.tolist(),
    }


def spec_from_json(about: Mapping[str, Any]) -> ControlSpec:
    """The spec that `spec_to_json` wrote."""
    fields = ("names", "lower", "upper", "neutral", "units", "driven", "rotations")
    return control_spec(*(about[field] for field in fields))


@dataclass(frozen=True, eq=False)
class Recorded:
    """Samples from somebody else's `.npz`, in memory."""

    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    controls: Float[np.ndarray, "samples controls"]
    vertices: Float[np.ndarray, "samples vertices 3"]


def read_recorded(path: Path) -> Recorded:
    """Samples of an `.npz`: `controls (N,C)` and `vertices (N,V,3)`, or `arr_0` and `arr_1` in their place.

    Optional: `control_names (C,)`, `lower`, `upper` and `neutral (C,)`, `neutral_vertices (V,3)`, `faces (T,3)`.
    Without bounds they are 0 and 1 where all values lie in that range, else the smallest and largest value. Without a
    neutral it is the recorded pose nearest to the middle of the ranges; without its mesh, that of the nearest pose.
    Samples with NaN or infinite positions are left out.

    Raises:
        BunrakuError: unreadable, arrays missing, shapes that do not fit, no usable sample.
    """
    npz = open_npz(path)
    names = ("controls", "vertices") if "vertices" in npz or "arr_0" not in npz else ("arr_0", "arr_1")
    controls, vertices = (_numbers(npz.read(name), f"{path}: {name!r}") for name in names)
    controls = controls.astype(np.float64)
    if controls.ndim != 2 or vertices.ndim != 3 or vertices.shape[2] != 3 or len(controls) != len(vertices):
        raise BunrakuError(
            f"{path}: {names[0]} {controls.shape} and {names[1]} {vertices.shape}; "
            f"expected (N, controls) and (N, vertices, 3)"
        )
    usable = np.isfinite(controls).all(axis=1) & np.isfinite(vertices).all(axis=(1, 2))
    if not usable.any():
        raise BunrakuError(f"{path}: has no sample whose values are all finite")
    if not usable.all():
        controls, vertices = controls[usable], vertices[usable]
    given = {name: _numbers(npz.read(name), f"{path}: {name!r}") for name in _OPTIONAL if name in npz}
    if "neutral" in given and given["neutral"].ndim == 2:
        given["neutral_vertices"] = given.pop("neutral")
    listed = npz.read("control_names").reshape(-1) if "control_names" in npz else None
    spec = _recorded_spec(controls, given, None if listed is None else [str(name) for name in listed])
    neutral: np.ndarray = vertices[_nearest(controls, spec.neutral, spec.range)]
    if "neutral_vertices" in given:
        neutral = given["neutral_vertices"]
    if neutral.shape != vertices.shape[1:]:
        raise BunrakuError(f"{path}: neutral_vertices have shape {neutral.shape}; expected {vertices.shape[1:]}")
    faces = mesh_sequence(neutral[None], npz.read("faces") if "faces" in npz else None, name=str(path)).faces
    return Recorded(spec, faces, neutral.astype(np.float64), controls, vertices)


_OPTIONAL = ("lower", "upper", "neutral", "neutral_vertices")


def _recorded_spec(controls: np.ndarray, given: Mapping[str, np.ndarray], names: list[str] | None) -> ControlSpec:
    low, high = controls.min(axis=0), controls.max(axis=0)
    if low.min() >= 0 and high.max() <= 1:
        low, high = np.zeros_like(low), np.ones_like(high)
    if names is None:
        names = [f"control_{i}" for i in range(controls.shape[1])]
    if len(names) != controls.shape[1]:
        raise BunrakuError(f"control_names: {len(names)} names for {controls.shape[1]} controls")
    lower, upper = given.get("lower", low), given.get("upper", high)
    bounds = control_spec(names, lower, upper, lower)
    if "neutral" in given:
        return control_spec(names, lower, upper, given["neutral"])
    middle = controls[_nearest(controls, (bounds.lower + bounds.upper) / 2, bounds.range)]
    return control_spec(names, lower, upper, np.clip(middle, bounds.lower, bounds.upper))


def _nearest(controls: np.ndarray, pose: np.ndarray, width: np.ndarray) -> int:
    return int(np.argmin(np.abs((controls - pose) / width).sum(axis=1)))


def _numbers(array: np.ndarray, label: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise BunrakuError(f"{label}: holds {array.dtype}; expected numbers")
    return array if array.dtype.str in ("<f4", "<f8") else array.astype(np.float64)
