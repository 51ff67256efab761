import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.skinning import skinning_matrix
from bunraku.core.transforms import rest_transforms
from bunraku.formats import gltf_mesh
from bunraku.formats.gltf import read_gltf
from gltf_files import TRIANGLE, GltfMaker, one_triangle

ALL_ON_FIRST = ([[0, 0, 0, 0]] * 3, [[1.0, 0, 0, 0]] * 3)


def rest_vertices(file):
    world = rest_transforms(file.character.skeleton)
    return skinning_matrix(file.character).skin(world[None], file.character.morph_rest[None])[0]


def refused(maker, tmp_path, *parts):
    path = maker.glb(tmp_path / "a.glb")
    with pytest.raises(BunrakuError) as caught:
        read_gltf(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_vertices_are_concatenated_over_ascending_nodes_then_primitives(tmp_path):
    maker = GltfMaker()
    late = maker.mesh(TRIANGLE + 100, name="second node, first mesh")
    early = maker.mesh(TRIANGLE, [0, 1, 2])
    second = {"attributes": {"POSITION": maker.accessor(TRIANGLE + 10)}, "indices": maker.accessor([2, 1, 0], "u4")}
    maker.root["meshes"][early]["primitives"].append(second)
    maker.add("nodes", {"children": [2]})
    maker.add("nodes", {"mesh": early})
    maker.add("nodes", {"mesh": late})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_array_equal(rest_vertices(file), np.concatenate([TRIANGLE, TRIANGLE + 10, TRIANGLE + 100]))
    np.testing.assert_array_equal(file.character.faces, [[0, 1, 2], [5, 4, 3], [6, 7, 8]])


@pytest.mark.parametrize(
    ("mode", "corners", "faces"),
    [
        (4, [0, 1, 2, 3, 4], [[0, 1, 2]]),
        (5, [4, 3, 2, 1, 0], [[4, 3, 2], [3, 1, 2], [2, 1, 0]]),
        (6, [4, 3, 2, 1], [[3, 2, 4], [2, 1, 4]]),
        (4, None, [[0, 1, 2]]),
        (5, None, [[0, 1, 2], [1, 3, 2], [2, 3, 4]]),
        (6, None, [[1, 2, 0], [2, 3, 0], [3, 4, 0]]),
        (5, [0, 1], []),
        (0, None, []),
        (1, [0, 1], []),
        (3, None, []),
    ],
)
def test_primitives_become_the_triangles_of_the_specification(tmp_path, mode, corners, faces):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(np.arange(15.0).reshape(5, 3), corners, mode=mode)})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_array_equal(file.character.faces, np.array(faces, int).reshape(-1, 3))


def test_an_index_beyond_the_vertices_is_refused(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(indices=[0, 1, 3])})
    refused(maker, tmp_path, "meshes[0].primitives[0]", "index 3", "3 vertices")


def test_a_skinned_mesh_ignores_its_own_node_and_a_rigid_one_follows_it(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.skinned_mesh(*ALL_ON_FIRST), "skin": 0, "translation": [9, 9, 9]})
    maker.add("nodes", {"translation": [1, 0, 0]})
    maker.add("nodes", {"mesh": maker.mesh(), "translation": [0, 2, 0]})
    maker.add("skins", {"joints": [1]})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    expected = np.concatenate([TRIANGLE + np.array([1, 0, 0]), TRIANGLE + np.array([0, 2, 0])])
    np.testing.assert_allclose(rest_vertices(file), expected)
    np.testing.assert_array_equal(file.skin_joints, [1])


def test_joints_attributes_without_a_skin_mean_nothing(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.skinned_mesh(*ALL_ON_FIRST), "translation": [0, 2, 0]})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(rest_vertices(file), TRIANGLE + np.array([0, 2, 0]))
    assert len(file.skin_joints) == 0


def test_a_primitive_without_joints_follows_its_node_even_under_a_skin(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(), "skin": 0, "translation": [0, 2, 0]})
    maker.add("nodes", {"translation": [1, 0, 0]})
    maker.add("skins", {"joints": [1]})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(rest_vertices(file), TRIANGLE + np.array([0, 2, 0]))


def test_one_joint_serves_two_skins_with_a_bind_matrix_each(tmp_path):
    maker = GltfMaker()
    mesh = maker.skinned_mesh(*ALL_ON_FIRST)
    maker.add("nodes", {"mesh": mesh, "skin": 0})
    maker.add("nodes", {"mesh": mesh, "skin": 1})
    maker.add("nodes", {"translation": [10, 0, 0]})
    for x in (1, 2):
        bind = np.eye(4)
        bind[0, 3] = x
        maker.add("skins", {"joints": [2], "inverseBindMatrices": maker.accessor([bind.T.ravel()])})
    maker.add("skins", {"joints": [0]})  # used by nobody
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(rest_vertices(file)[[0, 3]], [[11, 0, 0], [12, 0, 0]])
    np.testing.assert_array_equal(file.skin_joints, [2])


