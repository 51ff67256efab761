"""What a policy that follows a clip needs beside its network, as numbers and words for `bunraku/player.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from bunraku.core.clip import Clip
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.character import Built
from bunraku.imitation.clip_environment import ClipConfig
from bunraku.imitation.motion_table import MotionTable, motion_table
from bunraku.imitation.servos import servos

KINDS = ("free", "ball", "slide", "hinge")
"""In MuJoCo's order."""


def joint_words(body: Anatomy) -> list[dict[str, Any]]:
    """All joints in their order: where their numbers begin in qpos and qvel."""
    joints = [joint for each in body.bodies for joint in each.joints]
    return [{"name": joint.name, "kind": KINDS[joint.kind], "qpos": joint.q, "qvel": joint.v} for joint in joints]


def following_words(built: Built, clip: Clip, cfg: ClipConfig) -> dict[str, Any]:
    """What the actions of a policy are added to, and the clip's measures."""
    residual = cfg.action == "residual"
    return {
        "rotations": list(built.anatomy.rotations),
        "action": {
            "adds_to": "the clip's pose" if residual else "the rest pose",
            "lead_steps": cfg.lead if residual else None,
            "unit": "rad about each servo's axis; N m for motors",
        },
        "clip": {"duration_s": clip.duration_s, "loops": clip.loop == "wrap"},
    }


def following_numbers(built: Built, clip: Clip) -> dict[str, np.ndarray]:
    """The clip as the character's coordinates, its joint tree, its servos."""
    body = built.anatomy
    return {**_clip_numbers(motion_table(built, clip)), **_body_numbers(body), **_servo_numbers(built)} | {
        "reference_qpos": built.reference_qpos
    }


def _clip_numbers(table: MotionTable) -> dict[str, np.ndarray]:
    """Poses at even times, first to last frame; velocities to begin with in each, and from each to the next."""
    qpos = table.poses()
    middles_s = (np.arange(len(qpos) - 1) + 0.5) / (len(qpos) - 1) * table.duration_s
    between = table.at(middles_s, np.zeros((len(middles_s), 2))).qvel
    return {"clip_qpos": qpos, "clip_begin_qvel": table.begin_velocities(), "clip_qvel": between}


def _body_numbers(body: Anatomy) -> dict[str, np.ndarray]:
    bodies = body.bodies
    joints = [(i, joint) for i, each in enumerate(bodies) for joint in each.joints]
    return {
        "hinge_q": body.hinge_q,
        "hinge_v": body.hinge_v,
        "quat_q": body.quat_q,
        "quat_v": body.quat_v,
        "body_parent": np.array([each.parent for each in bodies]),
        "body_pos": np.array([each.pos for each in bodies]),
        "body_quat": np.array([each.quat for each in bodies]),
        "joint_body": np.array([i for i, _ in joints]),
        "joint_kind": np.array([joint.kind for _, joint in joints]),
        "joint_q": np.array([joint.q for _, joint in joints]),
        "joint_axis": np.array([joint.axis for _, joint in joints]),
        "joint_anchor": np.array([joint.anchor for _, joint in joints]),
        "joint_zero": np.array([joint.zero for _, joint in joints]),
        "effector_body": body.effector_bodies,
        "effector_pos": body.effector_pos,
    }


def _servo_numbers(built: Built) -> dict[str, np.ndarray]:
    held = servos(built)
    return {
        "servo_hinges": held.hinges,
        "servo_hinge_q": held.hinge_q,
        "servo_hinge_gear": held.hinge_gear,
        "servo_balls": held.balls,
        "servo_ball_quat": held.ball_quat,
        "servo_ball_gear": held.ball_gear,
        "servo_spread": held.spread,
    }
