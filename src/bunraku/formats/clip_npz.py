"""Clips in numpy files: the motion of a skeleton, a simulated one or one to be imitated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bunraku.core import artifact
from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError
from bunraku.core.npy import open_npz
from bunraku.core.skeleton import skeleton

ENDINGS = (".npz",)


def load_clip_npz(path: Path) -> Clip:
    """A clip from `.npz`, as `save_clip_npz` writes it.

    Raises:
        BunrakuError: no such file, corrupt, arrays that do not fit each other.
    """
    npz = open_npz(path)
    names = [str(name) for name in npz.read("joints").reshape(-1)]
    parents, numbers = npz.read("parents"), {}
    for name in ("times_s", "root_pos_w", "joint_quat", "rest_translation", "rest_quat"):
        numbers[name] = npz.read(name)
        if numbers[name].dtype.kind not in "iuf":
            raise BunrakuError(f"{path}: {name!r} must be numbers")
    if parents.dtype.kind not in "iu" or parents.shape != (len(names),) or numbers["times_s"].ndim != 1:
        raise BunrakuError(
            f"{path}: 'parents' must be a whole number for each joint, 'times_s' a number for each frame"
        )
    bones = skeleton(names, parents, numbers["rest_translation"], numbers["rest_quat"], name=str(path))
    loop = "wrap" if "loop" in npz and str(npz.read("loop")) == "wrap" else "none"
    return clip(bones, numbers["times_s"], numbers["root_pos_w"], numbers["joint_quat"], loop, name=str(path))


def save_clip_npz(path: Path, saved: Clip, more: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a clip, and other arrays beside it, atomically.

    Arrays: joints (J,), parents (J,), rest_translation (J,3), rest_quat (J,4), times_s (F,), root_pos_w (F,3),
    joint_quat (F,J,4) relative to the parent, wxyz, and loop.

    Raises:
        BunrakuError: the file cannot be written, no space left.
    """
    bones = saved.skeleton
    arrays = {
        "joints": np.array(bones.names),
        "parents": bones.parents,
        "rest_translation": bones.rest_translation,
        "rest_quat": bones.rest_quat,
        "times_s": saved.times_s,
        "root_pos_w": saved.root_pos_w,
        "joint_quat": saved.joint_quat,
        "loop": np.array(saved.loop),
        **(more or {}),
    }
    artifact.write_with(path, lambda handle: np.savez(handle, allow_pickle=False, **arrays))
