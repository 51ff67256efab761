"""Where a clip is in the air, and the velocities with which a body would get through it.

In the air nothing but gravity acts: the centre of mass falls, the angular momentum about it stays. Clips do neither,
least of all coarse ones: that of the published backflip triples its angular momentum within a quarter of a second (16
frames a second, captured bodies are of other proportions), so that whoever begins there with the clip's velocities
cannot come round in time, whatever he does.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from bunraku.imitation.anatomy import body_frames_w, joint_turns
from bunraku.imitation.character import Built
from bunraku.imitation.physique import balls

_CLEAR_M = 0.05
"""A clip is in the air where nothing is nearer to the ground than this: clips are not exact."""
_LEAST_S, _MOST_S = 0.1, 1.0
"""What lasts shorter is a clip's noise; what lasts longer is a clip that floats."""


def flights(built: Built, qpos: Float[np.ndarray, "rows nq"], row_s: float) -> list[slice]:
    """The runs of rows, `row_s` apart, in which a character with a free root touches nothing."""
    bodies, pos, radius = balls(built.model)
    if not len(bodies):
        return []
    pos_w, turn_w = body_frames_w(built.anatomy, qpos, joint_turns(built.anatomy, qpos))
    height = pos_w[:, bodies, 2] + np.einsum("npj,pj->np", turn_w[:, bodies, 2], pos) - radius
    clear = np.concatenate([[False], height.min(axis=1) > _CLEAR_M, [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(clear) == 1), np.flatnonzero(np.diff(clear) == -1)
    # One that the clip's first or last frame cuts has no take-off or no landing.
    whole = [(a, b) for a, b in zip(starts, ends, strict=True) if a > 0 and b < len(qpos)]
    return [slice(a, b) for a, b in whole if _LEAST_S <= (b - 1 - a) * row_s <= _MOST_S]


def ballistic(
    built: Built, qpos: Float[np.ndarray, "rows nq"], qvel: Float[np.ndarray, "rows nv"], row_s: float
) -> Float[np.ndarray, "rows 6"]:
    """Velocities of the free root through one flight: linear [m/s, world] and angular [rad/s, its own frame].

    Joints move as they do in `qvel`. From each row on the body gets to the clip's last one in the time that is left:
    its centre of mass under gravity, v = Δc/τ − ½·g·τ; its rotation with an angular momentum L that stays and turns it
    as far as the clip's own L(t), which does not: with inertias I, ∫ I⁻¹·L = ∫ I⁻¹·L(t), from there to the landing.
    """
    model, data = built.model, mujoco.MjData(built.model)
    mass, size = float(model.body_mass[1:].sum()), model.nv
    moved, mixed, centre = np.zeros((len(qpos), 6, size)), np.zeros((size, size)), np.zeros((len(qpos), 3))
    turn = np.zeros((len(qpos), 3, 3))
    for i, row in enumerate(qpos):
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_crb(model, data)
        mujoco.mj_fullM(model, data, mixed)
        moved[i], centre[i], turn[i] = mixed[:6], data.subtree_com[1], data.xmat[1].reshape(3, 3)
    # Momenta of the free joint: m·v of the centre of mass, and the angular one about the root in the root's frame.
    momentum = np.einsum("nij,nj->ni", moved, qvel)
    arm = centre - qpos[:, :3]
    angular = np.einsum("nij,nj->ni", turn, momentum[:, 3:]) - np.cross(arm, momentum[:, :3])
    about = turn @ moved[:, 3:, 3:6] @ np.swapaxes(turn, 1, 2)
    about -= mass * ((arm**2).sum(axis=1)[:, None, None] * np.eye(3) - arm[:, :, None] * arm[:, None, :])
    inverse = np.linalg.inv(about)
    turned = (inverse @ angular[..., None])[::-1].cumsum(axis=0)[::-1]
    kept = np.linalg.solve(inverse[::-1].cumsum(axis=0)[::-1], turned)[..., 0]
    rest_s = row_s * np.arange(len(qpos) - 1, 0, -1)[:, None]
    linear = np.empty_like(centre)
    linear[:-1] = (centre[-1] - centre[:-1]) / rest_s - 0.5 * rest_s * np.array(model.opt.gravity)
    linear[-1] = linear[-2] + row_s * np.array(model.opt.gravity)
    wanted = np.concatenate([mass * linear, np.zeros_like(linear)], axis=1)
    wanted[:, 3:] = np.einsum("nji,nj->ni", turn, kept + np.cross(arm, wanted[:, :3]))
    return qvel[:, :6] + np.linalg.solve(moved[:, :, :6], (wanted - momentum)[..., None])[..., 0]
