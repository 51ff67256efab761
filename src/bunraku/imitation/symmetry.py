"""Whether a character is its own mirror image: twins by geometry in the reference pose, then tried in simulation.

With S = 1 − 2·n·nᵀ, the reflection at a plane with normal n, positions and velocities become S·p; rotation vectors,
angular velocities and hinge axes do not (they are pseudo-vectors): they become −S·ω.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import matrix_from_quat
from bunraku.imitation.anatomy import Anatomy, body_poses_w, centre_of_mass_w
from bunraku.imitation.character import Built
from bunraku.imitation.mirror import Label, Mirror, Reflection, reflection
from bunraku.imitation.simulation import Simulation, SimulationConfig

NORMALS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Vertical planes that are tried: between left and right of who looks along x, then between front and back."""

_NEAR = 1e-5
_TRIALS, _STEPS = 8, 3
_SPREAD = 0.2
"""Standard deviation of the coordinates that are tried [rad, m]."""

Judge = Callable[[Float[np.ndarray, "count nq"], Float[np.ndarray, "count nv"]], Float[np.ndarray, "count numbers"]]
"""From positions and velocities to all numbers that a learner is told, the last of them the reward."""


def symmetry(built: Built, labels: tuple[Label, ...], judge: Judge) -> Mirror | None:
    """The first plane's mirror that is a symmetry of the physics and of what a learner is told, but leaves not all of
    it as it is; none for a character without one. `labels` are of the observation's numbers.
    """
    for normal in NORMALS:
        dofs = reflected_dofs(built, normal)
        observation = None if dofs is None else reflection(labels, dofs)
        action = None if dofs is None else _reflected_actions(built, dofs)
        if dofs is None or observation is None or action is None or observation.nothing:
            continue
        mirror = Mirror(observation, action)
        if _holds(built, dofs, mirror, judge):
            return mirror
    return None


def reflected_dofs(built: Built, normal: Float[np.ndarray, "3"]) -> Reflection | None:
    """What a mirror through the centre of mass does to velocities; none where a body or a joint has no twin."""
    body, qpos = built.anatomy, built.reference_qpos[None]
    pos, quat = body_poses_w(body, qpos)
    flip = np.eye(3) - 2 * np.outer(normal, normal)
    turns_w = matrix_from_quat(quat)
    origin = centre_of_mass_w(body, pos, turns_w)[0]
    turns = matrix_from_quat(quat[0])
    centres = pos[0] + np.einsum("bij,bj->bi", turns, body.centre)
    twins = _twin_bodies(body, pos[0] - origin, centres - origin, flip)
    if twins is None:
        return None
    found = [reflection_of_axes(_axes(body, b, turns), _axes(body, twin, turns), flip) for b, twin in enumerate(twins)]
    index, sign = np.zeros(built.model.nv, np.int64), np.zeros(built.model.nv)
    for b, own in enumerate(found):
        if own is None:
            return None
        # `own` says where each coordinate goes; a reflection says where each comes from.
        mine, theirs = _dofs(body, b), _dofs(body, twins[b])
        index[theirs[own.index]], sign[theirs[own.index]] = mine, own.sign
    return Reflection(index, sign)


def _twin_bodies(body: Anatomy, pos: np.ndarray, centres: np.ndarray, flip: np.ndarray) -> list[int] | None:
    """For every body the one in its mirror place, with its mass and centre of mass, on its parent's twin."""
    twins = [0]
    for b, each in enumerate(body.bodies[1:], start=1):
        like = [
            k
            for k, other in enumerate(body.bodies)
            if k > 0
            and other.parent == twins[each.parent]
            and np.allclose(pos[k], flip @ pos[b], atol=_NEAR)
            and np.allclose(centres[k], flip @ centres[b], atol=_NEAR)
            and np.isclose(body.mass[k], body.mass[b])
        ]
        if len(like) != 1:
            return None
        twins.append(like[0])
    return twins


Axes = tuple[Float[np.ndarray, "dofs 3"], Float[np.ndarray, "dofs"]]
"""World direction of each degree of freedom of a body, and whether it turns (1) or shifts (0)."""


def _dofs(body: Anatomy, b: int) -> np.ndarray:
    """The degrees of freedom of a body's joints, in order."""
    joints = body.bodies[b].joints
    size = {mujoco.mjtJoint.mjJNT_FREE: 6, mujoco.mjtJoint.mjJNT_BALL: 3}
    return np.array([joint.v + k for joint in joints for k in range(size.get(mujoco.mjtJoint(joint.kind), 1))], int)


