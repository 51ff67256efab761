"""A clip carried over to another skeleton.

Let G be world rotations of joints, B the body's axes at rest (columns forward, left, up; `axes.body_axes`) and
D = G·G_rest⁻¹ what a joint has turned in the world since rest. A target joint t that is driven by source joint s takes
    G_t = D_s · B_s · Q_t · B_t⁻¹ · G_t,rest ,
so that a bone which points along d_t at rest (in body axes) points along D_s·B_s·Q_t·d_t: where the source's points,
when Q_t turns d_t into the source's d_s. Q_t is the shortest such turn where a bone has one next joint (arms and legs:
this is what brings a T-pose onto hanging arms), none for joints from which several bones leave (pelvis, chest), and
that of the parent for the last joints. For feet both are tried, since some skeletons rest with flat feet under spread
legs and others with feet square to them: the one that keeps the soles flatter while the feet are low is taken. Since
world rotations are taken over, a chain of source joints that drives one target joint folds by itself: the last one says
it all.

A hinge takes the turn about its axis that brings its bone nearest to where the source's points. What it cannot do its
parent does: the parent turns about its own bone, which moves nothing but the plane in which the hinge bends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.core.physique import Physique
from bunraku.core.rotations import quat_conjugate, quat_from_rotvec, quat_multiply, quat_rotate
from bunraku.core.skeleton import Skeleton
from bunraku.motion.axes import body_axes, leg_length, quat_of_axes, rotation_between
from bunraku.motion.names import SIDED, checked_map, guess_map, parts
from bunraku.motion.pose import ball_heights, clip_pose, hinge_quats, rest_pose

_LIMBS = ("hip", "knee", "shoulder", "elbow")


@dataclass(frozen=True)
class RetargetConfig:
    """How a clip is carried over."""

    ground: bool = True
    """Move the whole clip up or down so that the character stands on the ground."""
    scale: float = 0.0
    """Factor on the root's path; 0: the ratio of the legs' lengths."""
    hinge_parents: bool = True
    """Let the parent of a hinge turn about its own bone so that the hinge's bone points where the source's does."""


@dataclass(frozen=True, eq=False)
class Retargeted:
    """A clip on a character's skeleton, and how well it fits."""

    clip: Clip
    names_map: Mapping[str, str]
    """{target joint: source joint}."""
    at_rest: tuple[str, ...]
    """Joints that the character can turn and nothing drives."""
    scale: float
    limb_error_deg: float
    """Mean angle between the limbs' directions and the source's, over limbs and frames."""
    limb_errors_deg: Mapping[str, float] = field(default_factory=dict[str, float])
    """The same for each limb."""

    def as_json(self) -> dict[str, Any]:
        """All but the clip."""
        return {
            "map": dict(self.names_map),
            "at_rest": list(self.at_rest),
            "scale": self.scale,
            "limb_error_deg": self.limb_error_deg,
            "limb_errors_deg": dict(self.limb_errors_deg),
        }


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Source and target as seen from the map."""

    source: Skeleton
    target: Skeleton
    driver: Mapping[int, int]
    """Index of the source joint that drives a target joint."""
    next_joint: Mapping[int, int]
    """The one driven joint that a target joint's bone leads to."""


def retarget(
    clip: Clip, physique: Physique, names_map: Mapping[str, str] | None = None, cfg: RetargetConfig | None = None
) -> Retargeted:
    """Carry a clip over to a character; without a map, by what the joints' names say (`names.guess_map`).

    Axes and units of the clip must be right (`check`, `mend`). Joints that nothing drives stay at rest; the root's path
    is scaled by the ratio of the legs' lengths, measured at the middle between the hips.

    Raises:
        BunrakuError: the map names a joint that is not there, or without a map no names match.
    """
    cfg = cfg or RetargetConfig()
    named = guess_map(clip.skeleton, physique) if names_map is None else checked_map(names_map, clip.skeleton, physique)
    if len(named) < (1 if names_map is not None else fewest(physique)):
        mine, theirs = (", ".join(names[:20]) for names in (physique.skeleton.names, clip.skeleton.names))
        raise BunrakuError(
            f"no joints match by their names: the character has {mine}; the clip has {theirs}; give a map"
        )
    pairs = _pairs(clip.skeleton, physique.skeleton, named)
    wanted = _wanted_world(clip, pairs)
    local = _local(pairs, physique, clip, wanted, cfg)
    legs = leg_length(physique.skeleton), leg_length(clip.skeleton)
    scale = cfg.scale or (legs[0] / legs[1] if min(legs) > 0 else 1.0)
    moved = Clip(physique.skeleton, clip.times_s, np.zeros((clip.frames, 3)), local, clip.loop)
    moved = _placed(clip, moved, pairs, scale)
    if cfg.ground and len(physique.ball_joints):
        low = float(np.percentile(ball_heights(moved, physique).min(axis=1), 10))
        moved = _shifted(moved, -low)
    rest = tuple(n for n in physique.skeleton.names if n not in named and n not in physique.fixed)
    errors = limb_errors(clip, moved, pairs.next_joint, pairs.driver)
    mean = float(np.mean(list(errors.values()))) if errors else 0.0
    return Retargeted(moved, named, rest, scale, mean, errors)


