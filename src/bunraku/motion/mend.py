"""What can be repaired in a clip: axes and units, glitches, seams, joint limits, feet in the ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip
from bunraku.core.physique import Physique
from bunraku.core.rotations import (
    continuous_quats,
    quat_conjugate,
    quat_from_rotvec,
    quat_multiply,
    quat_slerp,
    rotvec_from_quat,
)
from bunraku.motion import axes, ground, limits, timing
from bunraku.motion.check import check
from bunraku.motion.pose import at_times, fits, fitted, hinge_quats, scaled, turned
from bunraku.motion.problem import CheckConfig


@dataclass(frozen=True)
class MendConfig:
    """How far mending reaches."""

    seam_share: float = 0.2
    """Share of the cycle, at its beginning and at its end, over which a seam is spread."""
    jump_share: float = 0.1
    """Share of the clip, on each side of a jump, over which it is spread."""
    lift_s: float = 0.1
    """Time before and after a foot's depth over which the body is lifted [s]."""
    check: CheckConfig = field(default_factory=CheckConfig)
    """What counts as a problem."""


@dataclass(frozen=True, eq=False)
class Mended:
    """A clip and what was done to it."""

    clip: Clip
    notes: tuple[str, ...]
    """One sentence for each repair, in the order in which they were made."""


Step = Callable[[Clip, Physique | None, MendConfig], tuple[Clip, str]]
"""A repair: the clip and a note, which is empty when there was nothing to do."""


def mend(clip: Clip, physique: Physique | None = None, cfg: MendConfig | None = None, *, motion: bool = True) -> Mended:
    """Repair what can be; a repair that would cost more than it brings is left out and said so.

    With a character on whose joints, by name, the clip is, hinges are held in their ranges and on their axes, and the
    body is lifted out of the ground; the clip is then on the character's skeleton. What was mended stays as it is when
    mended again. Without `motion` only quaternions, axes and units are put right.
    """
    cfg = cfg or MendConfig()
    own = physique if physique is not None and fits(clip, physique) else None
    notes = list[str]()
    if own is not None:
        clip = fitted(clip, own)
    for step in (*_FRAME, *((*_SCENE, *_MOTION) if motion else ())):
        candidate, note = step(clip, physique if step is _units else own, cfg)
        if not note:
            continue
        if step in _WEIGHED and _worse(clip, candidate, own, cfg.check):
            notes.append(f"left as it was, since other problems would have grown by more: {note}")
        else:
            clip = candidate
            notes.append(note)
    return Mended(clip, tuple(notes))


def _worse(before: Clip, after: Clip, physique: Physique | None, cfg: CheckConfig) -> bool:
    """Adding up all problems, each as many times its limit as it is, the repair did not pay."""
    return check(after, physique, cfg).weight >= check(before, physique, cfg).weight


