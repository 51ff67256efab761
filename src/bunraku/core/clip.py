"""The motion of a skeleton over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Clip:
    """Root and joint motion with a time for every frame: rates differ, inside clips too; see `clip`."""

    skeleton: Skeleton
    times_s: Float[np.ndarray, "frames"]
    """Strictly increasing, the first is 0."""
    root_pos_w: Float[np.ndarray, "frames 3"]
    """World position of the root joint (the skeleton's first in `order`)."""
    joint_quat: Float[np.ndarray, "frames joints 4"]
    """Rotation of each joint relative to its parent, wxyz; the root's is its world rotation."""
    loop: Literal["wrap", "none"]

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.times_s)

    @property
    def duration_s(self) -> float:
        """Time of the last frame."""
        return float(self.times_s[-1])


def clip(
    skeleton: Skeleton,
    times_s: Sequence[float] | np.ndarray,
    root_pos_w: np.ndarray,
    joint_quat: np.ndarray,
    loop: Literal["wrap", "none"] = "none",
    name: str = "clip",
) -> Clip:
    """A checked `Clip` from root_pos_w (frames, 3) and joint_quat (frames, joints, 4), which is normalised.

    Raises:
        BunrakuError: no frames, shapes that do not fit, times that do not increase, values that are not
            finite.
    """
    times = np.asarray(times_s, np.float64)
    frames = len(times)
    if frames == 0:
        raise BunrakuError(f"{name}: has no frames")
    expected = {
        "root positions": (root_pos_w, (frames, 3)),
        "joint quaternions": (joint_quat, (frames, len(skeleton), 4)),
    }
    for what, (array, shape) in expected.items():
        if array.shape != shape:
            raise BunrakuError(f"{name}: {what} have shape {array.shape}; expected {shape}")
        if not np.isfinite(array).all():
            raise BunrakuError(f"{name}: {what} are not finite at frame {int(np.argwhere(~np.isfinite(array))[0][0])}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise BunrakuError(f"{name}: times must increase from frame to frame")
    length = np.linalg.norm(joint_quat, axis=-1, keepdims=True)
    if (length < 1e-9).any():
        frame, joint = np.argwhere(length[..., 0] < 1e-9)[0]
        raise BunrakuError(f"{name}: joint {skeleton.names[joint]!r} has a quaternion of length 0 at frame {frame}")
    return Clip(skeleton, times - times[0], np.asarray(root_pos_w, np.float64), joint_quat / length, loop)
