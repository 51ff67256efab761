"""Where a character's joints lie in MuJoCo's vectors, and its bodies' positions: for whole batches of states."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bunraku.core.rotations import matrix_from_quat, quat_from_matrix, skew

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
    turn: Float[np.ndarray, "siblings 3 3"] | None
    """None: no rotation between parent and body at rest."""
    rotations: Int[np.ndarray, "jointed"]
    """Which of the anatomy's rotations their joint is."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Index arrays by kind of coordinate; a free joint counts as three linear coordinates and one quaternion.

    Rotations are all hinges, then all quaternions, each in the model's order: the order of every "rotations"
    axis.
    """

    rotations: tuple[str, ...]
    hinge_q: Int[np.ndarray, "hinges"]
    hinge_v: Int[np.ndarray, "hinges"]
    hinge_zero: Float[np.ndarray, "hinges"]
    """Angles [rad] at which bodies are where the file puts them."""
    hinge_across: Float[np.ndarray, "hinges 3 3"]
    """[u]× of the axes u."""
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
        hinge_zero=np.array([j.zero for j in hinges]),
        hinge_across=skew(np.array([j.axis for j in hinges]).reshape(-1, 3)),
        quat_q=np.array(quat_q, np.int64).reshape(-1, 1) + np.arange(4),
        quat_v=np.array(quat_v, np.int64).reshape(-1, 1) + np.arange(3),
        linear_q=np.array([q for q, _ in linear], np.int64),
        linear_v=np.array([v for _, v in linear], np.int64),
        turning=(*hinges, *quats),
        bodies=bodies,
        siblings=_siblings(bodies, [j.name for j in [*hinges, *quats]]),
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


def _siblings(bodies: tuple[Body, ...], rotations: list[str]) -> tuple[Siblings, ...]:
    depth = [0] * len(bodies)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, body in enumerate(bodies[1:], start=1):
        depth[i] = depth[body.parent] + 1
        groups.setdefault((depth[i], _kind(body)), []).append(i)
    return tuple(_group(kind, places, bodies, rotations) for (_, kind), places in sorted(groups.items()))


def _kind(body: Body) -> int:
    if not body.joints:
        return _NOTHING
    joint = body.joints[0]
    simple = len(body.joints) == 1 and joint.kind in (_BALL, _HINGE) and not joint.anchor.any()
    return joint.kind if simple else _OTHER


def _group(kind: int, places: list[int], bodies: tuple[Body, ...], rotations: list[str]) -> Siblings:
    quat = np.array([bodies[i].quat for i in places])
    joints = [bodies[i].joints[0] for i in places if kind in (_BALL, _HINGE)]
    return Siblings(
        kind=kind,
        bodies=np.array(places, np.int64),
        parents=np.array([bodies[i].parent for i in places], np.int64),
        pos=np.array([bodies[i].pos for i in places]),
        turn=None if (quat == [1.0, 0.0, 0.0, 0.0]).all() else matrix_from_quat(quat),
        rotations=np.array([rotations.index(j.name) for j in joints], np.int64),
    )


def _effectors(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    sites = np.flatnonzero(model.site_group != NO_EFFECTOR)
    if len(sites):
        return np.array(model.site_bodyid[sites], np.int64), np.array(model.site_pos[sites])
    parents = {int(parent) for parent in model.body_parentid[1:]}
    last = np.array([i for i in range(1, model.nbody) if i not in parents], np.int64)
    return last, np.array(model.body_ipos[last])


def joint_turns(body: Anatomy, qpos: Float[np.ndarray, "count nq"]) -> Float[np.ndarray, "count rotations 3 3"]:
    """What every hinge and quaternion turns by, as matrices."""
    turns = np.empty((len(qpos), len(body.rotations), 3, 3))
    hinges = len(body.hinge_q)
    # R = I + sin a [u]× + (1 − cos a) [u]×² (Rodrigues)
    angle = (qpos[:, body.hinge_q] - body.hinge_zero)[..., None, None]
    turns[:, :hinges] = np.eye(3) + np.sin(angle) * body.hinge_across
    turns[:, :hinges] += (1 - np.cos(angle)) * (body.hinge_across @ body.hinge_across)
    quat = qpos[:, body.quat_q]
    turns[:, hinges:] = matrix_from_quat(quat / np.sqrt(np.vecdot(quat, quat))[..., None])
    return turns


def body_frames_w(
    body: Anatomy, qpos: Float[np.ndarray, "count nq"], turns: Float[np.ndarray, "count rotations 3 3"]
) -> tuple[Float[np.ndarray, "count bodies 3"], Float[np.ndarray, "count bodies 3 3"]]:
    """World positions [m] and rotations of all bodies, given what the joints turn by: MuJoCo's forward kinematics, for
    a batch.

    Within a body the joints act one after the other, each about its anchor.
    """
    count, bodies = len(qpos), len(body.bodies)
    pos, turn = np.zeros((count, bodies, 3)), np.empty((count, bodies, 3, 3))
    turn[:, 0] = np.eye(3)
    for siblings in body.siblings:
        carried = turn[:, siblings.parents]
        pos[:, siblings.bodies] = pos[:, siblings.parents] + np.einsum("nbij,bj->nbi", carried, siblings.pos)
        if siblings.turn is not None:
            carried = carried @ siblings.turn
        if siblings.kind in (_BALL, _HINGE):
            carried = carried @ turns[:, siblings.rotations]
        turn[:, siblings.bodies] = carried
        for i in siblings.bodies if siblings.kind == _OTHER else ():
            p, r = pos[:, i], turn[:, i]
            for joint in body.bodies[i].joints:
                own = turns[:, body.rotations.index(joint.name)] if joint.kind != _SLIDE else None
                p, r = _moved(joint, qpos, own, p, r)
            pos[:, i], turn[:, i] = p, r
    return pos, turn


def body_poses_w(
    body: Anatomy, qpos: Float[np.ndarray, "count nq"]
) -> tuple[Float[np.ndarray, "count bodies 3"], Float[np.ndarray, "count bodies 4"]]:
    """The same with rotations as quaternions (wxyz, w ≥ 0)."""
    pos, turn = body_frames_w(body, qpos, joint_turns(body, qpos))
    return pos, quat_from_matrix(turn)


def _moved(
    joint: Joint, qpos: np.ndarray, turn: np.ndarray | None, p: np.ndarray, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A body's place after one of its joints, which turns by `turn`, or slides."""
    if turn is None:
        return p + (r @ joint.axis) * (qpos[:, joint.q, None] - joint.zero), r
    if joint.kind == _FREE:
        return qpos[:, joint.q : joint.q + 3], turn
    anchor = p + r @ joint.anchor
    r = r @ turn
    return anchor - r @ joint.anchor, r


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
