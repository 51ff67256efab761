"""Controllers without learning, to set beside policies: none at all, and a spring with a damper at every motor."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import Built, Character, build
from bunraku.imitation.observations import layout


@dataclass(frozen=True, eq=False)
class LinearController:
    """action = −(observation · gains), kept within the actuators' limits."""

    gains: Float[np.ndarray, "observation action"]
    lowest: Float[np.ndarray, "action"]
    highest: Float[np.ndarray, "action"]

    def __call__(self, observation: Float[np.ndarray, "count observation"]) -> Float[np.ndarray, "count action"]:
        """The action for each character."""
        return np.clip(-(observation @ self.gains), self.lowest, self.highest)


def no_action(character: Character) -> LinearController:
    """Motors off, servos at the reference."""
    built = build(character)
    size = sum(slot.size for slot in layout(built.anatomy, clip=False))
    return LinearController(np.zeros((size, built.model.nu)), built.lowest_action, built.highest_action)


def pd_controller(character: Character, frequency_rad_s: float = 8.0, damping_ratio: float = 0.7) -> LinearController:
    """Torques that make every motor's joint an oscillator about its reference; servos rest at theirs.

    τ = −(k + I f²) θ − 2 ζ I f ω, with I the inertia of all that the joint carries as if it were rigid, and k the
    gravity that it must overcome per radian of tilt, both in the reference pose.

    Raises:
        BunrakuError: a motor's joint has no angle in the observation (it may turn by half a turn).
    """
    built = build(character)
    inertia, gravity = _inertia_and_gravity(built)
    slots = layout(built.anatomy, clip=False)
    first = dict(zip((slot.name for slot in slots), np.cumsum([0, *(slot.size for slot in slots)]), strict=False))
    gains = np.zeros((sum(slot.size for slot in slots), built.model.nu))
    for i, kind in enumerate(character.actuation):
        if kind == "servo":
            continue
        joint = built.model.joint(int(built.model.actuator_trnid[i, 0]))
        angle = first.get(f"{joint.name}.angle", first.get(f"{joint.name}.rotvec"))
        if angle is None:
            raise BunrakuError(f"{character.name}: joint {joint.name!r} is too free for a spring: give it a range")
        gear = built.model.actuator_gear[i]
        axis = int(np.argmax(np.abs(gear[:3])))
        v = int(joint.dofadr[0]) + axis
        spring = gravity[v] + inertia[v] * frequency_rad_s**2
        damper = 2 * damping_ratio * inertia[v] * frequency_rad_s
        unit = character.action_scale[i] * gear[axis]
        gains[angle + axis, i] = spring / unit
        gains[first[f"{joint.name}.velocity"] + axis, i] = damper / unit
    return LinearController(gains, built.lowest_action, built.highest_action)


def _inertia_and_gravity(built: Built) -> tuple[np.ndarray, np.ndarray]:
    """By velocity coordinate, at the reference: the mass matrix' diagonal, and −∂τ/∂q of gravity by differences."""
    model, data = built.model, mujoco.MjData(built.model)
    data.qpos[:] = built.reference_qpos
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    gravity, step = np.zeros(model.nv), 1e-5
    for v in range(model.nv):
        sides: list[float] = []
        for sign in (1.0, -1.0):
            turned, along = np.array(built.reference_qpos), np.zeros(model.nv)
            along[v] = sign * step
            mujoco.mj_integratePos(model, turned, along, 1.0)
            data.qpos[:], data.qvel[:] = turned, 0.0
            mujoco.mj_forward(model, data)
            sides.append(float(data.qfrc_bias[v]))
        gravity[v] = -(sides[0] - sides[1]) / (2 * step)
    return np.diagonal(full).copy(), gravity


def pd_action(
    character: Character, observation: Float[np.ndarray, "count observation"]
) -> Float[np.ndarray, "count action"]:
    """The action of `pd_controller` for observations; make the controller once to ask it often."""
    return pd_controller(character)(observation)
