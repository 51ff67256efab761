"""Clips of every format that is read or written, by the ending of their file.

Whatever the format, a clip is Z up, has quaternions wxyz relative to the parent joint, and is in metres where the
format says what its unit is (BVH does not).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.core.solid import Solid
from bunraku.formats import amc, bvh, clip_npz, deepmimic, gltf_clip, mimickit
from bunraku.formats.bvh_write import save_bvh

_READERS: dict[str, Callable[[Path], Clip]] = {
    **dict.fromkeys(clip_npz.ENDINGS, clip_npz.load_clip_npz),
    **dict.fromkeys(deepmimic.ENDINGS, deepmimic.load_deepmimic),
    **dict.fromkeys(bvh.ENDINGS, bvh.load_bvh),
    **dict.fromkeys(amc.ENDINGS, amc.load_amc),
    **dict.fromkeys(mimickit.ENDINGS, mimickit.load_mimickit),
    **dict.fromkeys(gltf_clip.ENDINGS, gltf_clip.load_gltf_clip),
}
_WRITERS: dict[str, Callable[[Path, Clip], None]] = {
    **dict.fromkeys(clip_npz.ENDINGS, clip_npz.save_clip_npz),
    **dict.fromkeys(deepmimic.ENDINGS, deepmimic.save_deepmimic),
    **dict.fromkeys(bvh.ENDINGS, save_bvh),
    **dict.fromkeys(mimickit.ENDINGS, mimickit.save_mimickit),
    **dict.fromkeys(gltf_clip.WRITTEN_ENDINGS, gltf_clip.save_gltf_clip),
}

READ = tuple(_READERS)
"""Endings of the files that `load_clip` reads."""
WRITTEN = tuple(_WRITERS)
"""Endings of the files that `save_clip` writes."""


def load_clip(path: Path) -> Clip:
    """A clip: `.npz` is ours, `.txt` and `.json` DeepMimic, `.amc` has its `.asf` beside it, `.pkl` is MimicKit,
    of a `.glb` or `.gltf` it is the first animation.

    Raises:
        BunrakuError: no such file, another ending, or what that format's reader says.
    """
    if path.suffix.lower() not in _READERS:
        raise BunrakuError(f"{path}: no clip by its ending; these are read: {', '.join(READ)}")
    if not path.is_file():
        raise BunrakuError(f"{path}: no such clip; expected a file with one of these endings: {', '.join(READ)}")
    return _READERS[path.suffix.lower()](path)


def save_clip(
    path: Path, saved: Clip, more: Mapping[str, np.ndarray] | None = None, solids: Sequence[Solid] = ()
) -> None:
    """Write a clip in the format of the path's ending, atomically.

    `more` arrays go beside it in `.npz` files only, `solids` are drawn on its joints in `.glb` files only.

    Raises:
        BunrakuError: another ending, a clip that the format cannot hold, the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise BunrakuError(f"{path}: no clip by its ending; these are written: {', '.join(WRITTEN)}")
    if ending in clip_npz.ENDINGS:
        clip_npz.save_clip_npz(path, saved, more)
    elif ending in gltf_clip.WRITTEN_ENDINGS:
        gltf_clip.save_gltf_clip(path, saved, solids)
    else:
        _WRITERS[ending](path, saved)
