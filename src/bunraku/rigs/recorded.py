"""Recorded poses as a rig: it can be described and fitted, and answers for the poses that were recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bunraku.core import artifact
from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.samples import Shard, open_folder, read_recorded


@dataclass(frozen=True, eq=False)
class RecordedRig:
    """A rig of which only samples are left."""

    path: Path
    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    shards: int
    read_shard: Callable[[int], Shard]

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The recorded meshes of recorded poses (bit for bit the same values; -0 is 0), and of the neutral.

        Raises:
            BunrakuError: a pose that was not recorded, or a corrupt shard.
        """
        meshes = np.empty((len(controls), *self.neutral.shape))
        neutral = _key(self.spec.neutral)
        wanted: dict[int, list[tuple[int, int]]] = {}
        for pose, values in enumerate(controls):
            key = _key(values)
            if key in self._places:
                shard, row = self._places[key]
                wanted.setdefault(shard, []).append((pose, row))
            elif key == neutral:
                meshes[pose] = self.neutral
            else:
                raise BunrakuError(
                    f"{self.path}: holds recorded poses and cannot be evaluated anew; pose {pose} is none of them"
                )
        for number, rows in wanted.items():
            vertices = self.read_shard(number).vertices
            for pose, row in rows:
                meshes[pose] = vertices[row]
        return meshes

    @cached_property
    def _places(self) -> Mapping[bytes, tuple[int, int]]:
        places: dict[bytes, tuple[int, int]] = {}
        for number in range(self.shards):
            shard = self.read_shard(number)
            for row, values in enumerate(shard.controls):
                if row not in shard.failed:
                    places[_key(values)] = (number, row)
        return places


def _key(values: np.ndarray) -> bytes:
    return (np.asarray(values, np.float64) + 0.0).tobytes()


def open_recorded_rig(path: Path) -> RecordedRig:
    """A recorded rig: a folder that `bunraku rig sample` made, an `.npz` of samples, or a folder with a `dataset.npz`.

    Raises:
        BunrakuError: nothing there, unfinished, unreadable, or without what a sample set needs.
    """
    if path.is_dir() and (artifact.kind_of(path) is not None or not (path / "dataset.npz").is_file()):
        folder = open_folder(path)
        return RecordedRig(path, folder.spec, folder.faces, folder.neutral, folder.shards, folder.read)
    file = path / "dataset.npz" if path.is_dir() else path
    recorded = read_recorded(file)
    whole = Shard(0, recorded.controls, recorded.vertices, {})
    return RecordedRig(path, recorded.spec, recorded.faces, recorded.neutral, 1, lambda _: whole)
