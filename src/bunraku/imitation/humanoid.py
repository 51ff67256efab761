"""The humanoid of DeepMimic (Peng et al., ACM Trans. Graph. 37(4), 2018), built in code from its published figures.

45 kg, 15 bodies, 28 actuated degrees of freedom. Positions and sizes are the published character's, turned from y up
to z up: x forward, y to the left. Every body frame is parallel to the world's where all joints are at zero, arms
hanging. docs/humanoid.md says what differs from the original: rates, armature, and that nothing but the ground is
touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco

CONTROL_HZ = 30.0
PHYSICS_HZ = 240.0
ARMATURE = 0.05
"""Inertia of the drives [kg m²]. Servos that saturate chatter by torque/inertia times the physics step; the original
keeps calm by stepping at 1.2 kHz with dampers that act as kd·step, .008 to .083 kg m², of inertia."""
ACTION_RAD = 0.3
"""What one unit of action adds to a servo's target."""
FRICTION = 0.9


@dataclass(frozen=True)
class Part:
    """One body with the joint that it hangs on. Sizes are radii and half lengths [m]."""

    name: str
    parent: str | None
    at: tuple[float, float, float]
    """The joint, in the parent's frame."""
    mass: float
    centre: tuple[float, float, float]
    """Of the shape, in the body's frame."""
    sphere: float = 0.0
    capsule: tuple[float, float] = (0.0, 0.0)
    """Radius and half length, along z."""
    box: tuple[float, float, float] | None = None
    stiffness: float = 0.0
    """kp [N m/rad]; the damper is a tenth of it."""
    torque: float = 0.0
    """Limit of spring plus damper [N m], about each axis."""
    hinge: tuple[float, float] | None = None
    """Range of a joint that turns about y alone [rad]."""
    weight: float = 0.0
    """Its share in the reward."""
    effector: bool = False


def _leg(side: str, y: float) -> tuple[Part, ...]:
    hip, knee, ankle = (f"{side}_{name}" for name in ("hip", "knee", "ankle"))
    return (
        Part(hip, "root", (0, y, 0), 4.5, (0, 0, -0.21), capsule=(0.055, 0.15), stiffness=500, torque=200, weight=0.5),
        # About −y, as the published axis is after the turn to z up: knees bend towards negative angles.
        Part(
            knee,
            hip,
            (0, 0, -0.421546),
            3.0,
            (0, 0, -0.2),
            capsule=(0.05, 0.155),
            stiffness=500,
            torque=150,
            hinge=(-3.14, 0.0),
            weight=0.3,
        ),
        Part(
            ankle,
            knee,
            (0, 0, -0.40987),
            1.0,
            (0.045, 0, -0.0225),
            box=(0.0885, 0.045, 0.0275),
            stiffness=400,
            torque=90,
            weight=0.2,
            effector=True,
        ),
    )


def _arm(side: str, y: float) -> tuple[Part, ...]:
    shoulder, elbow, wrist = (f"{side}_{name}" for name in ("shoulder", "elbow", "wrist"))
    return (
        Part(
            shoulder,
            "chest",
            (-0.02405, y, 0.2435),
            1.5,
            (0, 0, -0.14),
            capsule=(0.045, 0.09),
            stiffness=400,
            torque=100,
            weight=0.3,
        ),
        Part(
            elbow,
            shoulder,
            (0, 0, -0.274788),
            1.0,
            (0, 0, -0.12),
            capsule=(0.04, 0.0675),
            stiffness=300,
            torque=60,
            hinge=(0.0, 3.14),
            weight=0.2,
        ),
        Part(wrist, elbow, (0, 0, -0.258947), 0.5, (0, 0, 0), sphere=0.04, effector=True),
    )


PARTS: tuple[Part, ...] = (
    Part("root", None, (0, 0, 0), 6.0, (0, 0, 0.07), sphere=0.09, weight=1.0),
    Part("chest", "root", (0, 0, 0.236151), 14.0, (0, 0, 0.12), sphere=0.11, stiffness=1000, torque=200, weight=0.5),
    Part("neck", "chest", (0, 0, 0.223894), 2.0, (0, 0, 0.175), sphere=0.1025, stiffness=100, torque=50, weight=0.3),
    *_leg("right", -0.084887),
    *_arm("right", -0.18311),
    *_leg("left", 0.084887),
    *_arm("left", 0.18311),
)
"""The published character, in its order."""

