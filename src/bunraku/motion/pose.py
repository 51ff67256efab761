"""Where the joints and balls of a moving skeleton are. World z up, metres, quaternions wxyz.

Stretches of a skeleton's rest transforms are not looked at: clips of characters have none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.core.physique import Physique
from bunraku.core.rotations import geodesic_angle, quat_conjugate, quat_multiply, quat_rotate, quat_slerp
from bunraku.core.skeleton import Skeleton


def world_pose(
    skeleton: Skeleton, root_pos_w: Float[np.ndarray, "frames 3"], joint_quat: Float[np.ndarray, "frames joints 4"]
) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints 4"]]:
    """World positions and rotations of all joints: forward kinematics with the rest translations as bones."""
    pos, quat = np.zeros((*joint_quat.shape[:2], 3)), np.array(joint_quat, np.float64)
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        if parent < 0:
            pos[:, joint] = root_pos_w if joint == skeleton.order[0] else skeleton.rest_translation[joint]
            continue
        pos[:, joint] = pos[:, parent] + quat_rotate(quat[:, parent], skeleton.rest_translation[joint])
        quat[:, joint] = quat_multiply(quat[:, parent], joint_quat[:, joint])
    return pos, quat


def clip_pose(clip: Clip) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints 4"]]:
    """World positions and rotations of all joints of a clip."""
    return world_pose(clip.skeleton, clip.root_pos_w, clip.joint_quat)


def rest_pose(skeleton: Skeleton) -> tuple[Float[np.ndarray, "joints 3"], Float[np.ndarray, "joints 4"]]:
    """World positions and rotations of all joints at rest."""
    root = skeleton.rest_translation[skeleton.order[0]]
    pos, quat = world_pose(skeleton, root[None], skeleton.rest_quat[None])
    return pos[0], quat[0]


def missing_joints(clip: Clip, physique: Physique) -> tuple[str, ...]:
    """Joints that the character can turn, or its root, of which the clip has none of that name."""
    return tuple(n for n in physique.skeleton.names if n not in physique.fixed and n not in clip.skeleton.names)


def fits(clip: Clip, physique: Physique) -> bool:
    """The clip is on the character's joints: same names, parents and frames at rest, bones alike.

    Bones may differ by a tenth of their length, and what the character cannot turn may be missing.
    """
    if missing_joints(clip, physique):
        return False
    mine, theirs = physique.skeleton, clip.skeleton
    for joint, name in enumerate(mine.names):
        if name not in theirs.names or mine.parents[joint] < 0:
            continue
        other = theirs.names.index(name)
        above = theirs.names[theirs.parents[other]] if theirs.parents[other] >= 0 else ""
        bone, length = mine.rest_translation[joint], float(np.linalg.norm(mine.rest_translation[joint]))
        apart = float(np.linalg.norm(bone - theirs.rest_translation[other]))
        turned_by = float(geodesic_angle(mine.rest_quat[joint], theirs.rest_quat[other]))
        if above != mine.names[mine.parents[joint]] or turned_by > 1e-3 or apart > 0.1 * length + 0.01:
            return False
    return True


def fitted(clip: Clip, physique: Physique) -> Clip:
    """The clip on a character's own skeleton, joints taken by name; those that it has not stay at rest.

    Raises:
        BunrakuError: the clip is on other joints (`fits`).
    """
    missing = missing_joints(clip, physique)
    if missing:
        raise BunrakuError(f"the clip has no joint {missing[0]!r}; it has: {', '.join(clip.skeleton.names)}")
    if not fits(clip, physique):
        raise BunrakuError("the clip's joints have the character's names, but rest otherwise; carry it over first")
    if clip.skeleton is physique.skeleton:
        return clip
    bones = physique.skeleton
    quat = np.tile(bones.rest_quat, (clip.frames, 1, 1))
    for joint, name in enumerate(bones.names):
        if name in clip.skeleton.names:
            quat[:, joint] = clip.joint_quat[:, clip.skeleton.names.index(name)]
    return replace(clip, skeleton=bones, joint_quat=quat)


def ball_centres(clip: Clip, physique: Physique) -> Float[np.ndarray, "frames balls 3"]:
    """World centres of a character's balls under a clip that is on its skeleton (`fitted`)."""
    pos, quat = clip_pose(clip)
    carrier = physique.ball_joints
    return pos[:, carrier] + quat_rotate(
        quat[:, carrier], np.broadcast_to(physique.ball_pos, (clip.frames, *physique.ball_pos.shape))
    )


