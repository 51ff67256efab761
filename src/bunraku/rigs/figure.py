"""A small puppet that ships with the project: a skinned character made in code, with three morphs and two animations.

Metres, Y up, facing +Z; its left is +X. Every number of it is chosen here, none is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bunraku.core.animation import Animation
from bunraku.core.rotations import matrix_from_quat, quat_from_rotvec
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.core.skinning import SkinnedCharacter
from bunraku.core.transforms import invert_affine, rest_transforms
from bunraku.rigs.figure_motion import walk, wave
from bunraku.rigs.figure_shape import LIMBS, TRUNK, Part, parts
from bunraku.rigs.skinned import SkinnedRig
from bunraku.rigs.skinned_controls import discover

MORPHS = ("figure.breath", "figure.belly", "figure.smile")
INFLUENCES = 4  # as many as one set of glTF attributes holds

_ARM_SLOPE = 0.87  # [rad] from straight down: arms rest half raised, so that they can be told from the trunk


def figure() -> tuple[SkinnedCharacter, tuple[Animation, ...]]:
    """The character and its animations, "wave" (linear keys) and "walk" (cubic splines)."""
    bones = _skeleton()
    surface = parts(bones)
    positions = np.concatenate([part.positions for part in surface])
    offsets = np.cumsum([0, *(len(part.positions) for part in surface[:-1])])
    faces = np.concatenate([part.faces + offset for part, offset in zip(surface, offsets, strict=True)])
    influences, weights = _strongest(np.concatenate([part.weights for part in surface]))
    world = np.tile(np.eye(4), (len(bones), 1, 1))
    world[:, :3] = invert_affine(rest_transforms(bones))
    character = SkinnedCharacter(
        skeleton=bones,
        positions=positions,
        faces=faces.astype(np.int32),
        binding_joints=np.arange(len(bones)),
        inverse_binds=world,
        influences=influences,
        weights=weights,
        morph_names=MORPHS,
        morph_deltas=_morphs(surface),
        morph_rest=np.zeros(len(MORPHS)),
    )
    return character, (wave(bones), walk(bones))


def figure_rig() -> SkinnedRig:
    """The character as a rig, with the controls that it would have as a glTF file."""
    character, animations = figure()
    slots, spec = discover(character, animations, character.binding_joints, "figure")
    return SkinnedRig(character, spec, slots, animations)


def _skeleton() -> Skeleton:
    joints = dict(TRUNK)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for name, (parent, (x, y, z)) in LIMBS.items():
            above = parent if parent in TRUNK else f"{side}_{parent}"
            joints[f"{side}_{name}"] = (above, (sign * x, y, z))
    names = list(joints)
    parents = [names.index(parent) if parent else -1 for parent, _ in joints.values()]
    places = np.array([place for _, place in joints.values()])
    local, world = np.tile([1.0, 0.0, 0.0, 0.0], (len(names), 1)), np.tile(np.eye(3), (len(names), 1, 1))
    translation = np.empty_like(places)
    for i, (name, parent) in enumerate(zip(names, parents, strict=True)):
        # An arm's own −Y runs along the arm, as a leg's does: bending is a turn about X everywhere.
        slope = {"left_arm": _ARM_SLOPE, "right_arm": -_ARM_SLOPE}.get(name, 0.0)
        local[i] = quat_from_rotvec(np.array([0.0, 0.0, slope]))
        above = world[parent] if parent >= 0 else np.eye(3)
        world[i] = above @ matrix_from_quat(local[i])
        translation[i] = above.T @ (places[i] - (places[parent] if parent >= 0 else 0.0))
    return skeleton(names, parents, translation, local, name="figure")


def _strongest(weights: Float[np.ndarray, "vertices joints"]) -> tuple[np.ndarray, np.ndarray]:
    """The strongest influences of each vertex and their weights, which sum to 1."""
    chosen = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    kept = np.take_along_axis(weights, chosen, axis=1)
    return np.where(kept > 0, chosen, 0), kept / kept.sum(axis=1, keepdims=True)


def _morphs(surface: Sequence[Part]) -> Float[np.ndarray, "morphs vertices 3"]:
    deltas = [np.zeros((len(MORPHS), len(part.positions), 3)) for part in surface]
    for delta, part in zip(deltas, surface, strict=True):
        p = part.positions
        if part.name == "torso":
            out = p * [1.0, 0.0, 1.0]
            delta[0] = 0.16 * _bump(p[:, 1:2], (1.10,), 0.06) * out
            delta[1] = 0.075 * _bump(p, (0.0, 0.90, 0.09), 0.085) * [0.0, -0.15, 1.0]
        elif part.name == "head":
            for sign in (1.0, -1.0):
                delta[2] += 0.028 * _bump(p, (sign * 0.075, 1.36, 0.07), 0.035) * [0.6 * sign, 0.8, 0.2]
            delta[2] -= 0.012 * _bump(p, (0.0, 1.275, 0.05), 0.04) * [0.0, -1.0, 0.3]
    return np.concatenate(deltas, axis=1)


def _bump(p: np.ndarray, centre: tuple[float, ...], width: float) -> Float[np.ndarray, "vertices 1"]:
    """A bell of height 1."""
    return np.exp(-((p - centre) ** 2).sum(axis=1, keepdims=True) / (2 * width**2))
