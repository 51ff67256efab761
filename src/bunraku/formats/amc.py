"""AMC, Acclaim's motion files, with the ASF file of their skeleton beside them.

A frame is a line with its number, then a line for each bone that moves: its name and its numbers, in the order of
the skeleton's `dof`. Turned to Z up and to metres. Neither file gives a frame rate: that of the CMU database is
assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_conjugate, quat_multiply
from bunraku.formats.asf import load_asf, number
from bunraku.formats.euler import quats_from_euler
from bunraku.formats.plain_text import check_poses, read_text
from bunraku.formats.y_up import quats_from_y_up, vectors_from_y_up

ENDINGS = (".amc",)
CMU_FPS = 120.0


def load_amc(path: Path, skeleton_file: Path | None = None, fps: float = CMU_FPS) -> Clip:
    """The clip of an AMC file, Z up, in metres.

    The skeleton is read from `skeleton_file`; without one from the `.asf` file of the same name beside the clip,
    or of its name up to the first "_" (01_01.amc: 01.asf). `fps` is the frame rate, which no AMC file gives.

    Raises:
        BunrakuError: no such file, no skeleton (says where it was looked for), unknown, missing or repeated bones,
            a wrong count of numbers, what is no finite number, frames whose numbers do not follow each other.
    """
    if not 0 < fps < float("inf"):
        raise BunrakuError(f"{path}: frame rate is {fps:g}; expected frames per second greater than 0")
    text = read_text(path)
    asf = load_asf(skeleton_file or _beside(path))
    widths = {"root": 6, **{name: len(bone.dof) for name, bone in asf.bones.items() if bone.dof}}
    values, degrees = _parse_frames(text, widths, asf.degrees, path)
    frames = len(values["root"])
    check_poses(frames, len(asf.skeleton), path)
    root = dict(zip(asf.root_order, values["root"].T, strict=True))
    position = np.stack([root["TX"], root["TY"], root["TZ"]], axis=1) + asf.root_position
    quats = np.zeros((frames, len(asf.skeleton), 4))
    quats[..., 0] = 1
    # Acclaim's orders read first to last; `quats_from_euler` takes them outermost to innermost.
    turns = asf.root_turns[::-1]
    quats[:, 0] = quats_from_euler(_radians(np.stack([root[f"R{axis}"] for axis in turns], axis=1), degrees), turns)
    for joint, name in enumerate(asf.skeleton.names):
        bone = asf.bones.get(name)
        if bone and bone.dof:
            moved = quats_from_euler(_radians(values[name][:, ::-1], degrees), bone.dof[::-1])
            axis = np.broadcast_to(bone.axis_quat, moved.shape)
            quats[:, joint] = quat_multiply(quat_multiply(axis, moved), quat_conjugate(axis))
    metres = vectors_from_y_up(position * asf.metres)
    return clip(asf.skeleton, np.arange(frames) / fps, metres, quats_from_y_up(quats), name=str(path))


def _radians(angles: np.ndarray, degrees: bool) -> np.ndarray:
    return np.deg2rad(angles) if degrees else angles


def _beside(path: Path) -> Path:
    stems = list(dict.fromkeys([path.stem, path.stem.partition("_")[0]]))
    there = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    for stem in stems:
        for file in there:
            if file.stem == stem:
                return file
    wanted = " or ".join(f"{stem}.asf" for stem in stems)
    shown = ", ".join(file.name for file in there[:10]) or "none"
    raise BunrakuError(f"{path}: needs its skeleton, {wanted}, in the same folder; .asf files there: {shown}")


def _parse_frames(
    text: str, widths: Mapping[str, int], degrees: bool, path: Path
) -> tuple[dict[str, Float[np.ndarray, "frames numbers"]], bool]:
    """The numbers of each bone, and whether angles are in degrees."""
    rows: dict[str, list[list[float]]] = {name: [] for name in widths}
    frame, frames = "", 0
    for line, raw in enumerate(text.splitlines(), 1):
        words = raw.partition("#")[0].split()
        if not words:
            continue
        if words[0].startswith(":"):
            degrees = {":DEGREES": True, ":RADIANS": False}.get(words[0].upper(), degrees)
        elif len(words) == 1 and words[0].isdecimal():
            _check_whole(rows, frames, frame, path)
            if frame and words[0].lstrip("0") != str(int(frame[:18]) + 1):
                raise BunrakuError(f"{path}: line {line}: frame {words[0][:20]} follows frame {frame}")
            frame, frames = words[0][:20], frames + 1
        else:
            label = f"{path}: frame {frame}, joint {words[0][:40]!r}"
            if not frame:
                raise BunrakuError(f"{path}: line {line}: {raw.strip()[:40]!r} before the number of the first frame")
            _take(words, rows, widths, frames, label)
    _check_whole(rows, frames, frame, path)
    if frames == 0:
        raise BunrakuError(f"{path}: has no frames")
    return {name: np.array(held) for name, held in rows.items()}, degrees


def _take(
    words: list[str], rows: dict[str, list[list[float]]], widths: Mapping[str, int], frames: int, label: str
) -> None:
    name = words[0]
    if name not in widths:
        raise BunrakuError(f"{label}: the skeleton has no such bone that moves; it has: {', '.join(widths)}")
    if len(rows[name]) == frames:
        raise BunrakuError(f"{label}: is there twice")
    if len(words) - 1 != widths[name]:
        raise BunrakuError(f"{label}: has {len(words) - 1} numbers; expected {widths[name]}")
    rows[name].append([number(word, label) for word in words[1:]])


def _check_whole(rows: Mapping[str, list[list[float]]], frames: int, frame: str, path: Path) -> None:
    for name, held in rows.items():
        if len(held) < frames:
            raise BunrakuError(f"{path}: frame {frame} has no numbers for joint {name!r}")
