"""Servos for the joints of a file: its own, or a spring with a damper inside the torque limit of its motors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import mujoco
import numpy as np

from bunraku.imitation.character_config import CharacterConfig, ServoConfig
from bunraku.imitation.proportions import Proportions

STIFFNESS = 4.0
"""kp over the torque limit [1/rad]: the published humanoid has 2 to 5."""
DAMPING_S = 0.1
"""kd over kp [s], as published."""
_CALM = 4.0
"""A joint has at least this · kp · (physics step)² of inertia: about half of what the humanoid's feet have."""

_HINGE, _BALL = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL


@dataclass(frozen=True)
class Gains:
    """Of one joint's servos, about each axis."""

    kp: float
    """[N m/rad]"""
    kd: float
    """[N m s/rad]"""
    limit: float
    """Of both together [N m]."""


@dataclass(frozen=True)
class _Found:
    """What a file says about a joint's actuators, at the joint."""

    servo: bool
    """They are springs to a target already: one for a hinge, three for a ball."""
    kp: float
    kd: float
    limit: float
    """Infinite where the file has none."""


def add_servos(spec: mujoco.MjSpec, seen: Proportions, cfg: CharacterConfig) -> Mapping[str, float]:
    """Give every hinge and ball a servo, in place; by joint its stiffness [N m/rad]. Others of its actuators go."""
    model = spec.compile()
    kinds = {joint.name: joint.type for joint in spec.joints}
    for actuator in list(spec.actuators):
        if kinds[actuator.target] not in (_HINGE, _BALL):
            logging.getLogger("bunraku").warning("actuator %r is left out: its joint does not turn", actuator.name)
            spec.delete(actuator)
    found, stiffness = _found(spec, model), dict[str, float]()
    for joint in spec.joints:
        if joint.type not in (_HINGE, _BALL):
            continue
        said = _said(cfg, joint.name)
        own = found[joint.name]
        if own.servo and said == ServoConfig():
            stiffness[joint.name] = own.kp
            continue
        each = _gains(joint, model, own, said, seen)
        stiffness[joint.name] = each.kp
        for actuator in [each for each in spec.actuators if each.target == joint.name]:
            spec.delete(actuator)
        _add(spec, joint, each)
    return stiffness


def steady(spec: mujoco.MjSpec, stiffness: Mapping[str, float], physics_hz: float) -> None:
    """Add armature where a servo is too stiff for what its joint moves at this physics rate."""
    model = spec.compile()
    data, full = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    mujoco.mj_forward(model, data)
    mujoco.mj_fullM(model, data, full)
    # What a joint feels when all others are free: the least that it can feel.
    felt = 1 / np.diagonal(np.linalg.inv(full))
    for joint in spec.joints:
        if joint.name in stiffness:
            first = int(model.joint(joint.name).dofadr[0])
            least = float(felt[first : first + (3 if joint.type == _BALL else 1)].min())
            lacks = _CALM * stiffness[joint.name] / physics_hz**2 - least
            joint.armature += max(0.0, lacks)


def _said(cfg: CharacterConfig, joint: str) -> ServoConfig:
    """What the config says about a joint: of patterns that fit, the last says each figure."""
    kp = kd = limit = None
    for pattern, said in cfg.servo.items():
        if fnmatchcase(joint, pattern):
            kp = kp if said.kp is None else said.kp
            kd = kd if said.kd is None else said.kd
            limit = limit if said.limit is None else said.limit
    return ServoConfig(kp, kd, limit)


def _found(spec: mujoco.MjSpec, model: mujoco.MjModel) -> dict[str, _Found]:
    out = dict[str, _Found]()
    for joint in spec.joints:
        ids = [i for i in range(model.nu) if model.joint(int(model.actuator_trnid[i, 0])).name == joint.name]
        servo = len(ids) == (3 if joint.type == _BALL else 1) and all(_is_servo(model, i) for i in ids)
        gears = [float(np.abs(model.actuator_gear[i, :3]).max()) for i in ids]
        kp = max((model.actuator_gainprm[i, 0] * g**2 for i, g in zip(ids, gears, strict=True)), default=0.0)
        kd = max((-model.actuator_biasprm[i, 2] * g**2 for i, g in zip(ids, gears, strict=True)), default=0.0)
        out[joint.name] = _Found(servo, float(kp), float(kd), _limit(joint, model, ids, gears))
    return out