def fewest(physique: Physique) -> int:
    """So many joints must match by name for a guess to be more than a root that moves a statue."""
    return min(2, len(physique.skeleton))


def _pairs(source: Skeleton, target: Skeleton, named: Mapping[str, str]) -> _Pairs:
    driver = {target.names.index(t): source.names.index(s) for t, s in named.items()}
    # A joint that does not turn still shows where its parent's bone ends: wrists and the like, by what names say.
    ends = dict(driver)
    mine, theirs = parts(target), parts(source)
    for name, each in mine.items():
        alike = [n for n, other in theirs.items() if (other.kind, other.side) == (each.kind, each.side)]
        if each.kind in SIDED and target.names.index(name) not in ends and alike:
            ends[target.names.index(name)] = source.names.index(min(alike, key=lambda n: theirs[n].rank))
    following: dict[int, list[int]] = {}
    for joint in ends:
        above = int(target.parents[joint])
        while above >= 0 and above not in driver:
            above = int(target.parents[above])
        following.setdefault(above, []).append(joint)
    next_joint = {joint: below[0] for joint, below in following.items() if joint >= 0 and len(below) == 1}
    # The bone must exist on both sides: a joint driven by the same source joint as the next one has no direction.
    spos, tpos = rest_pose(source)[0], rest_pose(target)[0]
    real = {
        t: n
        for t, n in next_joint.items()
        if np.linalg.norm(spos[ends[n]] - spos[driver[t]]) > 1e-9 and np.linalg.norm(tpos[n] - tpos[t]) > 1e-9
    }
    return _Pairs(source, target, ends, real)


def _alignments(pairs: _Pairs, clip: Clip) -> dict[int, Float[np.ndarray, "4"]]:
    """Q of each driven target joint, as a quaternion in body axes."""
    (spos, _), (tpos, _) = rest_pose(pairs.source), rest_pose(pairs.target)
    source_axes, target_axes = body_axes(pairs.source), body_axes(pairs.target)
    known = parts(pairs.target)
    out = dict[int, np.ndarray]()
    for joint in (int(j) for j in pairs.target.order):
        name = pairs.target.names[joint]
        ahead = pairs.next_joint.get(joint)
        above = int(pairs.target.parents[joint])
        if ahead is not None and not (name in known and known[name].kind in ("pelvis", "spine", "neck", "head")):
            mine = target_axes.T @ (tpos[ahead] - tpos[joint])
            theirs = source_axes.T @ (spos[pairs.driver[ahead]] - spos[pairs.driver[joint]])
            out[joint] = rotation_between(mine, theirs)
        elif name in known and known[name].kind == "wrist" and above in out:
            out[joint] = out[above]
        elif name in known and known[name].kind == "ankle" and above in out and joint in pairs.driver:
            out[joint] = _flatter(clip, pairs.driver[joint], source_axes, out[above])
        else:
            out[joint] = np.array([1.0, 0, 0, 0])
    return out


def _flatter(
    clip: Clip, foot: int, axes: Float[np.ndarray, "3 3"], parents: Float[np.ndarray, "4"]
) -> Float[np.ndarray, "4"]:
    """No turn, or that of the shank: which leaves the sole flatter while the foot is low."""
    pos, world = clip_pose(clip)
    low = pos[:, foot, 2] <= np.percentile(pos[:, foot, 2], 30)
    _, rest = rest_pose(clip.skeleton)
    since_rest = quat_multiply(world[low, foot], np.broadcast_to(quat_conjugate(rest[foot]), world[low, foot].shape))
    none = np.array([1.0, 0, 0, 0])

    def tilt(quat: np.ndarray) -> float:
        up = axes @ quat_rotate(quat, np.array([0, 0, 1.0]))
        return float(np.median(1 - quat_rotate(since_rest, np.broadcast_to(up, (len(since_rest), 3)))[:, 2]))

    return parents if tilt(parents) < 0.8 * tilt(none) else none