def test_a_second_set_of_joints_and_weights_counts_as_the_first(tmp_path):
    maker = GltfMaker()
    joints = np.tile([0, 1, 2, 3, 4, 5, 0, 0], (3, 1))
    weights = np.tile([0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0, 0], (3, 1))
    maker.add("nodes", {"mesh": maker.skinned_mesh(joints, weights), "skin": 0})
    for i in range(6):
        maker.add("nodes", {"translation": [10.0**i, 0, 0]})
    maker.add("skins", {"joints": [1, 2, 3, 4, 5, 6]})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    # .1·1 + .1·10 + .1·100 + .2·1000 + .2·10000 + .3·100000
    np.testing.assert_allclose(rest_vertices(file)[0], [32211.1, 0, 0], rtol=1e-6)


def test_weights_are_scaled_to_one_and_a_vertex_without_any_follows_the_first_joint(tmp_path):
    maker = GltfMaker()
    weights = [[1.0, 3, 0, 0], [0, 0, 0, 0], [0, 0.5, 0, 0]]
    maker.add("nodes", {"mesh": maker.skinned_mesh([[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], weights), "skin": 0})
    maker.add("nodes", {"translation": [10, 0, 0]})
    maker.add("nodes", {"translation": [20, 0, 0]})
    maker.add("skins", {"joints": [1, 2]})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(file.character.weights.sum(axis=1), 1, atol=1e-15)
    np.testing.assert_allclose((rest_vertices(file) - TRIANGLE)[:, 0], [0.25 * 20 + 0.75 * 10, 10, 20])


def test_a_joint_beyond_the_skin_is_refused_where_it_has_weight_only(tmp_path):
    def build(weight):
        maker = GltfMaker()
        maker.add("nodes", {"mesh": maker.skinned_mesh([[0, 7, 0, 0]] * 3, [[1.0, weight, 0, 0]] * 3), "skin": 0})
        maker.add("skins", {"joints": [0]})
        return maker

    assert read_gltf(build(0).glb(tmp_path / "a.glb")).character.influences.max() == 0
    refused(build(0.5), tmp_path, "nodes[0]", "joint 7", "1 joints")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"joints": []}, ["skins[0]", "no joints"]),
        ({"joints": [5]}, ["skins[0].joints[0] is 5", "2 nodes"]),
        ({"joints": [0, 1]}, ["skins[0]", "1 inverse bind matrices for 2 joints"]),
        ({"inverseBindMatrices": 99}, ["skins[0].inverseBindMatrices is 99"]),
    ],
)
def test_a_skin_that_does_not_fit_is_refused_by_name(tmp_path, change, parts):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.skinned_mesh(*ALL_ON_FIRST), "skin": 0})
    maker.add("nodes", {})
    maker.add("skins", {"joints": [1], "inverseBindMatrices": maker.accessor([np.eye(4).ravel()]), **change})
    refused(maker, tmp_path, *parts)


def test_a_negative_weight_is_refused(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.skinned_mesh([[0, 0, 0, 0]] * 3, [[1.5, -0.5, 0, 0]] * 3), "skin": 0})
    maker.add("skins", {"joints": [0]})
    refused(maker, tmp_path, "accessors[1]", "negative weight", "-0.5")


