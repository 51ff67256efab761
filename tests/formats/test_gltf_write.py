import numpy as np
import pytest

from bunraku.core.animation import Animation, Channel, poses_at
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.core.skinning import SkinnedCharacter, skinning_matrix
from bunraku.core.transforms import world_transforms
from bunraku.formats.gltf import read_gltf, write_gltf
from gltf_files import read_glb


def character(seed=0, influences=6, shear=False, faces=True):
    """Three joints, the last in use twice with other bind matrices; 20 vertices; two morphs. All float32 values."""
    rng = np.random.default_rng(seed)

    def single(*shape):
        return rng.normal(size=shape).astype("f4").astype(float)

    stretch = np.stack([np.diag(1 + rng.random(3)) for _ in range(3)])
    if shear:
        stretch[1] = stretch[1] + 0.1
    bones = skeleton(["root", "arm", "hand"], [-1, 0, 1], single(3, 3), quat_from_rotvec(single(3, 3)), stretch)
    binds = np.tile(np.eye(4), (4, 1, 1))
    binds[:, :3] += 0.3 * single(4, 3, 4)
    weights = rng.random((20, influences)) * (rng.random((20, influences)) < 0.6)
    weights[:, 0] += 0.1
    return SkinnedCharacter(
        bones,
        single(20, 3),
        rng.permuted(np.tile(np.arange(20), (10, 1)), axis=1)[:, :3] if faces else np.zeros((0, 3), np.int64),
        np.array([0, 1, 2, 2]),
        binds,
        rng.integers(0, 4, size=(20, influences)),
        weights / weights.sum(axis=1, keepdims=True),
        ("blob.wide", "blob.tall.er"),
        single(2, 20, 3),
        np.array([0.25, 0.0]),
    )


def animation():
    rng = np.random.default_rng(1)
    times = np.array([0.0, 0.25, 1])
    return Animation(
        "wave",
        (
            Channel(0, "translation", "CUBICSPLINE", times, rng.normal(size=(3, 3, 3))),
            Channel(2, "rotation", "LINEAR", times, quat_from_rotvec(rng.normal(size=(3, 1, 3)))),
            Channel(0, "morphs", "LINEAR", times, rng.random((3, 1, 2))),
        ),
    )


def vertices(it, motion, times):
    poses = poses_at(motion, it.skeleton, it.morph_rest, times)
    world = world_transforms(it.skeleton, poses.translation, poses.quat, poses.scale)
    return skinning_matrix(it).skin(world, poses.morphs)


@pytest.mark.parametrize("influences", [1, 4, 6])
def test_a_character_comes_back_and_moves_the_same(tmp_path, influences):
    it = character(influences=influences)
    write_gltf(tmp_path / "a.glb", it, [animation()])
    file = read_gltf(tmp_path / "a.glb")
    back = file.character
    assert back.skeleton.names[:3] == it.skeleton.names
    np.testing.assert_array_equal(back.skeleton.parents[:3], it.skeleton.parents)
    np.testing.assert_array_equal(back.positions, it.positions)
    np.testing.assert_array_equal(back.faces, it.faces)
    np.testing.assert_array_equal(back.morph_deltas, it.morph_deltas)
    np.testing.assert_array_equal(back.morph_rest, it.morph_rest)
    assert back.morph_names == it.morph_names
    times = np.linspace(0, 1, 7)
    np.testing.assert_allclose(vertices(back, file.animations[0], times), vertices(it, animation(), times), atol=1e-5)


def test_a_file_that_was_read_and_written_moves_the_same_again(tmp_path):
    write_gltf(tmp_path / "a.glb", character(), [animation()])
    once = read_gltf(tmp_path / "a.glb")
    write_gltf(tmp_path / "b.glb", once.character, once.animations)
    twice = read_gltf(tmp_path / "b.glb")
    times = np.linspace(0, 1, 5)
    expected = vertices(once.character, once.animations[0], times)
    np.testing.assert_allclose(vertices(twice.character, twice.animations[0], times), expected, atol=1e-6)


def test_a_sheared_joint_is_kept_and_cannot_be_animated(tmp_path):
    it = character(shear=True)
    write_gltf(tmp_path / "a.glb", it)
    back = read_gltf(tmp_path / "a.glb").character
    np.testing.assert_allclose(back.skeleton.rest_stretch[1], it.skeleton.rest_stretch[1], atol=1e-12)
    moved = Animation("x", (Channel(1, "scale", "LINEAR", np.zeros(1), np.ones((1, 1, 3))),))
    with pytest.raises(BunrakuError, match=r"'arm'.*sheared"):
        write_gltf(tmp_path / "b.glb", it, [moved])


def test_a_character_without_faces_or_morphs_is_a_cloud_of_points(tmp_path):
    it = character(faces=False)
    bare = SkinnedCharacter(
        it.skeleton, it.positions, it.faces, it.binding_joints, it.inverse_binds, it.influences, it.weights, (),
        np.zeros((0, 20, 3)), np.zeros(0),
    )  # fmt: skip
    write_gltf(tmp_path / "a.glb", bare)
    file = read_gltf(tmp_path / "a.glb")
    assert read_glb(tmp_path / "a.glb")[0]["meshes"][0]["primitives"][0]["mode"] == 0
    assert (file.character.vertex_count, len(file.character.faces), file.character.morph_names) == (20, 0, ())


def test_normals_point_out_of_a_tetrahedron_and_bounds_are_declared(tmp_path):
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    bone = skeleton(["b"], [-1], np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]))
    on_bone = np.zeros((4, 1), np.int64), np.ones((4, 1))
    nothing = (), np.zeros((0, 4, 3)), np.zeros(0)
    it = SkinnedCharacter(bone, corners, faces, np.array([0]), np.eye(4)[None], *on_bone, *nothing)
    write_gltf(tmp_path / "tetra.glb", it)
    root, chunks = read_glb(tmp_path / "tetra.glb")
    attributes = root["meshes"][0]["primitives"][0]["attributes"]
    view = root["bufferViews"][root["accessors"][attributes["NORMAL"]]["bufferView"]]
    normals = np.frombuffer(chunks[0][1], "<f4", 12, view["byteOffset"]).reshape(4, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(normals[0], -np.ones(3) / np.sqrt(3), atol=1e-6)
    assert (normals * (corners - corners.mean(axis=0))).sum(axis=1).min() > 0
    position = root["accessors"][attributes["POSITION"]]
    assert (position["min"], position["max"]) == ([0, 0, 0], [1, 1, 1])


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(BunrakuError, match=r"a\.gltf.*expected \.glb"):
        write_gltf(tmp_path / "a.gltf", character())
