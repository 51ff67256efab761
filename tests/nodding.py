"""A humanoid that stands and nods: the smallest clip for a character with a free root."""

import numpy as np

from bunraku.core.clip import clip
from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.imitation.character import open_character
from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
from bunraku.imitation.humanoid import STANDING_M


def nodding(loop="wrap", travel=0.0, seconds=1.0, height=STANDING_M):
    """Standing, the head nodding; the whole goes `travel` metres along x in a cycle."""
    names = ["root", "neck"]
    bones = skeleton(names, [-1, 0], np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)))
    u = np.linspace(0, 1, 21)
    root = np.stack([travel * u, 0 * u, np.full(21, height)], axis=1)
    quat = np.zeros((21, 2, 4))
    quat[:, 0] = [1.0, 0, 0, 0]
    quat[:, 1] = quat_from_rotvec(np.stack([0 * u, 0.3 * np.sin(2 * np.pi * u), 0 * u], axis=1))
    return clip(bones, seconds * u, root, quat, loop)


def environment(count=8, **settings):
    follows = nodding(
        **{name: settings.pop(name) for name in ("loop", "travel", "seconds", "height") if name in settings}
    )
    return ClipEnvironment(open_character("humanoid"), follows, ClipConfig(count=count, **settings))
