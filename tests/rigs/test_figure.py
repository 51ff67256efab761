from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import DifferentiableRig
from bunraku.formats.gltf import write_gltf
from bunraku.inversion.solve import solve
from bunraku.rigs.figure import INFLUENCES, MORPHS, figure, figure_rig
from bunraku.rigs.open import open_rig
from bunraku.rigs.skinned import bake, open_gltf_rig

FPS = Fraction(24)


@pytest.fixture(scope="module")
def rig():
    return figure_rig()


def test_it_is_made_the_same_each_time(rig):
    again = figure_rig()
    np.testing.assert_array_equal(rig.neutral, again.neutral)
    np.testing.assert_array_equal(rig.character.weights, again.character.weights)


def test_it_opens_by_name(rig):
    opened = open_rig("figure")
    assert isinstance(opened, DifferentiableRig)
    assert opened.spec.names == rig.spec.names


def test_its_size_is_what_the_pages_say(rig):
    assert 2000 <= rig.character.vertex_count <= 4000
    assert len(rig.character.skeleton) == 21
    assert rig.character.morph_names == MORPHS
    height = np.ptp(rig.neutral[:, 1])
    assert 1.60 < height < 1.68


def test_weights_are_blended_and_sum_to_one(rig):
    weights = rig.character.weights
    assert weights.shape[1] == INFLUENCES
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    assert ((weights > 0.05).sum(axis=1) > 1).mean() > 0.2


def test_every_joint_carries_some_vertex(rig):
    strength = np.zeros(len(rig.character.skeleton))
    np.add.at(strength, rig.character.influences.ravel(), rig.character.weights.ravel())
    assert strength.min() > 1


def test_it_is_its_own_mirror_image(rig):
    from scipy.spatial import KDTree

    mirrored = rig.neutral * [-1, 1, 1]
    distance, _ = KDTree(rig.neutral).query(mirrored)
    assert np.sort(distance)[int(0.99 * len(distance))] < 0.02


def test_its_surface_is_closed_and_faces_outwards(rig):
    faces, vertices = rig.faces, rig.neutral
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {(int(a), int(b)) for a, b in edges}
    assert len(forward) == len(edges)  # no edge is run through twice in one direction
    assert forward == {(b, a) for a, b in forward}
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = float((a * np.cross(b, c)).sum() / 6)
    assert 0.02 < volume < 0.08  # m³: a positive one, of about a slim child


def test_the_bind_pose_is_the_rest_pose(rig):
    np.testing.assert_allclose(rig.neutral, rig.character.positions, atol=1e-12)


@pytest.mark.parametrize("morph", MORPHS)
def test_a_morph_moves_a_part_by_centimetres_and_leaves_the_rest(rig, morph):
    pose = rig.spec.neutral.copy()
    pose[rig.spec.index(morph)] = 1
    moved = np.linalg.norm(rig.evaluate(pose[None])[0] - rig.neutral, axis=1)
    assert 0.01 < moved.max() < 0.1
    assert (moved < 1e-6).mean() > 0.5


def test_raising_an_arm_lifts_that_hand_alone(rig):
    pose = rig.spec.neutral.copy()
    pose[rig.spec.index("left_arm.rz")] = 0.5
    moved = rig.evaluate(pose[None])[0] - rig.neutral
    left = rig.neutral[:, 0] > 0.45
    assert moved[left][:, 1].min() > 0.1
    assert np.abs(moved[rig.neutral[:, 0] < 0]).max() < 1e-9


def test_written_as_a_file_it_is_the_same_rig(rig, tmp_path):
    write_gltf(tmp_path / "figure.glb", *figure())
    read = open_gltf_rig(tmp_path / "figure.glb")
    assert read.spec.names == rig.spec.names
    np.testing.assert_allclose(read.neutral, rig.neutral, atol=1e-6)
    for name in ("wave", "walk"):
        ours, theirs = bake(rig, name, FPS)[0], bake(read, name, FPS)[0]
        np.testing.assert_allclose(theirs.vertices, ours.vertices, atol=1e-5)


def test_every_control_is_won_back_from_the_mesh(rig):
    rng = np.random.default_rng(3)
    truth = rig.spec.neutral + rng.uniform(-0.3, 0.3, (4, len(rig.spec)))
    truth = np.clip(truth, rig.spec.lower, rig.spec.upper)
    found = solve(rig, mesh_sequence(rig.evaluate(truth)))
    np.testing.assert_allclose(found.controls, truth, atol=1e-6)
