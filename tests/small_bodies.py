"""A humanoid by hand, as the published one is, and clips on it of which everything is known."""

import numpy as np

from bunraku.core.clip import Clip, clip
from bunraku.core.physique import Physique
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.formats.deepmimic import deepmimic_skeleton
from bunraku.motion.pose import world_pose

THIGH, SHANK, SOLE = 0.421546, 0.40987, 0.05
BACK = np.array([0, -1.0, 0])
"""The axis of knees and elbows: −y."""


def body() -> Physique:
    """Heads, hands and trunk of one ball each, feet of the four corners of their soles."""
    bones = deepmimic_skeleton()
    balls = [("root", (0, 0, 0.07), 0.09), ("chest", (0, 0, 0.12), 0.11), ("neck", (0, 0, 0.175), 0.1)]
    for side in ("left", "right"):
        balls += [(f"{side}_knee", (0, 0, 0), 0.05), (f"{side}_wrist", (0, 0, 0), 0.04)]
        balls += [(f"{side}_ankle", (x, y, -SOLE), 0.0) for x in (-0.0435, 0.1335) for y in (-0.045, 0.045)]
    hinges = [f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "elbow")]
    return Physique(
        skeleton=bones,
        hinge_axes=dict.fromkeys(hinges, BACK),
        ranges_rad={name: (-3.14, 0.0) if "knee" in name else (0.0, 3.14) for name in hinges},
        fixed=frozenset({"left_wrist", "right_wrist"}),
        ball_joints=np.array([bones.names.index(name) for name, _, _ in balls]),
        ball_pos=np.array([pos for _, pos, _ in balls], np.float64),
        ball_radius=np.array([radius for _, _, radius in balls]),
        feet=("left_ankle", "right_ankle"),
    )


def still(frames: int = 31, fps: float = 30, height: float = THIGH + SHANK + SOLE, loop: str = "none") -> Clip:
    """Standing with straight legs, soles on the ground."""
    bones = deepmimic_skeleton()
    quat = np.tile(bones.rest_quat, (frames, 1, 1))
    root = np.tile([0, 0, height], (frames, 1))
    return clip(bones, np.arange(frames) / fps, root, quat, loop)


def turn(moved: Clip, joint: str, rotvecs: np.ndarray) -> Clip:
    """The clip with a joint turned by rotation vectors (frames, 3), in the joint's own frame."""
    quat = moved.joint_quat.copy()
    index = moved.skeleton.names.index(joint)
    quat[:, index] = quat_multiply(quat[:, index], quat_from_rotvec(rotvecs))
    return clip(moved.skeleton, moved.times_s, moved.root_pos_w, quat, moved.loop)


def swinging(frames: int = 61, fps: float = 30, turns: float = 1.0, loop: str = "wrap") -> Clip:
    """Standing; the left arm swings by ±0.5 rad, so many times."""
    phase = np.linspace(0, 2 * np.pi * turns, frames)
    return turn(still(frames, fps, loop=loop), "left_shoulder", 0.5 * np.sin(phase)[:, None] * BACK)


def walk(frames: int = 31, stride: float = 0.8, lift: float = 0.08) -> Clip:
    """One second of a clean walk along +x: feet stand still for half of it, hips glide; a loop without a seam."""
    bones = deepmimic_skeleton()
    time = np.linspace(0, 1, frames)
    height = SOLE + 0.96 * (THIGH + SHANK)
    root = np.stack([stride * time, 0 * time, 0 * time + height], axis=1)
    moved = Clip(bones, time, root, np.tile(bones.rest_quat, (frames, 1, 1)), "wrap")
    for side, late in (("left", 0.0), ("right", 0.5)):
        cycle, phase = np.divmod(time + late, 1.0)
        u = np.clip(phase / 0.5 - 1, 0, 1)
        foot = stride * (cycle - late + 0.25 + u - np.sin(2 * np.pi * u) / (2 * np.pi))
        ankle = SOLE + lift * (1 - np.cos(2 * np.pi * u)) / 2
        x, down = foot - moved.root_pos_w[:, 0], height - ankle
        far = np.hypot(x, down)
        hip = np.arctan2(x, down) + np.arccos((THIGH**2 + far**2 - SHANK**2) / (2 * THIGH * far))
        knee = np.arccos((THIGH**2 + SHANK**2 - far**2) / (2 * THIGH * SHANK)) - np.pi
        for joint, angle in (("hip", hip), ("knee", knee), ("ankle", -hip - knee)):
            moved = turn(moved, f"{side}_{joint}", angle[:, None] * BACK)
    return moved


def other_body(seed: int = 0, rest: dict[str, np.ndarray] | None = None) -> tuple[Skeleton, dict[str, str]]:
    """The same bones under other names, every joint's frame turned at random, and posed otherwise at rest.

    `rest` are rotation vectors that joints have turned by at rest, in the world. Returns the map {mine: theirs} too.
    """
    bones = deepmimic_skeleton()
    named = {
        "root": "pelvis",
        "chest": "torso",
        "neck": "head",
        **{
            f"{side}_{mine}": f"{side}_{theirs}"
            for side in ("left", "right")
            for mine, theirs in (
                ("hip", "thigh"), ("knee", "shin"), ("ankle", "foot"),
                ("shoulder", "upper_arm"), ("elbow", "lower_arm"), ("wrist", "hand"),
            )
        },
    }  # fmt: skip
    posed = bones.rest_quat.copy()
    for name, rotvec in (rest or {}).items():
        posed[bones.names.index(name)] = quat_from_rotvec(np.asarray(rotvec, np.float64))
    pos, world = world_pose(bones, np.zeros((1, 3)), posed[None])
    frames = quat_multiply(world[0], quat_from_rotvec(np.random.default_rng(seed).normal(size=(len(bones), 3))))
    inverse = frames * np.array([1, -1, -1, -1])
    quat, translation = frames.copy(), pos[0].copy()
    for joint, parent in enumerate(bones.parents):
        if parent >= 0:
            quat[joint] = quat_multiply(inverse[parent], frames[joint])
            translation[joint] = _turned(inverse[parent], pos[0, joint] - pos[0, parent])
    return skeleton([named[n] for n in bones.names], bones.parents, translation, quat), named


def _turned(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    from bunraku.core.rotations import quat_rotate

    return quat_rotate(quat, vector)


def body_on(bones: Skeleton, named: dict[str, str]) -> Physique:
    """`body` on such bones: its balls and hinges in their frames."""
    mine = body()
    _, here = world_pose(mine.skeleton, np.zeros((1, 3)), mine.skeleton.rest_quat[None])
    _, there = world_pose(bones, np.zeros((1, 3)), bones.rest_quat[None])
    return Physique(
        skeleton=bones,
        hinge_axes={},
        ranges_rad={},
        fixed=frozenset(named[name] for name in mine.fixed),
        ball_joints=mine.ball_joints,
        ball_pos=np.stack([
            _turned(there[0, j] * np.array([1, -1, -1, -1]), _turned(here[0, j], p))
            for j, p in zip(mine.ball_joints, mine.ball_pos, strict=True)
        ]),
        ball_radius=mine.ball_radius,
        feet=tuple(named[name] for name in mine.feet),
    )  # fmt: skip
