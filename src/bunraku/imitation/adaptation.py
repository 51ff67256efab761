"""An MJCF file with a free root made into a character that follows clips: servos, ground, rates, effectors, weights.

docs/characters.md gives the rules. What a user's config says goes before what the file says, and that before what is
found out from names and masses (`proportions`).
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import mujoco
import numpy as np

from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.imitation.anatomy import NO_EFFECTOR, anatomy
from bunraku.imitation.character_config import CharacterConfig, matching
from bunraku.imitation.joint_servos import add_servos, steady
from bunraku.imitation.proportions import ROOT_WEIGHT, Proportions, proportions
from bunraku.motion.names import Part, part_named

CONTROL_HZ = 30.0
LEAST_PHYSICS_HZ = 240.0
ACTION_RAD = 0.3
_UNSAID_TIMESTEP = 0.002
"""MuJoCo's own, which a file has that does not say any."""
SETTINGS = ("control_hz", "action_scale", "joint_weights")
"""Numerics of a file that has been adapted already."""
FALL, NAMES = "fall", "names"
"""Texts that hold what the config says for the clip."""


def needs_adaptation(spec: mujoco.MjSpec, cfg: CharacterConfig) -> bool:
    """It has a free root, and is not a character that has been written out, unless a config lies beside it."""
    said = {numeric.name for numeric in spec.numerics}
    return bool(_free(spec)) and (bool(cfg.source) or not said.issuperset(SETTINGS))


def adapt(spec: mujoco.MjSpec, cfg: CharacterConfig, source: str) -> None:
    """Turn a spec that compiles into a character, in place.

    Raises:
        BunrakuError: more than one free joint or one that is not the first body's, actuators that act on something else
            than joints, a ground that is not at height 0, a config that names what is not there.
    """
    _check(spec, source)
    _name_all(spec)
    model = spec.compile()
    _check_names(model, cfg)
    seen = proportions(model, _parts_said(model, cfg))
    control_hz, physics_hz = _rates(model, cfg, source)
    _strip(spec)
    _effectors(spec, seen, cfg)
    _ground(spec, source)
    spec.option.timestep = 1 / physics_hz
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    steady(spec, add_servos(spec, seen, cfg), physics_hz)
    _settings(spec, seen, cfg, control_hz)


def _free(spec: mujoco.MjSpec) -> list[mujoco.MjsJoint]:
    return [joint for joint in spec.joints if joint.type == mujoco.mjtJoint.mjJNT_FREE]


def _check(spec: mujoco.MjSpec, source: str) -> None:
    free = _free(spec)
    if len(free) > 1:
        names = ", ".join(repr(joint.parent.name) for joint in free)
        raise BunrakuError(f"{source}: {len(free)} bodies have free joints ({names}); expected one, the character's")
    first = spec.worldbody.first_body()
    if free[0].parent.id != first.id:
        raise BunrakuError(
            f"{source}: the free root {free[0].parent.name!r} is not the first body of the world; {first.name!r} is: "
            "put it after the character"
        )
    for actuator in spec.actuators:
        if actuator.trntype not in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            what = actuator.trntype.name.removeprefix("mjTRN_").lower()
            raise BunrakuError(
                f"{source}: actuator {actuator.name!r} acts on a {what}; expected joints, at which a character has "
                "its servos: take it out of <actuator>"
            )


def _name_all(spec: mujoco.MjSpec) -> None:
    """Names for bodies and joints that have none."""
    bodies = {body.name for body in spec.bodies}
    for i, body in enumerate(spec.bodies):
        if not body.name:
            body.name = _unused(f"body{i}", bodies)
    joints = {joint.name for joint in spec.joints}
    for body in spec.bodies:
        for k, joint in enumerate(body.joints):
            if not joint.name:
                joint.name = _unused(body.name if len(body.joints) == 1 else f"{body.name}_{k}", joints)


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _check_names(model: mujoco.MjModel, cfg: CharacterConfig) -> None:
    bodies = [model.body(b).name for b in range(1, model.nbody)]
    joints = [model.joint(j).name for j in range(model.njnt)]
    for name in cfg.fall or ():
        if name not in bodies:
            raise unknown_name("body", name, bodies, f"in {cfg.source}: fall; the character has")
    for name in cfg.names:
        if name not in bodies and name not in joints:
            raise unknown_name("body", name, bodies, f"in {cfg.source}: [names]; the character has")
    for table, patterns in (("servo", cfg.servo), ("weights", cfg.weights)):
        for pattern in patterns:
            matching(pattern, joints, "joint", f"{cfg.source}: [{table}]")


def _parts_said(model: mujoco.MjModel, cfg: CharacterConfig) -> dict[str, Part]:
    found = dict[str, Part]()
    for name, value in names_by_body(model, cfg).items():
        said = part_named(value)
        if said:
            found[name] = said
    return found


