import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunraku.core.errors import BunrakuError
from bunraku.formats.pickle_write import pickle_of
from bunraku.formats.pickled_data import read_pickled

PROTOCOLS = (1, 2, 3, 4, 5)


def written(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_is_read_as_python_reads_it(protocol, tmp_path):
    shared = [1, 2.5, None]
    value = {
        "numbers": [0, 255, 256, 65536, -1, 2**31, -(2**62), 1.5, -0.0, float("inf")],
        "texts": ["", "é€😀", "x" * 300],
        "truth": (True, False),
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "again": [shared, shared, {"nested": shared}],
        "many": list(range(3000)),
    }
    if protocol > 2:
        value["bytes"] = [b"", b"abc", b"y" * 300]
    assert read_pickled(written(tmp_path / "a.pkl", pickle.dumps(value, protocol))) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["<f8", "<f4", ">f8", "<i4", "|u1"])
def test_arrays_and_scalars_of_numpy_are_read(kind, protocol, tmp_path):
    table = np.arange(12).reshape(3, 4).astype(kind)
    frozen = table.copy()
    frozen.flags.writeable = False
    value = {
        "c": table,
        "f": np.asfortranarray(table),
        "s": [np.float32(0.5), np.int64(7)],
        "r": frozen,
        "rows": [*table],
    }
    read = read_pickled(written(tmp_path / "a.pkl", pickle.dumps(value, protocol)))
    for name in "cfr":
        np.testing.assert_array_equal(read[name], table)
        assert read[name].dtype.kind == np.dtype(kind).kind
    np.testing.assert_array_equal(read["rows"], table)
    assert read["s"] == [0.5, 7]


def test_the_names_that_older_versions_of_numpy_write_are_read(tmp_path):
    data = pickle.dumps({"a": np.arange(3.0)}, 2)
    assert b"numpy._core" in data
    old = written(tmp_path / "a.pkl", data.replace(b"numpy._core", b"numpy.core"))
    np.testing.assert_array_equal(read_pickled(old)["a"], [0, 1, 2])


