import io
import zipfile

import numpy as np
import pytest

from bunraku.core import npy
from bunraku.core.errors import BunrakuError
from bunraku.core.npy import open_npz, read_npy


def header(shape, descr="<f4"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text = text.ljust(118 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def npz_of(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 4, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5, dtype=">i2"),
        np.array(["ä", "two words"]),
        np.array(3.5),
        np.zeros((0, 3)),
        np.array([True, False]),
    ],
)
def test_plain_arrays_are_read_as_they_were_written(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", a=array)
    np.savez_compressed(tmp_path / "b.npz", a=array)
    for back in (
        read_npy(tmp_path / "a.npy"),
        open_npz(tmp_path / "a.npz").read("a"),
        open_npz(tmp_path / "b.npz").read("a"),
    ):
        assert back.shape == array.shape
        assert back.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(back, array)


def test_objects_are_refused_and_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.save(tmp_path / "a.npy", np.array([Bomb()], object), allow_pickle=True)
    with pytest.raises(BunrakuError, match=r"a\.npy: holds object"):
        read_npy(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", a=np.array([Bomb()], object))
    with pytest.raises(BunrakuError, match="'a': holds object"):
        open_npz(tmp_path / "a.npz").read("a")
    assert not (tmp_path / "exploded").exists()


def test_structured_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3, [("x", "f4")]))
    with pytest.raises(BunrakuError, match="only numbers and texts"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(10**12, 3), (2**62, 8), (5, 3), (1, 3)])
def test_a_declared_size_that_is_not_the_files_is_refused_before_memory_is_taken(tmp_path, shape):
    data = header(shape) + bytes(4 * 2 * 3)
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(BunrakuError, match=r"declares .* bytes; the file has 24"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(BunrakuError, match=r"declares .* bytes; the file has 24"):
        open_npz(npz_of(tmp_path / "a.npz", {"a": data})).read("a")


def test_a_negative_size_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(header((-1, -6)) + bytes(24))
    with pytest.raises(BunrakuError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")


def test_a_member_that_unpacks_to_a_lot_of_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "_BOMB_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 20, np.uint8), b=np.zeros(2 << 20, np.uint8))
    bomb = open_npz(tmp_path / "bomb.npz")
    with pytest.raises(BunrakuError, match="'b': unpacks from"):
        bomb.read("b")


def test_a_directory_that_promises_more_than_is_there_costs_what_is_there(tmp_path):
    data = header((2**33,)) + bytes(100)
    path = npz_of(tmp_path / "a.npz", {"a": data}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    place = raw.rindex(b"PK\x01\x02")
    raw[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")  # uncompressed size in the central directory
    path.write_bytes(raw)
    with pytest.raises(BunrakuError, match=r"a\.npz"):
        open_npz(path).read("a")


def test_truncated_files_are_refused_by_name(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(1000.0))
    whole = buffer.getvalue()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.npz").write_bytes(whole[:size])
        with pytest.raises(BunrakuError, match=r"a\.npz: cannot be read"):
            open_npz(tmp_path / "a.npz").read("a")
    np.save(tmp_path / "a.npy", np.arange(10.0))
    whole = (tmp_path / "a.npy").read_bytes()
    for size in (0, 5, 20, len(whole) - 1):
        (tmp_path / "a.npy").write_bytes(whole[:size])
        with pytest.raises(BunrakuError, match=r"a\.npy"):
            read_npy(tmp_path / "a.npy")


def test_a_flipped_byte_is_noticed(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(1000.0))
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[4000] ^= 1
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(BunrakuError, match="'a': cannot be read"):
        open_npz(tmp_path / "a.npz").read("a")


def test_a_header_that_is_no_literal_is_refused(tmp_path):
    text = b"__import__('os').system('true')".ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(BunrakuError, match=r"a\.npy: cannot be read"):
        read_npy(tmp_path / "a.npy")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(BunrakuError, match=r"b\.npz: no such file"):
        open_npz(tmp_path / "b.npz")
    np.savez(tmp_path / "a.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(BunrakuError, match="no 'c' in it; there are: a, b"):
        open_npz(tmp_path / "a.npz").read("c")
