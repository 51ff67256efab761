"""The messages of the host protocol, byte by byte."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bunraku import host
from bunraku.host import Message, ProtocolError


def there_and_back(message: Message) -> Message | None:
    stream = io.BytesIO()
    host.write(stream, message)
    stream.seek(0)
    return host.read(stream)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i4", "<i8", "u1", "?"])
def test_a_message_comes_back_as_it_was_sent(dtype):
    array = np.arange(12).reshape(3, 4)[::2].astype(dtype)
    back = there_and_back(Message(7, 3, {"text": "ü", "list": [1, 2.5, None]}, {"a": array, "none": np.zeros((0, 3))}))
    assert back is not None
    assert back[:3] == (7, 3, {"text": "ü", "list": [1, 2.5, None]})
    np.testing.assert_array_equal(back.arrays["a"], array)
    assert back.arrays["none"].shape == (0, 3)


def test_the_bytes_are_those_of_the_description():
    stream = io.BytesIO()
    host.write(stream, Message(3, 5, {}, {"x": np.array([1.0], np.float32)}))
    text = b'{"plain": {}, "arrays": [["x", "<f4", [1]]]}'
    head = b"BNRK" + bytes([1, 0, 3, 0, 5, 0, 0, 0, len(text), 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    assert stream.getvalue() == head + text + b"\x00\x00\x80\x3f"


def test_what_a_program_prints_first_is_passed_over_only_where_asked():
    stream = io.BytesIO()
    stream.write(b"BNR Blender 5\n")
    host.write(stream, Message(1, 1, {}, {}))
    stream.seek(0)
    back = host.read(stream, skip=1000)
    assert back is not None
    assert back.kind == 1
    stream.seek(0)
    with pytest.raises(ProtocolError, match="not the beginning"):
        host.read(stream)
    assert host.read(io.BytesIO(b"only chatter"), skip=1000) is None
    assert host.read(io.BytesIO()) is None


@pytest.mark.parametrize("cut", [1, 23, 24, 30, -1])
def test_a_message_that_is_cut_short_is_refused(cut):
    stream = io.BytesIO()
    host.write(stream, Message(3, 5, {}, {"x": np.zeros(100)}))
    with pytest.raises(ProtocolError):
        host.read(io.BytesIO(stream.getvalue()[:cut]))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (b"[]", 0),
        (b"{", 0),
        (b"\xff", 0),
        (b"[" * 100_000, 0),
        (b'{"plain": [], "arrays": []}', 0),
        (b'{"plain": {}, "arrays": [["a", "|O", [1]]]}', 8),
        (b'{"plain": {}, "arrays": [["a", "<f4", [-1]]]}', 0),
        (b'{"plain": {}, "arrays": [["a", "<f4", [true]]]}', 4),
        (b'{"plain": {}, "arrays": [["a", "<f4", [4611686018427387904, 4]]]}', 0),
        (b'{"plain": {}, "arrays": [["a", "<f4", [1]], ["a", "<f4", [1]]]}', 8),
        (b'{"plain": {}, "arrays": [["a", "<f4", [2]]]}', 4),
        (b'{"plain": {}, "arrays": [["a", "<f4", [1,1,1,1,1]]]}', 4),
        (b'{"plain": {}, "arrays": [[["a"], "<f4", [1]]]}', 4),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(text, size):
    head = host.HEAD.pack(host.MAGIC, host.VERSION, 3, 1, len(text), size)
    with pytest.raises(ProtocolError):
        host.read(io.BytesIO(head + text + bytes(size)))


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(ProtocolError, match="'o' of object"):
        host.write(io.BytesIO(), Message(1, 1, {}, {"o": np.array([None])}))
    with pytest.raises(ValueError, match="Out of range"):
        host.write(io.BytesIO(), Message(1, 1, {"x": float("nan")}, {}))


def test_the_far_side_needs_nothing_but_numpy_and_the_standard_library():
    program = (
        "import sys; sys.path[:0] = [sys.argv[1]]; import host; print(*{m.partition('.')[0] for m in sys.modules})"
    )
    folder = Path(host.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True, timeout=60
    )
    allowed = sys.stdlib_module_names | {"numpy", "host", "__main__", "sitecustomize"}
    strange = {name for name in done.stdout.split() if not name.startswith(("_", "site", "distutils-"))} - allowed
    assert not strange
