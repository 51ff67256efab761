"""Clips as shapes that move, and what a check has found as marks on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.core.playback import Playback
    from bunraku.motion.problem import Problem
    from bunraku.viewer.clip import Mark


def on_character(clip: Clip, character: str) -> Playback:
    """The bodies of a character under a clip on its joints."""
    from bunraku.core.playback import Playback
    from bunraku.imitation.character import build, open_character
    from bunraku.imitation.physique import physique
    from bunraku.imitation.solids import solids
    from bunraku.motion.pose import clip_pose, fitted

    built = build(open_character(character))
    body = physique(built)
    pos, quat = clip_pose(fitted(clip, body))
    order = [body.skeleton.names.index(name) for name in built.character.body_names]
    return Playback(built.character.body_names, clip.times_s, pos[:, order], quat[:, order], solids(built))


def bones(clip: Clip) -> Playback:
    """A clip's own joints, as sticks from each to its children."""
    import numpy as np

    from bunraku.core.playback import Playback
    from bunraku.core.solid import Solid
    from bunraku.motion.pose import clip_pose

    pos, quat = clip_pose(clip)
    bones = clip.skeleton
    size = max(float(np.ptp(pos[0], axis=0).max()), 1e-6)
    found = list[Solid]()
    for joint in range(len(bones)):
        found.append(_ball(joint, 0.018 * size))
        if bones.parents[joint] >= 0:
            found.append(_stick(int(bones.parents[joint]), bones.rest_translation[joint], 0.012 * size))
    # About as large as a person, whatever the file's unit is.
    factor = 1.8 / size
    scaled = [Solid(s.joint, s.kind, s.size * factor, s.pos * factor, s.quat) for s in found]
    return Playback(bones.names, clip.times_s, pos * factor, quat, tuple(scaled))


def _ball(joint: int, radius: float) -> Any:
    import numpy as np

    from bunraku.core.solid import Solid

    return Solid(joint, "ellipsoid", np.full(3, radius), np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))


def _stick(joint: int, to: Any, radius: float) -> Any:
    """From a joint to a point in its frame."""
    import numpy as np

    from bunraku.core.rotations import quat_from_rotvec
    from bunraku.core.solid import Solid

    length = float(np.linalg.norm(to))
    axis = to / length if length > 0 else np.array([0.0, 0.0, 1.0])
    across = np.cross([0.0, 0.0, 1.0], axis)
    angle = np.arctan2(np.linalg.norm(across), axis[2])
    across = across / np.linalg.norm(across) if np.linalg.norm(across) > 1e-9 else np.array([1.0, 0.0, 0.0])
    quat = quat_from_rotvec(across * angle)
    return Solid(joint, "cylinder", np.array([radius, radius, max(length / 2, 1e-6)]), to / 2, quat)


def mark_of(problem: Problem, playback: Playback) -> Mark:
    """Where and when a problem is, as its words say."""
    import numpy as np

    from bunraku.viewer.clip import Mark

    where, _, when = f"{problem.where} ".partition("frame")
    bodies = tuple(i for i, name in enumerate(playback.body_names) if name in re.split(r"[,\s]+", where.strip()))
    rows = list[int]()
    for first, last in re.findall(r"(\d+)(?:[–-](\d+))?", when.partition(" and ")[0]):
        end = min(int(last or first), playback.frames - 1)
        rows += range(min(int(first), end), end + 1)
    return Mark(problem.kind, problem.says, problem.severity, bodies, np.array(rows, np.int64))
