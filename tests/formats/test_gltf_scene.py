import numpy as np
import pytest

from bunraku.core.animation import poses_at
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import matrix_from_quat, matrix_from_rotvec
from bunraku.core.skinning import skinning_matrix
from bunraku.core.transforms import rest_transforms, world_transforms
from bunraku.formats.gltf import read_gltf
from bunraku.formats.gltf_scene import split_matrix, unique_names
from gltf_files import TRIANGLE, GltfMaker, one_triangle


def rest_vertices(file):
    world = rest_transforms(file.character.skeleton)
    return skinning_matrix(file.character).skin(world[None], file.character.morph_rest[None])[0]


def column_major(linear, translation=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, translation
    return matrix.T.ravel().tolist()


def random_linear(seed, mirrored):
    linear = np.random.default_rng(seed).normal(size=(3, 3))
    return linear if (np.linalg.det(linear) < 0) == mirrored else linear * [-1, 1, 1]


MATRICES = {
    "rotation": matrix_from_rotvec(np.array([0.3, -1, 2.0])),
    "scaled": matrix_from_rotvec(np.array([0.3, -1, 2.0])) @ np.diag([1.0, 2, 3]),
    "sheared": random_linear(0, False),
    "mirrored and sheared": random_linear(1, True),
    "mirrored along x": np.diag([-1.0, 1, 1]),
    "half turn": np.diag([-1.0, -1, 1]),
    "flat": np.diag([1.0, 1, 0]),
    "all zero": np.zeros((3, 3)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_splits_into_a_rotation_times_a_symmetric_stretch(name):
    rotation, stretch = split_matrix(MATRICES[name])
    np.testing.assert_allclose(rotation @ stretch, MATRICES[name], atol=1e-14)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-14)


def test_the_split_of_a_rotation_times_a_scale_is_just_that():
    rotation, stretch = split_matrix(MATRICES["scaled"])
    np.testing.assert_allclose(rotation, MATRICES["rotation"], atol=1e-14)
    np.testing.assert_allclose(stretch, np.diag([1.0, 2, 3]), atol=1e-14)


@pytest.mark.parametrize("name", MATRICES)
def test_a_mesh_below_a_matrix_node_lies_where_the_matrix_puts_it(tmp_path, name):
    maker = GltfMaker()
    maker.add("nodes", {"matrix": column_major(MATRICES[name], [1, 2, 3]), "children": [1]})
    maker.add("nodes", {"mesh": maker.mesh(), "translation": [0, 0, 5]})
    expected = (TRIANGLE + np.array([0, 0, 5])) @ MATRICES[name].T + [1, 2, 3]
    np.testing.assert_allclose(rest_vertices(read_gltf(maker.glb(tmp_path / "a.glb"))), expected, atol=1e-13)


def test_quaternions_are_xyzw_on_disk_and_wxyz_here(tmp_path):
    maker = one_triangle()
    half = np.sqrt(0.5)
    maker.root["nodes"][0]["rotation"] = [0, 0, half, half]  # 90° about z
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(file.character.skeleton.rest_quat, [[half, 0, 0, half]], atol=1e-15)
    np.testing.assert_allclose(rest_vertices(file)[1], [0, 1, 0], atol=1e-15)


def test_translation_rotation_and_scale_apply_in_the_order_of_the_specification(tmp_path):
    maker = one_triangle()
    half = np.sqrt(0.5)
    maker.root["nodes"][0] |= {"translation": [10, 0, 0], "rotation": [0, 0, half, half], "scale": [2, 3, -4]}
    # (1, 0, 0) → (2, 0, 0) → (0, 2, 0) → (10, 2, 0); (0, 1, 0) → (0, 3, 0) → (−3, 0, 0) → (7, 0, 0).
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(rest_vertices(file), [[10, 0, 0], [10, 2, 0], [7, 0, 0]], atol=1e-14)
    np.testing.assert_array_equal(file.character.skeleton.rest_stretch[0], np.diag([2, 3, -4]))


def test_unnamed_nodes_are_numbered_and_repeated_names_counted(tmp_path):
    maker = GltfMaker()
    for name in ("arm", None, "arm", "", "arm"):
        maker.add("nodes", {} if name is None else {"name": name})
    maker.root["nodes"][1]["mesh"] = maker.mesh()
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    assert file.character.skeleton.names == ("arm", "node1", "arm#2", "node3", "arm#3")


def test_a_counted_name_never_collides_with_a_given_one():
    assert unique_names(["a", "a", "a#2", "a", "b"]) == ("a", "a#3", "a#2", "a#4", "b")


def test_children_may_stand_before_their_parents_and_outside_the_scene(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(), "translation": [0, 0, 1]})
    maker.add("nodes", {"children": [0], "translation": [5, 0, 0]})
    maker.add("nodes", {"name": "nowhere"})
    maker.root |= {"scene": 0, "scenes": [{"nodes": [1]}]}
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_array_equal(file.character.skeleton.parents, [1, -1, -1])
    np.testing.assert_allclose(rest_vertices(file), TRIANGLE + np.array([5, 0, 1]))


@pytest.mark.parametrize(
    ("children", "parts"),
    [
        ({0: [1], 1: [2], 2: [0]}, ["own ancestor"]),
        ({0: [0]}, ["own ancestor"]),
        ({0: [2], 1: [2]}, ["nodes[2]", "two parents, nodes 0 and 1"]),
        ({0: [1, 1]}, ["nodes[1]", "two parents"]),
        ({0: [7]}, ["nodes[0].children[0] is 7", "there are 3 nodes"]),
        ({0: [-1]}, ["nodes[0].children[0] is -1"]),
    ],
    ids=["cycle", "own child", "two parents", "listed twice", "no such child", "negative"],
)
def test_nodes_that_are_no_forest_are_refused_by_name(tmp_path, children, parts):
    maker = GltfMaker()
    for i in range(3):
        maker.add("nodes", {"children": children[i]} if i in children else {})
    maker.root["nodes"][0]["mesh"] = maker.mesh()
    with pytest.raises(BunrakuError) as caught:
        read_gltf(maker.glb(tmp_path / "a.glb"))
    for part in ("a.glb", *parts):
        assert part in str(caught.value)


def test_a_chain_of_many_thousand_nodes_is_read(tmp_path):
    maker = one_triangle()
    count = 10_000
    maker.root["nodes"] += [{"children": [i], "translation": [1, 0, 0]} for i in range(count - 1)]
    skeleton = read_gltf(maker.glb(tmp_path / "a.glb")).character.skeleton
    assert skeleton.order[0] == count - 1
    assert skeleton.order[-1] == 0


def test_a_rotation_of_length_zero_is_refused_with_the_nodes_name(tmp_path):
    maker = one_triangle()
    maker.root["nodes"][0] |= {"rotation": [0, 0, 0, 0], "name": "hip"}
    with pytest.raises(BunrakuError, match=r"'hip'.*length 0"):
        read_gltf(maker.glb(tmp_path / "a.glb"))


def test_a_node_hidden_by_scale_zero_appears_when_its_animation_scales_it(tmp_path):
    maker = one_triangle()
    maker.root["nodes"][0]["scale"] = [0, 0, 0]
    maker.animation((0, "scale", [0.0, 1], [[0.0, 0, 0], [1, 2, 3]], "LINEAR"))
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    skeleton = file.character.skeleton
    assert np.abs(rest_vertices(file)).max() < 1e-5
    poses = poses_at(file.animations[0], skeleton, file.character.morph_rest, np.array([0.0, 0.5, 1]))
    world = world_transforms(skeleton, poses.translation, poses.quat, poses.scale)
    np.testing.assert_allclose(
        world[:, 0, :, :3], [np.diag(s) for s in ([0, 0, 0], [0.5, 1, 1.5], [1, 2, 3])], atol=1e-12
    )


def test_rest_is_the_nodes_pose_and_not_the_bind_pose(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.skinned_mesh([[0, 0, 0, 0]] * 3, [[1.0, 0, 0, 0]] * 3), "skin": 0})
    maker.add("nodes", {"translation": [0, 7, 0]})
    bind = np.eye(4)
    bind[:3, 3] = [0, -2, 0]
    maker.add("skins", {"joints": [1], "inverseBindMatrices": maker.accessor([bind.T.ravel()])})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(rest_vertices(file), TRIANGLE + np.array([0, 5, 0]))
    np.testing.assert_allclose(matrix_from_quat(file.character.skeleton.rest_quat), [np.eye(3)] * 2)
