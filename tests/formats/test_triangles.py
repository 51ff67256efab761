import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.triangles import triangulate


def of(counts, indices, vertices=9):
    return triangulate(np.array(counts, np.int64), np.array(indices, np.int64), vertices, "it")


def test_polygons_become_fans_and_edges_nothing():
    found = of([3, 2, 5, 0, 4], [0, 1, 2, 7, 8, 3, 4, 5, 6, 7, 1, 2, 3, 4])
    expected = [[0, 1, 2], [3, 4, 5], [3, 5, 6], [3, 6, 7], [1, 2, 3], [1, 3, 4]]
    np.testing.assert_array_equal(found, expected)
    assert of([], []).shape == (0, 3)


@pytest.mark.parametrize(
    ("counts", "indices", "says"),
    [([3], [0, 1], "2"), ([-3], [], "-3 corners"), ([3], [0, 1, 9], "vertex 9"), ([3], [0, -1, 2], "vertex -1")],
)
def test_what_does_not_fit_is_refused(counts, indices, says):
    with pytest.raises(BunrakuError, match=says):
        of(counts, indices)
