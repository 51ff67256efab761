import base64
import json
import struct

import numpy as np
import pytest

from bunraku.core.animation import Animation, Channel
from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf import append_animation, read_gltf
from gltf_files import TRIANGLE, GltfMaker, one_triangle, read_glb, write_glb


def channel(target, path, values, times=(0.0, 0.5), interpolation="LINEAR"):
    keys = len(times)
    values = np.asarray(values, float).reshape(keys, 3 if interpolation == "CUBICSPLINE" else 1, -1)
    return Channel(target, path, interpolation, np.array(times), values)


MOVE = Animation("take", (channel(0, "translation", [[0, 0, 0], [1, 2, 3]]),))


def same_channels(read, written):
    assert len(read.channels) == len(written.channels)
    for ours, theirs in zip(read.channels, written.channels, strict=True):
        assert (ours.target, ours.path, ours.interpolation) == (theirs.target, theirs.path, theirs.interpolation)
        np.testing.assert_array_equal(ours.times_s, theirs.times_s.astype("f4"))
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)


def rich_source(maker):
    """A file full of what we know nothing of."""
    maker.root |= {
        "extras": {"ö": [1, 2.5e-7, None, "\u2028"], "big": 2**60},
        "extensionsUsed": ["ACME_fur"],
        "extensions": {"ACME_fur": {"length": 0.1}},
        "images": [{"bufferView": maker.view(b"\x89PNG not really"), "mimeType": "image/png"}],
        "materials": [{"name": "skin", "unknown": True}],
    }
    maker.animation((0, "scale", [0.0], [[1.0, 1, 1]], "STEP"), name="old")
    return maker


def test_a_glb_keeps_every_byte_and_key_and_gets_one_more_animation(tmp_path):
    maker = rich_source(one_triangle())
    unknown = struct.pack("<II", 8, 0x454D4341) + b"whatever"
    root = {**maker.root, "buffers": [{"byteLength": len(maker.data), "name": "kept"}]}
    source = write_glb(tmp_path / "a.glb", root, bytes(maker.data), extra=unknown)
    out = tmp_path / "b.glb"
    append_animation(source, MOVE, out)
    old, old_chunks = read_glb(source)
    new, new_chunks = read_glb(out)
    assert new_chunks[0][1].startswith(old_chunks[0][1])
    assert new_chunks[1:] == old_chunks[1:]
    for key in ("nodes", "meshes", "extras", "extensions", "extensionsUsed", "images", "materials", "asset"):
        assert new[key] == old[key]
    for key in ("accessors", "bufferViews", "animations"):
        assert new[key][: len(old[key])] == old[key]
    assert new["buffers"] == [{"byteLength": len(new_chunks[0][1]), "name": "kept"}]
    assert list(new) == list(old)
    names = [animation.name for animation in read_gltf(out).animations]
    assert names == ["old", "take"]
    same_channels(read_gltf(out).animations[-1], MOVE)


