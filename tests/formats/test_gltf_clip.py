import json
from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.core.solid import Solid
from bunraku.formats.gltf import read_gltf
from bunraku.formats.gltf_clip import load_gltf_clip, save_gltf_clip
from clip_positions import positions, world
from gltf_files import GltfMaker, read_glb

HALF = 0.5**0.5
UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Z up to Y up."""


def waving(loop="wrap"):
    """Four joints with rests of their own, one of which never turns; uneven frames; more than a whole turn."""
    rng = np.random.default_rng(0)
    bones = skeleton(
        ["hips", "arm", "hand", "leg"],
        [-1, 0, 1, 0],
        np.array([[0, 0, 1], [0.1, 0.2, 0.3], [0, 0, 0.4], [0, 0.1, -0.5]]),
        quat_from_rotvec(rng.normal(size=(4, 3))),
    )
    times = np.array([0, 0.1, 0.15, 0.4, 0.7, 1.0, 1.3])
    turns = rng.normal(size=(4, 3)) * np.linspace(0, 6, 7)[:, None, None]
    turns[:, 2] = 0.1
    return clip(bones, times, rng.normal(size=(7, 3)), quat_from_rotvec(turns), loop)


def drawn():
    still = np.array([1.0, 0, 0, 0])
    size = np.array([0.05, 0.05, 0.1])
    return [Solid(0, "box", size, np.zeros(3), still), Solid(2, "capsule", size, np.array([0, 0, 0.1]), still)]


@pytest.mark.parametrize("loop", ["wrap", "none"])
def test_a_clip_comes_back_as_it_was_up_to_float32(loop, tmp_path):
    made = waving(loop)
    save_gltf_clip(tmp_path / "c.glb", made, drawn())
    back = load_gltf_clip(tmp_path / "c.glb")
    assert (back.skeleton.names, back.loop) == (made.skeleton.names, loop)
    np.testing.assert_array_equal(back.skeleton.parents, made.skeleton.parents)
    np.testing.assert_allclose(back.times_s, made.times_s, atol=1e-7)
    np.testing.assert_allclose(world(back), world(made), atol=1e-6)
    np.testing.assert_allclose(back.skeleton.rest_translation, made.skeleton.rest_translation, atol=1e-12)
    along = np.abs((back.skeleton.rest_quat * made.skeleton.rest_quat).sum(axis=1))
    np.testing.assert_allclose(along, 1.0, atol=1e-12)


def test_other_programs_see_it_y_up_with_keys_at_its_own_times_and_no_flips(tmp_path):
    made = waving()
    save_gltf_clip(tmp_path / "c.glb", made, drawn())
    root, ((_, data),) = read_glb(tmp_path / "c.glb")
    top = root["nodes"][root["scenes"][0]["nodes"][0]]
    assert top["children"] == [0]
    np.testing.assert_allclose(top["rotation"], [-HALF, 0, 0, HALF])
    (animation,) = root["animations"]
    assert animation["extras"] == {"loop": "wrap"}

    def values(index):
        accessor = root["accessors"][index]
        view = root["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert accessor["componentType"] == 5126
        return np.frombuffer(data, "<f4", accessor["count"] * width, view["byteOffset"]).reshape(-1, width)

    paths = [(channel["target"]["node"], channel["target"]["path"]) for channel in animation["channels"]]
    assert paths == [(0, "translation"), *((joint, "rotation") for joint in range(4))]
    for channel, sampler in zip(animation["channels"], animation["samplers"], strict=True):
        times = root["accessors"][sampler["input"]]
        assert sampler["interpolation"] == "LINEAR"
        assert (times["min"], times["max"]) == ([0.0], [float(np.float32(1.3))])
        np.testing.assert_array_equal(values(sampler["input"])[:, 0], made.times_s.astype("<f4"))
        if channel["target"]["path"] == "rotation":
            xyzw = values(sampler["output"])
            np.testing.assert_allclose(np.linalg.norm(xyzw, axis=1), 1, atol=1e-6)
            assert ((xyzw[1:] * xyzw[:-1]).sum(axis=1) >= 0).all()
    # The general reader knows nothing of clips: nodes, rest, the animation's values.
    seen = read_gltf(tmp_path / "c.glb")
    np.testing.assert_allclose(seen.character.skeleton.rest_translation[1], [0.1, 0.2, 0.3])
    assert len(seen.animations[0].channels) == 5


def test_shapes_stand_on_their_joints_as_the_format_has_it(tmp_path):
    save_gltf_clip(tmp_path / "c.glb", waving(), drawn())
    root, ((_, data),) = read_glb(tmp_path / "c.glb")
    assert [node.get("mesh") for node in root["nodes"]] == [0, None, 1, None, None]
    assert len(root["meshes"]) == 2
    for mesh in root["meshes"]:
        (primitive,) = mesh["primitives"]
        position, normal = (root["accessors"][primitive["attributes"][key]] for key in ("POSITION", "NORMAL"))
        assert position["count"] == normal["count"]
        corners = root["accessors"][primitive["indices"]]
        start = root["bufferViews"][corners["bufferView"]]["byteOffset"]
        used = np.frombuffer(data, "<u4", corners["count"], start)
        assert used.max() < position["count"]
    box, capsule = (root["accessors"][mesh["primitives"][0]["attributes"]["POSITION"]] for mesh in root["meshes"])
    np.testing.assert_allclose(box["max"], [0.05, 0.05, 0.1], atol=1e-7)
    np.testing.assert_allclose(capsule["max"], [0.05, 0.05, 0.25], atol=1e-7)
    for view in root["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= root["buffers"][0]["byteLength"]
    bare = tmp_path / "bare.glb"
    save_gltf_clip(bare, waving())
    assert "meshes" not in read_glb(bare)[0]


def test_what_a_glb_cannot_hold_is_refused(tmp_path):
    made = waving()
    bones = made.skeleton
    twice = skeleton(bones.names, [-1, 0, 1, -1], bones.rest_translation, bones.rest_quat)
    with pytest.raises(BunrakuError, match="one root; this one has 2"):
        save_gltf_clip(tmp_path / "c.glb", replace(made, skeleton=twice))
    stretch = np.tile(np.eye(3), (4, 1, 1))
    stretch[2] *= 2
    scaled = skeleton(bones.names, bones.parents, bones.rest_translation, bones.rest_quat, stretch)
    with pytest.raises(BunrakuError, match="joint 'hand' is scaled"):
        save_gltf_clip(tmp_path / "c.glb", replace(made, skeleton=scaled))
    close = replace(made, times_s=1e6 + np.arange(7) * 1e-9)
    with pytest.raises(BunrakuError, match="closer in time than float32"):
        save_gltf_clip(tmp_path / "c.glb", close)
    assert not list(tmp_path.iterdir())


TIMES = np.array([0.5, 1.0, 2.0])
QUARTER = np.array([[0, 0, 0, 1], [0, 0, HALF, HALF], [0, 0, 1, 0]])
"""0, 90 and 180° about z, xyzw."""


def file(maker, nodes, *animations):
    maker.root["nodes"] = nodes
    for name, channels in animations:
        maker.animation(*channels, name=name)
    return maker


def armature(tmp_path, *more, hips_moves=True, scale=(0.01, 0.01, 0.01)):
    """In centimetres below a scaled node that lies on its back, as animation programs write."""
    nodes = [
        {"name": "Armature", "rotation": [HALF, 0, 0, HALF], "scale": list(scale), "children": [1]},
        {"name": "Hips", "translation": [0, 0, -100], "children": [2, 4]},
        {"name": "Spine", "translation": [0, 0, -20], "children": [3]},
        {"name": "Head", "translation": [0, 0, -30]},
        {"name": "Mesh"},
    ]
    nodes[0]["translation"] = [5, 0, 0]
    moves = np.array([[0, 0, -100], [10, 0, -100], [20, 0, -110]])
    channels = [(2, "rotation", TIMES, QUARTER, "LINEAR")]
    if hips_moves:
        channels.append((1, "translation", TIMES, moves, "LINEAR"))
    maker = file(GltfMaker(), nodes, ("walk", [*channels, *more]), ("idle", [(2, "rotation", TIMES, QUARTER, "STEP")]))
    return maker.glb(tmp_path / "a.glb")


def test_scales_and_turns_above_the_body_are_folded_into_it(tmp_path):
    read = load_gltf_clip(armature(tmp_path))
    assert read.skeleton.names == ("Hips", "Spine")
    np.testing.assert_allclose(read.times_s, [0, 0.5, 1.5])
    np.testing.assert_allclose(read.skeleton.rest_translation[1], [0, 0, -0.2])
    # In the file's world, Y up: +90° about x takes (x, y, z) to (x, −z, y), so that −z is up.
    file_world = np.array([[5, 1, 0], [5.1, 1, 0], [5.2, 1.1, 0]])
    np.testing.assert_allclose(read.root_pos_w, file_world @ UP, atol=1e-12)
    np.testing.assert_allclose(positions(read)[:, 1] - positions(read)[:, 0], np.tile([0, 0, 0.2], (3, 1)), atol=1e-7)
    np.testing.assert_allclose(read.skeleton.rest_translation[0], np.array([5, 1, 0]) @ UP, atol=1e-12)


def test_an_animation_is_chosen_by_name(tmp_path):
    path = armature(tmp_path)
    idle = load_gltf_clip(path, "idle")
    assert idle.skeleton.names == ("Spine",)
    with pytest.raises(BunrakuError, match=r"no animation 'wal'.*walk"):
        load_gltf_clip(path, "wal")


def test_a_moving_node_above_moving_hips_is_folded_into_them(tmp_path):
    forth = np.array([[5, 0, 0], [6, 0, 0], [7, 0, 0]])
    read = load_gltf_clip(armature(tmp_path, (0, "translation", TIMES, forth, "LINEAR")))
    assert read.skeleton.names == ("Hips", "Spine")
    np.testing.assert_allclose(read.root_pos_w[:, 0], [5, 6.1, 7.2])
    still = load_gltf_clip(armature(tmp_path, (0, "translation", TIMES, forth, "LINEAR"), hips_moves=False))
    assert still.skeleton.names == ("Armature", "Hips", "Spine")


def test_splines_are_sampled_sixty_times_a_second(tmp_path):
    zero = np.zeros((3, 3))
    values = np.stack([zero, [[0, 0, -100], [0, 0, -90], [0, 0, -100]], zero], axis=1).reshape(-1, 3)
    maker = GltfMaker()
    nodes = [{"name": "Hips", "children": [1]}, {"name": "Leg"}]
    file(maker, nodes, ("a", [(0, "translation", TIMES, values, "CUBICSPLINE")]))
    read = load_gltf_clip(maker.glb(tmp_path / "s.glb"))
    assert read.frames == 91
    assert read.skeleton.names == ("Hips",)
    # Halfway between 0.5 and 1 s, with flat tangents: the mean.
    np.testing.assert_allclose(read.root_pos_w[15], np.array([0, 0, -95]) @ UP, atol=1e-9)


def test_motion_that_a_clip_has_no_place_for_is_refused_by_name(tmp_path):
    wander = np.array([[0, 0, -30], [0, 0, -30], [0, 5, -30]])
    with pytest.raises(BunrakuError, match=r"'Head' moves against its parent \(by 0.05 at frame 2\)"):
        load_gltf_clip(armature(tmp_path, (3, "translation", TIMES, wander, "LINEAR")))
    grow = np.array([[1, 1, 1], [1, 1, 1], [2, 2, 2]])
    with pytest.raises(BunrakuError, match="node 'Hips' is scaled unevenly or changes its size"):
        load_gltf_clip(armature(tmp_path, (1, "scale", TIMES, grow, "LINEAR")))
    with pytest.raises(BunrakuError, match="node 'Armature' is scaled unevenly"):
        load_gltf_clip(armature(tmp_path, scale=(0.01, 0.02, 0.01)))
    # The last joint's scale moves nothing that a clip knows of.
    load_gltf_clip(armature(tmp_path, (3, "scale", TIMES, grow, "LINEAR")))
    maker = file(
        GltfMaker(), [{"name": "a"}, {"name": "b"}], ("x", [(i, "rotation", TIMES, QUARTER, "LINEAR") for i in (0, 1)])
    )
    with pytest.raises(BunrakuError, match="'a' and 'b' move and have no common ancestor"):
        load_gltf_clip(maker.glb(tmp_path / "two.glb"))
    maker = file(GltfMaker(), [{"name": "a"}], ("x", [(0, "scale", TIMES, grow, "LINEAR")]))
    with pytest.raises(BunrakuError, match="'x' neither turns nor moves a node"):
        load_gltf_clip(maker.glb(tmp_path / "scale.glb"))
    with pytest.raises(BunrakuError, match="has no animation; a clip is one"):
        load_gltf_clip(file(GltfMaker(), [{"name": "a"}]).glb(tmp_path / "none.glb"))
    (tmp_path / "bad.glb").write_text(json.dumps({"asset": {"version": "2.0"}, "animations": 3}))
    with pytest.raises(BunrakuError, match=r"bad.glb: animations is 3; expected a list"):
        load_gltf_clip(tmp_path / "bad.glb")


def test_files_of_others_are_clips(data_dir):
    man = load_gltf_clip(data_dir / "rigs" / "CesiumMan.glb")
    assert (man.frames, len(man.skeleton), man.skeleton.names[0]) == (48, 19, "Skeleton_torso_joint_1")
    reach = positions(man)
    # A man who walks upright: as tall as men are, along z, his lowest joint near the ground.
    assert 1.0 < np.ptp(reach[0, :, 2]) < 2.0
    assert -0.05 < reach[..., 2].min() < 0.1
    assert np.ptp(reach[0, :, 2]) > 1.5 * np.ptp(reach[0, :, :2], axis=0).min()
    fox = load_gltf_clip(data_dir / "rigs" / "Fox.glb", "Run")
    assert fox.duration_s < load_gltf_clip(data_dir / "rigs" / "Fox.glb", "Survey").duration_s