class Payload:
    """Runs when it is unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def ran(path):
    path.write_text("it ran")
    return 0


class Slots:
    pass


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_payload_is_refused_by_its_name_and_never_run(protocol, tmp_path):
    import os

    trace = tmp_path / "trace"
    for call, name in (
        ((os.system, (f"touch {trace}",)), r"(posix|nt)\.system"),
        ((eval, (f"open({str(trace)!r}, 'w')",)), r"(builtins|__builtin__)\.eval"),
        ((ran, (trace,)), r"[\w.]*test_pickled_data\.ran"),
        ((np.load, (str(trace),)), r"numpy[\w.]*\.load"),
    ):
        for value in ({"fps": Payload(*call)}, {"frames": [[Payload(*call)]]}, Payload(*call)):
            path = written(tmp_path / "bad.pkl", pickle.dumps(value, protocol))
            with pytest.raises(BunrakuError, match=rf"bad\.pkl: byte \d+: names '{name}'.* a pickled payload"):
                read_pickled(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "byte 17: names 'posix.system'.* a pickled payload"),
        (b"cnumpy\nload\n.", "names 'numpy.load'"),
        (b"c_codecs\ndecode\n.", "names '_codecs.decode'"),
        (b"cos\nsystem\n(S'id'\ntR.", "byte 0: names 'os.system'"),
        (b"(S'id'\nios\nsystem\n.", "byte 1: opcode 'S'"),
        (b"(ios\nsystem\n.", "byte 1: opcode INST makes or calls an object: a pickled payload"),
        (b"(]o.", "opcode OBJ"),
        (b"])\x81.", "opcode NEWOBJ"),
        (b"])}\x92.", "opcode NEWOBJ_EX"),
        (b"Pid\n.", "opcode PERSID"),
        (b"]Q.", "opcode BINPERSID"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"]}b.", "opcode BUILD fills something that is no array: a pickled payload"),
        (b"])R.", "opcode REDUCE calls something with what no array has"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8NNtR.", "opcode REDUCE"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8K\x00K\x01tR.", "an array of 'O8'; only numbers"),
        (b"cnumpy\nndarray\n)R.", "opcode REDUCE"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8tR.", "opcode REDUCE"),
        (b"\x80\x04\x93.", "takes more from its stack than it put there"),
        (b"]]\x93.", "names 'a name', which no motion needs"),
        (b"\x80\x09.", "pickle protocol 9"),
        (b"X\xff\xff\xff\xffabc", "declares 4294967295 bytes more, 3 are left"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc", "declares 9223372036854775807 bytes more"),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f]", "declares 9223372036854775807 bytes more"),
        (b"\x8b\xff\xff\xff\x7f", "a whole number of 2147483647 bytes"),
        (b"\x8b\xff\xff\xff\xff", "declares -1 bytes"),
        (b"I" + b"1" * 30 + b"\n.", "is no number"),
        (b"Fx\n.", "'x' is no number"),
        (b"I1", "ends early"),
        (b"", "ends early"),
        (b"]", "ends early"),
        (b".", "takes more"),
        (b"(.", "takes more"),
        (b"e.", "refers to a mark"),
        (b"](]a.", "takes more|adds to"),
        (b"}]a.", "adds to a dict as if it were a list"),
        (b"](]u.", "adds to a list|a dict with a key and no value"),
        (b"}(]u.", "a dict with a key and no value"),
        (b"}]]s.", "a key that is a list"),
        (b"h\x07.", "refers to memo 7"),
        (b"gx\n.", "'x' is no place in the memo"),
        (b"X\x01\x00\x00\x00\xff.", "not UTF-8"),
        (b"hello", "opcode 'REDUCE'|byte 0: refers to memo|opcode"),
    ],
)
def test_hostile_and_broken_pickles_are_refused_in_one_line(data, match, tmp_path):
    with pytest.raises(BunrakuError, match=match) as error:
        read_pickled(written(tmp_path / "bad.pkl", data))
    assert "bad.pkl" in str(error.value)
    assert "\n" not in str(error.value)


def array_pickle(shape, content=b"\0" * 8, code=b"f8"):
    dims = b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", length) for length in shape) + b"t"
    kind = b"cnumpy\ndtype\n(X\x02\x00\x00\x00" + code + b"\x89\x88tR"
    kind += b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return head + b"(K\x01" + dims + kind + b"\x89B" + struct.pack("<I", len(content)) + content + b"tb."


def test_arrays_that_declare_what_they_do_not_have_are_refused(tmp_path):
    np.testing.assert_array_equal(read_pickled(written(tmp_path / "a.pkl", array_pickle((1, 1)))), [[0]])
    for shape, match in (
        ((2**40, 2**40), r"declares .* 9671406556917033397\d* bytes; it has 8"),
        ((2,), "16 bytes; it has 8"),
        ((-1,), "expected up to 4 lengths greater than 0"),
        ((0, 2**40), "expected up to 4 lengths greater than 0"),
        ((1,) * 40, "expected up to 4 lengths"),
    ):
        with pytest.raises(BunrakuError, match=match):
            read_pickled(written(tmp_path / "a.pkl", array_pickle(shape)))


def test_a_text_encoded_again_and_again_costs_no_more_memory_than_the_file(tmp_path):
    text = b"X" + struct.pack("<I", 1 << 16) + b"a" * (1 << 16)
    again = b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR"
    with pytest.raises(BunrakuError, match="more bytes than the file has"):
        read_pickled(written(tmp_path / "a.pkl", b"(" + text + b"q\x00" + again * 1000 + b"l."))


@pytest.mark.parametrize("protocol", [2, 5])
def test_every_truncation_is_refused(protocol, tmp_path):
    data = pickle.dumps({"loop_mode": 1, "fps": 30.0, "frames": np.ones((2, 3)), "more": ["é", 2**40]}, protocol)
    for length in range(len(data)):
        with pytest.raises(BunrakuError, match=r"a\.pkl: byte"):
            read_pickled(written(tmp_path / "a.pkl", data[:length]))


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_data_or_are_refused(tmp_path_factory, data, after_array):
    path = tmp_path_factory.mktemp("any") / "a.pkl"
    path.write_bytes(array_pickle((1,))[:-1] + data if after_array else data)
    said = ""
    try:
        read_pickled(path)
    except BunrakuError as error:
        said = str(error)
    assert not said or "a.pkl: byte" in said


def test_what_is_written_is_what_python_reads(tmp_path):
    value = {"loop_mode": 1, "fps": 29.97, "frames": [[0.1, -2.0], [1e300, 0.0]]}
    assert pickle.loads(pickle_of(value)) == value
    assert read_pickled(written(tmp_path / "a.pkl", pickle_of(value))) == value
