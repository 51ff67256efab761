"""Motions of MimicKit: pickles of {"loop_mode": 0 clamp | 1 wrap, "fps": …, "frames": a list or array of rows}.

A row is the root's position (3), the root's rotation vector (3), then for each joint of the character, depth first
as its MJCF file lists the bodies, a rotation vector (3) for a ball and an angle (1) for a hinge about its own axis;
a fixed joint has no number. A body of three hinges at one place is a ball. A joint's rotation follows its body's
rest rotation. Z up, X forward, metres, radians; N frames last (N − 1)/fps. (xbpeng/MimicKit: README, "Motion Data";
mimickit/anim/motion.py, motion_lib.py, kin_char_model.py.) The file does not hold the skeleton.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import (
    quat_conjugate,
    quat_from_rotvec,
    quat_multiply,
    rotvec_from_quat,
    unwrap_rotvecs,
)
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.formats.even_frames import evenly, frame_time_s
from bunraku.formats.hinges import quats_about, twist_angles
from bunraku.formats.pickle_write import pickle_of
from bunraku.formats.pickled_data import read_pickled

ENDINGS = (".pkl",)

# name, parent, axis of a hinge, "fixed" or "", offset from the parent in metres
_BODIES: tuple[tuple[str, str, str, tuple[float, float, float]], ...] = (
    ("pelvis", "", "", (0.0, 0.0, 0.0)),
    ("torso", "pelvis", "", (0.0, 0.0, 0.236151)),
    ("head", "torso", "", (0.0, 0.0, 0.223894)),
    ("right_upper_arm", "torso", "", (-0.02405, -0.18311, 0.2435)),
    ("right_lower_arm", "right_upper_arm", "z", (0.0, -0.274788, 0.0)),
    ("right_hand", "right_lower_arm", "fixed", (0.0, -0.258947, 0.0)),
    ("left_upper_arm", "torso", "", (-0.02405, 0.18311, 0.2435)),
    ("left_lower_arm", "left_upper_arm", "z", (0.0, 0.274788, 0.0)),
    ("left_hand", "left_lower_arm", "fixed", (0.0, 0.258947, 0.0)),
    ("right_thigh", "pelvis", "", (0.0, -0.084887, 0.0)),
    ("right_shin", "right_thigh", "y", (0.0, 0.0, -0.421546)),
    ("right_foot", "right_shin", "", (0.0, 0.0, -0.40987)),
    ("left_thigh", "pelvis", "", (0.0, 0.084887, 0.0)),
    ("left_shin", "left_thigh", "y", (0.0, 0.0, -0.421546)),
    ("left_foot", "left_shin", "", (0.0, 0.0, -0.40987)),
)


@dataclass(frozen=True, eq=False)
class MimicKitCharacter:
    """What the numbers of a row mean."""

    skeleton: Skeleton
    """One joint for each body, in the order of the character's file; the first is the root."""
    hinge_axes: Mapping[str, Float[np.ndarray, "3"]]
    """Unit axes of the joints that are one angle."""
    fixed: Collection[str]
    """Joints without numbers. All that are neither hinges nor fixed are balls."""

    def width(self, joint: int) -> int:
        """How many numbers a joint has in a row; the root has 6."""
        name = self.skeleton.names[joint]
        return 6 if joint == 0 else 0 if name in self.fixed else 1 if name in self.hinge_axes else 3


@functools.cache
def mimickit_humanoid() -> MimicKitCharacter:
    """MimicKit's humanoid: 28 degrees of freedom, arms stretched out to the sides at rest."""
    names = [name for name, _, _, _ in _BODIES]
    parents = [names.index(parent) if parent else -1 for _, parent, _, _ in _BODIES]
    offsets = np.array([offset for _, _, _, offset in _BODIES])
    bones = skeleton(names, parents, offsets, np.tile([1.0, 0.0, 0.0, 0.0], (len(names), 1)), name="MimicKit humanoid")
    hinges = {name: np.eye(3)["xyz".index(kind)] for name, _, kind, _ in _BODIES if len(kind) == 1}
    return MimicKitCharacter(bones, hinges, frozenset(name for name, _, kind, _ in _BODIES if kind == "fixed"))


def load_mimickit(path: Path, character: MimicKitCharacter | None = None) -> Clip:
    """The clip of a MimicKit motion; without a character it is read as the humanoid's.

    Raises:
        BunrakuError: no such file, truncated, no pickle; a pickle that holds or calls anything but plain data (named,
            with its position); another content; rows of another length than the character has numbers, what is no
            finite number; frames count from 0.
    """
    made_for = character or mimickit_humanoid()
    held = read_pickled(path)
    missing = [key for key in ("loop_mode", "fps", "frames") if not isinstance(held, dict) or key not in held]
    if missing:
        raise BunrakuError(f"{path}: is no MimicKit motion: has no {', '.join(missing)}")
    mode, fps = held["loop_mode"], held["fps"]
    if not isinstance(mode, int) or mode not in (0, 1):
        raise BunrakuError(f"{path}: loop_mode is {_shown(mode)}; expected 0 (clamp) or 1 (wrap)")
    if not isinstance(fps, int | float) or not 0 < fps < float("inf"):
        raise BunrakuError(f"{path}: fps is {_shown(fps)}; expected frames per second greater than 0")
    rows = _rows(held["frames"], made_for, path)
    times = np.arange(len(rows)) / fps
    quats = _quats_of_rows(rows, made_for)
    return clip(made_for.skeleton, times, rows[:, :3], quats, "wrap" if mode else "none", name=str(path))


