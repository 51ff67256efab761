"""The framing of live captures, there and back, and what is refused."""

import io
from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.frame_stream import FrameHeader, read_frames, read_header, write_frames


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fps", [Fraction(60), Fraction(24000, 1001)])
def test_what_is_written_is_read_back(dtype, fps):
    frames = np.arange(36, dtype=dtype).reshape(3, 4, 3)
    frames[1, 2] = np.nan
    file = io.BytesIO()
    write_frames(file, FrameHeader(4, dtype, fps), frames)
    file.seek(0)
    header = read_header(file, "pipe")
    assert header == FrameHeader(4, dtype, fps)
    np.testing.assert_array_equal(list(read_frames(file, header, "pipe")), frames)


def test_the_bytes_are_as_documented():
    file = io.BytesIO()
    write_frames(file, FrameHeader(1, "float32", Fraction(60)), np.array([[[1.0, 2.0, -0.5]]]))
    line, data = file.getvalue().split(b"\n", 1)
    assert line == b'{"vertices": 1, "dtype": "float32", "fps": 60}'
    assert data == bytes.fromhex("0000803f 00000040 000000bf")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "pipe: is empty; expected a first line such as"),
        (b'{"vertices": 4', "does not end within 4096 bytes"),
        (b"x" * 5000, "does not end within 4096 bytes"),
        (b"hello\n", "is not JSON"),
        (b"[" * 4000 + b"\n", "is not JSON"),
        (b"[1]\n", "is not a JSON object"),
        (b'{"vertices": 4, "dtype": "float32"}\n', "lacks 'fps'"),
        (b'{"vertices": 4, "dtype": "float32", "fps": 60, "up": "y"}\n', "has an unknown 'up'"),
        (b'{"vertices": 0, "dtype": "float32", "fps": 60}\n', "vertices is 0; expected a whole number from 1"),
        (b'{"vertices": 1e99, "dtype": "float32", "fps": 60}\n', "expected a whole number"),
        (b'{"vertices": 99999999999, "dtype": "float32", "fps": 60}\n', "to 10000000"),
        (b'{"vertices": 4, "dtype": "object", "fps": 60}\n', "dtype is 'object'; expected float32 or float64"),
        (b'{"vertices": 4, "dtype": ["float32"], "fps": 60}\n', "expected float32 or float64"),
        (b'{"vertices": 4, "dtype": "float32", "fps": 0}\n', "frame rate 0 is not positive"),
        (b'{"vertices": 4, "dtype": "float32", "fps": NaN}\n', "frame rate nan is not a number"),
        (b'{"vertices": 4, "dtype": "float32", "fps": [24000, 0]}\n', "expected two whole numbers above 0"),
        (b'{"vertices": 4, "dtype": "float32", "fps": "60"}\n', "fps is 60; expected a number"),
    ],
)
def test_a_first_line_that_cannot_be_is_refused_in_one_line(line, message):
    with pytest.raises(BunrakuError) as caught:
        read_header(io.BytesIO(line), "pipe")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_frame_that_is_cut_off_is_refused_after_those_before_it():
    header = FrameHeader(2, "float32", Fraction(60))
    frames = read_frames(io.BytesIO(bytes(24 + 24 + 7)), header, "pipe")
    assert [next(frames).shape for _ in range(2)] == [(2, 3), (2, 3)]
    with pytest.raises(BunrakuError, match="pipe: ends within frame 2, after 7 of 24 bytes"):
        next(frames)
