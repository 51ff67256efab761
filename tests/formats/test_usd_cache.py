"""USD point caches, written by hand in these tests."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.sequence import load_sequence, sequence_hash
from bunraku.formats.usd_cache import load_usd_sequence

HEAD = """#usda 1.0
(
    metersPerUnit = 0.01
    upAxis = "Z"
    startTimeCode = 1001
    endTimeCode = 1004
    timeCodesPerSecond = {rate}
)
"""
MESH = """
def Xform "World"
{{
    double3 xformOp:translate = (0, 0, 5)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Mesh "{name}"
    {{
        int[] faceVertexCounts = [4]
        int[] faceVertexIndices = [0, 1, 2, 3]
        point3f[] points.timeSamples = {{
            {first}: [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)],
            {second}: [(0, 0, 2), (1, 0, 2), (1, 1, 2), (0, 1, 2)],
        }}
        double3 xformOp:translate.timeSamples = {{ {first}: (10, 0, 0), {second}: (12, 0, 0) }}
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }}
    def Mesh "Floor"
    {{
        point3f[] points = [(0, 0, 0), (9, 0, 0), (9, 9, 0)]
    }}
}}
"""


def written(path, rate="23.976023976023978", first=1001, second=1003, body=MESH):
    path.write_text(HEAD.format(rate=rate) + body.format(name="Head", first=first, second=second))
    return path


def test_frames_are_time_codes_and_what_lies_between_samples_is_interpolated(tmp_path):
    it = load_usd_sequence(written(tmp_path / "it.usda"))  # the floor stands still: the head is meant
    assert (it.fps, it.start_frame, it.frames) == (Fraction(24000, 1001), 1001, 3)
    np.testing.assert_allclose(it.vertices[:, 0], [[10, 0, 5], [11, 0, 6], [12, 0, 7]])
    np.testing.assert_array_equal(it.faces, [[0, 1, 2], [0, 2, 3]])
    assert dict(it.about) == {"unit_m": 0.01, "up_axis": "Z"}


def test_samples_between_whole_time_codes_are_frames_of_their_own_rate(tmp_path):
    it = load_usd_sequence(written(tmp_path / "it.usda", rate=24, first=10, second=10.5))
    assert (it.fps, it.start_frame, it.frames) == (48, 20, 2)


def test_a_prim_chooses_all_meshes_below_it(tmp_path):
    path = written(tmp_path / "it.usda")
    it = load_sequence(f"{path}#/World")
    assert (it.vertex_count, it.frames) == (7, 3)
    np.testing.assert_allclose(it.vertices[:, 4], [[0, 0, 5]] * 3)
    with pytest.raises(BunrakuError, match=r"no mesh '/World/Foot'; .*/World/Head, /World/Floor"):
        load_sequence(f"{path}#/World/Foot")


def test_several_moving_meshes_are_listed(tmp_path):
    path = tmp_path / "two.usda"
    body = MESH.format(name="Head", first=1, second=2)
    path.write_text(HEAD.format(rate=24) + body + body.replace("World", "Other"))
    with pytest.raises(BunrakuError, match=r"holds 2 meshes; choose with .*two\.usda#PRIM: /World/Head, /Other/Head"):
        load_usd_sequence(path)


def test_points_that_come_and_go_and_values_that_are_not_finite(tmp_path):
    path = written(tmp_path / "it.usda")
    path.write_text(path.read_text().replace("(1, 1, 2), (0, 1, 2)]", "(1, 1, 2)]"))
    with pytest.raises(BunrakuError, match="has 3 points at time code 1003, 4 before"):
        load_usd_sequence(path)
    path = written(tmp_path / "nan.usda")
    path.write_text(path.read_text().replace("(0, 1, 2)]", "(0, nan, 2)]"))
    it = load_usd_sequence(path)
    assert it.missing == 2, "a point that is not finite is missing, and so is what is interpolated with it"
    path = written(tmp_path / "far.usda", second=1e15)
    with pytest.raises(BunrakuError, match="more frames than this reader takes"):
        load_usd_sequence(path)


def test_the_hash_sees_layers_too(tmp_path):
    (tmp_path / "points.usda").write_text(HEAD.format(rate=24) + MESH.format(name="Head", first=1, second=2))
    (tmp_path / "it.usda").write_text("#usda 1.0\n(\n subLayers = [@./points.usda@]\n)\n")
    before = sequence_hash(tmp_path / "it.usda")
    assert load_sequence(tmp_path / "it.usda").frames == 2
    (tmp_path / "points.usda").write_text(HEAD.format(rate=25) + MESH.format(name="Head", first=1, second=2))
    assert sequence_hash(tmp_path / "it.usda") != before
