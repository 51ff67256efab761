"""Clips of the DeepMimic humanoid: JSON in `.txt` or `.json` files.

{"Loop": "wrap" | "none", "Frames": [[…44 numbers…], …]}. A frame holds the time in seconds until the next one
(the last frame's is not used), the root's position and quaternion, then one quaternion (wxyz) per ball joint
and one angle per hinge, in the order of the character (xbpeng/DeepMimic, data/characters/humanoid3d.txt). The
format is Y up, X forward, in metres; hinges turn about its Z axis, which points to the right. Other keys
("RightJoints", "LeftJoints": the pairs by which the original mirrors a policy) carry no motion and are skipped.
The file does not hold the skeleton: it is that of `deepmimic_skeleton`.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_multiply
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.formats.hinges import quats_about, twist_angles
from bunraku.formats.plain_text import read_text
from bunraku.formats.y_up import quats_from_y_up, quats_to_y_up, vectors_from_y_up, vectors_to_y_up

ENDINGS = (".txt", ".json")

Kind = Literal["ball", "hinge", "fixed"]

# name, parent, kind, offset from the parent in metres (Y up, X forward, Z to the right)
_JOINTS: tuple[tuple[str, str, Kind, tuple[float, float, float]], ...] = (
    ("root", "", "ball", (0.0, 0.0, 0.0)),
    ("chest", "root", "ball", (0.0, 0.236151, 0.0)),
    ("neck", "chest", "ball", (0.0, 0.223894, 0.0)),
    ("right_hip", "root", "ball", (0.0, 0.0, 0.084887)),
    ("right_knee", "right_hip", "hinge", (0.0, -0.421546, 0.0)),
    ("right_ankle", "right_knee", "ball", (0.0, -0.40987, 0.0)),
    ("right_shoulder", "chest", "ball", (-0.02405, 0.2435, 0.18311)),
    ("right_elbow", "right_shoulder", "hinge", (0.0, -0.274788, 0.0)),
    ("right_wrist", "right_elbow", "fixed", (0.0, -0.258947, 0.0)),
    ("left_hip", "root", "ball", (0.0, 0.0, -0.084887)),
    ("left_knee", "left_hip", "hinge", (0.0, -0.421546, 0.0)),
    ("left_ankle", "left_knee", "ball", (0.0, -0.40987, 0.0)),
    ("left_shoulder", "chest", "ball", (-0.02405, 0.2435, -0.18311)),
    ("left_elbow", "left_shoulder", "hinge", (0.0, -0.274788, 0.0)),
    ("left_wrist", "left_elbow", "fixed", (0.0, -0.258947, 0.0)),
)
_WIDTH: dict[Kind, int] = {"ball": 4, "hinge": 1, "fixed": 0}
_HINGE_AXIS = np.array([0.0, 0.0, 1.0])
_NUMBERS = 4 + sum(_WIDTH[kind] for _, _, kind, _ in _JOINTS)


@functools.cache
def deepmimic_skeleton() -> Skeleton:
    """The 15 joints of the published humanoid: Z up, X forward, metres, all frames aligned with the world at rest.

    Knees and elbows turn about −Y (to the right): a knee bends by a negative angle, an elbow by a positive one.
    The wrists do not turn.
    """
    names = [name for name, _, _, _ in _JOINTS]
    parents = [names.index(parent) if parent else -1 for _, parent, _, _ in _JOINTS]
    offsets = vectors_from_y_up(np.array([offset for _, _, _, offset in _JOINTS]))
    return skeleton(names, parents, offsets, np.tile([1.0, 0.0, 0.0, 0.0], (len(names), 1)), name="deepmimic humanoid")


def load_deepmimic(path: Path) -> Clip:
    """The clip of a DeepMimic JSON file, on `deepmimic_skeleton`, Z up.

    Raises:
        BunrakuError: no such file, not JSON, no frames, a frame with another count of numbers than 44, what is
            no finite number, a duration that is not positive, a quaternion of length 0; frames count from 0.
    """
    held = _parse_json(path)
    if not isinstance(held, dict) or not isinstance(held.get("Frames"), list):
        raise BunrakuError(f"{path}: is no DeepMimic clip; expected an object with 'Frames', a list of lists")
    loop: Any = held.get("Loop", "none")
    if loop not in ("wrap", "none"):
        raise BunrakuError(f"{path}: 'Loop' is {str(loop)[:40]!r}; expected 'wrap' or 'none'")
    frames: list[Any] = held["Frames"]
    if not frames:
        raise BunrakuError(f"{path}: has no frames")
    rows = np.stack([_row(frame, f"{path}: frame {index}") for index, frame in enumerate(frames)])
    unusable = np.flatnonzero(rows[:-1, 0] <= 0)
    if len(unusable):
        frame = int(unusable[0])
        raise BunrakuError(f"{path}: frame {frame} has duration {rows[frame, 0]:g}; expected seconds greater than 0")
    times = np.concatenate([[0.0], np.cumsum(rows[:-1, 0])])
    quats = quats_from_y_up(_quats_of_rows(rows[:, 4:]))
    return clip(deepmimic_skeleton(), times, vectors_from_y_up(rows[:, 1:4]), quats, loop, name=str(path))


def _parse_json(path: Path) -> Any:
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BunrakuError(f"{path}: is not valid JSON (line {error.lineno}: {error.msg})") from None
    except ValueError as error:  # a number of thousands of digits
        raise BunrakuError(f"{path}: is not valid JSON ({str(error)[:60]})") from None
    except RecursionError:
        raise BunrakuError(f"{path}: is nested too deeply to be a clip") from None


def _row(frame: Any, label: str) -> np.ndarray:
    if not isinstance(frame, list):
        raise BunrakuError(f"{label} is a {type(frame).__name__}; expected a list of {_NUMBERS} numbers")
    if len(frame) != _NUMBERS:
        raise BunrakuError(f"{label} has {len(frame)} numbers; expected {_NUMBERS}")
    for place, value in enumerate(frame):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # The comparison is exact for integers too long for a float, and false for NaN.
        if not number or not abs(value) <= 1e300:
            shown = json.dumps(value)[:40]
            raise BunrakuError(f"{label}, {_what_is_at(place)}: {shown} is no finite number")
    return np.array(frame, np.float64)


def _what_is_at(place: int) -> str:
    if place < 4:
        return "duration" if place == 0 else f"root position {'xyz'[place - 1]}"
    place -= 4
    for name, _, kind, _ in _JOINTS:
        if place < _WIDTH[kind]:
            return f"joint {name!r}"
        place -= _WIDTH[kind]
    raise AssertionError("a frame has no more numbers than its joints")


def _quats_of_rows(numbers: Float[np.ndarray, "frames numbers"]) -> Float[np.ndarray, "frames joints 4"]:
    """Local rotations in the format's own axes."""
    quats = np.zeros((len(numbers), len(_JOINTS), 4))
    quats[..., 0] = 1
    place = 0
    for joint, (_, _, kind, _) in enumerate(_JOINTS):
        if kind == "ball":
            quats[:, joint] = numbers[:, place : place + 4]
        elif kind == "hinge":
            quats[:, joint] = quats_about(_HINGE_AXIS, numbers[:, place])
        place += _WIDTH[kind]
    return quats


