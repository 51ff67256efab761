"""What is imitated: a fixed pose or a clip, asked for at one time per character."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip
from bunraku.core.errors import unknown_name
from bunraku.core.rotations import matrix_from_quat, quat_conjugate, quat_multiply, quat_slerp, rotvec_from_quat
from bunraku.imitation.anatomy import Anatomy, body_poses_w, centre_of_mass_w, points_w
from bunraku.imitation.character import Built
from bunraku.imitation.hinge_chains import distributed, simple


@dataclass(frozen=True, eq=False)
class Pose:
    """Coordinates and velocities for every character, or one row for all of them."""

    body: Anatomy
    qpos: Float[np.ndarray, "rows nq"]
    qvel: Float[np.ndarray, "rows nv"]

    @cached_property
    def landmarks(self) -> tuple[Float[np.ndarray, "rows effectors 3"], Float[np.ndarray, "rows 3"]]:
        """World positions of the end effectors and of the centre of mass [m]."""
        pos, quat = body_poses_w(self.body, self.qpos)
        turn = matrix_from_quat(quat)
        effectors = points_w(pos, turn, self.body.effector_bodies, self.body.effector_pos)
        return effectors, centre_of_mass_w(self.body, pos, turn)


class Reference(Protocol):
    """A motion to imitate."""

    @property
    def duration_s(self) -> float:
        """Length of the motion; 0 for a pose."""
        ...

    @property
    def loops(self) -> bool:
        """It begins again at its end; otherwise its last pose holds."""
        ...

    def at(self, times_s: Float[np.ndarray, "count"]) -> Pose:
        """The pose at each time ≥ 0."""
        ...


@dataclass(frozen=True, eq=False)
class FixedPose:
    """The same pose at all times: the character's own reference."""

    pose: Pose
    duration_s: float = 0.0
    loops: bool = False

    def at(self, times_s: Float[np.ndarray, "count"]) -> Pose:
        """The pose, one row for all."""
        return self.pose


def fixed_pose(built: Built) -> FixedPose:
    """The pose that the character's file names "reference", or its zero pose."""
    return FixedPose(Pose(built.anatomy, built.reference_qpos[None], np.zeros((1, built.model.nv))))


@dataclass(frozen=True, eq=False)
class ClipReference:
    """A clip in a character's coordinates, between two frames interpolated, its velocity constant there."""

    body: Anatomy
    times_s: Float[np.ndarray, "frames"]
    qpos: Float[np.ndarray, "frames nq"]
    qvel: Float[np.ndarray, "segments nv"]
    """By segment, from its frame to the next; there is none from the last frame to the first."""
    loops: bool

    @property
    def duration_s(self) -> float:
        """Time of the last frame, at which a loop is at its first again."""
        return float(self.times_s[-1])

    def at(self, times_s: Float[np.ndarray, "count"]) -> Pose:
        """Hinges and positions linear, rotations along the shortest arc; at rest after the end, without a loop."""
        duration = self.duration_s
        time = np.mod(times_s, duration) if self.loops and duration > 0 else np.minimum(times_s, duration)
        if len(self.times_s) == 1:
            rows = np.zeros(len(time), np.int64)
            return Pose(self.body, self.qpos[rows], np.zeros((len(time), self.qvel.shape[1])))
        left = np.clip(np.searchsorted(self.times_s, time, side="right") - 1, 0, len(self.times_s) - 2)
        u = (time - self.times_s[left]) / (self.times_s[left + 1] - self.times_s[left])
        before, after = self.qpos[left], self.qpos[left + 1]
        qpos = before + u[:, None] * (after - before)
        for place in self.body.quat_q:
            qpos[:, place] = quat_slerp(before[:, place], after[:, place], u)
        moving = self.loops | (times_s < duration)
        return Pose(self.body, qpos, self.qvel[left] * moving[:, None])


