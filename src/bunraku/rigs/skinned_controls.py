"""Which controls a skinned character has: what its skin hangs on, what its animations move, and how far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.animation import Animation, poses_at
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import diagonal
from bunraku.core.rotations import quat_conjugate, quat_multiply, rotvec_from_quat, unwrap_rotvecs
from bunraku.core.skeleton import Skeleton
from bunraku.core.skinning import SkinnedCharacter, deform, skinning_matrix
from bunraku.core.transforms import rest_transforms
from bunraku.formats.gltf_scene import unique_names

MOVES = 1e-5
"""A key counts as a movement when it differs from rest by more: of the neutral diagonal, in radians, as a factor."""
REST = np.repeat([0.0, 0.0, 1.0], 3)
"""Node parameters at rest: translation offset, rotation vector, scale factor."""


def discover(
    character: SkinnedCharacter,
    animations: Sequence[Animation],
    skin_joints: Int[np.ndarray, "joints"],
    name: str,
) -> tuple[Int[np.ndarray, "controls"], ControlSpec]:
    """The controls, as parameter slots (9 per node, then morphs) and as a spec.

    Every node that is a skin joint or that an animation moves has a rotation vector; roots, and nodes of which a key
    differs from
    rest, a translation; nodes of which a key differs, a scale; and there is one control for every morph.

    Raises:
        BunrakuError: nothing can be controlled.
    """
    joints = len(character.skeleton)
    rest = rest_transforms(character.skeleton)[None]
    size = diagonal(deform(character, skinning_matrix(character), rest, character.morph_rest[None])[0])
    reached = [_extremes(animation, character) for animation in animations]
    reach = size / _length_scale(character.skeleton)
    moved = _moved(reached, reach)
    controlled = np.zeros(joints, bool)
    controlled[skin_joints] = True
    controlled |= moved.any(axis=1)
    slots: list[int] = []
    for node in np.flatnonzero(controlled):
        root = not _has_ancestor(character.skeleton.parents, controlled, int(node))
        kinds = [0] if root or moved[node, 0] else []
        kinds += [1, 2] if moved[node, 2] else [1]
        slots += [9 * int(node) + 3 * kind + axis for kind in kinds for axis in range(3)]
    slots += [9 * joints + morph for morph in range(len(character.morph_names))]
    if not slots:
        raise BunrakuError(f"{name}: has no skin, no morph target and no animation: there is nothing to control")
    where = np.array(slots, np.int64)
    return where, _spec(character, where, reached, reach)


def node_curves(
    animation: Animation, character: SkinnedCharacter, times_s: Float[np.ndarray, "frames"]
) -> tuple[Float[np.ndarray, "frames joints 9"], Float[np.ndarray, "frames morphs"]]:
    """An animation in node parameters (rotation vectors on a continuous branch) and morph weights."""
    skeleton = character.skeleton
    poses = poses_at(animation, skeleton, character.morph_rest, times_s)
    rest = np.broadcast_to(quat_conjugate(skeleton.rest_quat), poses.quat.shape)
    turn = unwrap_rotvecs(rotvec_from_quat(quat_multiply(rest, poses.quat)))
    return np.concatenate([poses.translation - skeleton.rest_translation, turn, poses.scale], axis=2), poses.morphs


@dataclass(frozen=True, eq=False)
class _Extremes:
    """The least and greatest node parameters and morph weights that an animation reaches."""

    nodes: tuple[Float[np.ndarray, "joints 9"], Float[np.ndarray, "joints 9"]]
    morphs: tuple[Float[np.ndarray, "morphs"], Float[np.ndarray, "morphs"]]


def _extremes(animation: Animation, character: SkinnedCharacter) -> _Extremes:
    keys = [channel.times_s for channel in animation.channels]
    times = np.unique(np.concatenate(keys)) if keys else np.zeros(1)
    # Between keys a slerp can swing wider in rotation vectors, and a spline in anything, than at them.
    dense = np.unique(np.concatenate([times, *(times[:-1] + u * np.diff(times) for u in (0.25, 0.5, 0.75))]))
    nodes, morphs = node_curves(animation, character, dense)
    return _Extremes((nodes.min(axis=0), nodes.max(axis=0)), (morphs.min(axis=0), morphs.max(axis=0)))


def _moved(reached: Sequence[_Extremes], reach: Float[np.ndarray, "joints"]) -> Bool[np.ndarray, "joints 3"]:
    """Which nodes shift, turn and scale; `reach` is the neutral diagonal in the space of each node's parent."""
    moved = np.zeros((len(reach), 3), bool)
    limits = np.repeat(MOVES * np.stack([reach, np.ones_like(reach), np.ones_like(reach)], axis=1), 3, axis=1)
    for extremes in reached:
        far = np.maximum(np.abs(extremes.nodes[0] - REST), np.abs(extremes.nodes[1] - REST)) > limits
        moved |= far.reshape(-1, 3, 3).any(axis=2)
    return moved


