"""Sample sets held in memory, for tests of what is fitted to them."""

from pathlib import Path

import numpy as np

from bunraku.core.rig import Rig
from bunraku.core.samples import Shard
from bunraku.inversion.dataset import SampleSet


def sample_set(rig: Rig, controls: np.ndarray, rows: int = 256) -> SampleSet:
    """The rig's meshes at given controls, as a sample set of several shards."""
    vertices = rig.evaluate(controls).astype(np.float32)

    def read(number: int) -> Shard:
        part = slice(number * rows, (number + 1) * rows)
        return Shard(part.start, controls[part], vertices[part], {})

    shards = -(-len(controls) // rows)
    return SampleSet(Path("made"), rig.spec, rig.faces, rig.neutral, len(controls), {}, shards, read)
