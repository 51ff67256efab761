"""From a pose that is wanted to the controls of a character's servos; motors take their action as it is."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bunraku.core.rotations import quat_conjugate, quat_from_rotvec, quat_multiply, rotvec_from_quat
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.character import Built


@dataclass(frozen=True, eq=False)
class Servos:
    """Which actuators hold which joints."""

    body: Anatomy
    scale: Float[np.ndarray, "actuators"]
    """What one unit of action adds: rad, or N m for motors."""
    rest: Float[np.ndarray, "actuators"]
    """Controls of what is no servo at action 0."""
    hinges: Int[np.ndarray, "hinge_servos"]
    hinge_q: Int[np.ndarray, "hinge_servos"]
    hinge_v: Int[np.ndarray, "hinge_servos"]
    hinge_gear: Float[np.ndarray, "hinge_servos"]
    balls: Int[np.ndarray, "ball_servos"]
    ball_quat: Int[np.ndarray, "ball_servos"]
    """Index into the anatomy's quaternions."""
    ball_gear: Float[np.ndarray, "ball_servos 3"]
    stiffness: Float[np.ndarray, "actuators"]
    """[N m/rad]"""
    damping: Float[np.ndarray, "actuators"]
    """[N m s/rad]"""
    limit: Float[np.ndarray, "actuators"]
    """Of spring plus damper [N m]; infinite where there is none."""
    spread: Float[np.ndarray, "ball_servos components"]
    """From angles about the servos' axes to the rotation vectors of all quaternions, three components each."""

    def controls(
        self,
        qpos: Float[np.ndarray, "count nq"],
        wanted_qpos: Float[np.ndarray, "count nq"],
        actions: Float[np.ndarray, "count actuators"],
    ) -> Float[np.ndarray, "count actuators"]:
        """Controls that pull towards the wanted pose, turned further by the actions.

        A ball's servo pulls at log(q), component by component, which jumps where q has turned by π. What it is given
        is log(q) + log(q⁻¹·q*): the error is then the shortest rotation to the target, wherever the joint stands.
        """
        moved = self.scale * actions
        control = self.rest + moved
        control[:, self.hinges] = self.hinge_gear * (wanted_qpos[:, self.hinge_q] + moved[:, self.hinges])
        if len(self.balls):
            own, target = qpos[:, self.body.quat_q], wanted_qpos[:, self.body.quat_q]
            turn = (moved[:, self.balls] @ self.spread).reshape(len(qpos), -1, 3)
            target = quat_multiply(target, quat_from_rotvec(turn))
            wanted = rotvec_from_quat(own) + rotvec_from_quat(quat_multiply(quat_conjugate(own), target))
            control[:, self.balls] = (wanted[:, self.ball_quat] * self.ball_gear).sum(axis=-1)
        return control

    def effort(
        self,
        qpos: Float[np.ndarray, "count nq"],
        qvel: Float[np.ndarray, "count nv"],
        controls: Float[np.ndarray, "count actuators"],
    ) -> tuple[Float[np.ndarray, "count"], Float[np.ndarray, "count"]]:
        """Share of the servos whose torque is at its limit; share of the balls whose torque is longer than a limit."""
        hinge, ball = self.hinges, self.balls
        lengths, speeds = np.zeros_like(controls), np.zeros_like(controls)
        lengths[:, hinge] = self.hinge_gear * qpos[:, self.hinge_q]
        speeds[:, hinge] = self.hinge_gear * qvel[:, self.hinge_v]
        turned, spun = rotvec_from_quat(qpos[:, self.body.quat_q]), qvel[:, self.body.quat_v]
        lengths[:, ball] = (turned[:, self.ball_quat] * self.ball_gear).sum(axis=-1)
        speeds[:, ball] = (spun[:, self.ball_quat] * self.ball_gear).sum(axis=-1)
        # τ = clamp(kp (u − l) − kd l̇)
        torque = np.clip(self.stiffness * (controls - lengths) - self.damping * speeds, -self.limit, self.limit)
        held = np.concatenate([hinge, ball])
        saturated = (np.abs(torque[:, held]) >= 0.999 * self.limit[held]).mean(axis=1)
        if not len(ball):
            return saturated, np.zeros(len(qpos))
        net = np.sqrt(
            ((torque[:, ball] / self.limit[ball]) ** 2) @ (self.ball_quat[:, None] == np.unique(self.ball_quat))
        )
        return saturated, (net > 1.0).mean(axis=1)


def servos(built: Built) -> Servos:
    """The servos of a character."""
    model, body = built.model, built.anatomy
    kinds, joints = built.character.actuation, model.actuator_trnid[:, 0]
    hinges, balls, quats = list[int](), list[int](), list[int]()
    quat_of = {int(q[0]): i for i, q in enumerate(body.quat_q)}
    for i, joint in enumerate(joints):
        if kinds[i] != "servo":
            continue
        if model.jnt_type[joint] == int(mujoco.mjtJoint.mjJNT_BALL):
            balls.append(i)
            quats.append(quat_of[int(model.jnt_qposadr[joint])])
        else:
            hinges.append(i)
    hinge, ball = np.array(hinges, np.int64), np.array(balls, np.int64)
    gear = np.array(model.actuator_gear[ball, :3]).reshape(-1, 3)
    spread = np.zeros((len(ball), len(body.quat_q), 3))
    spread[np.arange(len(ball)), quats] = gear / np.linalg.norm(gear, axis=1, keepdims=True)
    return Servos(
        body=body,
        scale=np.array(built.character.action_scale),
        rest=built.reference_control,
        hinges=hinge,
        hinge_q=np.array(model.jnt_qposadr[joints[hinge]], np.int64),
        hinge_v=np.array(model.jnt_dofadr[joints[hinge]], np.int64),
        hinge_gear=np.array(model.actuator_gear[hinge, 0]),
        balls=ball,
        ball_quat=np.array(quats, np.int64),
        ball_gear=gear,
        stiffness=np.array(model.actuator_gainprm[:, 0]),
        damping=np.array(-model.actuator_biasprm[:, 2]),
        limit=np.where(model.actuator_forcelimited, model.actuator_forcerange[:, 1], np.inf),
        spread=spread.reshape(len(ball), 3 * len(body.quat_q)),
    )