def save_deepmimic(path: Path, saved: Clip) -> None:
    """Write a clip as DeepMimic JSON, atomically.

    The skeleton needs the joints of `deepmimic_skeleton` by name, each below the same one as there; what lies
    between two of them is folded in, other joints and all rest translations are left out (the format has no
    place for them). Of knees and elbows the turn about their axis is kept, on a continuous branch; wrists are
    left out.

    Raises:
        BunrakuError: joints are missing or hang elsewhere (named); the file cannot be written.
    """
    columns = [_durations(saved.times_s)[:, None], vectors_to_y_up(saved.root_pos_w)]
    _require_joints(saved.skeleton, path)
    for name, parent, kind, _ in _JOINTS:
        if kind == "fixed":
            continue
        quat = quats_to_y_up(_relative(saved, name, parent, path))
        columns.append(quat if kind == "ball" else twist_angles(quat, _HINGE_AXIS)[:, None])
    rows = ",\n".join(json.dumps(row) for row in np.concatenate(columns, axis=1).tolist())
    artifact.write_bytes(path, f'{{"Loop": {json.dumps(saved.loop)}, "Frames": [\n{rows}\n]}}\n'.encode())


def _durations(times: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames"]:
    return np.append(np.diff(times), 0.0)


def _require_joints(bones: Skeleton, path: Path) -> None:
    needed = [name for name, _, kind, _ in _JOINTS if kind != "fixed"]
    missing = [name for name in needed if name not in bones.names]
    if missing:
        there = ", ".join(bones.names[:20])
        raise BunrakuError(f"{path}: a DeepMimic clip needs the joints {', '.join(missing)}; this clip has: {there}")
    root = bones.names[int(bones.order[0])]
    if root != "root":
        raise BunrakuError(f"{path}: a DeepMimic clip moves the joint 'root'; the root of this clip is {root!r}")


def _relative(saved: Clip, name: str, parent: str, path: Path) -> Float[np.ndarray, "frames 4"]:
    bones = saved.skeleton
    joint = bones.names.index(name)
    quat = saved.joint_quat[:, joint]
    above = int(bones.parents[joint])
    while above >= 0 and bones.names[above] != parent:
        quat = quat_multiply(saved.joint_quat[:, above], quat)
        above = int(bones.parents[above])
    if (bones.names[above] if above >= 0 else "") != parent:
        raise BunrakuError(f"{path}: joint {name!r} does not hang below {parent!r}, as it does in a DeepMimic clip")
    return quat
