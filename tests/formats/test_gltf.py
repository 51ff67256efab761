import functools

import numpy as np
import pytest

from bunraku.core.animation import Animation, poses_at
from bunraku.core.rig import diagonal
from bunraku.core.skinning import skinning_matrix
from bunraku.core.transforms import rest_transforms, world_transforms
from bunraku.formats.gltf import append_animation, read_gltf, write_gltf

# vertices, triangles, nodes, joints of skins, morphs, animations: counted in the files' JSON.
FILES = {
    "CesiumMan.glb": (3273, 4672, 22, 19, 0, 1),
    "Fox.glb": (1728, 576, 26, 24, 0, 3),
    "MorphStressTest.gltf": (1528, 2412, 1, 0, 8, 3),
    "lumberjack.glb": (3068, 1538, 62, 53, 0, 3),
    "quadruped_fox.glb": (1250, 1654, 51, 49, 0, 14),
    "robot.glb": (7218, 3238, 58, 43, 0, 14),
}


real = functools.cache(read_gltf)


def vertices(file, animation, times):
    it = file.character
    poses = poses_at(animation, it.skeleton, it.morph_rest, times)
    world = world_transforms(it.skeleton, poses.translation, poses.quat, poses.scale)
    return skinning_matrix(it).skin(world, poses.morphs)


@pytest.mark.parametrize("name", FILES)
def test_real_files_hold_what_their_authors_say(data_dir, name):
    file = real(data_dir / "rigs" / name)
    it = file.character
    counts = (
        it.vertex_count,
        len(it.faces),
        len(it.skeleton),
        len(file.skin_joints),
        len(it.morph_names),
        len(file.animations),
    )
    assert counts == FILES[name]
    for animation in file.animations:
        times = np.linspace(0, animation.duration_s, 8)
        moved = vertices(file, animation, times)
        assert np.isfinite(moved).all()
        assert moved.std(axis=0).max() > 0


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_with_its_own_animation_appended_plays_it_the_same(data_dir, tmp_path, name):
    source = data_dir / "rigs" / name
    file = real(source)
    out = tmp_path / name
    append_animation(source, Animation("again", file.animations[-1].channels), out)
    copy = read_gltf(out)
    assert [animation.name for animation in copy.animations] == [*(a.name for a in file.animations), "again"]
    times = np.linspace(0, file.animations[-1].duration_s, 4)
    expected = vertices(file, file.animations[-1], times)
    scale = diagonal(expected[0])
    # Rotations are made of unit length on reading, and rounded to float32 once more on writing.
    np.testing.assert_allclose(vertices(copy, copy.animations[-1], times) / scale, expected / scale, atol=1e-6)
    np.testing.assert_array_equal(copy.character.positions, file.character.positions)


@pytest.mark.parametrize("name", FILES)
def test_a_real_character_written_anew_moves_the_same(data_dir, tmp_path, name):
    file = real(data_dir / "rigs" / name)
    write_gltf(tmp_path / "a.glb", file.character, file.animations[:1])
    copy = read_gltf(tmp_path / "a.glb")
    times = np.linspace(0, file.animations[0].duration_s, 4)
    expected = vertices(file, file.animations[0], times)
    scale = diagonal(expected[0])
    moved = vertices(copy, copy.animations[0], times)
    np.testing.assert_allclose(moved / scale, expected / scale, atol=2e-6)


def test_morph_names_and_keys_of_a_real_file_are_read(data_dir):
    file = real(data_dir / "rigs" / "MorphStressTest.gltf")
    assert file.character.morph_names == tuple(f"Cube.001.Key {i}" for i in range(1, 9))
    assert {channel.path for animation in file.animations for channel in animation.channels} == {"morphs"}


def test_rest_of_a_skinned_file_is_its_nodes_pose(data_dir):
    # In CesiumMan the bind pose is the nodes' pose, so that skinning at rest gives the mesh below the armature.
    file = real(data_dir / "rigs" / "CesiumMan.glb")
    world = rest_transforms(file.character.skeleton)
    rest = skinning_matrix(file.character).skin(world[None], np.zeros((1, 0)))[0]
    assert rest[:, 1].max() == pytest.approx(1.5, abs=0.05)  # a man of 1.5 m, upright along Y


def test_our_skinning_agrees_with_blenders_evaluation_of_a_dance(data_dir):
    file = real(data_dir / "rigs" / "robot.glb")
    with np.load(data_dir / "sequences" / "robot_dance.npz") as stored:
        theirs, faces, fps = stored["vertices"].astype(float), stored["faces"], float(stored["fps"])
    x, z_up_y, z_up_z = np.moveaxis(theirs, -1, 0)
    theirs = np.stack([x, z_up_z, -z_up_y], axis=-1)
    dance = next(animation for animation in file.animations if animation.name == "Robot_Dance")
    ours = vertices(file, dance, np.arange(len(theirs)) / fps)
    error = np.linalg.norm(ours - theirs, axis=-1) / diagonal(theirs[0])
    assert error.max() < 1e-6
    np.testing.assert_array_equal(file.character.faces, faces)
