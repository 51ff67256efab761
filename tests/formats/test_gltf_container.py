import json
import os
import struct

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf import read_gltf
from gltf_files import TRIANGLE, GltfMaker, one_triangle, write_glb


def refused(path, *parts):
    """Reading fails with one line that names the file and every part."""
    with pytest.raises(BunrakuError) as caught:
        read_gltf(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


@pytest.mark.parametrize("form", ["glb", "data URI", "external", "external in a folder, with a space"])
def test_every_container_gives_the_same_triangle(tmp_path, form):
    maker = one_triangle()
    if form == "glb":
        path = maker.glb(tmp_path / "a.glb")
    else:
        uri = {"data URI": None, "external": "a.bin"}.get(form, "more data/a.bin")
        path = maker.gltf(tmp_path / "a.gltf", uri)
        if form.endswith("space"):
            path.write_text(path.read_text().replace("more data", "more%20data"))
    np.testing.assert_array_equal(read_gltf(path).character.positions, TRIANGLE)


def test_the_container_is_told_by_its_bytes_and_not_by_its_name(tmp_path):
    path = one_triangle().glb(tmp_path / "a.gltf")
    assert read_gltf(path).character.vertex_count == 3


def test_a_byte_order_mark_before_the_json_is_passed_over(tmp_path):
    path = one_triangle().gltf(tmp_path / "a.gltf")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_gltf(path).character.vertex_count == 3


def test_a_missing_file_an_empty_file_and_a_folder_are_refused_by_name(tmp_path):
    refused(tmp_path / "none.glb", "no such file")
    (tmp_path / "empty.glb").touch()
    refused(tmp_path / "empty.glb", "is empty")
    refused(tmp_path, "is not a file")


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"hello",
        b"[1, 2]",
        b"[" * 100_000,
        b'{"asset": {}}',
        b'{"a": NaN}',
        b"\xff\xfe",
    ],
    ids=["png", "text", "a list", "deep", "no version", "nan", "not utf-8"],
)
def test_what_is_not_gltf_is_refused(tmp_path, content):
    path = tmp_path / "a.glb"
    path.write_bytes(content)
    refused(path, "not a glTF file")


def test_a_file_cut_anywhere_is_refused_by_name(tmp_path):
    whole = one_triangle().glb(tmp_path / "a.glb").read_bytes()
    path = tmp_path / "cut.glb"
    for length in [*range(4, 40), *range(40, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path, "truncated")


def test_other_versions_are_refused(tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(struct.pack("<4sIIII", b"glTF", 1, 20, 0, 0))
    refused(path, "version 1")
    path.write_text('{"asset": {"version": "1.0"}}')
    refused(path, "'1.0'")


def test_chunk_lengths_beyond_the_file_are_refused(tmp_path):
    data = bytearray(one_triangle().glb(tmp_path / "a.glb").read_bytes())
    struct.pack_into("<I", data, 12, 0xFFFFFFF0)
    (tmp_path / "a.glb").write_bytes(data)
    refused(tmp_path / "a.glb", "chunk 0 declares 4294967280 bytes")


def test_a_first_chunk_that_is_not_json_is_refused(tmp_path):
    data = bytearray(one_triangle().glb(tmp_path / "a.glb").read_bytes())
    struct.pack_into("<I", data, 16, 0x004E4942)
    (tmp_path / "a.glb").write_bytes(data)
    refused(tmp_path / "a.glb", "first chunk is not JSON")


def test_a_buffer_longer_than_its_source_is_refused(tmp_path):
    maker = one_triangle()
    for name, make in (("a.glb", maker.glb), ("a.gltf", maker.gltf), ("b.gltf", lambda p: maker.gltf(p, "b.bin"))):
        path = make(tmp_path / name)
        length = f'"byteLength": {len(maker.data)}'
        longer = f'"byteLength": {10**12}'
        if path.suffix == ".glb":
            root = {**maker.root, "buffers": [{"byteLength": 10**12}]}
            write_glb(path, root, bytes(maker.data))
        else:
            text = path.read_text()
            path.write_text(longer.join(text.rsplit(length, 1)))
        refused(path, "buffers[0]", "declares 1000000000000 bytes")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("gone.bin", "no such file"),
        ("../outside.bin", "outside the file's folder"),
        ("%2e%2e/outside.bin", "outside the file's folder"),
        ("link.bin", "outside the file's folder"),
        ("folder/../../outside.bin", "outside the file's folder"),
        ("/etc/hostname", "relative"),
        ("file:///etc/hostname", "relative"),
        ("https://example.org/a.bin", "relative"),
        ("C:/a.bin", "relative"),
        ("a\0.bin", "relative"),
        ("x" * 5000, "no such file"),
        ("loop.bin", "no such file"),
        ("folder", "no such file"),
    ],
)
def test_a_buffer_outside_the_folder_or_missing_is_refused(tmp_path, uri, reason):
    folder = tmp_path / "rig"
    (folder / "folder").mkdir(parents=True)
    maker = one_triangle()
    (tmp_path / "outside.bin").write_bytes(maker.data)
    os.symlink(tmp_path / "outside.bin", folder / "link.bin")
    os.symlink("loop.bin", folder / "loop.bin")
    path = folder / "a.gltf"
    path.write_text(json.dumps({**maker.root, "buffers": [{"byteLength": len(maker.data), "uri": uri}]}))
    refused(path, "buffers[0]", uri[:20].replace("\0", "\\x00"), reason)