def ball_heights(clip: Clip, physique: Physique) -> Float[np.ndarray, "frames balls"]:
    """Height of the lowest point of each ball above the ground [m]."""
    return ball_centres(clip, physique)[..., 2] - physique.ball_radius


def hinge_angles(
    quat: Float[np.ndarray, "frames 4"], rest_quat: Float[np.ndarray, "4"], axis: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "frames"]:
    """The share of a rotation about an axis in the joint's frame, by swing and twist [rad], unwrapped over frames."""
    turned = relative_to_rest(quat, rest_quat)
    return np.unwrap(2 * np.arctan2(turned[:, 1:] @ axis, turned[:, 0]), period=2 * np.pi)


def hinge_quats(
    angles: Float[np.ndarray, "frames"], rest_quat: Float[np.ndarray, "4"], axis: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "frames 4"]:
    """The whole local rotation of a hinge: rest first, then the angle about the axis."""
    turn = np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * axis], axis=1)
    return quat_multiply(np.broadcast_to(rest_quat, turn.shape), turn)


def relative_to_rest(
    quat: Float[np.ndarray, "*batch 4"], rest_quat: Float[np.ndarray, "#*batch 4"]
) -> Float[np.ndarray, "*batch 4"]:
    """What turns rest into a rotation, in the joint's own frame."""
    return quat_multiply(np.broadcast_to(quat_conjugate(rest_quat), quat.shape), quat)


def speeds(clip: Clip) -> Float[np.ndarray, "segments joints"]:
    """Angular speed of each joint relative to its parent from frame to frame [rad/s]."""
    return geodesic_angle(clip.joint_quat[:-1], clip.joint_quat[1:]) / np.diff(clip.times_s)[:, None]


def at_times(clip: Clip, times_s: Float[np.ndarray, "times"]) -> Clip:
    """The clip at other times inside it: positions linear, rotations along the shortest arc between frames."""
    if clip.frames == 1:
        left, u = np.zeros(len(times_s), np.int64), np.zeros(len(times_s))
        return replace(clip, times_s=times_s, root_pos_w=clip.root_pos_w[left], joint_quat=clip.joint_quat[left])
    left: Int[np.ndarray, "times"] = np.clip(
        np.searchsorted(clip.times_s, times_s, side="right") - 1, 0, clip.frames - 2
    )
    u = (times_s - clip.times_s[left]) / (clip.times_s[left + 1] - clip.times_s[left])
    root = clip.root_pos_w[left] + u[:, None] * (clip.root_pos_w[left + 1] - clip.root_pos_w[left])
    share = np.broadcast_to(u[:, None], (len(times_s), len(clip.skeleton)))
    quat = quat_slerp(clip.joint_quat[left], clip.joint_quat[left + 1], share)
    return replace(clip, times_s=np.asarray(times_s, np.float64), root_pos_w=root, joint_quat=quat)


def turned(clip: Clip, quat: Float[np.ndarray, "4"]) -> Clip:
    """The whole scene turned about the world's origin; joints keep their local rotations, bones their lengths."""
    bones, root = clip.skeleton, clip.skeleton.order[0]
    tops = bones.parents < 0
    rest_quat, translation = bones.rest_quat.copy(), bones.rest_translation.copy()
    rest_quat[tops] = quat_multiply(np.broadcast_to(quat, rest_quat[tops].shape), rest_quat[tops])
    translation[tops] = quat_rotate(np.broadcast_to(quat, rest_quat[tops].shape), translation[tops])
    joint_quat = clip.joint_quat.copy()
    joint_quat[:, root] = quat_multiply(np.broadcast_to(quat, joint_quat[:, root].shape), joint_quat[:, root])
    pos = quat_rotate(np.broadcast_to(quat, (clip.frames, 4)), clip.root_pos_w)
    standing = replace(bones, rest_quat=rest_quat, rest_translation=translation)
    return replace(clip, skeleton=standing, root_pos_w=pos, joint_quat=joint_quat)


def scaled(clip: Clip, factor: float) -> Clip:
    """The clip with all lengths multiplied."""
    bones = replace(clip.skeleton, rest_translation=clip.skeleton.rest_translation * factor)
    return replace(clip, skeleton=bones, root_pos_w=clip.root_pos_w * factor)