def names_by_body(model: mujoco.MjModel, cfg: CharacterConfig) -> dict[str, str]:
    """The config's names, by body also where it names joints."""
    body_of = {model.joint(j).name: model.body(int(model.jnt_bodyid[j])).name for j in range(model.njnt)}
    bodies = {model.body(b).name for b in range(1, model.nbody)}
    return {(name if name in bodies else body_of[name]): value for name, value in cfg.names.items()}


def _rates(model: mujoco.MjModel, cfg: CharacterConfig, source: str) -> tuple[float, float]:
    control_hz = cfg.control_hz or CONTROL_HZ
    if cfg.physics_hz is not None:
        substeps = round(cfg.physics_hz / control_hz)
        if substeps < 1 or abs(cfg.physics_hz - substeps * control_hz) > 1e-6 * cfg.physics_hz:
            raise BunrakuError(
                f"{cfg.source or source}: physics_hz {cfg.physics_hz:g}: expected a multiple of control_hz "
                f"{control_hz:g}"
            )
        return control_hz, cfg.physics_hz
    timestep = float(model.opt.timestep)
    wanted = LEAST_PHYSICS_HZ if timestep == _UNSAID_TIMESTEP else max(LEAST_PHYSICS_HZ, 1 / timestep)
    least = int(np.ceil(LEAST_PHYSICS_HZ / control_hz - 1e-9))
    return control_hz, control_hz * max(least, round(wanted / control_hz))


def _strip(spec: mujoco.MjSpec) -> None:
    """Without what nothing here reads: sensors; key frames but the reference, since they hold other actuators."""
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    for key in list(spec.keys):
        if key.name == "reference":
            key.ctrl, key.act = [], []
        else:
            spec.delete(key)
    for numeric in list(spec.numerics):
        if numeric.name in SETTINGS:
            spec.delete(numeric)
    for text in list(spec.texts):
        if text.name in (FALL, NAMES):
            spec.delete(text)


def _effectors(spec: mujoco.MjSpec, seen: Proportions, cfg: CharacterConfig) -> None:
    """Sites at the end effectors; others are put into a group that is none."""
    sites = {site.name: site for site in spec.sites if site.name}
    for site in spec.sites:
        site.group = NO_EFFECTOR
    if cfg.effectors is None:
        places = seen.effectors()
    else:
        places = {name: np.zeros(3) for name in cfg.effectors if name not in sites}
        for name in cfg.effectors:
            if name in sites:
                sites[name].group = 0
    bodies = [body.name for body in spec.bodies[1:]]
    for name, place in places.items():
        if name not in bodies:
            raise unknown_name("body or site", name, [*bodies, *sites], f"in {cfg.source}: effectors; there are")
        spec.body(name).add_site(name=_unused(name, set(sites)), pos=place)


def _ground(spec: mujoco.MjSpec, source: str) -> None:
    """A plane at height 0, where the file has none."""
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    for plane in planes:
        if abs(plane.pos[2]) > 1e-6:
            raise BunrakuError(
                f"{source}: its ground {plane.name!r} is at height {plane.pos[2]:g}; expected 0, where clips stand"
            )
    if planes:
        return
    name = _unused("ground", {geom.name for geom in spec.geoms})
    kinds, affinities = 0, 0
    for geom in spec.geoms:
        kinds, affinities = kinds | geom.contype, affinities | geom.conaffinity
    # It meets everything that meets anything.
    bits = {"contype": affinities or 1, "conaffinity": kinds or 1, "condim": 3}
    spec.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], **bits)


def _settings(spec: mujoco.MjSpec, seen: Proportions, cfg: CharacterConfig, control_hz: float) -> None:
    """What MJCF has no place for, in <custom>."""
    model = spec.compile()
    body = anatomy(model)
    weights = list[float]()
    for joint in body.turning:
        own = int(model.joint(joint.name).bodyid[0])
        weight = ROOT_WEIGHT if joint.is_free else seen.weight(own)
        said = [w for pattern, w in cfg.weights.items() if fnmatchcase(joint.name, pattern)]
        weights.append(said[-1] if said else weight)
    if sum(weights) <= 0:
        raise BunrakuError(f"{cfg.source}: [weights] are all 0; expected one that is not")
    scale = [cfg.action_rad or ACTION_RAD] * model.nu
    for name, data in zip(SETTINGS, ([control_hz], scale, weights), strict=True):
        if data:
            spec.add_numeric(name=name, data=data, size=len(data))
    if cfg.fall is not None:
        spec.add_text(name=FALL, data=json.dumps(list(cfg.fall)))
    if cfg.names:
        spec.add_text(name=NAMES, data=json.dumps(names_by_body(model, cfg)))