def clip_reference(built: Built, clip: Clip, name: str = "clip") -> ClipReference:
    """A clip for a character: a clip's joint drives the body of its name, or else the joint of its name.

    The clip must be in the character's axes (z up). A hinge takes the share of the rotation about its axis; a
    free joint also the root's position; what the clip does not name keeps its reference pose. Joints of several hinges
    share rotations out as `hinge_chains` says.

    Raises:
        BunrakuError: the clip names no body and no joint of the character.
    """
    body = built.anatomy
    places = {joint: i for i, joint in enumerate(clip.skeleton.names)}
    if built.character.free and not simple(body):
        qpos = _distributed(built, clip, places, name)
        velocities = _segment_velocities(built, clip.times_s, qpos)
        return ClipReference(body, clip.times_s, qpos, velocities, clip.loop == "wrap")
    carried = {joint.name: each.name for each in body.bodies for joint in each.joints}
    qpos = np.tile(built.reference_qpos, (clip.frames, 1))
    found = False
    for i, joint in enumerate(body.turning):
        source = places.get(carried[joint.name], places.get(joint.name))
        if source is None:
            continue
        found = True
        quat = clip.joint_quat[:, source]
        if i < len(body.hinge_q):
            about = 2 * np.arctan2(quat[:, 1:] @ joint.axis, quat[:, 0])
            qpos[:, joint.q] = np.unwrap(joint.zero + about)
            continue
        qpos[:, body.quat_q[i - len(body.hinge_q)]] = quat
        if body.quat_q[i - len(body.hinge_q)][0] == joint.q + 3:
            qpos[:, joint.q : joint.q + 3] = clip.root_pos_w
    if not found:
        raise unknown_name(
            "joint", clip.skeleton.names[0], carried.values(), f"{name} names none of the bodies, which are"
        )
    return ClipReference(body, clip.times_s, qpos, _segment_velocities(built, clip.times_s, qpos), clip.loop == "wrap")


def _distributed(built: Built, clip: Clip, places: Mapping[str, int], name: str) -> Float[np.ndarray, "frames nq"]:
    """Coordinates of a character with a free root whose joints are made of several hinges, or turned at rest."""
    body, frames = built.anatomy, clip.frames
    qpos = np.tile(built.reference_qpos, (frames, 1))
    local, moving = _at_reference(built, frames), np.zeros(len(body.bodies), bool)
    named = [b for b, each in enumerate(body.bodies) if b > 0 and each.name in places]
    if not named:
        owner = f"{name} names none of the bodies, which are"
        raise unknown_name("joint", clip.skeleton.names[0], (each.name for each in body.bodies[1:]), owner)
    for b in named:
        turn = clip.joint_quat[:, places[body.bodies[b].name]]
        moving[b] = bool((np.abs((turn * body.bodies[b].quat).sum(axis=1)) < 1 - 1e-9).any())
        local[:, b] = turn
    if 1 in named:
        place = body.bodies[1].joints[0].q
        qpos[:, place : place + 3], qpos[:, place + 3 : place + 7] = clip.root_pos_w, local[:, 1]
    return distributed(body, local, moving, qpos)


def _at_reference(built: Built, frames: int) -> Float[np.ndarray, "frames bodies 4"]:
    """Rotations relative to the parent in the reference pose; the root's in the world."""
    body = built.anatomy
    _, quat_w = body_poses_w(body, built.reference_qpos[None])
    parents = np.array([each.parent for each in body.bodies])
    local = quat_multiply(quat_conjugate(quat_w[0, parents]), quat_w[0])
    return np.tile(local, (frames, 1, 1))


def _segment_velocities(built: Built, times_s: np.ndarray, qpos: np.ndarray) -> np.ndarray:
    """Differences in MuJoCo's convention: a quaternion's velocity is angular, in the frame of the turning body."""
    body = built.anatomy
    span = np.diff(times_s)[:, None]
    qvel = np.zeros((max(1, len(times_s) - 1), built.model.nv))
    if len(times_s) == 1:
        return qvel
    for q, v in ((body.hinge_q, body.hinge_v), (body.linear_q, body.linear_v)):
        qvel[:, v] = np.diff(qpos[:, q], axis=0) / span
    for q, v in zip(body.quat_q, body.quat_v, strict=True):
        turn = quat_multiply(quat_conjugate(qpos[:-1, q]), qpos[1:, q])
        qvel[:, v] = rotvec_from_quat(turn) / span
    return qvel
