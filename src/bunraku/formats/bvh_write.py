"""Clips as BVH files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import Skeleton
from bunraku.formats.euler import euler_from_quats
from bunraku.formats.even_frames import evenly, frame_time_s
from bunraku.formats.y_up import quats_to_y_up, vectors_to_y_up

ORDER = "ZYX"


def save_bvh(path: Path, saved: Clip) -> None:
    """Write a clip as BVH, Y up, in its own unit, atomically.

    Joint rotations are written whole, so the file's rest pose is that of all rotations at zero, not the
    skeleton's; the root's OFFSET is 0, since some readers add it to the position and some do not. Joints without
    children that are named `<parent>_end` and never turn become End Sites. Uneven frames are interpolated
    (`evenly`); whether the clip loops is left out.

    Raises:
        BunrakuError: several roots, stretched joints, names that differ in blanks or braces only; the file cannot
            be written.
    """
    even = evenly(saved)
    bones = even.skeleton
    roots = int((bones.parents < 0).sum())
    if roots != 1:
        raise BunrakuError(f"{path}: a BVH file has one root; this clip has {roots}")
    stretched = np.abs(bones.rest_stretch - np.eye(3)).max(axis=(1, 2)) > 1e-6
    if stretched.any():
        raise BunrakuError(f"{path}: joint {bones.names[int(np.argmax(stretched))]!r} is scaled; BVH has no scale")
    names, ends = _names(bones, path), _end_sites(even)
    lines = ["HIERARCHY", *_hierarchy(bones, names, ends)]
    lines += ["MOTION", f"Frames: {even.frames}", f"Frame Time: {frame_time_s(even):.12f}"]
    quats = quats_to_y_up(even.joint_quat)
    turning = [joint for joint, _, opens in _walk(bones) if opens and joint not in ends]
    degrees = np.rad2deg(np.unwrap(euler_from_quats(quats[:, turning], ORDER), axis=0))
    channels = np.concatenate([vectors_to_y_up(even.root_pos_w), degrees.reshape(even.frames, -1)], axis=1)
    lines += [_numbers(row) for row in channels]
    artifact.write_bytes(path, ("\n".join(lines) + "\n").encode())


def _hierarchy(bones: Skeleton, names: Sequence[str], ends: Set[int]) -> Iterator[str]:
    offsets = vectors_to_y_up(bones.rest_translation)
    turns = " ".join(f"{axis}rotation" for axis in ORDER)
    for joint, depth, opens in _walk(bones):
        tab, root = "\t" * depth, bones.parents[joint] < 0
        if not opens:
            yield f"{tab}}}"
            continue
        yield f"{tab}End Site" if joint in ends else f"{tab}{'ROOT' if root else 'JOINT'} {names[joint]}"
        yield f"{tab}{{"
        yield f"{tab}\tOFFSET {_numbers(np.zeros(3) if root else offsets[joint])}"
        if joint not in ends:
            yield f"{tab}\tCHANNELS {'6 Xposition Yposition Zposition' if root else '3'} {turns}"
            if joint not in bones.parents:  # many readers want every chain to end in a site
                yield from (f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {_numbers(np.zeros(3))}", f"{tab}\t}}")


def _names(bones: Skeleton, path: Path) -> list[str]:
    names = [re.sub(r"[\s{}]", "_", name) for name in bones.names]
    for joint, name in enumerate(names):
        if names.index(name) != joint:
            same = bones.names[names.index(name)]
            raise BunrakuError(f"{path}: joints {same!r} and {bones.names[joint]!r} would both be {name!r} in BVH")
    return names


def _end_sites(even: Clip) -> set[int]:
    bones = even.skeleton
    still = np.abs(even.joint_quat[..., 1:]).max(axis=(0, 2)) < 1e-12
    leaves = [joint for joint in range(len(bones)) if joint not in bones.parents and bones.parents[joint] >= 0]
    # A parent with several leaves would get several sites, which many readers do not know.
    return {
        joint
        for joint in leaves
        if still[joint]
        and bones.rest_translation[joint].any()
        and bones.names[joint] == f"{bones.names[bones.parents[joint]]}_end"
    }


def _walk(bones: Skeleton) -> Iterator[tuple[int, int, bool]]:
    """(joint, depth, True) where it opens and (joint, depth, False) where it closes, in the skeleton's order."""
    children: list[list[int]] = [[] for _ in bones.names]
    for joint, parent in enumerate(bones.parents):
        if parent >= 0:
            children[parent].append(joint)
    pending: list[tuple[int, int, bool]] = [(int(bones.order[0]), 0, True)]
    while pending:
        joint, depth, opens = pending.pop()
        yield joint, depth, opens
        if opens:
            pending.append((joint, depth, False))
            pending += [(child, depth + 1, True) for child in reversed(children[joint])]


def _numbers(values: Float[np.ndarray, "count"]) -> str:
    # Without exponents, which some readers do not know; + 0.0 makes −0 a 0.
    return " ".join(f"{value + 0.0:.9f}" for value in values)