def test_every_path_and_interpolation_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    maker = GltfMaker()
    mesh = maker.mesh(targets=[TRIANGLE, TRIANGLE])
    maker.add("nodes", {"mesh": mesh})
    maker.add("nodes", {})
    maker.add("nodes", {"mesh": mesh})
    source = maker.glb(tmp_path / "a.glb")
    quat = rng.normal(size=(2, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    animation = Animation(
        "all",
        (
            channel(1, "rotation", quat),
            channel(1, "rotation", rng.normal(size=(2, 3, 4)), interpolation="CUBICSPLINE"),
            channel(2, "scale", rng.normal(size=(2, 3)), interpolation="STEP"),
            channel(0, "morphs", rng.normal(size=(2, 3, 2)), interpolation="CUBICSPLINE"),
            channel(2, "morphs", rng.normal(size=(2, 2))),
        ),
    )
    append_animation(source, animation, tmp_path / "b.glb")
    same_channels(read_gltf(tmp_path / "b.glb").animations[0], animation)


def test_equal_key_times_are_stored_once_and_declare_their_bounds(tmp_path):
    source = one_triangle().glb(tmp_path / "a.glb")
    both = Animation("t", (*MOVE.channels, channel(0, "scale", np.ones((2, 3)))))
    append_animation(source, both, tmp_path / "b.glb")
    root, _ = read_glb(tmp_path / "b.glb")
    first, second = root["animations"][0]["samplers"]
    assert first["input"] == second["input"]
    assert root["accessors"][first["input"]]["min"] == [0]
    assert root["accessors"][first["input"]]["max"] == [0.5]


def test_morphs_of_several_nodes_in_one_channel_are_cut_and_the_rest_rests(tmp_path):
    maker = GltfMaker()
    mesh = maker.mesh(targets=[TRIANGLE, TRIANGLE], weights=[0.25, 0.75])
    for _ in range(2):
        maker.add("nodes", {"mesh": mesh})
    source = maker.glb(tmp_path / "a.glb")
    # Columns 1 and 2 of 4: the second of node 0 and the first of node 1.
    append_animation(source, Animation("m", (channel(1, "morphs", [[5, 6], [7, 8]]),)), tmp_path / "b.glb")
    first, second = read_gltf(tmp_path / "b.glb").animations[0].channels
    np.testing.assert_array_equal(first.values[:, 0], [[0.25, 5], [0.25, 7]])
    np.testing.assert_array_equal(second.values[:, 0], [[6, 0.75], [8, 0.75]])
    assert (first.target, second.target) == (0, 2)


def test_one_channel_for_each_morph_is_gathered_into_one_for_the_node(tmp_path):
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh(targets=[TRIANGLE, TRIANGLE])})
    source = maker.glb(tmp_path / "a.glb")
    single = (channel(0, "morphs", [[1], [2]]), channel(1, "morphs", [[3], [4]]))
    append_animation(source, Animation("m", single), tmp_path / "b.glb")
    (read,) = read_gltf(tmp_path / "b.glb").animations[0].channels
    np.testing.assert_array_equal(read.values[:, 0], [[1, 3], [2, 4]])
    other = (single[0], channel(1, "morphs", [[3], [4]], times=(0.0, 0.75)))
    with pytest.raises(BunrakuError, match=r"'m'.*node 0"):
        append_animation(source, Animation("m", other), tmp_path / "c.glb")


def test_a_matrix_node_that_is_moved_becomes_translation_rotation_and_scale(tmp_path):
    maker = one_triangle()
    maker.add("nodes", {"matrix": np.diag([2.0, 2, 2, 1]).ravel().tolist(), "name": "kept"})
    maker.root["nodes"][0]["matrix"] = [0, 2, 0, 0, -3, 0, 0, 0, 0, 0, 4, 0, 1, 2, 3, 1]  # 90° about z, scale 2 3 4
    source = maker.glb(tmp_path / "a.glb")
    append_animation(source, MOVE, tmp_path / "b.glb")
    root, _ = read_glb(tmp_path / "b.glb")
    assert "matrix" not in root["nodes"][0]
    assert root["nodes"][1] == maker.root["nodes"][1]
    np.testing.assert_allclose(root["nodes"][0]["scale"], [2, 3, 4])
    before, after = (read_gltf(path).character.skeleton for path in (source, tmp_path / "b.glb"))
    np.testing.assert_allclose(after.rest_stretch, before.rest_stretch, atol=1e-12)
    np.testing.assert_allclose(after.rest_quat, before.rest_quat, atol=1e-12)
    np.testing.assert_allclose(after.rest_translation, before.rest_translation)


