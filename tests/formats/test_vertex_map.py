import json

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.vertex_map import MarkerMap, VertexMap, load_vertex_map


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("m.json", "[2, null, 0, -1]", [2, -1, 0, -1]),
        ("m.json", "[[0, 2], [3, 1]]", [[0, 2], [3, 1]]),
        ("m.csv", "2\n-1\n0\n", [2, -1, 0]),
        ("m.csv", "capture,rig\n0,2\n\n3, 1\n", [[0, 2], [3, 1]]),
    ],
)
def test_maps_are_read_as_arrays_or_pairs(tmp_path, name, text, expected):
    file = tmp_path / name
    file.write_text(text)
    found = load_vertex_map(file)
    assert isinstance(found, VertexMap)
    np.testing.assert_array_equal(found.given, expected)


@pytest.mark.parametrize("array", [np.array([2, 0, 1], np.uint16), np.array([[0, 2], [1, 1]])])
def test_arrays_of_whole_numbers_are_read(tmp_path, array):
    np.save(tmp_path / "m.npy", array)
    np.testing.assert_array_equal(load_vertex_map(tmp_path / "m.npy").given, array)


def test_markers_are_read_with_their_triangles_or_vertices(tmp_path):
    file = tmp_path / "at.json"
    file.write_text(json.dumps({"LFHD": 7, "chin": {"triangle": [1, 2, 3], "weights": [0.5, 0.25, 0.25]}}))
    found = load_vertex_map(file)
    assert isinstance(found, MarkerMap)
    assert found.markers == {"LFHD": ((7,), (1.0,)), "chin": ((1, 2, 3), (0.5, 0.25, 0.25))}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.txt", "1", "no map by its ending; these are read: .json, .csv, .npy"),
        ("m.json", "[1, ", "is not valid JSON"),
        ("m.json", "[]", "is no map; expected an array, pairs, or markers"),
        ("m.json", "{}", "is no map"),
        ("m.json", "[1, 2.5]", "entry 1 is 2.5; expected a vertex of the rig, or null"),
        ("m.json", "[1, true]", "entry 1 is True"),
        ("m.json", "[[1, 2], [3]]", r"entry 1 is \[3\]; expected \[capture, rig\]"),
        ("m.json", '{"a": "b"}', "marker 'a' is b; expected a vertex, or {triangle"),
        ("m.json", '{"a": {"triangle": [1, 2], "weights": [0.5, 0.5]}}', "marker 'a' is"),
        ("m.json", '{"a": {"triangle": [1, 2, 3], "weights": [1, 0, NaN]}}', "marker 'a' is"),
        ("m.csv", "", "has no entries"),
        ("m.csv", "a,b\n", "has no entries"),
        ("m.csv", "1,2,3\n", "has 3 columns"),
        ("m.csv", "1,2\n3\n", "row 2 is '3'; expected 2 whole numbers"),
        ("m.csv", "1\nx\n", "row 2 is 'x'; expected 1 whole numbers"),
        ("m.csv", "1\n" + "9" * 30, "row 2 is"),
        ("m.npy", "no array", "cannot be read"),
    ],
)
def test_what_is_no_map_is_refused_by_name(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(BunrakuError, match=f"{name}: .*{message}|{name}: {message}"):
        load_vertex_map(file)


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 3), int), np.zeros((1, 2, 2), int)])
def test_arrays_of_other_shapes_or_kinds_are_refused(tmp_path, array):
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(BunrakuError, match=r"m\.npy: h"):
        load_vertex_map(tmp_path / "m.npy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BunrakuError, match=r"none\.json: no such file"):
        load_vertex_map(tmp_path / "none.json")
