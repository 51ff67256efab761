import struct

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.ply import read_ply

POINTS = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0.5)]
POLYGONS = [(0, 1, 2, 3), (0, 1, 2)]
HEADER = """ply
format {order} 1.0
comment made by hand
element camera 1
property list uchar float lens
element vertex 4
property double quality
property float x
property float y
property float z
property uchar red
element face {faces}
property list uchar int vertex_indices
end_header
"""


def written(order, polygons=POLYGONS):
    head = HEADER.format(order=order, faces=len(polygons)).encode()
    if order == "ascii":
        rows = ["2 35 50", *(f"0.5 {x} {y} {z} 9" for x, y, z in POINTS)]
        return head + "\n".join([*rows, *(f"{len(p)} {' '.join(map(str, p))}" for p in polygons)]).encode() + b"\n"
    end = "<" if "little" in order else ">"
    body = struct.pack(f"{end}Bff", 2, 35, 50)
    body += b"".join(struct.pack(f"{end}dfffB", 0.5, *point, 9) for point in POINTS)
    return head + body + b"".join(struct.pack(f"{end}B{len(p)}i", len(p), *p) for p in polygons)


ORDERS = ("ascii", "binary_little_endian", "binary_big_endian")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("polygons", [POLYGONS, POLYGONS[1:] * 3, []], ids=["mixed", "even", "none"])
def test_points_and_faces_among_other_elements(tmp_path, order, polygons):
    path = tmp_path / "it.ply"
    path.write_bytes(written(order, polygons))
    vertices, faces = read_ply(path)
    np.testing.assert_array_equal(vertices, POINTS)
    expected = {2: [[0, 1, 2], [0, 2, 3], [0, 1, 2]], 3: [[0, 1, 2]] * 3, 0: np.zeros((0, 3))}[len(polygons)]
    np.testing.assert_array_equal(faces, expected)


@pytest.mark.parametrize("order", ORDERS)
def test_truncated_anywhere_behind_its_header_is_refused(tmp_path, order):
    whole = written(order)
    path = tmp_path / "cut.ply"
    start = whole.index(b"end_header")
    for length in [*range(0, start, 40), *range(start + 11, len(whole) - 2)]:
        path.write_bytes(whole[:length])
        with pytest.raises(BunrakuError, match=r"cut\.ply"):
            read_ply(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((b"element vertex 4", b"element vertex 4000000000000"), "truncated"),
        ((b"element face 2", b"element face 4000000000000"), "truncated"),
        ((b"property float x", b"property float u"), "no 'x'"),
        ((b"property float x", b"property quaternion x"), "not understood"),
        ((b"format binary_little_endian", b"format binary_middle_endian"), "no format"),
        ((b"element vertex", b"element corner"), "no vertices"),
    ],
)
def test_hostile_headers_are_refused(tmp_path, change, says):
    path = tmp_path / "bad.ply"
    path.write_bytes(written("binary_little_endian").replace(*change))
    with pytest.raises(BunrakuError, match=says):
        read_ply(path)
