"""Skinned characters as rigs: derivatives, coordinates, first guesses."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.animation import Animation, Channel
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.reduced import project, unproject
from bunraku.core.rig import diagonal, restrict
from bunraku.core.rotations import matrix_from_rotvec, quat_from_rotvec, quat_multiply
from bunraku.formats.gltf import append_animation, write_gltf
from bunraku.rigs.skinned import bake, keyed, open_gltf_rig
from small_rigs import differences, limbed, limbed_rig, odd_rig, rig_of


def poses(rig, seed=0, count=2, turn=0.6):
    rng = np.random.default_rng(seed)
    spec = rig.spec
    values = spec.neutral + 0.1 * rng.normal(size=(count, len(spec)))
    for triple in spec.rotations:
        values[:, triple] = turn * rng.normal(size=(count, 3))
    return values


def near(angles):
    """A pose of the odd rig whose nodes turn by given angles about random axes."""

    def make(rig):
        values = poses(rig, 3)
        axes = np.random.default_rng(4).normal(size=(2, len(rig.spec.rotations), 3))
        axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
        for i, triple in enumerate(rig.spec.rotations):
            values[:, triple] = axes[:, i] * angles[i % len(angles)]
        return values

    return make


POSES = {
    "small": poses,
    "neutral": lambda rig: np.tile(rig.spec.neutral, (2, 1)),
    "near pi": near([np.pi - 1e-3, np.pi, np.pi + 1e-3]),
    "beyond pi": near([3.6, 4.5, 5.5]),
    "tiny": near([1e-9, 1e-5, 3e-3]),
}


@pytest.mark.parametrize("which", POSES)
def test_jacobian_products_are_the_differences_of_the_mesh(which):
    rig = odd_rig()
    at = POSES[which](rig)
    rng = np.random.default_rng(1)
    tangents, cotangents = rng.normal(size=at.shape), rng.normal(size=(len(at), *rig.neutral.shape))
    moved, gradient = rig.jvp(at, tangents), rig.vjp(at, cotangents)
    for frame in range(len(at)):
        slope = differences(lambda c: rig.evaluate(c[None])[0].ravel(), at[frame])
        size = np.abs(slope).max()
        np.testing.assert_allclose(moved[frame].ravel(), tangents[frame] @ slope, atol=1e-8 * size * len(rig.spec))
        np.testing.assert_allclose(gradient[frame], slope @ cotangents[frame].ravel(), atol=3e-7 * size)


@pytest.mark.parametrize("which", POSES)
def test_coordinates_have_the_rigs_mesh_and_its_derivatives(which):
    rig = odd_rig()
    reduced, at = rig.reduce(), POSES[which](rig)
    z, rows = reduced.linearize(at)
    np.testing.assert_allclose(z, reduced.evaluate(at), atol=1e-12)
    np.testing.assert_allclose(unproject(reduced, z), rig.evaluate(at), atol=1e-11)
    for frame in range(len(at)):
        slope = differences(lambda c: reduced.evaluate(c[None])[0], at[frame])
        # Rows come in single precision.
        np.testing.assert_allclose(rows[frame], slope, atol=2e-6 * np.abs(slope).max())


def test_morph_rows_are_exact_where_joints_move_the_morphs_too():
    rig = limbed_rig(morphs=3)
    reduced, at = rig.reduce(), poses(limbed_rig(morphs=3))
    at[:, -3:] = [[0.2, 1, 0.7], [0, 0.5, 0]]
    slope = differences(lambda c: reduced.evaluate(c[None])[0], at[0])
    np.testing.assert_allclose(reduced.linearize(at)[1][0], slope, atol=2e-6 * np.abs(slope).max())


def test_the_basis_is_orthonormal_and_spans_every_pose():
    rig = odd_rig()
    reduced = rig.reduce()
    np.testing.assert_allclose(reduced.basis @ reduced.basis.T, np.eye(len(reduced.basis)), atol=1e-12)
    mesh = rig.evaluate(poses(rig, 9))
    np.testing.assert_allclose(unproject(reduced, project(reduced, mesh)), mesh, atol=1e-11)


def test_a_restricted_rig_has_the_rows_of_its_controls():
    rig = odd_rig()
    narrow = restrict(rig, ("j1.s?", "j3.r?", "blob.b"))
    at = poses(narrow, 5)
    reduced = narrow.reduce()
    slope = differences(lambda c: reduced.evaluate(c[None])[0], at[1])
    np.testing.assert_allclose(reduced.linearize(at)[1][1], slope, atol=2e-6 * np.abs(slope).max())
    np.testing.assert_allclose(unproject(reduced, reduced.evaluate(at)), narrow.evaluate(at), atol=1e-11)
    rng = np.random.default_rng(0)
    tangent, cotangent = rng.normal(size=at.shape), rng.normal(size=(2, *rig.neutral.shape))
    mesh = differences(lambda c: narrow.evaluate(c[None])[0].ravel(), at[0])
    np.testing.assert_allclose(narrow.jvp(at, tangent)[0].ravel(), tangent[0] @ mesh, atol=1e-6)
    np.testing.assert_allclose(narrow.vjp(at, cotangent)[0], mesh @ cotangent[0].ravel(), atol=1e-6)


def test_batches_are_the_poses_one_by_one():
    rig = limbed_rig()
    at = poses(rig, 2, count=130)
    whole = rig.evaluate(at)
    for frame in (0, 63, 64, 129):
        np.testing.assert_allclose(whole[frame], rig.evaluate(at[frame : frame + 1])[0], atol=1e-13)
    assert rig.evaluate(at[:0]).shape == (0, 84, 3)


def test_a_rotation_control_turns_about_the_joint_in_its_rest_frame():
    rig = limbed_rig()
    column = rig.spec.index("hand.rx")
    pose = rig.spec.neutral[None].copy()
    pose[0, column : column + 3] = [0.3, -0.2, 0.1]
    rest = rig.rest_world[4]
    turn = rest[:, :3] @ matrix_from_rotvec(pose[0, column : column + 3]) @ rest[:, :3].T
    own = np.arange(4 * 14 + 5, 5 * 14)  # vertices that follow the hand alone
    expected = (rig.neutral[own] - rest[:, 3]) @ turn.T + rest[:, 3]
    np.testing.assert_allclose(rig.evaluate(pose)[0, own], expected, atol=1e-12)


def test_the_guess_is_exact_where_every_joint_shows_its_motion():
    rig = rig_of(limbed(morphs=0))
    at = poses(rig, 8, count=4, turn=1.0)
    character = rig.character
    rigid = type(character)(**{**vars(character), "weights": np.tile([1.0, 0.0], (84, 1))})
    rig = rig_of(rigid)
    np.testing.assert_allclose(rig.evaluate(rig.guess(mesh_sequence(rig.evaluate(at)))), rig.evaluate(at), atol=1e-2)


def test_what_is_not_captured_is_guessed_at_rest():
    rig = limbed_rig()
    mesh = rig.evaluate(poses(rig, 8, count=3))
    mesh[1] = np.nan  # a whole frame
    mesh[2, 4 * 14 : 5 * 14] = np.nan  # the hand
    guessed = rig.guess(mesh_sequence(mesh))
    np.testing.assert_allclose(guessed[1], rig.spec.neutral, atol=1e-12)
    hand = [rig.spec.index(f"hand.r{axis}") for axis in "xyz"]
    np.testing.assert_allclose(guessed[2, hand], 0, atol=1e-12)
    assert np.abs(guessed[2, :6]).max() > 0.01


def wave(character, turns=1.2):
    """The arm turns on beyond π (in steps that a quaternion can tell), the root wanders, a morph comes and goes."""
    times = np.arange(13) / 12
    turn = np.outer(np.linspace(0, turns * np.pi, 13), [0.6, 0, 0.8])
    rest = character.skeleton.rest_quat[3]
    spline = np.zeros((3, 3, 3))
    spline[:, 1] = character.skeleton.rest_translation[0] + np.array([[0, 0, 0], [0.4, 0, 0], [0.5, 0.1, 0]])
    return Animation(
        "wave",
        (
            Channel(3, "rotation", "LINEAR", times, quat_multiply(rest, quat_from_rotvec(turn))[:, None]),
            Channel(0, "translation", "CUBICSPLINE", np.array([0.0, 0.5, 1]), spline),
            Channel(0, "morphs", "LINEAR", np.array([0.0, 1]), np.array([[[0.0, 1]], [[1.0, 0.5]]])),
        ),
    )


@pytest.fixture
def waving(tmp_path):
    character = limbed()
    write_gltf(tmp_path / "limbed.glb", character, [wave(character)])
    return tmp_path / "limbed.glb"


def test_bake_has_a_frame_at_every_k_over_fps_and_the_last_key(waving):
    rig = open_gltf_rig(waving)
    for fps, frames in ((Fraction(24), 25), (Fraction(30), 31), (Fraction(7), 8), (Fraction(24000, 1001), 24)):
        sequence, true = bake(rig, "wave", fps)
        assert sequence.frames == true.frames == frames
        assert sequence.fps == true.fps == fps
    sequence, true = bake(rig, "wave", Fraction(12))
    np.testing.assert_allclose(true.of("body.m0"), np.arange(13) / 12, atol=1e-6)
    np.testing.assert_allclose(true.of("root.tx")[[0, 6, 12]], [0, 0.4, 0.5], atol=1e-6)
    np.testing.assert_array_equal(sequence.vertices, rig.evaluate(true.values))
    np.testing.assert_array_equal(sequence.faces, rig.faces)


def test_baked_curves_stay_on_a_continuous_branch_beyond_pi(waving):
    _, true = bake(open_gltf_rig(waving), "wave", Fraction(24))
    np.testing.assert_allclose(true.of("arm.rz"), 0.8 * 1.2 * np.pi * np.arange(25) / 24, atol=1e-5)
    np.testing.assert_allclose(true.of("arm.rx"), 0.6 * 1.2 * np.pi * np.arange(25) / 24, atol=1e-5)


def test_ranges_reach_what_the_animation_reaches(waving):
    rig = open_gltf_rig(waving)
    _, true = bake(rig, "wave", Fraction(48))
    assert (true.values >= rig.spec.lower).all()
    assert (true.values <= rig.spec.upper).all()


def test_an_unknown_animation_is_refused_with_those_there_are(waving):
    with pytest.raises(BunrakuError, match=r"^no animation 'walk'; this rig has: wave$"):
        bake(open_gltf_rig(waving), "walk", Fraction(24))


def test_curves_written_into_a_copy_of_the_file_and_baked_again_are_the_same(waving, tmp_path):
    rig = open_gltf_rig(waving)
    sequence, true = bake(rig, "wave", Fraction(24))
    append_animation(waving, keyed(rig, true, "take"), tmp_path / "copy.glb")
    copy = open_gltf_rig(tmp_path / "copy.glb")
    assert [a.name for a in copy.animations] == ["wave", "take"]
    assert copy.spec.names == rig.spec.names
    again, curves = bake(copy, "take", Fraction(24))
    assert again.frames == sequence.frames
    np.testing.assert_allclose(again.vertices, sequence.vertices, atol=1e-6 * diagonal(rig.neutral))
    np.testing.assert_allclose(curves.values, true.values, atol=1e-5)


def test_keys_start_where_the_shot_starts_but_never_before_zero(waving):
    rig = open_gltf_rig(waving)
    _, true = bake(rig, "wave", Fraction(24))
    for start, first in ((48, 2.0), (0, 0.0), (-5, 0.0)):
        shifted = type(true)(true.names, true.values, true.fps, start)
        times = keyed(rig, shifted, "take").channels[0].times_s
        assert times[0] == first
        np.testing.assert_allclose(np.diff(times), 1 / 24)


def test_a_node_scaled_to_nothing_can_be_solved_around():
    character = limbed()
    times = np.array([0.0, 1])
    vanish = Animation("vanish", (Channel(4, "scale", "LINEAR", times, np.array([[[1.0] * 3], [[0.0] * 3]])),))
    rig = rig_of(character, [vanish])
    sequence, _ = bake(rig, "vanish", Fraction(4))
    assert np.isfinite(rig.reduce().linearize(rig.spec.neutral[None])[1]).all()
    assert np.isfinite(sequence.vertices).all()
