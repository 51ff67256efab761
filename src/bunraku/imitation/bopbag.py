"""The characters that come with the package, built in code: a bop bag, and what grows out of it.

All stand on the ground at the origin, z up, with the centre of mass above their lowest joint and nothing that
holds them there. Torques act on the lowest joint alone, in steps of 40 N m; upper joints have servos that keep
them stiff, since a servo at the lowest joint would stand all by itself. A servo's limit bounds spring and damper
together, and armature keeps its light segments calm at 192 Hz (docs/bopbag.md gives the figures).
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

CONTROL_HZ = 24.0
_SUBSTEPS = 8
_LYING = 1.5708
_RADIUS = 0.12


def bopbag() -> str:
    """One body of 3 kg on a hinge about y: 16 N m of gravity when it lies, 40 N m per unit of action."""
    spec = _blank("bopbag", [40.0])
    bag = spec.worldbody.add_body(name="bag")
    _hinge(bag, "hinge", _LYING, damping=0.2)
    _segment(bag, 0.15, 0.95, 3.0)
    _top(bag, 1.1)
    _motor(spec, "hinge", None, 80.0)
    return _written(spec)


def bopbag6() -> str:
    """One body of 3 kg whose foot is held by springs along and a soft cone about all axes; three torques."""
    spec = _blank("bopbag6", [40.0, 40.0, 2.0])
    bag = spec.worldbody.add_body(name="bag")
    for axis, name in enumerate("xyz"):
        direction = [float(axis == k) for k in range(3)]
        slide = mujoco.mjtJoint.mjJNT_SLIDE
        bag.add_joint(name=f"slide_{name}", type=slide, axis=direction, stiffness=[4000.0, 0, 0], damping=[120.0, 0, 0])
    _ball(bag, "ball", _LYING, damping=0.2)
    _segment(bag, 0.15, 0.95, 3.0)
    _top(bag, 1.1)
    for axis, limit in enumerate((80.0, 80.0, 4.0)):
        _motor(spec, "ball", axis, limit)
    return _written(spec)


def bopbag2() -> str:
    """Two segments in a plane: a torque at the foot, a servo at the waist."""
    spec = _blank("bopbag2", [40.0, 0.5])
    lower = spec.worldbody.add_body(name="lower")
    _hinge(lower, "foot", _LYING, damping=0.2)
    _segment(lower, 0.15, 0.4, 1.8)
    upper = lower.add_body(name="upper", pos=[0, 0, 0.55])
    _hinge(upper, "waist", 1.2, damping=0.1)
    _segment(upper, 0.15, 0.4, 1.8)
    _top(upper, 0.55)
    _motor(spec, "foot", None, 80.0)
    _servo(spec, "waist", None, 1.2, stiffness=100.0, damping=8.0, limit=40.0)
    return _written(spec)


def bopbag3() -> str:
    """Three segments in space: three torques at the foot, a ball servo at the waist, a hinge servo at the neck."""
    spec = _blank("bopbag3", [40.0, 40.0, 2.0, 0.5, 0.5, 0.5, 0.5])
    lower = spec.worldbody.add_body(name="lower")
    _ball(lower, "foot", _LYING, damping=0.2)
    _segment(lower, 0.15, 0.35, 1.5)
    middle = lower.add_body(name="middle", pos=[0, 0, 0.5])
    _ball(middle, "waist", 1.2, damping=0.1)
    _segment(middle, 0.15, 0.3, 1.2)
    upper = middle.add_body(name="upper", pos=[0, 0, 0.45])
    _hinge(upper, "neck", 1.2, damping=0.1)
    _segment(upper, 0.1, 0.15, 0.6)
    _top(upper, 0.3)
    for axis, limit in enumerate((80.0, 80.0, 4.0)):
        _motor(spec, "foot", axis, limit)
    for axis, stiffness in enumerate((100.0, 100.0, 20.0)):
        _servo(spec, "waist", axis, 1.2, stiffness=stiffness, damping=stiffness / 12.5, limit=40.0)
    _servo(spec, "neck", None, 1.2, stiffness=30.0, damping=2.0, limit=15.0)
    return _written(spec)


def _blank(name: str, action_scale: Sequence[float]) -> mujoco.MjSpec:
    spec = mujoco.MjSpec()
    spec.modelname = name
    spec.compiler.degree = False
    spec.option.timestep = 1 / (CONTROL_HZ * _SUBSTEPS)
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # The ground is the joints' range: contacts would cost more than all the rest.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    spec.add_numeric(name="control_hz", data=[CONTROL_HZ], size=1)
    spec.add_numeric(name="action_scale", data=list(action_scale), size=len(action_scale))
    return spec


def _hinge(body: mujoco.MjsBody, name: str, reach: float, *, damping: float) -> None:
    kind = mujoco.mjtJoint.mjJNT_HINGE
    limits = {"limited": True, "range": [-reach, reach]}
    body.add_joint(name=name, type=kind, axis=[0, 1, 0], armature=0.02, damping=[damping, 0, 0], **limits)


def _ball(body: mujoco.MjsBody, name: str, reach: float, *, damping: float) -> None:
    limits = {"limited": True, "range": [0, reach]}
    body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_BALL, armature=0.02, damping=[damping, 0, 0], **limits)


def _segment(body: mujoco.MjsBody, low: float, high: float, mass: float) -> None:
    kind = mujoco.mjtGeom.mjGEOM_CAPSULE
    body.add_geom(type=kind, fromto=[0, 0, low, 0, 0, high], size=[_RADIUS, 0, 0], mass=mass)


def _top(body: mujoco.MjsBody, height: float) -> None:
    body.add_site(name="top", pos=[0, 0, height])


def _gear(axis: int | None) -> list[float]:
    return [float((axis or 0) == k) for k in range(6)]


def _actuator_name(joint: str, axis: int | None) -> str:
    return joint if axis is None else f"{joint}_{'xyz'[axis]}"


def _motor(spec: mujoco.MjSpec, joint: str, axis: int | None, limit: float) -> None:
    limits = {"ctrllimited": True, "ctrlrange": [-limit, limit]}
    motor = spec.add_actuator(name=_actuator_name(joint, axis), target=joint, gear=_gear(axis), **limits)
    motor.trntype = mujoco.mjtTrn.mjTRN_JOINT


def _servo(
    spec: mujoco.MjSpec, joint: str, axis: int | None, reach: float, *, stiffness: float, damping: float, limit: float
) -> None:
    """A spring to a target angle with its damper, both inside one force limit."""
    limits = {"ctrllimited": True, "ctrlrange": [-reach, reach], "forcelimited": True, "forcerange": [-limit, limit]}
    servo = spec.add_actuator(name=_actuator_name(joint, axis), target=joint, gear=_gear(axis), **limits)
    servo.trntype = mujoco.mjtTrn.mjTRN_JOINT
    servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    servo.gainprm[0] = stiffness
    servo.biasprm[1], servo.biasprm[2] = -stiffness, -damping


def _written(spec: mujoco.MjSpec) -> str:
    spec.compile()
    return spec.to_xml()
