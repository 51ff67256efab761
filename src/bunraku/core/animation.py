"""Keyed motion of a character's nodes and morphs, as files hold it, and its values at given times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import quat_slerp
from bunraku.core.skeleton import Skeleton

Path = Literal["translation", "rotation", "scale", "morphs"]
Interpolation = Literal["LINEAR", "STEP", "CUBICSPLINE"]


_KEY_SLACK_S = 1e-6
"""Files keep key times as float32: a frame's time k/fps may fall just before the key that was meant for it."""


@dataclass(frozen=True, eq=False)
class Channel:
    """Keys of one property of one node (or of a group of morphs)."""

    target: int
    """Joint index; for "morphs" the index of the first morph that the keys set."""
    path: Path
    interpolation: Interpolation
    times_s: Float[np.ndarray, "keys"]
    """Strictly increasing."""
    values: Float[np.ndarray, "keys slots width"]
    """slots is 1, or 3 for CUBICSPLINE (in-tangent, value, out-tangent); width 3, 4 (wxyz) or the number of morphs.
    Local and absolute: a scale replaces the rest scale, it is not a factor on it."""


@dataclass(frozen=True, eq=False)
class Animation:
    """A named set of channels."""

    name: str
    channels: tuple[Channel, ...]

    @property
    def duration_s(self) -> float:
        """Time of the last key; 0 for an animation without keys."""
        return max((float(channel.times_s[-1]) for channel in self.channels), default=0.0)


@dataclass(frozen=True, eq=False)
class NodePoses:
    """Parent-relative transforms of every joint and the weights of every morph, per frame."""

    translation: Float[np.ndarray, "frames joints 3"]
    quat: Float[np.ndarray, "frames joints 4"]
    scale: Float[np.ndarray, "frames joints 3"]
    """As a factor on the rest stretch: 1 where the animation does not scale."""
    morphs: Float[np.ndarray, "frames morphs"]


def sample(channel: Channel, times_s: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames width"]:
    """The channel's values at given times; before the first and after the last key it holds.

    LINEAR is slerp for rotations, CUBICSPLINE the Hermite form of the glTF 2.0 specification (appendix C). A STEP key
    holds from a microsecond before its time on, so that frames meet the keys that were rounded from their times.
    """
    keys = channel.times_s
    if len(keys) == 1 or channel.interpolation == "STEP":
        slack = _KEY_SLACK_S * np.maximum(1.0, np.abs(times_s))
        held = np.clip(np.searchsorted(keys, times_s + slack, side="right") - 1, 0, len(keys) - 1)
        return _unit(channel, channel.values[held, channel.values.shape[1] // 2])
    left = np.clip(np.searchsorted(keys, times_s, side="right") - 1, 0, len(keys) - 2)
    span = keys[left + 1] - keys[left]
    u = np.clip((times_s - keys[left]) / span, 0.0, 1.0)[:, None]
    if channel.interpolation == "CUBICSPLINE":
        v0, b0 = channel.values[left, 1], channel.values[left, 2]
        a1, v1 = channel.values[left + 1, 0], channel.values[left + 1, 1]
        h = span[:, None]
        u2, u3 = u * u, u * u * u
        # p(u) = (2u³−3u²+1)v₀ + h(u³−2u²+u)b₀ + (−2u³+3u²)v₁ + h(u³−u²)a₁
        value = (2 * u3 - 3 * u2 + 1) * v0 + h * (u3 - 2 * u2 + u) * b0 + (3 * u2 - 2 * u3) * v1 + h * (u3 - u2) * a1
        return _unit(channel, value)
    v0, v1 = channel.values[left, 0], channel.values[left + 1, 0]
    if channel.path == "rotation":
        return quat_slerp(v0, v1, u[:, 0])
    return (1 - u) * v0 + u * v1


def _unit(channel: Channel, value: np.ndarray) -> np.ndarray:
    if channel.path != "rotation":
        return value
    # A spline between opposite keys may pass through 0, which has no direction: it becomes 0, not NaN.
    return value / np.maximum(np.linalg.norm(value, axis=-1, keepdims=True), 1e-300)


def poses_at(
    animation: Animation,
    skeleton: Skeleton,
    morph_rest: Float[np.ndarray, "morphs"],
    times_s: Float[np.ndarray, "frames"],
) -> NodePoses:
    """Every joint's local transform and every morph at given times; what is not animated stays at rest.

    An animated scale replaces the rest scale; as a factor it is taken along the diagonal of the rest stretch.
    """
    frames = len(times_s)
    translation = np.tile(skeleton.rest_translation, (frames, 1, 1))
    quat = np.tile(skeleton.rest_quat, (frames, 1, 1))
    scale = np.ones_like(translation)
    morphs = np.tile(morph_rest, (frames, 1))
    for channel in animation.channels:
        values = sample(channel, times_s)
        if channel.path == "translation":
            translation[:, channel.target] = values
        elif channel.path == "rotation":
            quat[:, channel.target] = values
        elif channel.path == "scale":
            rest = np.diagonal(skeleton.rest_stretch[channel.target])
            # A rest scale of exactly 0 cannot be a factor's base; such a joint keeps its rest scale.
            scale[:, channel.target] = np.where(rest != 0, values / np.where(rest != 0, rest, 1), 1.0)
        else:
            morphs[:, channel.target : channel.target + values.shape[1]] = values
    return NodePoses(translation, quat, scale, morphs)
