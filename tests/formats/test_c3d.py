import contextlib
import struct
from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.c3d import load_c3d

INTEL, DEC, MIPS = 84, 85, 86


def vax(value):
    """A number as the VAX's F floating point: four times its IEEE bits, the words exchanged (zero stays zero)."""
    low, high = struct.unpack("<HH", struct.pack("<f", 4 * value))
    return struct.pack("<HH", high, low)


class Writer:
    """A C3D file, byte by byte."""

    def __init__(self, processor=INTEL, floating=True, scale=0.01):
        self.processor, self.floating = processor, floating
        self.order = ">" if processor == MIPS else "<"
        self.scale = -scale if floating else scale

    def real(self, value):
        return vax(value) if self.processor == DEC else struct.pack(f"{self.order}f", value)

    def word(self, value):
        return struct.pack(f"{self.order}h" if value < 0 else f"{self.order}H", value)

    def group(self, number, name):
        body = b"\0"  # no description
        return struct.pack("bb", len(name), -number) + name.encode() + self.word(2 + len(body)) + body

    def parameter(self, number, name, kind, shape, data):
        body = struct.pack("bB", kind, len(shape)) + bytes(shape) + data + b"\0"
        return struct.pack("bb", -len(name), number) + name.encode() + self.word(2 + len(body)) + body

    def texts(self, number, name, texts, width=8):
        data = b"".join(text.encode().ljust(width) for text in texts)
        return self.parameter(number, name, -1, [width, len(texts)], data)

    def parameters(self, points, frames, labels, more=b""):
        return (
            self.group(1, "POINT")
            + self.parameter(1, "USED", 2, [], self.word(points))
            + self.parameter(1, "FRAMES", 2, [], self.word(frames))
            + self.parameter(1, "SCALE", 4, [], self.real(self.scale))
            + self.parameter(1, "RATE", 4, [], self.real(119.88))
            + self.texts(1, "LABELS", labels)
            + self.texts(1, "UNITS", ["mm"], 2)
            + more
            + b"\0\0"
        )

    def file(self, positions, labels, *, lost=(), analogue=3, more=b"", frames=None, first=5):
        """positions (frames, points, 3)"""
        count, points = positions.shape[:2]
        section = self.parameters(points, count if frames is None else frames, labels, more)
        blocks = -(-(4 + len(section)) // 512)
        section = (bytes([1, 0x50, blocks, self.processor]) + section).ljust(512 * blocks, b"\0")
        header = bytes([2, 0x50]) + b"".join(map(self.word, (points, analogue, first, first + count - 1, 10)))
        header += self.real(self.scale) + self.word(2 + blocks) + self.word(1) + self.real(100.0)
        data = b""
        for frame in range(count):
            for point in range(points):
                gone = (frame, point) in lost
                place = np.zeros(3) if gone else positions[frame, point]
                fourth = -1 if gone else 0x0102
                if self.floating:
                    data += b"".join(map(self.real, [*place, float(fourth)]))
                else:
                    data += b"".join(self.word(int(x)) for x in np.round(place / self.scale)) + self.word(fourth)
            data += (self.real(9.0) if self.floating else self.word(9)) * analogue
        return header.ljust(512, b"\0") + section + data


POSITIONS = np.array([[[1.5, -2.25, 0.0], [100.0, 0.5, -7.0]], [[2.5, 3.0, 4.0], [0.25, -300.0, 1.0]]])


@pytest.mark.parametrize("processor", [INTEL, DEC, MIPS])
@pytest.mark.parametrize("floating", [True, False])
def test_markers_of_every_processor_and_kind_of_number_are_read(tmp_path, processor, floating):
    file = tmp_path / "walk.c3d"
    file.write_bytes(Writer(processor, floating).file(POSITIONS, ["LFHD", "RFHD"], lost=[(1, 0)]))
    markers = load_c3d(file)
    assert (markers.labels, markers.unit) == (("LFHD", "RFHD"), "mm")
    capture = markers.capture
    assert (capture.fps, capture.start_frame, capture.frames) == (Fraction(120_000, 1001), 5, 2)
    np.testing.assert_array_equal(capture.valid, [[True, True], [False, True]])
    expected = POSITIONS.copy()
    expected[1, 0] = 0
    np.testing.assert_allclose(capture.vertices, expected, atol=1e-12)
    assert capture.missing == 1


def test_a_float_written_out_by_hand_for_each_processor(tmp_path):
    """12.5 is 0x41480000; a VAX writes its words 0x4248 0x0000 (exponent + 2), a MIPS its bytes backwards."""
    assert Writer(INTEL).real(12.5) == bytes.fromhex("00004841")
    assert Writer(MIPS).real(12.5) == bytes.fromhex("41480000")
    assert Writer(DEC).real(12.5) == bytes.fromhex("48420000")
    for processor in (INTEL, DEC, MIPS):
        file = tmp_path / "one.c3d"
        file.write_bytes(Writer(processor).file(np.full((1, 1, 3), 12.5), ["a"]))
        assert (load_c3d(file).capture.vertices == 12.5).all()


def test_markers_without_a_label_are_numbered_and_more_labels_are_found_in_the_next_list(tmp_path):
    writer = Writer()
    file = tmp_path / "a.c3d"
    file.write_bytes(writer.file(np.ones((1, 4, 3)), ["a", ""], more=writer.texts(1, "LABELS2", ["c"])))
    assert load_c3d(file).labels == ("a", "point1", "c", "point3")


def test_frames_beyond_sixteen_bits_are_counted_where_the_file_says_so(tmp_path):
    writer = Writer(floating=False)
    positions = np.ones((65_540, 1, 3))
    one = writer.file(positions[:1], ["a"], analogue=0, frames=65_535)
    word = writer.word
    field = [
        writer.parameter(2, f"ACTUAL_{n}_FIELD", 2, [2], v)
        for n, v in (("START", word(1) + word(0)), ("END", word(4) + word(1)))
    ]
    longer = writer.file(
        positions[:1], ["a"], analogue=0, frames=65_535, more=writer.group(2, "TRIAL") + b"".join(field)
    )
    frame = one[-8:]
    file = tmp_path / "long.c3d"
    file.write_bytes(longer + frame * 65_539)
    capture = load_c3d(file).capture
    assert (capture.frames, capture.start_frame) == (65_540, 1)
    number = writer.parameter(1, "LONG_FRAMES", 4, [], writer.real(65_540.0))
    file.write_bytes(writer.file(positions[:1], ["a"], analogue=0, frames=65_535, more=number) + frame * 65_539)
    assert load_c3d(file).capture.frames == 65_540


GOOD = Writer().file(POSITIONS, ["a", "b"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello, this is text", "is not a C3D file"),
        (b"", "is not a C3D file"),
        (GOOD[:300], "ends within its header"),
        (GOOD[:-20], "says 2 frames of 2 markers; there is room for 1"),
        (bytes([9]) + GOOD[1:], "its parameters would begin at block 9"),
        (GOOD[:515] + b"\x07" + GOOD[516:], r"was written by processor 7; known are 84 \(Intel\)"),
        (GOOD[:516] + b"\x7f\xff" + b"\xff" * 506 + GOOD[1024:], "its parameters are damaged"),
        (Writer().file(np.zeros((1, 0, 3)), []), "has no markers"),
        (Writer(scale=0.0).file(POSITIONS, ["a", "b"]), "has a scale of 0"),
        (
            Writer().file(POSITIONS, ["a", "b"], lost=[(f, p) for f in (0, 1) for p in (0, 1)]),
            "every vertex of every frame",
        ),
    ],
)
def test_damaged_files_are_refused_by_name_in_one_line(tmp_path, data, message):
    file = tmp_path / "bad.c3d"
    file.write_bytes(data)
    with pytest.raises(BunrakuError, match=f"bad.c3d: {message}") as raised:
        load_c3d(file)
    assert "\n" not in str(raised.value)


def test_files_cut_or_changed_anywhere_are_read_or_refused_but_never_crash(tmp_path):
    rng = np.random.default_rng(0)
    file = tmp_path / "any.c3d"
    for trial in range(150):
        data = bytearray(GOOD)
        for at in rng.integers(0, 760, 3):
            data[at] = rng.integers(0, 256)
        file.write_bytes(bytes(data[: rng.integers(1, len(data) + 1)]) if trial % 2 else bytes(data))
        with contextlib.suppress(BunrakuError):
            load_c3d(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BunrakuError, match=r"none\.c3d: no such file"):
        load_c3d(tmp_path / "none.c3d")
