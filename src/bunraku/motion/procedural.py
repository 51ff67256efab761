"""Clips made in code for any character with legs: standing, squatting, shifting weight, marching, raising the arms.

Feet are held by two-bone inverse kinematics, the body is balanced over them by the mass shares of human segments
(rounded from Winter, Biomechanics and Motor Control of Human Movement, table 4.1). All of them loop without a seam.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip, clip
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.physique import Physique
from bunraku.core.rotations import (
    continuous_quats,
    quat_conjugate,
    quat_from_matrix,
    quat_from_rotvec,
    quat_multiply,
    quat_rotate,
)
from bunraku.motion.axes import body_axes
from bunraku.motion.limits import joint_angles
from bunraku.motion.names import legs, parts, sided_joint
from bunraku.motion.plan import FPS, PLANS, Plan
from bunraku.motion.pose import hinge_quats, rest_pose, world_pose

_SIDES = ("left", "right")
# Mass share, and the parts between whose joints a segment's centre is taken to be in the middle.
_SEGMENTS = (
    (0.14, "pelvis", "pelvis"),
    (0.36, "spine", "neck"),
    (0.08, "neck", "head"),
    (0.10, "hip", "knee"),
    (0.046, "knee", "ankle"),
    (0.014, "ankle", "ankle"),
    (0.028, "shoulder", "elbow"),
    (0.022, "elbow", "wrist"),
)


def make(name: str, physique: Physique) -> Clip:
    """One of the clips that ship as code (`PLANS`), on a character.

    Raises:
        BunrakuError: no such clip, or the character's joints have no names by which two legs can be found.
    """
    if name not in PLANS:
        raise unknown_name("clip", name, PLANS, "made in code are")
    if len(legs(physique.skeleton)) != 2:
        known = ", ".join(physique.skeleton.names)
        raise BunrakuError(f"clip {name!r}: the character's joints do not tell by name which are its legs: {known}")
    return _Maker(physique).clip(PLANS[name](), name)


class _Maker:
    """Poses of one character."""

    def __init__(self, physique: Physique) -> None:
        self.physique = physique
        self.bones = physique.skeleton
        self.pos, self.quat = rest_pose(self.bones)
        self.axes = body_axes(self.bones)
        self.root = int(self.bones.order[0])

    def clip(self, plan: Plan, name: str) -> Clip:
        """The clip of a plan."""
        frames = len(plan.lower)
        soles = {side: self._ankle_height(side) for side in _SIDES}
        feet = {side: self._foot(side, soles[side], plan) for side in _SIDES}
        leg = self._leg_length()
        hips = self._joint("hip", "left"), self._joint("hip", "right")
        hip_height = leg * (1 - plan.lower) + np.mean(list(soles.values()))
        trunk = quat_multiply(
            quat_from_rotvec(np.stack([0 * plan.lean, plan.lean, 0 * plan.lean], axis=1)),
            np.tile(quat_from_matrix(self.axes.T), (frames, 1)),
        )
        # The middle between the hips is placed; the root is where that puts it.
        middle = quat_rotate(trunk, np.tile(self.pos[list(hips)].mean(axis=0) - self.pos[self.root], (frames, 1)))
        width = feet["left"][:, 1] - feet["right"][:, 1]
        support = np.stack([np.full(frames, self._support()), plan.shift * width / 2, hip_height], axis=1)
        place, local = support.copy(), np.zeros((frames, len(self.bones), 4))
        for _ in range(8):
            local = self._pose(place - middle, trunk, feet, plan)
            world, _ = world_pose(self.bones, place - middle, local)
            place[:, :2] += support[:, :2] - self._centre(world)[:, :2]
        local = continuous_quats(self._pose(place - middle, trunk, feet, plan))
        times = np.arange(frames) / FPS
        return clip(self.bones, times, place - middle, local, "wrap", name)

    def _joint(self, kind: str, side: str) -> int:
        name = sided_joint(self.bones, kind, side)
        assert name is not None, f"no {side} {kind}"
        return self.bones.names.index(name)

    def _leg_length(self) -> float:
        hip, knee, ankle = (self._joint(kind, "left") for kind in ("hip", "knee", "ankle"))
        return float(np.linalg.norm(self.pos[knee] - self.pos[hip]) + np.linalg.norm(self.pos[ankle] - self.pos[knee]))

    def _foot_points(self, side: str) -> Float[np.ndarray, "balls 3"]:
        """A foot's balls' lowest points relative to its ankle, in body axes at rest."""
        ankle = self._joint("ankle", side)
        mine = self.physique.ball_joints == ankle
        if not mine.any():
            return np.zeros((1, 3))
        turned = quat_rotate(np.broadcast_to(self.quat[ankle], (int(mine.sum()), 4)), self.physique.ball_pos[mine])
        points = turned @ self.axes
        points[:, 2] -= self.physique.ball_radius[mine]
        return points

    def _ankle_height(self, side: str) -> float:
        return float(-self._foot_points(side)[:, 2].min())

    def _support(self) -> float:
        """How far in front of the ankles the middle of the soles is [m]."""
        points = np.concatenate([self._foot_points(side) for side in _SIDES])
        sole = points[points[:, 2] < points[:, 2].min() + 0.01]
        return float((sole[:, 0].min() + sole[:, 0].max()) / 2)

    def _foot(self, side: str, sole: float, plan: Plan) -> Float[np.ndarray, "frames 3"]:
        """Where an ankle is: below its hip as at rest, the ankles' middle at the origin."""
        hip, other = self._joint("hip", side), self._joint("hip", "right" if side == "left" else "left")
        apart = (self.pos[hip] - self.pos[other]) @ self.axes[:, 1] / 2
        height = sole + plan.lift[:, _SIDES.index(side)] * self._leg_length()
        return np.stack([0 * height, 0 * height + apart, height], axis=1)

    def _centre(self, world: Float[np.ndarray, "frames joints 3"]) -> Float[np.ndarray, "frames 3"]:
        """Centre of mass by the shares of human segments; segments whose joints are not known are left out."""
        total, mass = np.zeros((len(world), 3)), 0.0
        for share, a, b in _SEGMENTS:
            for side in _SIDES if a in ("hip", "knee", "ankle", "shoulder", "elbow") else ("",):
                first = self._known(a, side)
                if first is not None:
                    second = self._known(b, side)
                    total += share * (world[:, first] + world[:, first if second is None else second]) / 2
                    mass += share
        return total / mass

    def _known(self, kind: str, side: str) -> int | None:
        if kind == "pelvis":
            return self.root
        if kind in ("neck", "head"):
            # Characters have a joint for the neck, or for the head, or both.
            names = [sided_joint(self.bones, each, "") for each in (kind, "head" if kind == "neck" else "neck")]
            return next((self.bones.names.index(name) for name in names if name), None)
        known = parts(self.bones)
        fitting = [
            j for j in self.bones.order if (p := known.get(self.bones.names[j])) and (p.kind, p.side) == (kind, side)
        ]
        return int(fitting[-1]) if fitting else None

    def _pose(
        self, root: np.ndarray, trunk: np.ndarray, feet: Mapping[str, np.ndarray], plan: Plan
    ) -> Float[np.ndarray, "frames joints 4"]:
        """Parent-relative rotations of all joints; `trunk` is what the body has turned since rest."""
        frames = len(root)
        rest = np.tile(self.bones.rest_quat, (frames, 1, 1))
        rest[:, self.root] = quat_multiply(trunk, np.tile(self.quat[self.root], (frames, 1)))
        pos, _ = world_pose(self.bones, root, rest)
        wanted = dict[int, np.ndarray]()
        for side in _SIDES:
            self._leg(side, pos[:, self._joint("hip", side)], feet[side], wanted)
            self._arm(side, plan, wanted)
        return self._to_local(rest, wanted)

    def _leg(self, side: str, hip: np.ndarray, ankle: np.ndarray, wanted: dict[int, np.ndarray]) -> None:
        """Two bones from the hip to the ankle, the knee in front; the foot flat (law of cosines)."""
        joints = [self._joint(kind, side) for kind in ("hip", "knee", "ankle")]
        a, b = (float(np.linalg.norm(self.pos[joints[k + 1]] - self.pos[joints[k]])) for k in (0, 1))
        way = ankle - hip
        length = np.linalg.norm(way, axis=1)
        reach = np.clip(length, abs(a - b) + 1e-6, (a + b) * (1 - 1e-6))
        way /= length[:, None]
        front = np.array([1.0, 0, 0]) - way[:, :1] * way
        front /= np.linalg.norm(front, axis=1, keepdims=True)
        along = (a * a + reach**2 - b * b) / (2 * reach)
        knee = along[:, None] * way + np.sqrt(np.maximum(a * a - along**2, 0))[:, None] * front
        self._limb(joints[0], joints[1], joints[2], knee, reach[:, None] * way - knee, -front, wanted)
        flat = quat_multiply(quat_from_matrix(self.axes.T), self.quat[joints[2]])
        wanted[joints[2]] = np.tile(flat, (len(hip), 1))

    def _arm(self, side: str, plan: Plan, wanted: dict[int, np.ndarray]) -> None:
        joints = [self._known(kind, side) for kind in ("shoulder", "elbow", "wrist")]
        if None in joints:
            return
        out = 1.0 if side == "left" else -1.0
        none, hanging = 0 * plan.aside, np.cos(plan.forward)
        upper = np.stack(
            [np.sin(plan.forward), out * np.sin(plan.aside) * hanging, -np.cos(plan.aside) * hanging], axis=1
        )
        bend = np.stack([np.cos(plan.forward), none, np.sin(plan.forward)], axis=1)
        bend -= (bend * upper).sum(axis=1, keepdims=True) * upper
        bend /= np.linalg.norm(bend, axis=1, keepdims=True)
        lower = np.cos(0.25) * upper + np.sin(0.25) * bend
        shoulder, elbow, wrist = (int(joint) for joint in joints if joint is not None)
        self._limb(shoulder, elbow, wrist, upper, lower, bend, wanted)

    def _limb(
        self,
        top: int,
        middle: int,
        end: int,
        upper: np.ndarray,
        lower: np.ndarray,
        bends: np.ndarray,
        wanted: dict[int, np.ndarray],
    ) -> None:
        """World rotations that lay two bones along two directions; the second bends from the first towards `bends`."""
        a, b = self.pos[middle] - self.pos[top], self.pos[end] - self.pos[middle]
        name = self.bones.names[middle]
        if name in self.physique.hinge_axes:
            low, high = self.physique.ranges_rad.get(name, (0.0, np.pi))
            sign = 1.0 if not np.isfinite(low + high) or low + high >= 0 else -1.0
            normal = sign * quat_rotate(self.quat[middle], self.physique.hinge_axes[name])
        else:
            known = parts(self.bones)[name].kind
            normal = np.cross(a, self.axes[:, 0] * (-1.0 if known == "knee" else 1.0))
        across = np.cross(upper, bends)
        for joint, bone, direction in ((top, a, upper), (middle, b, lower)):
            turn = _frames(direction, across) @ _frames(bone[None], normal[None])[0].T
            wanted[joint] = quat_multiply(quat_from_matrix(turn), np.tile(self.quat[joint], (len(turn), 1)))

    def _to_local(self, local: np.ndarray, wanted: Mapping[int, np.ndarray]) -> Float[np.ndarray, "frames joints 4"]:
        """Wanted world rotations as parent-relative ones; a hinge takes the share about its axis."""
        local, world = local.copy(), np.zeros_like(local)
        for joint in (int(j) for j in self.bones.order):
            parent, name = int(self.bones.parents[joint]), self.bones.names[joint]
            above = world[:, parent] if parent >= 0 else np.tile([1.0, 0, 0, 0], (len(local), 1))
            if joint in wanted and name not in self.physique.fixed:
                local[:, joint] = quat_multiply(quat_conjugate(above), wanted[joint])
                if name in self.physique.hinge_axes:
                    turned = Clip(self.bones, np.arange(len(local)) / FPS, np.zeros((len(local), 3)), local, "none")
                    low, high = self.physique.ranges_rad.get(name, (-np.inf, np.inf))
                    angles = np.clip(joint_angles(turned, self.physique, name), low, high)
                    local[:, joint] = hinge_quats(angles, self.bones.rest_quat[joint], self.physique.hinge_axes[name])
            world[:, joint] = quat_multiply(above, local[:, joint])
        return local


def _frames(
    along: Float[np.ndarray, "frames 3"], across: Float[np.ndarray, "frames 3"]
) -> Float[np.ndarray, "frames 3 3"]:
    """Orthonormal columns: along a bone, the normal of its bend, and what completes them."""
    first = along / np.linalg.norm(along, axis=1, keepdims=True)
    second = across - (across * first).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=2)
