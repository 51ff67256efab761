"""Controls that belong together: mirrored twins, and pairs whose effects cancel.

Both become couplings: linear combinations of u = (control − neutral)/range that prefer to be 0.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.rig import DifferentiableRig, diagonal

ALIKE = 0.97  # cosine of two effects that are taken for mirror images, or for opposites
NEAR = 0.02  # of the diagonal: how far a vertex may be from the mirror image of another


def effects(rig: DifferentiableRig) -> Float[np.ndarray, "controls vertices 3"]:
    """How the mesh moves at neutral when a control moves by its range."""
    spec = rig.spec
    turned = rig.jvp(np.tile(spec.neutral, (len(spec), 1)), np.diag(spec.range))
    return np.asarray(turned, np.float64)


def named_pairs(rig: DifferentiableRig, names: list[tuple[str, str]]) -> Float[np.ndarray, "pairs controls"]:
    """Couplings of pairs that are given by name: left and right move alike.

    Raises:
        BunrakuError: an unknown control, a control paired with itself or in two pairs.
    """
    rows, used = np.zeros((len(names), len(rig.spec))), dict[str, tuple[str, str]]()
    for row, pair in zip(rows, names, strict=True):
        for name in pair:
            if name in used or pair[0] == pair[1]:
                raise BunrakuError(
                    f"pair {pair[0]}, {pair[1]}: {name!r} is in {', '.join(used.get(name, pair))} already"
                )
        row[rig.spec.index(pair[0])], row[rig.spec.index(pair[1])] = 1.0, -1.0
        used |= dict.fromkeys(pair, pair)
    return rows


def mirrored_pairs(rig: DifferentiableRig) -> Float[np.ndarray, "pairs controls"]:
    """Couplings of controls whose effects are mirror images in the plane across the x, y or z axis in which the
    neutral mesh is its own image best; none where it is not. A twin that moves the other way has the sign for it.

    Raises:
        BunrakuError: the neutral mesh is not its own mirror image.
    """
    twin, sign = _mirror(np.asarray(rig.neutral, np.float64))
    moved = effects(rig)
    image = (moved[:, twin] * sign).reshape(len(moved), -1)
    flat = moved.reshape(len(moved), -1)
    length = np.linalg.norm(flat, axis=1)
    known = np.maximum(length, 1e-9 * max(length.max(), 1e-300))
    cosine = (flat / known[:, None]) @ (image / known[:, None]).T
    rows: list[np.ndarray] = []
    for left in range(len(cosine)):
        right = int(np.argmax(np.abs(cosine[left])))
        mutual = int(np.argmax(np.abs(cosine[right]))) == left
        if right > left and mutual and abs(cosine[left, right]) > ALIKE:
            row = np.zeros(len(cosine))
            row[left], row[right] = 1.0, -np.sign(cosine[left, right])
            rows.append(row)
    return np.array(rows).reshape(-1, len(cosine))


def cancelling_pairs(rig: DifferentiableRig) -> Float[np.ndarray, "pairs controls"]:
    """Couplings of pairs that undo each other's effect (open and close): their common part, which moves nothing,
    prefers to be 0. With one-sided ranges one of the two then rests.
    """
    flat = effects(rig).reshape(len(rig.spec), -1)
    length = np.linalg.norm(flat, axis=1)
    known = np.maximum(length, 1e-9 * max(length.max(), 1e-300))
    cosine = (flat / known[:, None]) @ (flat / known[:, None]).T
    rows: list[np.ndarray] = []
    for first, second in np.argwhere(np.triu(cosine < -ALIKE, 1)):
        row = np.zeros(len(flat))
        # a·e₁ + b·e₂ ≈ 0 for a : b = |e₂| : |e₁|
        row[first], row[second] = length[second], length[first]
        rows.append(row / np.linalg.norm(row))
    return np.array(rows).reshape(-1, len(flat))


def _mirror(neutral: Float[np.ndarray, "vertices 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Each vertex's mirror image, and the signs that a mirror gives the axes."""
    from scipy.spatial import KDTree

    tree, best = KDTree(neutral), (np.inf, np.zeros(0, np.int64), np.ones(3))
    for axis in range(3):
        sign = np.where(np.arange(3) == axis, -1.0, 1.0)
        centre = (neutral.min(axis=0) + neutral.max(axis=0)) * (np.arange(3) == axis)
        far, near = tree.query(neutral * sign + centre)
        if far.max() < best[0]:
            best = (float(far.max()), np.asarray(near, np.int64), sign)
    if best[0] > NEAR * diagonal(neutral):
        raise BunrakuError(
            f"the rig's neutral mesh is not its own mirror image: a vertex is {best[0]:.3g} off; name the pairs instead"
        )
    return best[1], best[2]
