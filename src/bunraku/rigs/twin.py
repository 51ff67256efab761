"""A rig in another program that is nothing but bones and skin, computed here: with derivatives, and thousands of times
faster.

The host says what its skin is (`integrations/blender/bunraku_blender/skin.py`); the twin counts only once it has shown
the same meshes as the host at random poses. It steers a solve; errors are still those of the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from jaxtyping import Float

from bunraku.core.rig import DifferentiableRig, Rig, diagonal
from bunraku.core.rotations import quat_from_matrix
from bunraku.core.skeleton import skeleton
from bunraku.core.skinning import SkinnedCharacter
from bunraku.rigs.host import HostRig

CHECKS = 24
"""True evaluations that a twin is compared at."""
AGREES = 1e-5
"""Of the diagonal: the largest distance of any vertex."""


def twin_of(rig: Rig) -> DifferentiableRig | None:
    """The same rig computed here; None where it is not one of bones and skin alone, as far as the host tells."""
    if not isinstance(rig, HostRig):
        return None
    bones, arrays = rig.description.more.get("skin_bones"), rig.description.arrays
    if not isinstance(bones, list) or "skin_bind" not in arrays:
        return None
    made = _skinned(rig, [str(bone) for bone in bones], arrays)
    return made if made is not None and _agrees(rig, made) else None


def _skinned(rig: HostRig, bones: list[str], arrays: Mapping[str, np.ndarray]) -> DifferentiableRig | None:
    from bunraku.rigs.skinned import SkinnedRig

    slots = _slots(rig.spec.names, bones)
    if slots is None or len(set(bones)) != len(bones):
        return None
    count = len(bones)
    # Node 0 is the world, 1 the armature; then two for each bone: where it rests, and in that place how it is posed.
    local = [np.eye(4), arrays["skin_world"]]
    parents, names = [-1, 0], ["", "armature"]
    for bone, above in enumerate(arrays["skin_parents"].tolist()):
        local += [arrays["skin_rest"][bone], np.eye(4)]
        parents += [1 if above < 0 else 3 + 2 * above, 2 + 2 * bone]
        names += [f"rest of {bone}", f"pose of {bone}"]
    turns, stretches = zip(*(_polar(matrix[:3, :3]) for matrix in local), strict=True)
    tree = skeleton(
        names, parents, np.stack([m[:3, 3] for m in local]), quat_from_matrix(np.stack(turns)), np.stack(stretches)
    )
    influences, weights = arrays["skin_influences"] + 1, np.asarray(arrays["skin_weights"], np.float64)
    total = weights.sum(axis=1, keepdims=True)
    free = total[:, 0] < 1e-4  # vertices that no bone moves stay where they are: on the world's node
    weights = np.where(free[:, None], 0.0, weights / np.maximum(total, 1e-12))
    influences[free, 0], weights[free, 0] = 0, 1.0
    character = SkinnedCharacter(
        tree,
        np.asarray(arrays["skin_points"], np.float64),
        rig.faces,
        np.array([0, *(3 + 2 * np.arange(count))]),
        np.concatenate([arrays["skin_mesh"][None], arrays["skin_bind"]]),
        influences.astype(np.int64),
        weights,
        (),
        np.zeros((0, len(weights), 3)),
        np.zeros(0),
    )
    return cast(DifferentiableRig, SkinnedRig(character, rig.spec, slots, ()))


def _slots(controls: tuple[str, ...], bones: list[str]) -> np.ndarray | None:
    """Where each control goes among nine for each node; None if one of them is no bone's."""
    node = {bone: 3 + 2 * place for place, bone in enumerate(bones)}
    slots: list[int] = []
    for name in controls:
        bone, _, channel = name.rpartition(".")
        if bone not in node or len(channel) != 2 or channel[0] not in "trs" or channel[1] not in "xyz":
            return None
        slots.append(9 * node[bone] + 3 * "trs".index(channel[0]) + "xyz".index(channel[1]))
    return np.array(slots, np.int64)


def _polar(matrix: Float[np.ndarray, "3 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Rotation R and stretch P with R·P = matrix; a mirror goes into the stretch."""
    left, _, right = np.linalg.svd(matrix)
    turn = left @ right
    if np.linalg.det(turn) < 0:
        left[:, -1] *= -1
        turn = left @ right
    return turn, turn.T @ matrix


def _agrees(rig: HostRig, twin: DifferentiableRig) -> bool:
    spec = rig.spec
    random = np.random.default_rng(0)
    poses = random.uniform(spec.lower, spec.upper, (CHECKS, len(spec)))
    few = random.random(poses.shape) < np.linspace(0.02, 0.5, CHECKS)[:, None]
    poses = np.where(few, poses, spec.neutral)
    meshes, failed = rig.outcomes(poses)
    if failed:
        return False
    off = np.linalg.norm(twin.evaluate(poses) - meshes, axis=2)
    return bool(off.max() <= AGREES * diagonal(rig.neutral))