def test_a_sheared_matrix_node_cannot_be_moved(tmp_path):
    maker = one_triangle()
    maker.root["nodes"][0]["matrix"] = [1, 0, 0, 0, 0.5, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    with pytest.raises(BunrakuError, match=r"nodes\[0\].*sheared"):
        append_animation(maker.glb(tmp_path / "a.glb"), MOVE, tmp_path / "b.glb")
    assert not (tmp_path / "b.glb").exists()


@pytest.mark.parametrize("uri", [None, "data/a.bin"])
@pytest.mark.parametrize("folder", [".", "elsewhere"])
@pytest.mark.parametrize("ending", ["gltf", "glb"])
def test_a_gltf_with_its_buffer_anywhere_can_be_copied_anywhere(tmp_path, uri, folder, ending):
    maker = rich_source(one_triangle())
    maker.root["images"].append({"uri": "picture.png"})
    (tmp_path / "picture.png").write_bytes(b"picture")
    source = maker.gltf(tmp_path / "a.gltf", uri)
    out = tmp_path / folder / f"b.{ending}"
    out.parent.mkdir(exist_ok=True)
    append_animation(source, MOVE, out)
    root = read_glb(out)[0] if ending == "glb" else json.loads(out.read_text("utf-8"))
    assert root["extras"] == maker.root["extras"]
    if folder == ".":
        assert root["images"][1]["uri"] == "picture.png"
    else:
        assert root["images"][1]["uri"] == "data:image/png;base64," + base64.b64encode(b"picture").decode()
    if ending == "gltf" and folder == ".":
        assert root["buffers"][0] == json.loads(source.read_text())["buffers"][0]
    if folder == "elsewhere":  # the copy stands alone
        source.unlink()
        (tmp_path / "picture.png").unlink()
    file = read_gltf(out)
    np.testing.assert_array_equal(file.character.positions, TRIANGLE)
    assert [animation.name for animation in file.animations] == ["old", "take"]
    same_channels(file.animations[1], MOVE)


def test_a_glb_can_become_a_gltf(tmp_path):
    source = rich_source(one_triangle()).glb(tmp_path / "a.glb")
    append_animation(source, MOVE, tmp_path / "b.gltf")
    file = read_gltf(tmp_path / "b.gltf")
    np.testing.assert_array_equal(file.character.positions, TRIANGLE)
    same_channels(file.animations[1], MOVE)


def test_a_picture_that_is_missing_or_elsewhere_is_left_as_it_is(tmp_path):
    maker = one_triangle()
    maker.root["images"] = [{"uri": "gone.png"}, {"uri": "https://example.org/a.png"}, {"uri": "../secret.png"}]
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    source = maker.glb(tmp_path / "in" / "a.glb")
    append_animation(source, MOVE, tmp_path / "b.glb")
    assert read_glb(tmp_path / "b.glb")[0]["images"] == maker.root["images"]


def test_a_file_can_be_appended_to_in_place_and_again(tmp_path):
    path = one_triangle().glb(tmp_path / "a.glb")
    for _ in range(3):
        append_animation(path, MOVE, path)
    assert [animation.name for animation in read_gltf(path).animations] == ["take", "take#2", "take#3"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("animation", "reason"),
    [
        (Animation("x", ()), "no channels"),
        (Animation("x", (channel(1, "scale", np.ones((2, 3))),)), "moves node 1; there are 1"),
        (Animation("x", (channel(0, "morphs", np.ones((2, 1))),)), "more morphs than there are, 0"),
        (Animation("x", (channel(0, "scale", np.full((2, 3), np.nan)),)), "not finite"),
        (Animation("x", (channel(0, "scale", np.full((2, 3), 1e60)),)), "not finite"),
        (Animation("x", (channel(0, "scale", np.ones((2, 3)), times=(1e6, 1e6 + 1e-4)),)), "closer in time"),
    ],
)
def test_what_gltf_cannot_hold_is_refused_and_nothing_is_written(tmp_path, animation, reason):
    source = one_triangle().glb(tmp_path / "a.glb")
    with pytest.raises(BunrakuError, match=f"'x'.*{reason}"):
        append_animation(source, animation, tmp_path / "b.glb")
    assert not (tmp_path / "b.glb").exists()


def test_another_ending_is_refused(tmp_path):
    source = one_triangle().glb(tmp_path / "a.glb")
    with pytest.raises(BunrakuError, match=r"b\.fbx.*expected \.glb or \.gltf"):
        append_animation(source, MOVE, tmp_path / "b.fbx")