def _wanted_world(clip: Clip, pairs: _Pairs) -> dict[int, Float[np.ndarray, "frames 4"]]:
    """World rotation that each driven target joint should have."""
    _, world = clip_pose(clip)
    _, source_rest = rest_pose(pairs.source)
    _, target_rest = rest_pose(pairs.target)
    from_body = quat_of_axes(body_axes(pairs.source))
    to_body = quat_conjugate(quat_of_axes(body_axes(pairs.target)))
    aligned = _alignments(pairs, clip)
    out = dict[int, np.ndarray]()
    for joint, driver in pairs.driver.items():
        fixed = quat_multiply(quat_multiply(from_body, aligned[joint]), quat_multiply(to_body, target_rest[joint]))
        fixed = quat_multiply(quat_conjugate(source_rest[driver]), fixed)
        out[joint] = quat_multiply(world[:, driver], np.broadcast_to(fixed, world[:, driver].shape))
    return out


def _local(
    pairs: _Pairs, physique: Physique, clip: Clip, wanted: Mapping[int, np.ndarray], cfg: RetargetConfig
) -> Float[np.ndarray, "frames joints 4"]:
    """Parent-relative rotations of the target: wanted world rotations, as far as its joints can have them."""
    bones = physique.skeleton
    spos, _ = clip_pose(clip)
    local = np.tile(bones.rest_quat, (clip.frames, 1, 1))
    world = np.zeros_like(local)
    for joint in (int(j) for j in bones.order):
        parent, name = int(bones.parents[joint]), bones.names[joint]
        above = world[:, parent] if parent >= 0 else np.tile([1.0, 0, 0, 0], (clip.frames, 1))
        if joint in wanted and name not in physique.fixed:
            if name in physique.hinge_axes:
                local[:, joint] = _hinge(pairs, physique, joint, above, wanted[joint], spos)
            else:
                turned = wanted[joint]
                if cfg.hinge_parents:
                    turned = quat_multiply(_twist(pairs, physique, joint, turned, spos), turned)
                local[:, joint] = quat_multiply(quat_conjugate(above), turned)
        world[:, joint] = quat_multiply(above, local[:, joint])
    return local


def _directions(pairs: _Pairs, joint: int, spos: np.ndarray) -> Float[np.ndarray, "frames 3"]:
    """Where the source's bone points that a target joint's bone should follow."""
    ahead = spos[:, pairs.driver[pairs.next_joint[joint]]] - spos[:, pairs.driver[joint]]
    return ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-12)


def _bone(bones: Skeleton, joint: int, ahead: int) -> Float[np.ndarray, "3"]:
    """Direction from a joint to one below it, at rest, in the joint's frame."""
    pos, quat = rest_pose(bones)
    bone = quat_rotate(quat_conjugate(quat[joint]), pos[ahead] - pos[joint])
    return bone / np.linalg.norm(bone)


def _hinge(
    pairs: _Pairs, physique: Physique, joint: int, above: np.ndarray, wanted: np.ndarray, spos: np.ndarray
) -> Float[np.ndarray, "frames 4"]:
    """The turn about a hinge's axis that brings its bone nearest to the source's; else the share of the rotation."""
    bones, name = physique.skeleton, physique.skeleton.names[joint]
    axis, rest = physique.hinge_axes[name], bones.rest_quat[joint]
    based = quat_multiply(above, np.broadcast_to(rest, above.shape))
    free = quat_multiply(quat_conjugate(based), wanted)
    angle = 2 * np.arctan2(free[:, 1:] @ axis, free[:, 0])
    if joint in pairs.next_joint:
        bone = _bone(bones, joint, pairs.next_joint[joint])
        goal = quat_rotate(quat_conjugate(based), _directions(pairs, joint, spos))
        flat = bone - (bone @ axis) * axis
        if np.linalg.norm(flat) > 0.2:
            across = np.cross(axis, flat)
            angle = np.arctan2(goal @ across, goal @ flat)
    low, high = physique.ranges_rad.get(name, (-np.pi, np.pi))
    middle = (low + high) / 2 if np.isfinite(low + high) else 0.0
    angle = np.unwrap(angle)
    angle = angle - 2 * np.pi * np.rint((np.median(angle) - middle) / (2 * np.pi))
    return hinge_quats(angle, rest, axis)


