import numpy as np
import pytest

from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.core.transforms import (
    apply,
    compose,
    invert_affine,
    local_transforms,
    rest_transforms,
    world_transforms,
)


def random_maps(rng, *batch):
    return np.concatenate([np.eye(3) + 0.3 * rng.normal(size=(*batch, 3, 3)), rng.normal(size=(*batch, 3, 1))], axis=-1)


def test_composing_is_applying_one_after_the_other():
    rng = np.random.default_rng(0)
    outer, inner, points = random_maps(rng, 5), random_maps(rng, 5), rng.normal(size=(5, 7, 3))
    np.testing.assert_allclose(apply(compose(outer, inner), points), apply(outer, apply(inner, points)), atol=1e-13)


def test_a_map_after_its_inverse_is_the_identity():
    maps = random_maps(np.random.default_rng(1), 2, 3)
    identity = np.broadcast_to(np.eye(3, 4), maps.shape)
    np.testing.assert_allclose(compose(maps, invert_affine(maps)), identity, atol=1e-12)
    np.testing.assert_allclose(compose(invert_affine(maps), maps), identity, atol=1e-12)


def test_composing_does_not_change_its_arguments():
    outer, inner = random_maps(np.random.default_rng(2)), random_maps(np.random.default_rng(3))
    kept = outer.copy(), inner.copy()
    compose(outer, inner)
    np.testing.assert_array_equal(outer, kept[0])
    np.testing.assert_array_equal(inner, kept[1])


def test_a_local_transform_scales_then_stretches_then_turns_then_moves():
    stretch = np.array([[[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]])
    bone = skeleton(["a"], [-1], np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]), stretch)
    quarter = quat_from_rotvec(np.array([[[0.0, 0.0, np.pi / 2]]]))
    local = local_transforms(bone, np.array([[[10.0, 0.0, 0.0]]]), quarter, np.array([[[1.0, 3.0, 1.0]]]))
    # (0, 1, 0) → scaled (0, 3, 0) → sheared (1.5, 6, 0) → turned by 90° about z (−6, 1.5, 0) → moved.
    np.testing.assert_allclose(apply(local, np.array([[[[0.0, 1.0, 0.0]]]])), [[[[4.0, 1.5, 0.0]]]], atol=1e-14)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]], ids=["parents first", "children first"])
def test_an_arm_of_three_joints_reaches_where_it_was_computed_by_hand(order):
    # Shoulder at the origin, elbow 1 along x, hand 1 further; shoulder and elbow both turn 90° about z.
    names, parents, offset = (
        ["shoulder", "elbow", "hand"],
        [-1, 0, 1],
        [[0.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]],
    )
    turn = [[0, 0, np.pi / 2], [0, 0, np.pi / 2], [0.0, 0, 0]]
    where = {old: new for new, old in enumerate(order)}
    arm = skeleton(
        [names[i] for i in order],
        [where.get(parents[i], -1) for i in order],
        np.array([offset[i] for i in order]),
        np.tile([1.0, 0, 0, 0], (3, 1)),
    )
    quat = quat_from_rotvec(np.array([[turn[i] for i in order]]))
    world = world_transforms(arm, arm.rest_translation[None], quat, np.ones((1, 3, 3)))
    np.testing.assert_allclose(world[0, where[1], :, 3], [0, 1, 0], atol=1e-14)
    np.testing.assert_allclose(world[0, where[2], :, 3], [-1, 1, 0], atol=1e-14)
    np.testing.assert_allclose(rest_transforms(arm)[where[2], :, 3], [2, 0, 0], atol=1e-14)


def test_a_parents_scale_reaches_its_children_and_frames_are_independent():
    chain = skeleton(["a", "b"], [-1, 0], np.array([[0.0, 0, 0], [0, 1.0, 0]]), np.tile([1.0, 0, 0, 0], (2, 1)))
    scale = np.array([[[1.0, 1, 1], [1, 1, 1]], [[2.0, 3, 4], [5, 6, 7]]])
    tiled = np.tile(chain.rest_translation, (2, 1, 1)), np.tile(chain.rest_quat, (2, 1, 1))
    world = world_transforms(chain, *tiled, scale)
    np.testing.assert_array_equal(world[0], rest_transforms(chain))
    np.testing.assert_array_equal(world[1, 1, :, :3], np.diag([10.0, 18, 28]))
    np.testing.assert_array_equal(world[1, 1, :, 3], [0, 3, 0])