def test_a_link_that_stays_inside_the_folder_is_followed(tmp_path):
    path = one_triangle().gltf(tmp_path / "a.gltf", "b.bin")
    (tmp_path / "b.bin").rename(tmp_path / "real.bin")
    os.symlink("real.bin", tmp_path / "b.bin")
    assert read_gltf(path).character.vertex_count == 3


@pytest.mark.parametrize("uri", ["data:,abc", "data:application/octet-stream;base64,*", "data:", 5])
def test_a_broken_data_uri_is_refused(tmp_path, uri):
    maker = one_triangle()
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps({**maker.root, "buffers": [{"byteLength": len(maker.data), "uri": uri}]}))
    refused(path, "buffers[0]", "uri" if uri == 5 else "base64")


def test_a_buffer_without_data_is_refused_where_it_is_used(tmp_path):
    maker = one_triangle()
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps({**maker.root, "buffers": [{"byteLength": len(maker.data)}]}))
    refused(path, "bufferViews[0]", "buffers[0]", "no data")


@pytest.mark.parametrize("name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "EXT_mesh_gpu_instancing"])
def test_a_required_extension_that_cannot_be_read_is_refused_by_name(tmp_path, name):
    maker = one_triangle()
    maker.root["extensionsRequired"] = ["KHR_materials_unlit", name]
    refused(maker.glb(tmp_path / "a.glb"), name, "not supported")


def test_required_extensions_of_looks_alone_do_not_matter(tmp_path):
    maker = one_triangle()
    maker.root["extensionsRequired"] = ["KHR_materials_unlit", "KHR_texture_transform", "KHR_mesh_quantization"]
    assert read_gltf(maker.glb(tmp_path / "a.glb")).character.vertex_count == 3


def test_a_mesh_that_only_a_compression_holds_is_refused_even_if_it_is_not_required(tmp_path):
    maker = GltfMaker()
    position = maker.add("accessors", {"componentType": 5126, "count": 3, "type": "VEC3"})
    draco = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    primitive = {"attributes": {"POSITION": position}, "extensions": draco}
    maker.add("nodes", {"mesh": maker.add("meshes", {"primitives": [primitive]})})
    refused(maker.glb(tmp_path / "a.glb"), "meshes[0].primitives[0]", "KHR_draco_mesh_compression")


@pytest.mark.parametrize("value", [5, "nodes", {"a": 1}, [1], [None], ["x"], True])
@pytest.mark.parametrize("key", ["nodes", "meshes", "accessors", "bufferViews", "skins", "animations", "buffers"])
def test_lists_that_are_something_else_are_refused(tmp_path, key, value):
    maker = one_triangle()
    path = tmp_path / "a.glb"
    write_glb(path, {**maker.root, "buffers": [{"byteLength": len(maker.data)}], key: value}, bytes(maker.data))
    refused(path, key)


def test_any_single_wrong_value_is_refused_in_one_line_or_read(tmp_path):
    # Nonsense in every place of a file with all features: nothing else than our own error may come out.
    maker = GltfMaker()
    mesh = maker.skinned_mesh([[0, 1, 0, 0]] * 3, [[1.0, 1, 0, 0]] * 3, targets=[TRIANGLE], weights=[0.5])
    maker.add("nodes", {"mesh": mesh, "skin": 0, "children": [1], "weights": [0.1]})
    maker.add("nodes", {"matrix": np.eye(4).ravel().tolist(), "name": "bone"})
    maker.add("skins", {"joints": [0, 1], "inverseBindMatrices": maker.accessor([np.eye(4).ravel()] * 2)})
    maker.animation((0, "weights", [0.0, 1], [[0.0], [1]], "LINEAR"))
    sparse = {"count": 1, "indices": {"bufferView": 0, "componentType": 5121}, "values": {"bufferView": 0}}
    maker.root["accessors"][0]["sparse"] = sparse
    root = {**maker.root, "buffers": [{"byteLength": len(maker.data)}]}
    text = json.dumps(root)
    nonsense = [None, -1, 10**12, 1.5, "x", [10**400], {}]
    places = [place for place in _places(root) if place[0] != "asset"]
    assert len(places) > 100
    for place in places:
        for value in nonsense:
            broken = json.loads(text)
            parent = broken
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = value
            path = write_glb(tmp_path / "a.glb", broken, bytes(maker.data))
            message = _complaint(path)
            assert message is None or (str(path) in message and "\n" not in message)


def _complaint(path):
    try:
        read_gltf(path)
    except BunrakuError as error:
        return str(error)
    return None


def _places(value, place=()):
    """The path of every value inside JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*place, key)
        yield from _places(inner, (*place, key))
