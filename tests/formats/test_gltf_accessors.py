import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf import read_gltf
from bunraku.formats.gltf_accessors import read_floats, read_integers
from bunraku.formats.gltf_container import read_document
from gltf_files import TRIANGLE, GltfMaker


def floats(maker, path, index, kind="VEC3"):
    return read_floats(read_document(maker.glb(path / "a.glb")), index, kind)


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [
        ("i1", [-128, -127, 127], [-1, -1, 1]),
        ("u1", [0, 51, 255], [0, 0.2, 1]),
        ("i2", [-32768, -32767, 32767], [-1, -1, 1]),
        ("u2", [0, 13107, 65535], [0, 0.2, 1]),
    ],
)
def test_normalised_integers_become_the_fractions_of_the_specification(tmp_path, kind, stored, expected):
    maker = GltfMaker()
    index = maker.accessor([stored], kind, normalized=True)
    np.testing.assert_allclose(floats(maker, tmp_path, index), [expected], rtol=0, atol=1e-15)


def test_integers_that_are_not_normalised_keep_their_values(tmp_path):
    maker = GltfMaker()
    index = maker.accessor([[-7, 100, 3]], "i1")
    np.testing.assert_array_equal(floats(maker, tmp_path, index), [[-7, 100, 3]])


def test_interleaved_elements_are_told_apart_by_the_stride(tmp_path):
    maker = GltfMaker()
    both = np.arange(24, dtype="f4").reshape(4, 6)
    view = maker.view(both.tobytes(), byteStride=24)
    one = {"bufferView": view, "componentType": 5126, "count": 4, "type": "VEC3"}
    first, second = maker.add("accessors", one), maker.add("accessors", {**one, "byteOffset": 12})
    np.testing.assert_array_equal(floats(maker, tmp_path, first), both[:, :3])
    np.testing.assert_array_equal(floats(maker, tmp_path, second), both[:, 3:])


def sparse(maker, rows, values, kind="u1", **base):
    indices = {
        "bufferView": maker.view(np.array(rows, kind).tobytes()),
        "componentType": {"u1": 5121, "u2": 5123}[kind],
    }
    replaced = {"bufferView": maker.view(np.array(values, "f4").tobytes())}
    entry = {"count": len(rows), "indices": indices, "values": replaced}
    return maker.add("accessors", {"componentType": 5126, "count": 3, "type": "VEC3", **base, "sparse": entry})


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_a_sparse_accessor_without_a_view_is_zero_but_where_it_says(tmp_path, kind):
    maker = GltfMaker()
    index = sparse(maker, [0, 2], [[1.0, 2, 3], [4, 5, 6]], kind)
    np.testing.assert_array_equal(floats(maker, tmp_path, index), [[1, 2, 3], [0, 0, 0], [4, 5, 6]])


def test_a_sparse_accessor_with_a_view_replaces_some_of_it_and_leaves_the_view_alone(tmp_path):
    maker = GltfMaker()
    dense = maker.accessor(TRIANGLE)
    index = sparse(maker, [1], [[7.0, 8, 9]], bufferView=0)
    np.testing.assert_array_equal(floats(maker, tmp_path, index), [[0, 0, 0], [7, 8, 9], [0, 1, 0]])
    np.testing.assert_array_equal(floats(maker, tmp_path, dense), TRIANGLE)


def test_an_accessor_without_any_data_is_zero(tmp_path):
    maker = GltfMaker()
    index = maker.add("accessors", {"componentType": 5126, "count": 2, "type": "VEC3"})
    np.testing.assert_array_equal(floats(maker, tmp_path, index), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"count": 10**12}, ["accessors[0]", "bufferViews[0]", "has 36"]),
        ({"count": 4}, ["accessors[0]", "ends at byte 48"]),
        ({"byteOffset": 4}, ["accessors[0]", "ends at byte 40"]),
        ({"byteOffset": -4}, ["accessors[0].byteOffset is -4"]),
        ({"count": 0}, ["accessors[0].count is 0"]),
        ({"type": "VEC4"}, ["accessors[0]", "VEC4", "expected VEC3"]),
        ({"componentType": 5124}, ["accessors[0]", "5124"]),
        ({"bufferView": 9}, ["accessors[0].bufferView is 9", "there are 1 bufferViews"]),
    ],
)
def test_an_accessor_that_does_not_fit_its_view_is_refused_by_name(tmp_path, change, parts):
    maker = GltfMaker()
    maker.accessor(TRIANGLE)
    maker.root["accessors"][0] |= change
    check_refused(maker, tmp_path, parts)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"byteLength": 37}, ["bufferViews[0]", "ends at byte 37 of buffers[0], which has 36"]),
        ({"byteOffset": 10**15}, ["bufferViews[0]", "buffers[0]"]),
        ({"buffer": 1}, ["bufferViews[0].buffer is 1"]),
        ({"byteStride": 8}, ["bufferViews[0]", "byteStride 8"]),
        ({"byteStride": 16}, ["accessors[0]", "ends at byte 44"]),
    ],
)
def test_a_view_that_does_not_fit_its_buffer_is_refused_by_name(tmp_path, change, parts):
    maker = GltfMaker()
    maker.accessor(TRIANGLE)
    maker.root["bufferViews"][0] |= change
    check_refused(maker, tmp_path, parts)


