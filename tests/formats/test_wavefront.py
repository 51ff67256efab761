import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.wavefront import read_obj

QUAD = """# made by hand
o quad
v 0 0 0
v 1 0 0 1.0
v 1 1 0 0.5 0.5 0.5
v\t0 1 0
vt 0 0
vn 0 0 1
f 1/1/1 2//1 3 4
f -4 -3 \\
 -2
"""


def test_vertices_and_faces_as_they_stand(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text(QUAD)
    vertices, faces = read_obj(path)
    np.testing.assert_array_equal(vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(faces, [[0, 1, 2], [0, 2, 3], [0, 1, 2]])
    assert read_obj(path, faces=False)[1].shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no vertices"),
        ("v 0 0\n", r"line 1: 'v 0 0'"),
        ("v 0 0 0\nv 1 x 0\n", "line 2"),
        ("v 0 0 0\nf 1 2 3\n", "vertex 2; there are 1"),
        ("v 0 0 0\nf 0 1 1\n", "counted from 1"),
        ("v 0 0 0\nf a b c\n", "line 2"),
    ],
)
def test_what_is_broken_is_refused_by_its_line(tmp_path, text, says):
    path = tmp_path / "broken.obj"
    path.write_text(text)
    with pytest.raises(BunrakuError, match=says) as caught:
        read_obj(path)
    assert str(path) in str(caught.value)