def _is_servo(model: mujoco.MjModel, i: int) -> bool:
    kp, bias = float(model.actuator_gainprm[i, 0]), model.actuator_biasprm[i]
    fixed = model.actuator_gaintype[i] == int(mujoco.mjtGain.mjGAIN_FIXED)
    affine = model.actuator_biastype[i] == int(mujoco.mjtBias.mjBIAS_AFFINE)
    still = model.actuator_dyntype[i] == int(mujoco.mjtDyn.mjDYN_NONE)
    return bool(fixed and affine and still and kp > 0 and np.isclose(bias[1], -kp) and bias[0] == 0)


def _limit(joint: mujoco.MjsJoint, model: mujoco.MjModel, ids: Sequence[int], gears: Sequence[float]) -> float:
    """The most that a joint's actuators can do [N m]: for a ball, about its strongest axis."""
    bounds = list[float]()
    for i, gear in zip(ids, gears, strict=True):
        force = np.inf
        if model.actuator_forcelimited[i]:
            force = float(np.abs(model.actuator_forcerange[i]).max())
        plain = model.actuator_biastype[i] == int(mujoco.mjtBias.mjBIAS_NONE)
        if model.actuator_ctrllimited[i] and plain:
            bound = float(np.abs(model.actuator_ctrlrange[i]).max() * np.abs(model.actuator_gainprm[i, 0]))
            force = min(force, bound)
        bounds.append(force * gear)
    whole = np.inf if not bounds else max(bounds) if joint.type == _BALL else sum(bounds)
    compiled = int(model.joint(joint.name).id)
    if model.jnt_actfrclimited[compiled]:
        whole = min(whole, float(np.abs(model.jnt_actfrcrange[compiled]).max()))
    return float(whole)


def _gains(joint: mujoco.MjsJoint, model: mujoco.MjModel, found: _Found, said: ServoConfig, seen: Proportions) -> Gains:
    """The config's, else the file's: its servo's, or its joint's spring where no motor could move against it."""
    limit = said.limit or found.limit
    if not 0 < limit < np.inf:
        limit = seen.limit(int(model.joint(joint.name).bodyid[0]))
    spring, damper = float(np.ravel(joint.stiffness)[0]), float(np.ravel(joint.damping)[0])
    meant = spring >= limit
    if meant:
        # Numbers or, in later versions of MuJoCo, polynomials.
        joint.stiffness, joint.damping = joint.stiffness * 0, joint.damping * 0
    if found.servo and said.limit is None:
        kp, kd = found.kp, found.kd
    elif meant:
        kp, kd = spring, damper
    else:
        kp, kd = STIFFNESS * limit, 0.0
    if said.kp is not None:
        kp, kd = said.kp, 0.0
    if said.kd is not None:
        kd = said.kd
    return Gains(kp, kd or DAMPING_S * kp if said.kd is None else kd, limit)


def _add(spec: mujoco.MjSpec, joint: mujoco.MjsJoint, gains: Gains) -> None:
    # The actuators' own bound holds.
    joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE
    for axis in range(3) if joint.type == _BALL else [None]:
        name = joint.name if axis is None else f"{joint.name}_{'xyz'[axis]}"
        gear = [float((axis or 0) == k) for k in range(6)]
        limits = {"forcelimited": True, "forcerange": [-gains.limit, gains.limit]}
        servo = spec.add_actuator(name=name, target=joint.name, gear=gear, **limits)
        servo.trntype = mujoco.mjtTrn.mjTRN_JOINT
        servo.ctrllimited = mujoco.mjtLimited.mjLIMITED_FALSE
        servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        servo.gainprm[0] = gains.kp
        servo.biasprm[1], servo.biasprm[2] = -gains.kp, -gains.kd
