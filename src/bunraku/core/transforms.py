"""Affine maps as (…, 3, 4) matrices [A | b], x ↦ A·x + b, and the world transforms of a skeleton's joints."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bunraku.core.rotations import matrix_from_quat
from bunraku.core.skeleton import Skeleton


def compose(
    outer: Float[np.ndarray, "*batch 3 4"], inner: Float[np.ndarray, "*batch 3 4"]
) -> Float[np.ndarray, "*batch 3 4"]:
    """The map x ↦ outer(inner(x))."""
    out = outer[..., :3] @ inner
    out[..., 3] += outer[..., 3]
    return out


def invert_affine(transform: Float[np.ndarray, "*batch 3 4"]) -> Float[np.ndarray, "*batch 3 4"]:
    """The inverse maps.

    Raises:
        numpy.linalg.LinAlgError: a linear part is singular.
    """
    linear = np.linalg.inv(transform[..., :3])
    return np.concatenate([linear, -(linear @ transform[..., 3:])], axis=-1)


def apply(
    transform: Float[np.ndarray, "*batch 3 4"], points: Float[np.ndarray, "*batch points 3"]
) -> Float[np.ndarray, "*batch points 3"]:
    """The images of points, (…, points, 3)."""
    return points @ np.swapaxes(transform[..., :3], -1, -2) + transform[..., None, :, 3]


def local_transforms(
    skeleton: Skeleton,
    translation: Float[np.ndarray, "frames joints 3"],
    quat: Float[np.ndarray, "frames joints 4"],
    scale: Float[np.ndarray, "frames joints 3"],
) -> Float[np.ndarray, "frames joints 3 4"]:
    """Parent-relative transforms x ↦ t + R·P·diag(scale)·x; P is the rest stretch, scale a factor on it."""
    stretch = skeleton.rest_stretch * scale[..., None, :]
    return np.concatenate([matrix_from_quat(quat) @ stretch, translation[..., None]], axis=-1)


def world_transforms(
    skeleton: Skeleton,
    translation: Float[np.ndarray, "frames joints 3"],
    quat: Float[np.ndarray, "frames joints 4"],
    scale: Float[np.ndarray, "frames joints 3"],
) -> Float[np.ndarray, "frames joints 3 4"]:
    """World transforms of every joint from parent-relative poses (quaternions wxyz, of unit length).

    World of joint j is that of its parent after  x ↦ t_j + R_j·P_j·diag(scale_j)·x; a root's parent is the
    world itself.
    """
    local = local_transforms(skeleton, translation, quat, scale)
    # Joints first: each is then one contiguous block of all frames.
    world = np.ascontiguousarray(np.moveaxis(local, 1, 0))
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        if parent >= 0:
            world[joint] = compose(world[parent], world[joint])
    return np.ascontiguousarray(np.moveaxis(world, 0, 1))


def rest_transforms(skeleton: Skeleton) -> Float[np.ndarray, "joints 3 4"]:
    """World transforms of every joint at rest."""
    translation = skeleton.rest_translation[None]
    return world_transforms(skeleton, translation, skeleton.rest_quat[None], np.ones_like(translation))[0]
