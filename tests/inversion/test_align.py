from itertools import permutations, product

import numpy as np
import pytest

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rotations import matrix_from_rotvec
from bunraku.inversion.align import IDENTITY, Alignment, align, moved
from bunraku.inversion.refine import FiniteDifferences
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.rigs.cube import Cube, animation
from small_rigs import limbed_rig

SIGNED = [
    np.eye(3)[list(order)] * np.array(signs)[:, None]
    for order in permutations(range(3))
    for signs in product((1.0, -1.0), repeat=3)
]
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # from a Z-up file: x, z, −y


def posed(frames=3, yaw=0.0):
    rig = limbed_rig(morphs=0, per_joint=6)
    rng = np.random.default_rng(0)
    controls = np.tile(rig.spec.neutral, (frames, 1)) + 0.25 * rng.normal(size=(frames, len(rig.spec)))
    controls[:, :6] = 0.02 * rng.normal(size=(frames, 6))
    mesh = rig.evaluate(controls)
    return rig, (mesh - mesh.mean(axis=1, keepdims=True)) @ matrix_from_rotvec(np.array([0, yaw, 0.0])).T + mesh.mean(
        axis=1, keepdims=True
    )


def found(rig, mesh):
    def solved_error(probes):
        return float(solve(rig, probes, SolveConfig(iterations=8, rescues=0)).relative_rms.mean())

    return align(mesh_sequence(mesh), rig.neutral, solved_error)


def undone(mesh, axes, scale):
    """The mesh in a space from which y = scale · axes · x leads back."""
    return mesh @ axes / scale


@pytest.mark.parametrize("index", range(48))
def test_every_signed_permutation_and_unit_of_a_posed_character_is_found(index):
    axes, scale = SIGNED[index], (100.0, 0.01)[index % 2]
    rig, mesh = posed()
    alignment = found(rig, undone(mesh, axes, scale))
    assert alignment.scale == scale
    # A turn about the upright axis, or upside down, is a pose that the root itself can take.
    a_pose = np.linalg.det(axes) > 0 and axes[1, 1] != 0
    np.testing.assert_array_equal(alignment.axes, np.eye(3) if a_pose else axes)
    assert solve(rig, alignment.apply(mesh_sequence(undone(mesh, axes, scale)))).relative_rms.max() < 1e-9


@pytest.mark.parametrize("index", [0, 17, 47])
def test_a_rig_that_cannot_shift_or_turn_over_is_found_with_its_offset(index):
    cube = FiniteDifferences(Cube())
    mesh, offset = cube.evaluate(animation(3).values), np.array([3.0, -2, 0.5])
    shot = undone(mesh - offset, SIGNED[index], 100.0)
    alignment = found(cube, shot)  # of its scale it can take a part itself
    assert solve(cube, alignment.apply(mesh_sequence(shot))).relative_rms.max() < 1e-6


def test_a_clean_capture_is_left_as_it_is():
    rig, mesh = posed()
    assert found(rig, mesh) is IDENTITY


def test_a_slightly_noisy_capture_is_left_as_it_is():
    rig, mesh = posed()
    assert found(rig, mesh + 0.005 * np.random.default_rng(1).normal(size=mesh.shape)) is IDENTITY


@pytest.mark.parametrize("yaw", [np.pi / 2, np.pi, -np.pi / 2])
def test_a_character_that_turns_about_its_upright_axis_is_no_change_of_axes(yaw):
    assert found(*posed(yaw=yaw)) is IDENTITY


def test_a_z_up_capture_is_recognised_although_the_root_could_turn():
    rig, mesh = posed()
    for noise in (0.0, 0.003):
        dirty = mesh + noise * np.random.default_rng(1).normal(size=mesh.shape)
        alignment = found(rig, undone(dirty, Z_UP, 1.0))
        np.testing.assert_array_equal(alignment.axes, Z_UP)
        assert alignment.scale == 1
        assert not alignment.offset.any()


