"""A tree of joints with their rest transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.errors import BunrakuError


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints (any transform nodes) in any order; `order` has parents before children. Build with `skeleton`.

    The local transform of joint j is  x ↦ t_j + R_j·P_j·x  with translation t, rotation R and stretch P; P is
    the diagonal of the scale for ordinary joints, and a general matrix where a file gives a sheared one.
    """

    names: tuple[str, ...]
    parents: Int[np.ndarray, "joints"]
    """Index of each joint's parent, −1 for roots."""
    order: Int[np.ndarray, "joints"]
    rest_translation: Float[np.ndarray, "joints 3"]
    rest_quat: Float[np.ndarray, "joints 4"]
    """wxyz, unit length."""
    rest_stretch: Float[np.ndarray, "joints 3 3"]

    def __len__(self) -> int:
        return len(self.names)


def skeleton(
    names: Sequence[str],
    parents: Sequence[int] | np.ndarray,
    rest_translation: np.ndarray,
    rest_quat: np.ndarray,
    rest_stretch: np.ndarray | None = None,
    name: str = "skeleton",
) -> Skeleton:
    """A checked `Skeleton` from rest translations (joints, 3), quaternions (joints, 4) and stretches (joints, 3, 3).

    Raises:
        BunrakuError: repeated names, a parent that does not exist, a cycle among the joints (named), rest
            transforms of another shape or that are not finite.
    """
    count = len(names)
    parent = np.asarray(parents, np.int64).reshape(count)
    if len(set(names)) != count:
        raise BunrakuError(f"{name}: a joint is named twice; names must be unique")
    if count and (parent.max() >= count or parent.min() < -1):
        culprit = int(parent.max() if parent.max() >= count else parent.min())
        raise BunrakuError(f"{name}: a joint has parent {culprit}; there are {count} joints")
    stretch = np.tile(np.eye(3), (count, 1, 1)) if rest_stretch is None else np.asarray(rest_stretch, np.float64)
    translation, quat = np.asarray(rest_translation, np.float64), np.asarray(rest_quat, np.float64)
    expected = {"translations": (translation, (3,)), "quaternions": (quat, (4,)), "stretches": (stretch, (3, 3))}
    for what, (array, shape) in expected.items():
        if array.shape != (count, *shape):
            raise BunrakuError(f"{name}: rest {what} have shape {array.shape}; expected {(count, *shape)}")
        if not np.isfinite(array).all():
            culprit = names[int(np.argwhere(~np.isfinite(array))[0][0])]
            raise BunrakuError(f"{name}: joint {culprit!r} has a rest transform that is not finite")
    length = np.linalg.norm(quat, axis=1, keepdims=True)
    if (length < 1e-12).any():
        raise BunrakuError(f"{name}: joint {names[int(np.argmin(length))]!r} has a rotation quaternion of length 0")
    order = _parents_first(names, parent, name)
    return Skeleton(tuple(names), parent, order, translation, quat / length, stretch)


def _parents_first(names: Sequence[str], parents: np.ndarray, name: str) -> np.ndarray:
    depth = np.full(len(parents), -1)
    for start in range(len(parents)):
        path: dict[int, None] = {}  # in order, and quick to ask: a hostile file can be one long chain
        joint = start
        while joint >= 0 and depth[joint] < 0:
            if joint in path:
                raise BunrakuError(f"{name}: joint {names[joint]!r} is its own ancestor (a cycle among the nodes)")
            path[joint] = None
            joint = int(parents[joint])
        base = depth[joint] if joint >= 0 else -1
        for above, visited in enumerate(reversed(path)):
            depth[visited] = base + 1 + above
    return np.argsort(depth, kind="stable")
