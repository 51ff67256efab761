"""Axes, units and quaternion order of a clip, judged by what a body is: legs below, of a human length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip
from bunraku.core.physique import Physique
from bunraku.core.rotations import geodesic_angle, quat_from_matrix, quat_from_rotvec
from bunraku.core.skeleton import Skeleton
from bunraku.motion.names import legs, parts, sided_joint
from bunraku.motion.pose import clip_pose, rest_pose
from bunraku.motion.problem import CheckConfig, Problem, problem, span

UNITS: tuple[tuple[float, str], ...] = (
    (0.01, "centimetres"),
    (0.001, "millimetres"),
    (0.0254, "inches"),
    (0.3048, "feet"),
    (0.0254 / 0.45, "the units of the CMU data base, inches / 0.45"),
    (0.1, "decimetres"),
    (100.0, "hundreds of metres"),
)
_NAMES = {0: "X", 1: "Y", 2: "Z"}
_ALONG = 0.906  # the cosine of 25°
_BEND = 2.1  # rad: hardly any joint of a body is turned further from rest than this


@dataclass(frozen=True)
class Body:
    """Joints of a skeleton by which a body is oriented."""

    left_hip: int
    right_hip: int
    top: int
    """Head, neck or the highest of the spine."""
    ankles: tuple[int, ...]


def body_of(skeleton: Skeleton) -> Body | None:
    """The joints that say where up and left are, by names; None when they are not known."""
    hips = [sided_joint(skeleton, "hip", side) for side in ("left", "right")]
    ankles = [sided_joint(skeleton, "ankle", side) or sided_joint(skeleton, "knee", side) for side in ("left", "right")]
    known = parts(skeleton)
    spines = [
        name for name in (skeleton.names[i] for i in skeleton.order) if name in known and known[name].kind == "spine"
    ]
    top = sided_joint(skeleton, "head", "") or sided_joint(skeleton, "neck", "") or (spines or [None])[-1]
    if None in hips or None in ankles or top is None:
        return None
    place = skeleton.names.index
    return Body(place(str(hips[0])), place(str(hips[1])), place(str(top)), tuple(place(str(each)) for each in ankles))


def leg_length(skeleton: Skeleton) -> float:
    """Mean length of the legs from hip to ankle, 0 when names do not say which joints they are."""
    pos, _ = rest_pose(skeleton)
    place = skeleton.names.index
    lengths = [
        np.linalg.norm(pos[place(knee)] - pos[place(hip)]) + np.linalg.norm(pos[place(ankle)] - pos[place(knee)])
        for hip, knee, ankle in legs(skeleton)
    ]
    return float(np.mean(lengths)) if lengths else 0.0


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def body_axes(skeleton: Skeleton) -> Float[np.ndarray, "3 3"]:
    """Columns: forward, left and up of a body at rest, in the world; the world's own axes for what is no body.

    Up is from ankles to head, or the world's axis that is within 25° of that: characters are built upright, and a head
    that is carried forward or a leg that rests aside shall not tilt them. Left is from hip to hip.
    """
    body = body_of(skeleton)
    if body is None:
        return np.eye(3)
    pos, _ = rest_pose(skeleton)
    up = _snapped(pos[body.top] - pos[list(body.ankles)].mean(axis=0))
    left = pos[body.left_hip] - pos[body.right_hip]
    left = _unit(left - (left @ up) * up)
    return np.stack([np.cross(left, up), left, up], axis=1)


def _snapped(direction: np.ndarray) -> np.ndarray:
    unit = _unit(direction)
    axis = int(np.abs(unit).argmax())
    return np.sign(unit[axis]) * np.eye(3)[axis] if np.abs(unit[axis]) > _ALONG else unit


def quat_order(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """xyzw read as wxyz: then most joints seem turned by far more than joints turn.

    (How smooth a joint is does not tell: the angle between two quaternions is the same in any order of their
    components. Which angle they make with rest does.)
    """
    bones = clip.skeleton
    children = bones.parents >= 0
    if children.sum() < 4:
        return []
    rest = np.broadcast_to(bones.rest_quat, clip.joint_quat.shape)
    swapped = clip.joint_quat[..., [3, 0, 1, 2]]
    as_is = float(np.median(geodesic_angle(rest, clip.joint_quat)[:, children]))
    other = float(np.median(geodesic_angle(rest, swapped)[:, children]))
    if as_is < _BEND or other > as_is / 3:
        return []
    was, would = np.degrees(as_is), np.degrees(other)
    says = f"joints are turned {was:.0f}° from rest (median); read as xyzw it would be {would:.0f}°"
    return [problem("quat_order", "all joints", was, "deg", says, "reads the quaternions as xyzw")]


def quat_signs(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """Lengths that are not 1, and signs that change from frame to frame."""
    out = list[Problem]()
    length = np.abs(np.linalg.norm(clip.joint_quat, axis=-1) - 1)
    if length.max() > 1e-3:
        frame, joint = np.unravel_index(int(length.argmax()), length.shape)
        where = f"{clip.skeleton.names[int(joint)]}, frame {frame}"
        says = f"a quaternion's length is off by {length.max():.3g}"
        out.append(problem("quat_length", where, length.max(), "1", says, "normalises them", 0.01))
    flips = (clip.joint_quat[1:] * clip.joint_quat[:-1]).sum(axis=-1) < 0
    if flips.any():
        joints = [clip.skeleton.names[j] for j in np.flatnonzero(flips.any(axis=0))]
        says = f"{flips.sum()} times a quaternion changes its sign from one frame to the next"
        where = (
            f"{', '.join(joints[:3])}{' …' if len(joints) > 3 else ''}, {span(np.flatnonzero(flips.any(axis=1)) + 1)}"
        )
        out.append(problem("quat_signs", where, float(flips.sum()), "flips", says, "makes the signs continuous"))
    return out


def wrong_up(clip: Clip) -> int | None:
    """Which signed axis is up when it is not +Z: 1, 2 for +X, +Y, −1, −2, −3 for the negative ones; None when it is.

    The body's mean direction from feet to head must lie within 45° of another axis, and either the skeleton's rest
    pose must too, or the ground must: feet lowest along that axis, at a floor that keeps its height within a tenth
    of the body's, near 0, while along Z there is no floor.
    """
    body = body_of(clip.skeleton)
    if body is None:
        return None
    pos, _ = clip_pose(clip)
    tall = pos[:, body.top] - pos[:, list(body.ankles)].mean(axis=1)
    mean = _unit(tall).mean(axis=0)
    axis = int(np.abs(mean).argmax())
    sign = 1 if mean[axis] > 0 else -1
    if np.abs(mean[axis]) < 0.7 or (axis == 2 and sign > 0):
        return None
    rest = body_axes(clip.skeleton)[:, 2]
    if rest[axis] * sign > 0.7 or _has_floor(pos, axis, sign, np.linalg.norm(tall, axis=1).mean()):
        return sign * (axis + 1)
    return None


def _has_floor(pos: np.ndarray, axis: int, sign: int, height: float) -> bool:
    lowest, plain = (sign * pos[..., axis]).min(axis=1), pos[..., 2].min(axis=1)
    near = bool(np.abs(lowest).max() < 0.2 * height and lowest.std() < 0.1 * height)
    spread = plain.min() < -0.08 * height or plain.max() > 0.2 * height or plain.std() > 0.1 * height
    return near and bool(spread)


def upright_turn(axis: int) -> Float[np.ndarray, "4"]:
    """The quarter or half turn that brings a signed axis (as `wrong_up` gives it) to +Z."""
    up = np.zeros(3)
    up[abs(axis) - 1] = np.sign(axis)
    about = np.cross(up, [0, 0, 1.0])
    angle = np.arctan2(np.linalg.norm(about), up[2])
    return quat_from_rotvec((_unit(about) if about.any() else np.array([1.0, 0, 0])) * angle)


def up_axis(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """The body's height runs along another axis than +Z."""
    axis = wrong_up(clip)
    if axis is None:
        return []
    named = f"{'+' if axis > 0 else '-'}{_NAMES[abs(axis) - 1]}"
    says = f"from feet to head the body runs along {named}; up is +Z"
    return [problem("up_axis", "all frames", 90.0 if abs(axis) < 3 else 180.0, "deg", says, f"turns {named} up")]