STANDING_M = 0.421546 + 0.40987 + 0.0225 + 0.0275
"""Height of the root over the ground with straight legs."""


def humanoid(physics_hz: float = PHYSICS_HZ, armature: float = ARMATURE, *, joint_damping: bool = False) -> str:
    """MJCF of the humanoid, standing at the origin. With `joint_damping` the dampers are the joints' own, outside the
    torque limits: calm at low rates, but physically another character, for comparison.
    """
    spec = mujoco.MjSpec()
    spec.modelname = "humanoid"
    spec.compiler.degree = False
    spec.option.timestep = 1 / physics_hz
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], friction=[FRICTION, 0, 0])
    bodies = dict[str, mujoco.MjsBody]()
    for part in PARTS:
        parent = spec.worldbody if part.parent is None else bodies[part.parent]
        at = (0, 0, STANDING_M) if part.parent is None else part.at
        body = bodies[part.name] = parent.add_body(name=part.name, pos=list(at))
        _joint(body, part, armature, part.stiffness / 10 if joint_damping else 0.0)
        _shape(body, part)
        if part.effector:
            body.add_site(name=part.name)
    for part in PARTS:
        _servos(spec, part, 0.0 if joint_damping else part.stiffness / 10)
    _numerics(spec)
    spec.compile()
    return spec.to_xml()


def _joint(body: mujoco.MjsBody, part: Part, armature: float, damping: float) -> None:
    kinds, drive = mujoco.mjtJoint, {"armature": armature, "damping": [damping, 0, 0]}
    if part.parent is None:
        body.add_freejoint(name=part.name)
    elif part.hinge:
        limits = {"limited": True, "range": list(part.hinge)}
        body.add_joint(name=part.name, type=kinds.mjJNT_HINGE, axis=[0, -1, 0], **drive, **limits)
    elif part.stiffness:
        body.add_joint(name=part.name, type=kinds.mjJNT_BALL, **drive)


def _shape(body: mujoco.MjsBody, part: Part) -> None:
    kinds = mujoco.mjtGeom
    if part.box:
        kind, size = kinds.mjGEOM_BOX, list(part.box)
    elif part.sphere:
        kind, size = kinds.mjGEOM_SPHERE, [part.sphere, 0, 0]
    else:
        kind, size = kinds.mjGEOM_CAPSULE, [*part.capsule, 0]
    # Parts touch the ground (type 1 there, affinity 1 here), not each other.
    touch = {"contype": 0, "conaffinity": 1, "friction": [FRICTION, 0, 0]}
    body.add_geom(name=part.name, type=kind, size=size, pos=list(part.centre), mass=part.mass, **touch)


def _servos(spec: mujoco.MjSpec, part: Part, damping: float) -> None:
    """A spring to a target with its damper, both inside one limit, about each axis of the joint."""
    axes: Sequence[int | None] = [None] if part.hinge else [0, 1, 2] if part.stiffness else []
    for axis in axes:
        name = part.name if axis is None else f"{part.name}_{'xyz'[axis]}"
        gear = [float((axis or 0) == k) for k in range(6)]
        limits = {"forcelimited": True, "forcerange": [-part.torque, part.torque]}
        servo = spec.add_actuator(name=name, target=part.name, gear=gear, **limits)
        servo.trntype = mujoco.mjtTrn.mjTRN_JOINT
        servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        servo.gainprm[0] = part.stiffness
        servo.biasprm[1], servo.biasprm[2] = -part.stiffness, -damping


def _numerics(spec: mujoco.MjSpec) -> None:
    """What MJCF has no place for; rotations are hinges first, then balls, in the order of the compiled model."""
    model = spec.compile()
    parts = {part.name: part for part in PARTS}
    turning = [model.body(i).name for i in range(1, model.nbody) if model.body_jntnum[i]]
    turning.sort(key=lambda name: parts[name].hinge is None)
    weights = [parts[name].weight for name in turning]
    scale = [ACTION_RAD] * model.nu
    for name, data in {"control_hz": [CONTROL_HZ], "action_scale": scale, "joint_weights": weights}.items():
        spec.add_numeric(name=name, data=data, size=len(data))
