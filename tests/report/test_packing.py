import base64
import zlib

import numpy as np
import pytest

from bunraku.report.packing import Steady, deflated_size, packed


def test_bytes_are_kept_in_planes_so_that_high_ones_stand_together():
    found = packed({"a": np.array([1, 258, -2], np.int16)})
    assert zlib.decompress(base64.b64decode(found.text)) == bytes([1, 2, 254, 0, 1, 255])
    assert found.index == [{"name": "a", "type": "i16", "shape": [3], "steady": False, "at": 0}]


def test_steady_rows_are_differences_that_wrap_around():
    rows = np.array([[30000, 5], [-30000, 4]], np.int16)
    found = packed({"x": np.zeros(2, np.uint8), "a": Steady(rows)})
    raw = np.frombuffer(zlib.decompress(base64.b64decode(found.text))[2:], np.uint8).reshape(2, 4)
    steps = (raw[0].astype(np.uint16) | (raw[1].astype(np.uint16) << 8)).view(np.int16).reshape(2, 2)
    assert found.index[1]["at"] == 2
    assert steps[0].tolist() == [30000, 5]
    assert (steps[0] + steps[1]).tolist() == [-30000, 4]


def test_smooth_curves_deflate_better_as_differences():
    smooth = np.round(1e4 * np.sin(np.arange(4000)[:, None] / 50 + np.arange(8))).astype(np.int16)
    assert deflated_size(Steady(smooth)) < 0.7 * deflated_size(smooth)


def test_what_a_page_cannot_hold_is_refused():
    with pytest.raises(AssertionError, match="float64"):
        packed({"a": np.zeros(2)})
