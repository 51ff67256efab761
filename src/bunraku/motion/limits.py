"""Can the character take a clip's poses? Ranges of its joints, axes of its hinges, joints that are missing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip
from bunraku.core.physique import Physique
from bunraku.core.rotations import geodesic_angle
from bunraku.motion.names import guess_map
from bunraku.motion.pose import fits, hinge_angles, hinge_quats, missing_joints
from bunraku.motion.problem import CheckConfig, Problem, problem, span


def joint_angles(clip: Clip, physique: Physique, name: str) -> Float[np.ndarray, "frames"]:
    """Angle of a hinge, on the branch nearest its range's middle, or how far a ball joint is from rest [rad]."""
    joint = physique.skeleton.names.index(name)
    quat, rest = clip.joint_quat[:, joint], physique.skeleton.rest_quat[joint]
    if name not in physique.hinge_axes:
        return geodesic_angle(np.broadcast_to(rest, quat.shape), quat)
    angles = hinge_angles(quat, rest, physique.hinge_axes[name])
    low, high = physique.ranges_rad.get(name, (-np.pi, np.pi))
    middle = (low + high) / 2 if np.isfinite(low + high) else 0.0
    return angles - 2 * np.pi * np.rint((np.median(angles) - middle) / (2 * np.pi))


def ranges(clip: Clip, physique: Physique, cfg: CheckConfig) -> list[Problem]:
    """Joints beyond their ranges, each with the frames."""
    out = list[Problem]()
    for name, (low, high) in physique.ranges_rad.items():
        angles = joint_angles(clip, physique, name)
        beyond = np.maximum(low - angles, angles - high)
        over = beyond > cfg.limit_rad
        if not over.any():
            continue
        worst = int(beyond.argmax())
        says = f"{name} goes to {angles[worst]:.2f} rad; its range is {low:.2f} to {high:.2f}"
        says += f" ({over.mean():.0%} of the frames)"
        mends = "holds it at its limit" if name in physique.hinge_axes else ""
        where = f"{name}, {span(np.flatnonzero(over))}"
        out.append(problem("limit", where, beyond[worst], "rad", says, mends, cfg.limit_rad * 5))
    return out


def hinges(clip: Clip, physique: Physique, cfg: CheckConfig) -> list[Problem]:
    """Hinges that turn about other axes than their own."""
    out = list[Problem]()
    for name, axis in physique.hinge_axes.items():
        joint = physique.skeleton.names.index(name)
        quat, rest = clip.joint_quat[:, joint], physique.skeleton.rest_quat[joint]
        off = geodesic_angle(hinge_quats(hinge_angles(quat, rest, axis), rest, axis), quat)
        over = off > cfg.off_axis_rad
        if over.any():
            says = f"{name} turns {off.max():.2f} rad about other axes than its own ({over.mean():.0%} of the frames)"
            mends = "keeps the turn about its axis only"
            where = f"{name}, {span(np.flatnonzero(over))}"
            out.append(problem("hinge_axis", where, off.max(), "rad", says, mends, cfg.off_axis_rad))
    return out


def joints_missing(clip: Clip, physique: Physique, cfg: CheckConfig) -> list[Problem]:
    """Joints of the character that the clip does not have, by name or by meaning."""
    missing = missing_joints(clip, physique)
    if not missing and fits(clip, physique):
        return []
    if not missing:
        says = "joints have the character's names, but other parents, bones or frames at rest"
        mends = "carries it over to the character, joint by joint"
        return [problem("other_skeleton", "rest pose", 1, "", says, mends)]
    guessed = guess_map(clip.skeleton, physique)
    lost = [name for name in missing if name not in guessed]
    found = [name for name in missing if name in guessed]
    out = list[Problem]()
    if lost:
        says = f"no joint of the clip is, by its name, the character's {', '.join(lost)}"
        out.append(problem("missing_joint", ", ".join(lost), len(lost), "joints", says))
    if found:
        pairs = ", ".join(f"{name} ← {guessed[name]}" for name in found[:4]) + (" …" if len(found) > 4 else "")
        says = f"{len(found)} joints have other names than the character's ({pairs})"
        mends = "carries it over to the character, by this map unless --map gives another"
        out.append(problem("other_skeleton", "names", len(found), "joints", says, mends))
    return out
