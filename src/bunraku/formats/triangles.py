"""Polygons into triangles, for every format that has polygons."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from bunraku.core.errors import BunrakuError


def triangulate(
    counts: Int[np.ndarray, "polygons"], indices: Int[np.ndarray, "corners"], vertices: int, name: str
) -> Int[np.ndarray, "triangles 3"]:
    """Fans of polygons given by their numbers of corners and all corners in a row; points and edges are left out.

    Raises:
        BunrakuError: a negative count, counts that do not add up to the corners, a corner that is no vertex.
    """
    if counts.size and counts.min() < 0:
        raise BunrakuError(f"{name}: a face has {counts.min()} corners")
    if counts.sum() != indices.size:
        raise BunrakuError(f"{name}: its faces have {counts.sum()} corners, but it lists {indices.size}")
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < vertices:
        culprit = int(indices.min() if indices.min() < 0 else indices.max())
        raise BunrakuError(f"{name}: a face names vertex {culprit}; there are {vertices}")
    first = np.cumsum(counts) - counts
    fans = np.maximum(counts - 2, 0)
    start = np.repeat(first, fans)
    step = np.arange(fans.sum()) - np.repeat(np.cumsum(fans) - fans, fans)
    corners = np.stack([start, start + step + 1, start + step + 2], axis=1)
    return indices[corners].astype(np.int32).reshape(-1, 3)
