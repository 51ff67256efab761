"""A sample set as a fit sees it: three disjoint splits, read in batches or whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bunraku.core import artifact
from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.samples import Shard, open_folder, read_recorded

SPLITS = ("train", "validation", "test")

EVERY = 20
"""One sample in twenty is for validation and one for testing; sets below forty samples give a larger share."""

Batch = tuple[np.ndarray, np.ndarray]
"""controls (rows, C) float64, vertices (rows, V, 3) float32 or float64."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples of a rig. Reading goes shard by shard with plain reads, so memory stays near two shards and a batch."""

    path: Path
    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    """The mesh at `spec.neutral` (in foreign files without one: of the recorded pose nearest to it)."""
    count: int
    """How many samples, failed ones included."""
    source: Mapping[str, Any]
    """What was sampled, as far as it is known: `rig`, `hash`."""
    shards: int
    read_shard: Callable[[int], Shard]
    """The shard of a number; raises BunrakuError where it is corrupt."""

    def split(self, split: str) -> Int[np.ndarray, "samples"]:
        """The sample numbers of a split (one of `SPLITS`): the same for the same count, whatever failed."""
        return np.flatnonzero(_split_of(np.arange(self.count), self.count) == SPLITS.index(split))

    def batches(self, split: str, rows: int, *, seed: int | None = None) -> Iterator[Batch]:
        """Batches of `rows` samples (the last one smaller), failed samples left out.

        With a seed the shards come in random order, and the rows of each too; without, in order.

        Raises:
            BunrakuError: a shard is missing or corrupt.
        """
        generator = None if seed is None else np.random.default_rng(seed)
        order = np.arange(self.shards) if generator is None else generator.permutation(self.shards)
        kept: list[Batch] = []
        for number in order:
            controls, vertices = self._rows_of(int(number), split, generator)
            start = 0
            while start < len(controls):
                stop = start + rows - sum(len(part[0]) for part in kept)
                kept.append((controls[start:stop], vertices[start:stop]))
                start = stop
                if start <= len(controls):
                    yield _joined(kept)
                    kept = []
        if kept:
            yield _joined(kept)

    def in_memory(self, split: str) -> Batch:
        """All samples of a split: controls (n, C) and vertices (n, V, 3), in order, failed ones left out.

        Raises:
            BunrakuError: a shard is missing or corrupt, or no sample of the split is usable.
        """
        wanted = len(self.split(split))
        controls = np.empty((wanted, len(self.spec)))
        vertices = np.empty((wanted, *self.neutral.shape), np.float32)
        filled = 0
        for part, meshes in self.batches(split, 256):
            controls[filled : filled + len(part)] = part
            vertices[filled : filled + len(part)] = meshes
            filled += len(part)
        if filled == 0:
            raise BunrakuError(f"{self.path}: no usable sample for {split} among {self.count}; sample more")
        return controls[:filled], vertices[:filled]

    def _rows_of(self, number: int, split: str, generator: np.random.Generator | None) -> Batch:
        shard = self.read_shard(number)
        indices = shard.start + np.arange(len(shard.controls))
        chosen = np.flatnonzero(_split_of(indices, self.count) == SPLITS.index(split))
        if shard.failed:
            chosen = np.setdiff1d(chosen, list(shard.failed))
        if generator is not None:
            chosen = generator.permutation(chosen)
        # A copy: a batch that waits for the next shard must not keep this one in memory.
        return shard.controls[chosen], shard.vertices[chosen]


def narrowed(samples: SampleSet, columns: Int[np.ndarray, "selected"]) -> SampleSet:
    """The samples in which only some controls leave neutral, as samples of those controls alone."""
    spec = samples.spec
    rest = np.setdiff1d(np.arange(len(spec)), columns)

    def read(number: int) -> Shard:
        shard = samples.read_shard(number)
        away = np.abs(shard.controls[:, rest] - spec.neutral[rest]) > 1e-9 * spec.range[rest]
        failed = {int(row): "another control is active" for row in np.flatnonzero(away.any(axis=1))}
        return Shard(shard.start, shard.controls[:, columns], shard.vertices, {**failed, **shard.failed})

    return replace(samples, spec=spec.take(columns), read_shard=read)


def joined(sets: Sequence[SampleSet]) -> SampleSet:
    """Several sets of the same rig as one, in their order; what belongs to which split is decided anew.

    Raises:
        BunrakuError: sets of other controls or another number of vertices than the first.
    """
    first = sets[0]
    for other in sets[1:]:
        if other.spec.names != first.spec.names or other.neutral.shape != first.neutral.shape:
            shapes = f"{len(other.spec)} controls, {len(other.neutral)} vertices"
            expected = f"{len(first.spec)} controls, {len(first.neutral)} vertices"
            raise BunrakuError(f"{other.path}: samples of another rig ({shapes}) than {first.path} ({expected})")
    starts = np.cumsum([0, *(part.count for part in sets)])
    places = [(part, number, start) for part, start in zip(sets, starts, strict=False) for number in range(part.shards)]

    def read(number: int) -> Shard:
        part, own, start = places[number]
        return replace((shard := part.read_shard(own)), start=int(start) + shard.start)

    return replace(first, count=int(starts[-1]), shards=len(places), read_shard=read)


def _split_of(indices: Int[np.ndarray, "samples"], count: int) -> Int[np.ndarray, "samples"]:
    period = min(EVERY, max(3, count // 2))
    place = indices % period
    return np.select([place == period // 2, place == period - 1], [1, 2], 0)


def _joined(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def load_samples(path: Path) -> SampleSet:
    """A sample set: a folder of ours, or somebody's `.npz` (see `core.samples.read_recorded` for what may be in it).

    Of a folder only the description is read here; an `.npz` is read whole.

    Raises:
        BunrakuError: nothing there, unfinished, unreadable, or without what a sample set needs.
    """
    if path.is_dir():
        inside = path / "dataset.npz"
        if artifact.kind_of(path) is not None or not inside.is_file():
            return _from_folder(path)
        path = inside
    if not path.exists():
        raise BunrakuError(f"{path}: no such file or folder; expected a folder of samples or an .npz")
    if path.suffix != ".npz":
        raise BunrakuError(f"{path}: is not a sample set; expected a folder that `bunraku rig sample` made, or an .npz")
    recorded = read_recorded(path)
    whole = Shard(0, recorded.controls, recorded.vertices, {})
    source = {"rig": str(path), "hash": artifact.file_hash(path)}
    return SampleSet(
        path, recorded.spec, recorded.faces, recorded.neutral, len(recorded.controls), source, 1, lambda _: whole
    )


def _from_folder(path: Path) -> SampleSet:
    folder = open_folder(path)
    about = (folder.spec, folder.faces, folder.neutral, folder.count, folder.source, folder.shards)
    return SampleSet(path, *about, folder.read)
