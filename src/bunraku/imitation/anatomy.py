"""Where a character's joints lie in MuJoCo's vectors, and its bodies' positions: for whole batches of states."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bunraku.core.rotations import quat_from_rotvec, quat_multiply, quat_rotate

_KINDS = mujoco.mjtJoint
_FREE, _BALL, _SLIDE, _HINGE = (
    int(_KINDS.mjJNT_FREE),
    int(_KINDS.mjJNT_BALL),
    int(_KINDS.mjJNT_SLIDE),
    int(_KINDS.mjJNT_HINGE),
)

NO_EFFECTOR = 5
"""Group of sites that are no end effectors: they serve tendons and the like."""

_NARROW = 0.9 * np.pi
"""A joint whose range stays below this has a rotation vector without a jump."""


@dataclass(frozen=True, eq=False)
class Joint:
    """One joint: its place in qpos and qvel."""

    name: str
    kind: int
    q: int
    v: int
    axis: Float[np.ndarray, "3"]
    anchor: Float[np.ndarray, "3"]
    zero: float
    """qpos of a hinge or slide at which the body is where the file puts it."""
    low: float
    high: float
    """Limits of a hinge or slide; the angle that a ball may turn by is `high`. Infinite without limits."""

    @property
    def narrow(self) -> bool:
        """The range keeps it away from half a turn."""
        return max(-self.low, self.high) < _NARROW

    @property
    def is_hinge(self) -> bool:
        """It turns about one axis."""
        return self.kind == _HINGE

    @property
    def is_ball(self) -> bool:
        """It turns about all axes."""
        return self.kind == _BALL

    @property
    def is_free(self) -> bool:
        """It moves and turns as it likes."""
        return self.kind == _FREE


@dataclass(frozen=True, eq=False)
class Body:
    """One body, its place under its parent and its joints."""

    name: str
    parent: int
    pos: Float[np.ndarray, "3"]
    quat: Float[np.ndarray, "4"]
    joints: tuple[Joint, ...]


_NOTHING, _OTHER = -1, -2
"""Kinds of siblings beside MuJoCo's: bodies welded to their parent; those with several joints or an anchor."""


@dataclass(frozen=True, eq=False)
class Siblings:
    """Bodies equally far from the world whose joints are of one kind: their poses are computed together."""

    kind: int
    bodies: Int[np.ndarray, "siblings"]
    parents: Int[np.ndarray, "siblings"]
    pos: Float[np.ndarray, "siblings 3"]
    quat: Float[np.ndarray, "siblings 4"] | None
    """None: no rotation between parent and body at rest."""
    q: Int[np.ndarray, "jointed numbers"]
    """Where in qpos their joint is."""
    axes: Float[np.ndarray, "jointed 3"]
    zero: Float[np.ndarray, "jointed"]

    def turns(self, qpos: Float[np.ndarray, "count nq"]) -> Float[np.ndarray, "count siblings 4"]:
        """What hinges or balls add to the rotations."""
        if self.kind == _BALL:
            quat = qpos[:, self.q]
            return quat / np.sqrt((quat**2).sum(axis=-1, keepdims=True))
        half = (qpos[:, self.q[:, 0]] - self.zero) / 2
        return np.concatenate([np.cos(half)[..., None], np.sin(half)[..., None] * self.axes], axis=-1)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Index arrays by kind of coordinate; a free joint counts as three linear coordinates and one quaternion.

    Rotations are all hinges, then all quaternions, each in the model's order: the order of every "rotations"
    axis.
    """

    rotations: tuple[str, ...]
    hinge_q: Int[np.ndarray, "hinges"]
    hinge_v: Int[np.ndarray, "hinges"]
    quat_q: Int[np.ndarray, "quats 4"]
    quat_v: Int[np.ndarray, "quats 3"]
    linear_q: Int[np.ndarray, "linears"]
    linear_v: Int[np.ndarray, "linears"]
    turning: tuple[Joint, ...]
    """The joint behind each rotation."""
    bodies: tuple[Body, ...]
    """In MuJoCo's order, the world first, parents before children."""
    siblings: tuple[Siblings, ...]
    """All bodies but the world, parents before children."""
    mass: Float[np.ndarray, "bodies"]
    centre: Float[np.ndarray, "bodies 3"]
    """Each body's centre of mass in its own frame."""
    effector_bodies: Int[np.ndarray, "effectors"]
    effector_pos: Float[np.ndarray, "effectors 3"]
    """In the body's frame."""