def test_joints_without_weights_and_counts_that_differ_are_refused(tmp_path):
    maker = one_triangle()
    attributes = maker.root["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = maker.accessor([[0, 0, 0, 0]] * 3, "u1")
    refused(maker, tmp_path, "attributes.WEIGHTS_0 is missing")
    attributes["WEIGHTS_0"] = maker.accessor([[1.0, 0, 0, 0]] * 2)
    refused(maker, tmp_path, "2 elements in WEIGHTS_0 for 3 vertices")


def test_a_file_without_a_mesh_on_a_node_is_refused(tmp_path):
    maker = GltfMaker()
    maker.mesh()
    maker.add("nodes", {})
    refused(maker, tmp_path, "no node with a mesh")
    refused(GltfMaker(), tmp_path, "no node with a mesh")


def test_primitives_without_positions_count_for_nothing(tmp_path):
    maker = one_triangle()
    maker.root["meshes"][0]["primitives"].insert(0, {"attributes": {}})
    assert read_gltf(maker.glb(tmp_path / "a.glb")).character.vertex_count == 3
    del maker.root["meshes"][0]["primitives"][1]
    refused(maker, tmp_path, "no vertices")


def test_instances_of_a_morphing_mesh_have_vertices_and_morphs_of_their_own(tmp_path):
    maker = GltfMaker()
    extras = {"targetNames": ["up", "up", ""]}
    targets = [np.tile([0, h, 0], (3, 1)) for h in (1, 2, 4)]
    mesh = maker.mesh(targets=targets, weights=[0.5, 0, 0], extras=extras, name="face")
    maker.add("nodes", {"mesh": mesh})
    maker.add("nodes", {"mesh": mesh, "weights": [0, 0, 1], "translation": [5, 0, 0]})
    file = read_gltf(maker.glb(tmp_path / "a.glb"))
    character = file.character
    assert character.morph_names == ("face.up", "face.up#2", "face.target2", "face.up#3", "face.up#4", "face.target2#2")
    np.testing.assert_array_equal(character.morph_rest, [0.5, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(character.morph_deltas[1], np.repeat([[0, 2, 0], [0, 0, 0]], 3, axis=0))
    np.testing.assert_array_equal(character.morph_deltas[5], np.repeat([[0, 0, 0], [0, 4, 0]], 3, axis=0))
    expected = np.concatenate([TRIANGLE + np.array([0, 0.5, 0]), TRIANGLE + np.array([5, 4, 0])])
    np.testing.assert_allclose(rest_vertices(file), expected)


def test_a_morph_target_is_shared_by_all_primitives_of_its_mesh(tmp_path):
    maker = GltfMaker()
    mesh = maker.mesh(targets=[TRIANGLE, 2 * TRIANGLE])
    more = {
        "attributes": {"POSITION": maker.accessor(TRIANGLE)},
        "targets": [{}, {"POSITION": maker.accessor(3 * TRIANGLE)}],
    }
    plain = {"attributes": {"POSITION": maker.accessor(TRIANGLE)}}
    maker.root["meshes"][mesh]["primitives"] += [more, plain]
    maker.add("nodes", {"mesh": mesh, "name": "lid"})
    character = read_gltf(maker.glb(tmp_path / "a.glb")).character
    assert character.morph_names == ("lid.target0", "lid.target1")
    zero = np.zeros((3, 3))
    np.testing.assert_array_equal(character.morph_deltas[0], np.concatenate([TRIANGLE, zero, zero]))
    np.testing.assert_array_equal(character.morph_deltas[1], np.concatenate([2 * TRIANGLE, 3 * TRIANGLE, zero]))


def test_a_mesh_without_any_name_is_numbered(tmp_path):
    maker = GltfMaker()
    maker.mesh()
    maker.add("nodes", {"mesh": maker.mesh(targets=[TRIANGLE])})
    assert read_gltf(maker.glb(tmp_path / "a.glb")).character.morph_names == ("mesh1.target0",)


def test_default_weights_of_another_number_and_targets_of_another_length_are_refused(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(targets=[TRIANGLE], weights=[0, 0])})
    refused(maker, tmp_path, "meshes[0].weights", "expected 1 finite")
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(targets=[TRIANGLE[:2]])})
    refused(maker, tmp_path, "targets[0]", "2 elements in POSITION for 3 vertices")


def test_a_small_file_that_asks_for_enormous_memory_is_refused_first(tmp_path):
    # A mesh of a million vertices without data, instanced 300 times: a few kilobytes on disk.
    maker = GltfMaker()
    position = maker.add("accessors", {"componentType": 5126, "count": 10**6, "type": "VEC3"})
    maker.add("meshes", {"primitives": [{"attributes": {"POSITION": position}}]})
    for _ in range(300):
        maker.add("nodes", {"mesh": 0})
    assert gltf_mesh.MAX_NUMBERS < 300 * 10**6 * 3
    refused(maker, tmp_path, "300000000 vertices")


def test_indices_and_joints_that_many_primitives_share_count_each_time(tmp_path, monkeypatch):
    maker = GltfMaker()
    position = maker.accessor(TRIANGLE)
    indices = maker.accessor(np.zeros(2**16, int), "u1")
    maker.add("meshes", {"primitives": [{"attributes": {"POSITION": position}, "indices": indices}] * 2000})
    maker.add("nodes", {"mesh": 0})
    refused(maker, tmp_path, f"{2000 * 2**16} indices")
    maker.root["meshes"][0]["primitives"] = [
        {"attributes": {"POSITION": position, **{f"JOINTS_{i}": position for i in range(20_000)}}}
    ] * 4
    # One of the four would pass, and the whole limit would take a file of millions of names.
    monkeypatch.setattr("bunraku.formats.gltf_mesh.MAX_NUMBERS", 3 * 3 * 8 * 20_000)
    refused(maker, tmp_path, "80000 joints a vertex")