def test_missing_vertices_and_frames_are_looked_past():
    rig, mesh = posed()
    shot = undone(np.concatenate([mesh[:1] * np.nan, mesh]), Z_UP, 100.0)
    shot[:, ::5] = np.nan
    alignment = found(rig, shot)
    np.testing.assert_array_equal(alignment.axes, Z_UP)
    assert alignment.scale == 100


def test_what_is_moved_moves_and_what_is_missing_stays_missing():
    mesh = np.array([[[1.0, 2, 3], [np.nan, 0, 0]]])
    alignment = Alignment(Z_UP, 2.0, np.array([1.0, 0, 0]))
    out = alignment.apply(mesh_sequence(mesh))
    np.testing.assert_allclose(out.vertices, [[[3, 6, -4], [0, 0, 0]]])
    assert out.valid.tolist() == [[True, False]]
    np.testing.assert_allclose(moved(mesh_sequence(mesh), alignment.matrix).vertices, out.vertices)


def test_an_alignment_is_one_line_for_people():
    assert str(IDENTITY) == "identity"
    assert str(Alignment(Z_UP, 0.01, np.zeros(3))) == "0.01 * (x, z, -y)"
    mirror = Alignment(np.diag([-1.0, 1, 1]), 1.0, np.array([0.0, 2, 0]))
    assert str(mirror) == "1 * (-x, y, z) (mirrored) + (0, 2, 0)"


@pytest.mark.parametrize("unit", [0.01, 0.001])  # at 100 the rig itself can be that small: the identity fits
def test_the_unit_of_a_rig_that_scales_itself_is_found(unit):
    # The cube's own scale controls blur the estimate by more than the room between an estimate and a unit.
    cube = FiniteDifferences(Cube())
    alignment = found(cube, cube.evaluate(animation(24, seed=3).values) / unit)
    assert alignment.scale == pytest.approx(unit, rel=1e-9)


def test_signed_permutations_and_units_of_a_head_that_drifts_is_found_without_a_solve():
    rng = np.random.default_rng(0)
    neutral = 50 * rng.normal(size=(40, 3)) + [0, 60, 0]
    mesh = np.tile(neutral, (8, 1, 1))
    mesh[:, 30:] += 40 * rng.normal(size=(8, 10, 3))  # what the controls move
    turns = matrix_from_rotvec(0.15 * rng.normal(size=(8, 3)))
    drifting = mesh @ np.swapaxes(turns, 1, 2) + 15 * rng.normal(size=(8, 1, 3)) + rng.normal(size=mesh.shape)
    still = (np.arange(40) < 30).astype(float)

    def not_asked(_):
        raise AssertionError("nothing need be solved")

    for index, axes in enumerate(SIGNED[::5]):
        scale = (1.0, 100.0, 0.01, 1 / 25.4)[index % 4]
        alignment = align(mesh_sequence(undone(drifting, axes, scale)), neutral, not_asked, still)
        np.testing.assert_array_equal(alignment.axes, axes)
        assert alignment.scale == pytest.approx(scale, rel=1e-12)
        assert not alignment.offset.any()
    far = align(mesh_sequence(drifting + np.array([900.0, 0, 0])), neutral, not_asked, still)
    np.testing.assert_allclose(far.offset, [-900, 0, 0], atol=40)
    assert align(mesh_sequence(mesh), neutral, not_asked, still) is IDENTITY


def test_each_frame_can_be_moved_by_its_own_transform():
    mesh = np.array([[[1.0, 2, 3]], [[1, 2, 3]]])
    transforms = np.tile(np.eye(3, 4), (2, 1, 1))
    transforms[1, :, 3] = [1, 0, 0]
    np.testing.assert_array_equal(moved(mesh_sequence(mesh), transforms).vertices, [[[1, 2, 3]], [[2, 2, 3]]])