def anatomy(model: mujoco.MjModel) -> Anatomy:
    """Read a compiled model. End effectors are its sites but those of group 5, else the last bodies' centres."""
    joints = [_joint(model, i) for i in range(model.njnt)]
    hinges = [j for j in joints if j.kind == _HINGE]
    quats = [j for j in joints if j.kind in (_BALL, _FREE)]
    # A free joint's qpos is position then quaternion (3 + 4), its qvel linear then angular (3 + 3).
    quat_q = [j.q + (3 if j.kind == _FREE else 0) for j in quats]
    quat_v = [j.v + (3 if j.kind == _FREE else 0) for j in quats]
    linear = [(j.q + k, j.v + k) for j in joints for k in range({_SLIDE: 1, _FREE: 3}.get(j.kind, 0))]
    bodies = tuple(_body(model, i, joints) for i in range(model.nbody))
    effector_bodies, effector_pos = _effectors(model)
    return Anatomy(
        rotations=tuple(j.name for j in [*hinges, *quats]),
        hinge_q=np.array([j.q for j in hinges], np.int64),
        hinge_v=np.array([j.v for j in hinges], np.int64),
        quat_q=np.array(quat_q, np.int64).reshape(-1, 1) + np.arange(4),
        quat_v=np.array(quat_v, np.int64).reshape(-1, 1) + np.arange(3),
        linear_q=np.array([q for q, _ in linear], np.int64),
        linear_v=np.array([v for _, v in linear], np.int64),
        turning=(*hinges, *quats),
        bodies=bodies,
        siblings=_siblings(bodies),
        mass=np.array(model.body_mass),
        centre=np.array(model.body_ipos),
        effector_bodies=effector_bodies,
        effector_pos=effector_pos,
    )


def _joint(model: mujoco.MjModel, i: int) -> Joint:
    q, kind = int(model.jnt_qposadr[i]), int(model.jnt_type[i])
    low, high = (float(x) for x in model.jnt_range[i]) if model.jnt_limited[i] else (-np.inf, np.inf)
    return Joint(
        model.joint(i).name or f"joint {i}",
        kind,
        q,
        int(model.jnt_dofadr[i]),
        np.array(model.jnt_axis[i]),
        np.array(model.jnt_pos[i]),
        float(model.qpos0[q]),
        low,
        high,
    )


def _body(model: mujoco.MjModel, i: int, joints: list[Joint]) -> Body:
    first, count = int(model.body_jntadr[i]), int(model.body_jntnum[i])
    own = tuple(joints[first : first + count]) if count else ()
    parent, pos, quat = int(model.body_parentid[i]), np.array(model.body_pos[i]), np.array(model.body_quat[i])
    return Body(model.body(i).name, parent, pos, quat, own)


def _siblings(bodies: tuple[Body, ...]) -> tuple[Siblings, ...]:
    depth = [0] * len(bodies)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, body in enumerate(bodies[1:], start=1):
        depth[i] = depth[body.parent] + 1
        groups.setdefault((depth[i], _kind(body)), []).append(i)
    return tuple(_group(kind, places, bodies) for (_, kind), places in sorted(groups.items()))


def _kind(body: Body) -> int:
    if not body.joints:
        return _NOTHING
    joint = body.joints[0]
    simple = len(body.joints) == 1 and joint.kind in (_BALL, _HINGE) and not joint.anchor.any()
    return joint.kind if simple else _OTHER


def _group(kind: int, places: list[int], bodies: tuple[Body, ...]) -> Siblings:
    quat = np.array([bodies[i].quat for i in places])
    joints = [bodies[i].joints[0] for i in places if kind in (_BALL, _HINGE)]
    return Siblings(
        kind=kind,
        bodies=np.array(places, np.int64),
        parents=np.array([bodies[i].parent for i in places], np.int64),
        pos=np.array([bodies[i].pos for i in places]),
        quat=None if (quat == [1.0, 0.0, 0.0, 0.0]).all() else quat,
        q=np.array([j.q for j in joints], np.int64)[:, None] + np.arange(4 if kind == _BALL else 1),
        axes=np.array([j.axis for j in joints]).reshape(-1, 3),
        zero=np.array([j.zero for j in joints]),
    )