def _twist(
    pairs: _Pairs, physique: Physique, joint: int, wanted: np.ndarray, spos: np.ndarray
) -> Float[np.ndarray, "frames 4"]:
    """Turns of a joint about its own bone, in the world, that bring a hinge's plane onto the source's bend.

    Where the limb is nearly straight its plane is not known, and the turn fades out. The part of it that is the same
    over the whole clip (the two skeletons disagree about what "no twist" is) is found first, so that the rest is small
    and its sign is not in doubt.
    """
    none = np.tile([1.0, 0, 0, 0], (len(wanted), 1))
    hinge = pairs.next_joint.get(joint, -1)
    name = physique.skeleton.names[hinge] if hinge >= 0 else ""
    if name not in physique.hinge_axes or hinge not in pairs.next_joint:
        return none
    bones, axis = physique.skeleton, physique.hinge_axes[name]
    if int(bones.parents[hinge]) != joint:
        return none
    upper, lower = _directions(pairs, joint, spos), _directions(pairs, hinge, spos)
    at_hinge = quat_multiply(wanted, np.broadcast_to(bones.rest_quat[hinge], wanted.shape))
    low, high = physique.ranges_rad.get(name, (-np.pi, np.pi))
    middle = (low + high) / 2 if np.isfinite(low + high) else 0.0
    bends = 1.0 if middle >= _straight(pairs, joint, hinge, axis) - 1e-6 else -1.0
    normal = np.cross(upper, lower)
    sine = np.linalg.norm(normal, axis=1)
    have = quat_rotate(at_hinge, np.broadcast_to(axis * bends, upper.shape))
    across = np.cross(upper, have)
    full = np.arctan2((normal * across).sum(axis=1), (normal * have).sum(axis=1))
    weight = np.clip((sine - 0.05) / 0.25, 0, 1)
    weight = weight * weight * (3 - 2 * weight)
    if weight.sum() < 1e-9:
        return none
    constant = np.angle((weight * np.exp(1j * full)).sum())
    rest = np.angle(np.exp(1j * (full - constant)))
    # A joint that bends a little the wrong way has its normal turned over: half a turn that is none.
    rest = np.where(np.abs(rest) > np.pi / 2, rest - np.sign(rest) * np.pi, rest)
    return quat_from_rotvec(upper * (constant + weight * rest)[:, None])


def _straight(pairs: _Pairs, joint: int, hinge: int, axis: np.ndarray) -> float:
    """The angle of a hinge at which its bone goes on where its parent's points: not 0 in limbs that rest bent."""
    upper = quat_rotate(quat_conjugate(pairs.target.rest_quat[hinge]), _bone(pairs.target, joint, hinge))
    lower = _bone(pairs.target, hinge, pairs.next_joint[hinge])
    upper, lower = (bone - (bone @ axis) * axis for bone in (upper, lower))
    return float(np.arctan2(np.cross(lower, upper) @ axis, lower @ upper))


def _placed(clip: Clip, moved: Clip, pairs: _Pairs, scale: float) -> Clip:
    """The root where the middle between the hips is the source's, scaled."""
    (spos, _), (tpos, _) = clip_pose(clip), clip_pose(moved)
    known = parts(pairs.target)
    hips = [j for j in pairs.driver if known.get(pairs.target.names[j]) and known[pairs.target.names[j]].kind == "hip"]
    root = int(pairs.target.order[0])
    hips = hips if len(hips) > 1 else [root] if root in pairs.driver else list(pairs.driver)[:1]
    source = spos[:, [pairs.driver[j] for j in hips]].mean(axis=1)
    target = tpos[:, hips].mean(axis=1)
    return Clip(moved.skeleton, moved.times_s, scale * source - target, moved.joint_quat, moved.loop)


def _shifted(clip: Clip, height: float) -> Clip:
    pos = clip.root_pos_w + np.array([0, 0, height])
    return Clip(clip.skeleton, clip.times_s, pos, clip.joint_quat, clip.loop)


def limb_errors(
    source: Clip, target: Clip, next_joint: Mapping[int, int], driver: Mapping[int, int]
) -> dict[str, float]:
    """Mean angle between each limb's direction on the target and on the source [deg]."""
    (spos, _), (tpos, _) = clip_pose(source), clip_pose(target)
    known = parts(target.skeleton)
    out = dict[str, float]()
    for joint, ahead in next_joint.items():
        name = target.skeleton.names[joint]
        if name in known and known[name].kind in _LIMBS:
            a, b = tpos[:, ahead] - tpos[:, joint], spos[:, driver[ahead]] - spos[:, driver[joint]]
            sine, cosine = np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1)
            out[name] = float(np.degrees(np.arctan2(sine, cosine)).mean())
    return out
