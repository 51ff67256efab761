"""Clips for formats that know one frame rate only."""

from __future__ import annotations

import numpy as np

from bunraku.core.clip import Clip, clip
from bunraku.core.rotations import quat_slerp


def evenly(uneven: Clip) -> Clip:
    """The clip itself where its frames are equally far apart (to 1e-4 of their distance), else in-betweens of it.

    The new frames lie between the first and the last one at (nearly) the median distance: positions are
    interpolated linearly, rotations on the shorter arc.
    """
    times = uneven.times_s
    if len(times) < 2:
        return uneven
    step = uneven.duration_s / (len(times) - 1)
    if np.abs(times - step * np.arange(len(times))).max() <= 1e-4 * step:
        return uneven
    count = max(1, round(uneven.duration_s / float(np.median(np.diff(times)))))
    wanted = np.linspace(0, uneven.duration_s, count + 1)
    before = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 2)
    part = (wanted - times[before]) / (times[before + 1] - times[before])
    start, end = uneven.root_pos_w[before], uneven.root_pos_w[before + 1]
    quats = uneven.joint_quat
    between = quat_slerp(quats[before], quats[before + 1], np.repeat(part[:, None], quats.shape[1], axis=1))
    return clip(uneven.skeleton, wanted, start + part[:, None] * (end - start), between, uneven.loop)


def frame_time_s(even: Clip) -> float:
    """Seconds from frame to frame of a clip with even frames; 1/30 for a single frame."""
    return even.duration_s / (even.frames - 1) if even.frames > 1 else 1 / 30