def _has_ancestor(parents: np.ndarray, chosen: np.ndarray, node: int) -> bool:
    above = int(parents[node])
    while above >= 0 and not chosen[above]:
        above = int(parents[above])
    return above >= 0


def _spec(
    character: SkinnedCharacter, slots: np.ndarray, reached: Sequence[_Extremes], reach: np.ndarray
) -> ControlSpec:
    joints = len(character.skeleton)
    lower = np.tile(np.repeat([0.0, -np.pi, 0.1], 3), (joints, 1))
    upper = np.tile(np.repeat([0.0, np.pi, 10.0], 3), (joints, 1))
    lower[:, :3], upper[:, :3] = -reach[:, None], reach[:, None]
    morph_lower, morph_upper = np.minimum(0.0, character.morph_rest), np.maximum(1.0, character.morph_rest)
    if character.ramps is not None:
        np.minimum.at(morph_lower, character.ramps.morphs, character.ramps.full_at)
        np.maximum.at(morph_upper, character.ramps.morphs, character.ramps.full_at)
    for extremes in reached:
        # Where the file itself goes further a little room is added: a bound just short of the truth would spoil it.
        room = 0.02 * (upper - lower)
        lower = np.where(extremes.nodes[0] < lower, extremes.nodes[0] - room, lower)
        upper = np.where(extremes.nodes[1] > upper, extremes.nodes[1] + room, upper)
        morph_lower, morph_upper = (
            np.minimum(morph_lower, extremes.morphs[0]),
            np.maximum(morph_upper, extremes.morphs[1]),
        )
    neutral = np.concatenate([np.tile(REST, joints), character.morph_rest])
    names = [f"{node}.{kind}{axis}" for node in character.skeleton.names for kind in "trs" for axis in "xyz"]
    names += character.morph_names
    units = (["unit"] * 3 + ["rad"] * 3 + ["1"] * 3) * joints + ["1"] * len(character.morph_names)
    return control_spec(
        # A node's `a.tx` and a target `tx` of a mesh `a` are told apart here; within each kind names are unique.
        unique_names([names[slot] for slot in slots]),
        np.concatenate([lower.ravel(), morph_lower])[slots],
        np.concatenate([upper.ravel(), morph_upper])[slots],
        neutral[slots],
        [units[slot] for slot in slots],
        rotations=[[i, i + 1, i + 2] for i, slot in enumerate(slots) if slot < 9 * joints and slot % 9 == 3],
    )


def _length_scale(skeleton: Skeleton) -> Float[np.ndarray, "joints"]:
    """How long a unit of each node's parent space is in the world at rest (geometric mean over directions)."""
    volume = np.abs(np.linalg.det(rest_transforms(skeleton)[:, :, :3]))
    above = np.where(skeleton.parents >= 0, volume[skeleton.parents], 1.0)
    return np.where(above > 1e-30, above, 1.0) ** (1 / 3)