def _order(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    if not axes.quat_order(clip, cfg.check):
        return clip, ""
    return replace(clip, joint_quat=clip.joint_quat[..., [3, 0, 1, 2]]), "quaternions read as xyzw"


def _signs(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    if not axes.quat_signs(clip, cfg.check):
        return clip, ""
    quat = clip.joint_quat / np.linalg.norm(clip.joint_quat, axis=-1, keepdims=True)
    return replace(clip, joint_quat=continuous_quats(quat)), "quaternions normalised, their signs made continuous"


def _up(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    axis = axes.wrong_up(clip)
    if axis is None:
        return clip, ""
    named = f"{'+' if axis > 0 else '-'}{'XYZ'[abs(axis) - 1]}"
    return turned(clip, axes.upright_turn(axis)), f"turned so that {named} is up"


def _units(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    found = axes.unit_factor(clip, physique, cfg.check)
    if found is None:
        return clip, ""
    return scaled(clip, found[0]), f"lengths multiplied by {found[0]:.5g} ({found[1]})"


def _level(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    normal = ground.floor_normal(clip, ground.footing(clip, physique, cfg.check))
    if normal is None:
        return clip, ""
    turn = axes.rotation_between(normal, np.array([0, 0, 1.0]))
    slope = np.degrees(np.arccos(normal[2]))
    return replace(turned(clip, turn), skeleton=clip.skeleton), f"floor levelled (it was tilted by {slope:.1f}°)"


def _face(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    heading = axes.first_heading(clip)
    if heading is None or abs(heading) < cfg.check.facing_rad:
        return clip, ""
    turn = quat_from_rotvec(np.array([0, 0, -heading]))
    return replace(turned(clip, turn), skeleton=clip.skeleton), f"turned by {np.degrees(-heading):.0f}° to face +X"


def _strays(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    notes = list[str]()
    while (frame := timing.stray_frame(clip, cfg.check)) is not None:
        kept = slice(1, None) if frame == 0 else slice(0, -1)
        times = clip.times_s[kept] - clip.times_s[kept][0]
        clip = replace(clip, times_s=times, root_pos_w=clip.root_pos_w[kept], joint_quat=clip.joint_quat[kept])
        notes.append(f"frame {frame} left out, which was a pose for reference")
    return clip, ", ".join(notes)


def _even(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    if not any(each.kind == "frame_rate_uneven" for each in timing.rates(clip, cfg.check)):
        return clip, ""
    step = timing.even_step(clip)
    times = np.linspace(0, clip.duration_s, round(clip.duration_s / step) + 1)
    return at_times(clip, times), f"resampled at {1 / step:.1f} frames per second"


def _spikes(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    joints, root = timing.spike_frames(clip, cfg.check)
    if not joints.any() and not root.any():
        return clip, ""
    quat, pos = clip.joint_quat.copy(), clip.root_pos_w.copy()
    share = (clip.times_s[1:-1] - clip.times_s[:-2]) / (clip.times_s[2:] - clip.times_s[:-2])
    for frame, joint in np.argwhere(joints):
        quat[frame, joint] = quat_slerp(quat[frame - 1, joint], quat[frame + 1, joint], share[frame - 1])
    for frame in np.flatnonzero(root):
        pos[frame] = pos[frame - 1] + share[frame - 1] * (pos[frame + 1] - pos[frame - 1])
    return replace(clip, joint_quat=quat, root_pos_w=pos), f"{joints.sum() + root.sum()} single-frame spikes smoothed"


def _fade(distance_s: Float[np.ndarray, "frames"], span_s: float) -> Float[np.ndarray, "frames"]:
    """1 at distance 0, 0 from `span_s` on, smooth, with slope 0 at both ends (3u² − 2u³)."""
    u = np.clip(1 - distance_s / max(span_s, 1e-9), 0, 1)
    return u * u * (3 - 2 * u)


def _spread(quat: np.ndarray, leap: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(frames, joints) rotations turned by a share of a (joints, 3) rotation vector, different for each frame."""
    return quat_multiply(quat, quat_from_rotvec(weight[:, None, None] * leap))


def _jumps(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    leaps = timing.jump_segments(clip, cfg.check)
    quat, span = clip.joint_quat.copy(), cfg.jump_share * clip.duration_s
    for segment, joint in np.argwhere(leaps):
        path = quat[:, joint : joint + 1]
        leap = rotvec_from_quat(quat_multiply(quat_conjugate(path[segment]), path[segment + 1]))
        # What the joint does by itself in this time stays: the mean of the steps around the leap.
        usual = [quat_multiply(quat_conjugate(path[k]), path[k + 1]) for k in (segment - 1, segment + 1)]
        leap -= (rotvec_from_quat(usual[0]) + rotvec_from_quat(usual[1])) / 2
        before = np.arange(clip.frames) <= segment
        reach = np.where(before, clip.times_s[segment] - clip.times_s, clip.times_s - clip.times_s[segment + 1])
        quat[:, joint : joint + 1] = _spread(path, leap, np.where(before, 0.5, -0.5) * _fade(reach, span))
    note = f"{leaps.sum()} jumps of joints spread over {2 * span:.2f} s" if leaps.any() else ""
    return replace(clip, joint_quat=quat), note


def _on_axes(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    """Hinges onto their axes and into their ranges."""
    if physique is None:
        return clip, ""
    found = limits.hinges(clip, physique, cfg.check) + limits.ranges(clip, physique, cfg.check)
    names = [n for n in physique.hinge_axes if any(each.mends and each.where.startswith(f"{n},") for each in found)]
    quat = clip.joint_quat.copy()
    for name in names:
        joint, axis = physique.skeleton.names.index(name), physique.hinge_axes[name]
        rest = physique.skeleton.rest_quat[joint]
        low, high = physique.ranges_rad.get(name, (-np.inf, np.inf))
        quat[:, joint] = hinge_quats(np.clip(limits.joint_angles(clip, physique, name), low, high), rest, axis)
    return replace(clip, joint_quat=quat), f"held in range and on their axes: {', '.join(names)}" if names else ""


def _close(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    """The seam of a loop: the missing frame added, or the leap spread. The way that a cycle makes stays."""
    told = [each for each in timing.seam(clip, cfg.check) if each.mends]
    if not told:
        return clip, ""
    if timing.frame_short(clip, cfg.check):
        return _closed(clip), "closing frame added"
    leap = rotvec_from_quat(quat_multiply(quat_conjugate(clip.joint_quat[-1]), clip.joint_quat[0]))
    rise = clip.root_pos_w[0, 2] - clip.root_pos_w[-1, 2]
    span = cfg.seam_share * clip.duration_s
    # Half of the leap at either end, in opposite directions: the ends meet in its middle.
    weight = 0.5 * (_fade(clip.duration_s - clip.times_s, span) - _fade(clip.times_s, span))
    pos = clip.root_pos_w.copy()
    pos[:, 2] += weight * rise
    closed = replace(clip, root_pos_w=pos, joint_quat=_spread(clip.joint_quat, leap, weight))
    worst = float(np.linalg.norm(leap, axis=-1).max())
    height = f" and {abs(rise) * 100:.1f} cm" if abs(rise) > 1e-3 else ""
    return closed, f"seam of up to {worst:.2f} rad{height} closed over {2 * span:.2f} s"


def _closed(clip: Clip) -> Clip:
    step = float(np.median(np.diff(clip.times_s)))
    velocity = timing.root_velocity(clip)
    end = clip.root_pos_w[-1] + step * (velocity[-1] + velocity[0]) / 2
    end[2] = clip.root_pos_w[0, 2]
    return replace(
        clip,
        times_s=np.append(clip.times_s, clip.times_s[-1] + step),
        root_pos_w=np.concatenate([clip.root_pos_w, end[None]]),
        joint_quat=np.concatenate([clip.joint_quat, clip.joint_quat[:1]]),
    )


def _lift(clip: Clip, physique: Physique | None, cfg: MendConfig) -> tuple[Clip, str]:
    """The body onto the ground as a whole, then smoothly out of it where it is too low."""
    points = ground.footing(clip, physique, cfg.check)
    lowest = points.pos[..., 2].min(axis=1)
    told = [each for each in ground.grounded(clip, physique, cfg.check) if each.mends]
    if not told:
        return clip, ""
    notes, offset = list[str](), np.zeros(clip.frames)
    if told[0].kind == "floating":
        # Without a character's shapes, joints stand some centimetres above the soles: about a tenth of the leg.
        sole = 0.0 if points.exact else 0.1 * axes.leg_length(clip.skeleton)
        offset -= float(np.percentile(lowest, 5)) - sole
        notes.append(f"lowered by {-offset[0] * 100:.1f} cm")
    elif ground.sinks_throughout(lowest):
        offset -= float(np.median(lowest))
        notes.append(f"lifted by {offset[0] * 100:.1f} cm")
    deep = np.maximum(0, -(lowest + offset))
    if deep.max() > 0:
        offset += envelope(clip, deep, cfg.lift_s)
        notes.append(f"lifted by up to {deep.max() * 1e3:.0f} mm where it was in the ground")
    pos = clip.root_pos_w.copy()
    pos[:, 2] += offset
    return replace(clip, root_pos_w=pos), ", ".join(notes)


def envelope(clip: Clip, depth: Float[np.ndarray, "frames"], reach_s: float) -> Float[np.ndarray, "frames"]:
    """A smooth curve nowhere below the given one: its maximum over a window, averaged over the same window.

    Each value averaged is a maximum over a window that holds the frame itself, so the mean is nowhere below it.
    Windows are in time, and run around the seam of a clip that loops.
    """
    time, values = clip.times_s, depth
    if clip.loop == "wrap":
        span = clip.duration_s + 1e-12
        time = np.concatenate([clip.times_s - span, clip.times_s, clip.times_s + span])
        values = np.tile(depth, 3)
    near = np.abs(time[:, None] - time) <= reach_s
    highest = np.where(near, values, 0).max(axis=1)
    # A raised cosine instead of a box: its slope is continuous.
    weight = np.where(near, 1 + np.cos(np.pi * np.clip(np.abs(time[:, None] - time) / reach_s, 0, 1)), 0)
    smooth = weight @ highest / weight.sum(axis=1)
    return smooth[clip.frames : 2 * clip.frames] if clip.loop == "wrap" else smooth


_FRAME: tuple[Step, ...] = (_order, _signs, _up, _units)
_SCENE: tuple[Step, ...] = (_strays, _face, _level)
_MOTION: tuple[Step, ...] = (_even, _spikes, _jumps, _on_axes, _close, _lift)
_WEIGHED = frozenset({_strays, _level, *_MOTION})
"""Repairs that are only made when they pay; the others come before anything can be weighed, or weigh nothing."""
