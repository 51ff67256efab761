"""The published toy rig."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bunraku.core.rig import DifferentiableRig, Rig
from bunraku.rigs.cube import Cube, animation


def independent(corners: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """One pose, by scipy's rotations applied one after the other."""
    mesh = corners @ np.diag(pose[3:] * 2.5 - 0.5)
    for axis, value in zip("xyz", pose[:3], strict=True):
        mesh = Rotation.from_euler(axis, (value - 0.5) * 90, degrees=True).apply(mesh)
    return mesh


@pytest.mark.parametrize("published", [False, True])
def test_the_cube_is_scaled_then_turned_about_fixed_x_y_and_z(published: bool):
    rig = Cube(published)
    poses = np.random.default_rng(0).random((50, 6))
    expected = np.stack([independent(rig.neutral, pose) for pose in poses])
    np.testing.assert_allclose(rig.evaluate(poses), expected, atol=1e-14)


def test_a_quarter_turn_of_scale_two_is_where_the_hand_says():
    # rz = 1 is 45°, sx = 1 is scale 2, sy = 0.2 is scale 0: corner (1, 1, 1) → (2, 0, 1) → (√2, √2, 1).
    mesh = Cube().evaluate(np.array([[0.5, 0.5, 1.0, 1.0, 0.2, 0.6]]))
    np.testing.assert_allclose(mesh[0, 7], [np.sqrt(2), np.sqrt(2), 1.0], atol=1e-15)


@pytest.mark.parametrize("published", [False, True])
def test_the_declared_neutral_gives_the_neutral_mesh(published: bool):
    rig = Cube(published)
    np.testing.assert_array_equal(rig.evaluate(rig.spec.neutral[None])[0], rig.neutral)


def test_only_the_published_list_repeats_a_corner():
    assert len(np.unique(Cube().neutral, axis=0)) == 8
    published = Cube(published_vertices=True).neutral
    np.testing.assert_array_equal(published[7], [1, -1, -1])
    np.testing.assert_array_equal(published[:7], Cube().neutral[:7])


def test_the_faces_close_the_cube_and_look_outwards():
    corners, faces = Cube().neutral, Cube().faces
    a, b, c = corners[faces[:, 0]], corners[faces[:, 1]], corners[faces[:, 2]]
    # The divergence theorem: outward triangles enclose +8.
    assert np.einsum("ti,ti->", a, np.cross(b, c)) / 6 == pytest.approx(8)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_the_cube_is_a_black_box():
    assert isinstance(Cube(), Rig)
    assert not isinstance(Cube(), DifferentiableRig)


@pytest.mark.parametrize("straight", [True, False])
def test_animations_stay_in_range_and_repeat_for_a_seed(straight: bool):
    shot = animation(64, seed=3, straight=straight)
    assert shot.names == Cube().spec.names
    assert shot.values.min() >= 0
    assert shot.values.max() <= 1
    np.testing.assert_array_equal(shot.values, animation(64, seed=3, straight=straight).values)
    turns = np.diff(np.sign(np.diff(shot.values, axis=0)), axis=0).any(axis=0)
    assert turns.all() == (not straight)