def _axes(body: Anatomy, b: int, turns: np.ndarray) -> Axes:
    directions, turning = list[np.ndarray](), list[float]()
    for joint in body.bodies[b].joints:
        kind = mujoco.mjtJoint(joint.kind)
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            directions += [*np.eye(3), *turns[b].T]
            turning += [0.0] * 3 + [1.0] * 3
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            directions += [*turns[b].T]
            turning += [1.0] * 3
        else:
            # In the reference pose; joints of one body that turn each other are left to the trial.
            directions.append(turns[b] @ joint.axis)
            turning.append(float(kind == mujoco.mjtJoint.mjJNT_HINGE))
    return np.reshape(directions, (-1, 3)), np.array(turning)


def reflection_of_axes(own: Axes, other: Axes, flip: Float[np.ndarray, "3 3"]) -> Reflection | None:
    """Which degree of freedom of the twin each one becomes, and with which sign; none where axes do not match."""
    (a, turning), (b, turns) = own, other
    if len(a) != len(b):
        return None
    if not len(a):
        return Reflection(np.empty(0, np.int64), np.empty(0))
    # S·d for what shifts, −S·d for what turns.
    image = (a @ flip.T) * np.where(turning > 0, -1.0, 1.0)[:, None]
    along = np.where(turning[:, None] == turns[None, :], image @ b.T, 0.0)
    matches = np.isclose(np.abs(along), 1.0, atol=_NEAR)
    if not (matches.sum(axis=1) == 1).all() or not (matches.sum(axis=0) == 1).all():
        return None
    index = matches.argmax(axis=1)
    return Reflection(index, np.sign(along[np.arange(len(a)), index]))


def _reflected_actions(built: Built, dofs: Reflection) -> Reflection | None:
    """Twins among the actuators, by what they move in the reference pose, and how."""
    model, data = built.model, mujoco.MjData(built.model)
    data.qpos[:] = built.reference_qpos
    mujoco.mj_forward(model, data)
    moments = np.zeros((model.nu, model.nv))
    sparse = data.moment_rownnz, data.moment_rowadr, data.moment_colind.reshape(-1)
    mujoco.mju_sparse2dense(moments, data.actuator_moment.reshape(-1), *sparse)
    kinds = np.concatenate([model.actuator_gainprm, model.actuator_biasprm], axis=1)
    images = dofs.of(moments)
    index, sign = np.zeros(model.nu, np.int64), np.zeros(model.nu)
    for u in range(model.nu):
        alike = np.isclose(kinds, kinds[u]).all(axis=1)
        for s in (1.0, -1.0):
            (twin,) = np.nonzero(alike & np.isclose(s * images, moments[u], atol=_NEAR).all(axis=1))
            if len(twin) == 1:
                index[u], sign[u] = twin[0], s
    return Reflection(index, sign) if sign.all() else None


def _holds(built: Built, dofs: Reflection, mirror: Mirror, judge: Judge) -> bool:
    """Mirrored states under mirrored actions stay mirror images, and look and are rewarded like that."""
    rng, model = np.random.default_rng(0), built.model
    moved, qvel = rng.normal(size=(2, _TRIALS, model.nv)) * np.array([_SPREAD, 1.0])[:, None, None]
    moved, qvel = np.concatenate([moved, dofs.of(moved)]), np.concatenate([qvel, dofs.of(qvel)])
    qpos = np.tile(built.reference_qpos, (2 * _TRIALS, 1))
    for row, tangent in zip(qpos, moved, strict=True):
        mujoco.mj_integratePos(model, row, tangent, 1.0)
    simulation = Simulation(built, 2 * _TRIALS, SimulationConfig())
    simulation.place(np.ones(2 * _TRIALS, bool), qpos, qvel)
    scale, same = np.array(built.character.action_scale), True
    for _ in range(_STEPS):
        # Far enough to meet the actuators' limits.
        action = 2.0 * rng.normal(size=(_TRIALS, model.nu))
        simulation.advance(built.reference_control + scale * np.concatenate([action, mirror.action.of(action)]))
        numbers = judge(simulation.qpos, simulation.qvel)
        seen, image = np.split(numbers, 2)
        wanted = np.concatenate([mirror.observation.of(seen[:, :-1]), seen[:, -1:]], axis=1)
        same = same and bool(np.allclose(image, wanted, rtol=1e-4, atol=1e-4))
    simulation.close()
    return same
