"""The procedural face."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from bunraku.core.rig import DifferentiableRig, Rig
from bunraku.rigs.face import JAW, Face, animation


@pytest.fixture(scope="module")
def face() -> Face:
    return Face()


def test_it_has_a_hundred_controls_on_two_thousand_vertices(face: Face):
    assert len(face.spec) == 100
    assert face.neutral.shape == (2000, 3)
    assert (face.spec.neutral == 0).all()
    assert (face.spec.lower == -1).sum() == 12
    assert face.faces.min() == 0
    assert face.faces.max() == 1999


def test_the_neutral_controls_give_the_neutral_mesh(face: Face):
    np.testing.assert_allclose(face.evaluate(face.spec.neutral[None])[0], face.neutral, atol=1e-12)


def test_the_same_seed_makes_the_same_rig_and_another_seed_another(face: Face):
    pose = np.full((1, 100), 0.3)
    np.testing.assert_array_equal(Face(0).evaluate(pose), face.evaluate(pose))
    assert np.abs(Face(1).evaluate(pose) - face.evaluate(pose)).max() > 1


def test_poses_do_not_depend_on_their_batch(face: Face):
    poses = np.random.default_rng(0).random((300, 100))
    alone = np.concatenate([face.evaluate(poses[i : i + 1]) for i in (0, 255, 256, 299)])
    np.testing.assert_allclose(face.evaluate(poses)[[0, 255, 256, 299]], alone, atol=1e-10)


def test_twins_mirror_each_other(face: Face):
    left, right = (face.evaluate(np.eye(100)[i : i + 1])[0].reshape(40, 50, 3) for i in (6, 7))
    assert face.spec.names[6].removesuffix(".L") == face.spec.names[7].removesuffix(".R")
    np.testing.assert_allclose(right, left[:, ::-1] * [-1, 1, 1], atol=1e-12)


def test_pairs_in_betweens_and_the_jaw_are_not_linear(face: Face):
    def motion(pose: np.ndarray) -> np.ndarray:
        return face.evaluate(pose[None])[0] - face.neutral

    first, second = face._pairs[-1]
    one, two = np.eye(100)[first], np.eye(100)[second]
    assert np.abs(motion(one + two) - motion(one) - motion(two)).max() > 1
    hat = np.eye(100)[face._hats[-1]]
    assert np.abs(motion(0.5 * hat) - 0.5 * motion(hat)).max() > 1
    jaw = np.eye(100)[JAW]
    assert np.abs(motion(0.5 * jaw) - 0.5 * motion(jaw)).max() > 1


def test_a_typical_shot_is_sparse_smooth_and_moves_about_ten_millimetres(face: Face):
    shot = animation(face, 96, seed=0).values
    active = (np.abs(shot) > 0.02 * face.spec.range).sum(axis=1)
    assert 19 < active.mean() < 26
    assert np.abs(np.diff(shot, axis=0)).max() < 0.2
    assert (shot >= face.spec.lower).all()
    assert (shot <= face.spec.upper).all()
    motion = np.linalg.norm(face.evaluate(shot) - face.neutral, axis=-1).mean()
    assert 8 < motion < 12


def test_a_bounded_linear_solve_leaves_more_than_six_tenths_of_a_millimetre(face: Face):
    target = face.evaluate(animation(face, 96, seed=0).values[::24])
    basis = (face.evaluate(np.eye(100)) - face.neutral).reshape(100, -1).T
    bounds = (face.spec.lower, face.spec.upper)
    solved = np.stack([lsq_linear(basis, (mesh - face.neutral).ravel(), bounds).x for mesh in target])
    assert np.linalg.norm(face.evaluate(solved) - target, axis=-1).mean() > 0.6


def test_the_face_is_a_black_box(face: Face):
    assert isinstance(face, Rig)
    assert not isinstance(face, DifferentiableRig)
