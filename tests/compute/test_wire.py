import io

import numpy as np
import pytest

from bunraku.compute import wire


def sent(message):
    stream = io.BytesIO()
    wire.send(stream, message)
    return stream.getvalue()


def test_arrays_and_plain_values_arrive_as_they_were_sent():
    message = {
        "a": np.arange(6.0).reshape(2, 3),
        "empty": np.zeros((0, 4), np.float32),
        "turned": np.arange(6, dtype=np.int32).reshape(2, 3).T,
        "x": 0.1 + 0.2,
        "n": np.int64(7),
        "nothing": None,
        "texts": ["ä", "\n"],
    }
    back = wire.receive(io.BytesIO(sent(message)))
    assert back is not None
    for name in ("a", "empty", "turned"):
        assert back[name].dtype == message[name].dtype
        np.testing.assert_array_equal(back[name], message[name])
    assert (back["x"], back["n"], back["nothing"], back["texts"]) == (0.1 + 0.2, 7, None, ["ä", "\n"])


def test_messages_follow_one_another():
    stream = io.BytesIO(sent({"a": np.arange(3)}) + sent({"b": 2}))
    assert wire.receive(stream)["a"].tolist() == [0, 1, 2]
    assert wire.receive(stream) == {"b": 2}
    assert wire.receive(stream) is None


def test_a_message_that_breaks_off_is_the_end():
    whole = sent({"a": np.arange(100)})
    for size in (0, 3, 8, 20, len(whole) - 1):
        assert wire.receive(io.BytesIO(whole[:size])) is None


def test_objects_are_not_sent():
    with pytest.raises(TypeError, match="cannot be sent"):
        sent({"thing": object()})