def test_a_count_without_data_beyond_all_reason_is_refused(tmp_path):
    maker = GltfMaker()
    maker.add("accessors", {"componentType": 5126, "count": 10**12, "type": "VEC3"})
    check_refused(maker, tmp_path, ["accessors[0]", "1000000000000 elements without data"])


@pytest.mark.parametrize("rows", [[3], [0, 1, 2, 0]], ids=["beyond", "too many"])
def test_sparse_rows_that_do_not_exist_are_refused(tmp_path, rows):
    maker = GltfMaker()
    sparse(maker, rows, np.zeros((len(rows), 3)))
    check_refused(maker, tmp_path, ["accessors[0].sparse"])


def test_values_that_are_not_finite_are_refused_with_their_element(tmp_path):
    maker = GltfMaker()
    maker.accessor([[0, 0, 0], [0, np.nan, 0]])
    check_refused(maker, tmp_path, ["accessors[0]", "not finite at element 1"])


def check_refused(maker, path, parts):
    with pytest.raises(BunrakuError) as caught:
        floats(maker, path, 0)
    for part in ("a.glb", *parts):
        assert part in str(caught.value)


def test_floats_and_signed_integers_are_no_indices(tmp_path):
    maker = GltfMaker()
    maker.accessor([0.0, 1, 2])
    maker.accessor([0, 1, 2], "i2")
    document = read_document(maker.glb(tmp_path / "a.glb"))
    for index in (0, 1):
        with pytest.raises(BunrakuError, match=rf"accessors\[{index}\] .*unsigned"):
            read_integers(document, index, "SCALAR")


def test_quantised_positions_weights_and_morphs_make_the_same_character_as_floats(tmp_path):
    # KHR_mesh_quantization: every attribute as integers, with padding to 4 bytes by a stride.
    def build(quantised):
        maker = GltfMaker()

        def put(values, kind, scale):
            if not quantised:
                return maker.accessor(values)
            stored = np.rint(np.asarray(values) * scale).astype(kind)
            stride = -(-stored[0].nbytes // 4) * 4
            padded = np.zeros((len(stored), stride // stored.itemsize), kind)
            padded[:, : stored.shape[1]] = stored
            view = maker.view(padded.tobytes(), byteStride=stride)
            entry = {"bufferView": view, "componentType": {"i1": 5120, "u1": 5121, "i2": 5122}[kind], "count": 3}
            return maker.add("accessors", {**entry, "type": f"VEC{stored.shape[1]}", "normalized": scale > 1})

        attributes = {
            "POSITION": put(3 * TRIANGLE, "i2", 1),
            "JOINTS_0": maker.accessor(np.tile([0, 1, 0, 0], (3, 1)), "u1"),
            "WEIGHTS_0": put(np.tile([0.2, 0.8, 0, 0], (3, 1)), "u1", 255),
        }
        targets = [{"POSITION": put(-TRIANGLE, "i1", 127)}]
        maker.add("meshes", {"primitives": [{"attributes": attributes, "targets": targets}]})
        maker.add("nodes", {"mesh": 0, "skin": 0})
        maker.add("nodes", {})
        maker.add("skins", {"joints": [0, 1]})
        maker.root["extensionsRequired"] = ["KHR_mesh_quantization"]
        return read_gltf(maker.glb(tmp_path / "a.glb")).character

    whole, small = build(False), build(True)
    np.testing.assert_allclose(small.positions, whole.positions, atol=0)
    np.testing.assert_allclose(small.weights, whole.weights, atol=1e-7)
    np.testing.assert_allclose(small.morph_deltas, whole.morph_deltas, atol=0)