def _shown(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, int | float | np.number | str | None) else f"a {type(value).__name__}"


def _rows(frames: Any, character: MimicKitCharacter, path: Path) -> Float[np.ndarray, "frames numbers"]:
    expected = sum(character.width(joint) for joint in range(len(character.skeleton)))
    table = isinstance(frames, np.ndarray) and frames.ndim == 2
    if not table and not (isinstance(frames, list) and frames):
        raise BunrakuError(f"{path}: frames is {_shown_frames(frames)}; expected a table of {expected} columns")
    for index, row in enumerate(frames):
        label = f"{path}: frame {index}"
        if not isinstance(row, list | tuple | np.ndarray) or (isinstance(row, np.ndarray) and row.ndim != 1):
            raise BunrakuError(f"{label} is a {type(row).__name__}; expected {expected} numbers")
        if len(row) != expected:
            raise BunrakuError(f"{label} has {len(row)} numbers; expected {expected}, as this character has")
        wrong = [at for at, value in enumerate(row) if not (_is_number(value) and math.isfinite(value))]
        if wrong:
            joint = _joint_at(wrong[0], character)
            raise BunrakuError(f"{label}, joint {joint!r}: {_shown(row[wrong[0]])} is no finite number")
    return np.array(frames, np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _shown_frames(frames: Any) -> str:
    if isinstance(frames, np.ndarray):
        return f"an array of shape {frames.shape}"
    return "empty" if isinstance(frames, list) else f"a {type(frames).__name__}"


def _joint_at(place: int, character: MimicKitCharacter) -> str:
    ends = np.cumsum([character.width(joint) for joint in range(len(character.skeleton))])
    return character.skeleton.names[int(np.searchsorted(ends, place, side="right"))]


def _quats_of_rows(
    rows: Float[np.ndarray, "frames numbers"], character: MimicKitCharacter
) -> Float[np.ndarray, "frames joints 4"]:
    bones = character.skeleton
    quats = np.tile(bones.rest_quat, (len(rows), 1, 1))
    quats[:, 0] = quat_from_rotvec(rows[:, 3:6])
    place = 6
    for joint, name in list(enumerate(bones.names))[1:]:
        width = character.width(joint)
        if width:
            numbers = rows[:, place : place + width]
            hinge = width == 1
            turned = quats_about(character.hinge_axes[name], numbers[:, 0]) if hinge else quat_from_rotvec(numbers)
            quats[:, joint] = quat_multiply(quats[:, joint], turned)
        place += width
    return quats


def save_mimickit(path: Path, saved: Clip, character: MimicKitCharacter | None = None) -> None:
    """Write a clip as a MimicKit motion (plain numbers only), atomically; without a character as the humanoid's.

    The clip needs the character's joints by name, each below the same one and with the same rest rotation. Of hinges
    the turn about their axis is kept, fixed joints and rest translations are left out, uneven frames interpolated
    (`evenly`).

    Raises:
        BunrakuError: joints are missing or hang elsewhere (named); the file cannot be written.
    """
    made_for = character or mimickit_humanoid()
    even = evenly(saved)
    columns = [even.root_pos_w]
    for joint, name in enumerate(made_for.skeleton.names):
        width = made_for.width(joint)
        if width == 0:
            continue
        quat = even.joint_quat[:, _placed(joint, made_for.skeleton, even.skeleton, path)]
        if joint > 0:
            rest = np.broadcast_to(quat_conjugate(made_for.skeleton.rest_quat[joint]), quat.shape)
            quat = quat_multiply(rest, quat)
        if width == 1:
            columns.append(twist_angles(quat, made_for.hinge_axes[name])[:, None])
        else:
            columns.append(unwrap_rotvecs(rotvec_from_quat(quat)))
    rows = np.concatenate(columns, axis=1).tolist()
    value = {"loop_mode": int(saved.loop == "wrap"), "fps": 1 / frame_time_s(even), "frames": rows}
    artifact.write_bytes(path, pickle_of(value))


def _placed(joint: int, wanted: Skeleton, there: Skeleton, path: Path) -> int:
    """The index in the clip of a character's joint."""
    name = wanted.names[joint]
    if name not in there.names:
        missing = ", ".join(other for other in wanted.names if other not in there.names)
        has = ", ".join(there.names[:20])
        raise BunrakuError(f"{path}: a motion of this character needs the joints {missing}; this clip has: {has}")
    found = there.names.index(name)
    above = wanted.names[wanted.parents[joint]] if joint else ""
    has = there.names[there.parents[found]] if there.parents[found] >= 0 else ""
    if has != above:
        raise BunrakuError(f"{path}: joint {name!r} hangs below {has or 'nothing'!r}; expected {above or 'nothing'!r}")
    return found
