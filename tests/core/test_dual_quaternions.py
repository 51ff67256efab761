"""Dual quaternion skinning: by hand where it can be, rigid motions, and derivatives by differences."""

import numpy as np

from bunraku.core.dual_quaternions import blend, bones, sensitivities
from bunraku.core.rotations import matrix_from_rotvec, skew
from bunraku.core.transforms import apply, compose


def affine(rotation, shift):
    return np.concatenate([rotation, np.reshape(shift, (3, 1))], axis=1)


def random_bones(seed=0, poses=2, bindings=4, stretched=True):
    rng = np.random.default_rng(seed)
    turn = matrix_from_rotvec(1.5 * rng.normal(size=(poses, bindings, 3)))
    stretch = np.eye(3) + (0.3 * rng.normal(size=(poses, bindings, 3, 3)) if stretched else 0)
    return np.concatenate([turn @ stretch, rng.normal(size=(poses, bindings, 3, 1))], axis=3)


def random_points(seed=1, poses=2, vertices=7, influences=3, bindings=4):
    rng = np.random.default_rng(seed)
    weights = rng.random((vertices, influences)) + 0.05
    weights /= weights.sum(axis=1, keepdims=True)
    return rng.normal(size=(poses, vertices, 3)), rng.integers(0, bindings, (vertices, influences)), weights


def test_half_way_between_no_turn_and_a_right_angle_is_half_the_angle_without_collapse():
    # Linear blending would bring the point to (½, ½, 0), inside the circle.
    matrices = np.stack(
        [affine(np.eye(3), [0, 0, 0]), affine(matrix_from_rotvec(np.array([0, 0, np.pi / 2])), [0] * 3)]
    )
    moved = blend(bones(matrices[None]), np.array([[[1.0, 0, 0]]]), np.array([[0, 1]]), np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(moved.vertices, [[[np.sqrt(0.5), np.sqrt(0.5), 0]]], atol=1e-12)


def test_shifts_without_turns_blend_linearly():
    matrices = np.stack([affine(np.eye(3), [0, 4.0, 0]), affine(np.eye(3), [8.0, 0, 0])])
    moved = blend(bones(matrices[None]), np.array([[[1.0, 0, 0]]]), np.array([[0, 1]]), np.array([[0.25, 0.75]]))
    np.testing.assert_allclose(moved.vertices, [[[7.0, 1, 0]]], atol=1e-12)


def test_scales_blend_linearly():
    matrices = np.stack([affine(np.eye(3), [0] * 3), affine(3 * np.eye(3), [0] * 3)])
    moved = blend(bones(matrices[None]), np.array([[[1.0, 2, 0]]]), np.array([[0, 1]]), np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(moved.vertices, [[[2.0, 4, 0]]], atol=1e-12)


def test_one_influence_moves_as_its_matrix_does_mirrored_too():
    matrices, (points, _, _) = random_bones(), random_points()
    matrices[:, 1] = compose(matrices[:, 1], np.tile(affine(np.diag([1.0, 1, -1]), [0] * 3), (2, 1, 1)))
    for bone in range(4):
        alone = np.full((7, 1), bone)
        moved = blend(bones(matrices), points, alone, np.ones((7, 1))).vertices
        np.testing.assert_allclose(moved, apply(matrices[:, bone], points), atol=1e-12)


def test_a_rigid_motion_of_all_bones_moves_all_vertices_by_it():
    matrices, (points, influences, weights) = random_bones(), random_points()
    outer = affine(matrix_from_rotvec(np.array([2.0, -1, 0.5])), [1.0, 2, 3])
    before = blend(bones(matrices), points, influences, weights).vertices
    after = blend(
        bones(compose(np.broadcast_to(outer, matrices.shape), matrices)), points, influences, weights
    ).vertices
    np.testing.assert_allclose(after, apply(np.stack([outer, outer]), before), atol=1e-11)


def test_the_sign_of_a_quaternion_does_not_matter():
    matrices, (points, influences, weights) = random_bones(stretched=False), random_points()
    parts = bones(matrices)
    turned = type(parts)(parts.rotation, parts.quat * [[[1], [-1], [1], [-1]]], parts.shift, parts.stretch)
    ours, theirs = (blend(p, points, influences, weights).vertices for p in (parts, turned))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_opposite_bones_of_equal_weight_follow_the_heavier_one_and_stay_finite():
    matrices = np.stack([affine(np.eye(3), [0] * 3), affine(np.diag([-1.0, -1, 1]), [0] * 3)])
    parts = bones(matrices[None])
    # The dot product of these quaternions is 0, so that no cancelling can occur; a made-up pair cancels exactly.
    cancelling = type(parts)(parts.rotation, parts.quat[:, [0, 0]] * [[[1], [1]]], parts.shift, parts.stretch)
    moved = blend(cancelling, np.array([[[1.0, 0, 0]]]), np.array([[0, 1]]), np.array([[0.5, 0.5]]))
    assert np.isfinite(moved.vertices).all()
    assert np.isfinite(
        blend(parts, np.array([[[1.0, 0, 0]]]), np.array([[0, 1]]), np.array([[0.5, 0.5]])).vertices
    ).all()


def test_sensitivities_are_the_differences_of_the_blend():
    for stretched in (False, True):
        matrices, (points, influences, weights) = random_bones(stretched=stretched), random_points()
        parts = bones(matrices)
        ours = sensitivities(parts, blend(parts, points, influences, weights), points, influences, weights)
        step = 1e-6
        for bone in range(4):
            # What a vertex feels of a bone is the sum over its influences on that bone.
            felt = (ours * (influences == bone)[None, :, :, None, None, None]).sum(axis=2)
            for entry in range(12):
                x = np.zeros((3, 4))
                x.flat[entry] = step
                sides = []
                for sign in (1, -1):
                    changed = matrices.copy()
                    changed[:, bone] += sign * compose(np.tile(x, (2, 1, 1)), matrices[:, bone])
                    sides.append(blend(bones(changed), points, influences, weights).vertices)
                slope = (sides[0] - sides[1]) / (2 * step)
                np.testing.assert_allclose(felt.reshape(2, 7, 3, 12)[..., entry], slope, atol=2e-8)


def test_the_short_way_for_rigid_motions_is_the_same():
    matrices, (points, influences, weights) = random_bones(stretched=False), random_points()
    parts = bones(matrices)
    blended = blend(parts, points, influences, weights)
    motion = affine(skew(np.array([1.0, -2, 3])), [0.3, 0.2, -0.5])
    full, short = (sensitivities(parts, blended, points, influences, weights, rigid) for rigid in (False, True))
    moved, quickly = (np.einsum("pvkxil,il->pvkx", each, motion) for each in (full, short))
    np.testing.assert_allclose(quickly, moved, atol=1e-12)