def unit_factor(clip: Clip, physique: Physique | None, cfg: CheckConfig) -> tuple[float, str] | None:
    """The factor that makes metres of a clip's lengths, and its name; None when they look like metres."""
    leg = leg_length(clip.skeleton)
    like = (leg_length(physique.skeleton) if physique else 0.0) or cfg.leg_m
    if leg == 0 or 1 / cfg.leg_ratio < leg / like < cfg.leg_ratio:
        return None
    factor, name = min(UNITS, key=lambda unit: abs(np.log(leg * unit[0] / like)))
    return (
        (factor, name) if 1 / cfg.leg_ratio < leg * factor / like < cfg.leg_ratio else (like / leg, "units of its own")
    )


def units(clip: Clip, physique: Physique | None, cfg: CheckConfig) -> list[Problem]:
    """Legs that are no human's: centimetres, inches and the like."""
    found = unit_factor(clip, physique, cfg)
    if found is None:
        return []
    leg, (factor, name) = leg_length(clip.skeleton), found
    says = f"legs are {leg:.4g} m long; as {name} they would be {leg * factor:.2f} m"
    return [problem("units", "all lengths", leg, "m", says, f"multiplies lengths by {factor:.5g} ({name})")]


def first_heading(clip: Clip) -> float | None:
    """Where the body faces in the first frame, as an angle from +X about Z [rad]; None when it does not stand."""
    body = body_of(clip.skeleton)
    if body is None:
        return None
    pos, _ = clip_pose(clip)
    tall = _unit(pos[0, body.top] - pos[0, [body.left_hip, body.right_hip]].mean(axis=0))
    left = pos[0, body.left_hip] - pos[0, body.right_hip]
    forward = np.cross(left, [0, 0, 1.0])
    if tall[2] < 0.7 or np.linalg.norm(forward) < 1e-9:
        return None
    return float(np.arctan2(forward[1], forward[0]))


def facing(clip: Clip, cfg: CheckConfig) -> list[Problem]:
    """The body does not face +X at first."""
    heading = first_heading(clip)
    if heading is None or abs(heading) < cfg.facing_rad:
        return []
    says = f"at first the body faces {np.degrees(heading):.0f}° from +X"
    mends = "turns the scene about the vertical so that it faces +X"
    return [problem("facing", "frame 0", abs(np.degrees(heading)), "deg", says, mends)]


def rotation_between(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4"]:
    """The shortest rotation from one direction to another."""
    a, b = _unit(a), _unit(b)
    about, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-12:
        about = np.cross(a, np.eye(3)[int(np.abs(a).argmin())])
        return quat_from_rotvec(_unit(about) * np.pi)
    angle = np.arctan2(np.linalg.norm(about), cosine)
    return quat_from_rotvec(_unit(about) * angle)


def quat_of_axes(axes: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "4"]:
    """The rotation whose matrix has the given columns."""
    return quat_from_matrix(axes)