def _effectors(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    sites = np.flatnonzero(model.site_group != NO_EFFECTOR)
    if len(sites):
        return np.array(model.site_bodyid[sites], np.int64), np.array(model.site_pos[sites])
    parents = {int(parent) for parent in model.body_parentid[1:]}
    last = np.array([i for i in range(1, model.nbody) if i not in parents], np.int64)
    return last, np.array(model.body_ipos[last])


def body_poses_w(
    body: Anatomy, qpos: Float[np.ndarray, "count nq"]
) -> tuple[Float[np.ndarray, "count bodies 3"], Float[np.ndarray, "count bodies 4"]]:
    """World positions [m] and rotations (wxyz) of all bodies: MuJoCo's forward kinematics, for a batch.

    Within a body the joints act one after the other, each about its anchor.
    """
    count, bodies = len(qpos), len(body.bodies)
    pos, quat = np.zeros((count, bodies, 3)), np.zeros((count, bodies, 4))
    quat[:, 0, 0] = 1.0
    for siblings in body.siblings:
        carried = quat[:, siblings.parents]
        pos[:, siblings.bodies] = pos[:, siblings.parents] + quat_rotate(carried, siblings.pos[None])
        if siblings.quat is not None:
            carried = quat_multiply(carried, np.broadcast_to(siblings.quat, carried.shape))
        if siblings.kind in (_BALL, _HINGE):
            carried = quat_multiply(carried, siblings.turns(qpos))
        quat[:, siblings.bodies] = carried
        for i in siblings.bodies if siblings.kind == _OTHER else ():
            p, r = pos[:, i], quat[:, i]
            for joint in body.bodies[i].joints:
                p, r = _moved(joint, qpos, p, r)
            pos[:, i], quat[:, i] = p, r
    return pos, quat


def _moved(joint: Joint, qpos: np.ndarray, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A body's pose after one of its joints."""
    if joint.kind == _FREE:
        return qpos[:, joint.q : joint.q + 3], _unit(qpos[:, joint.q + 3 : joint.q + 7])
    if joint.kind == _SLIDE:
        return p + quat_rotate(r, joint.axis) * (qpos[:, joint.q, None] - joint.zero), r
    anchor = p + quat_rotate(r, joint.anchor)
    if joint.kind == _BALL:
        turn = _unit(qpos[:, joint.q : joint.q + 4])
    else:
        turn = quat_from_rotvec(joint.axis * (qpos[:, joint.q, None] - joint.zero))
    r = quat_multiply(r, turn)
    return anchor - quat_rotate(r, joint.anchor), r


def _unit(quat: np.ndarray) -> np.ndarray:
    return quat / np.linalg.norm(quat, axis=-1, keepdims=True)


def points_w(
    pos_w: Float[np.ndarray, "count bodies 3"],
    turn_w: Float[np.ndarray, "count bodies 3 3"],
    bodies: Int[np.ndarray, "points"],
    local: Float[np.ndarray, "points 3"],
) -> Float[np.ndarray, "count points 3"]:
    """World positions of points given in the frames of bodies, whose rotations are matrices here."""
    return pos_w[:, bodies] + np.einsum("npij,pj->npi", turn_w[:, bodies], local)


def centre_of_mass_w(
    body: Anatomy, pos_w: Float[np.ndarray, "count bodies 3"], turn_w: Float[np.ndarray, "count bodies 3 3"]
) -> Float[np.ndarray, "count 3"]:
    """The whole character's centre of mass [m]; bodies fixed to the world count too, and cancel in differences."""
    # Σ m (p + R c) / Σ m, without the centres of all bodies one by one.
    share = body.mass / body.mass.sum()
    return share @ pos_w + np.einsum("nbij,bj->ni", turn_w, share[:, None] * body.centre)
