"""Who is let in: only who says the token first."""

import contextlib
import os
import socket
import stat
import threading

import pytest

from bunraku.api import loopback
from bunraku.core.errors import BunrakuError


@pytest.fixture
def door():
    """A listener, and a way to call it."""
    listener = loopback.listening(0)
    callers = []

    def call(data):
        caller = socket.create_connection(listener.getsockname(), timeout=5)
        caller.sendall(data)
        callers.append(caller)
        return caller

    yield listener, call
    for caller in callers:
        caller.close()
    listener.close()


def test_it_listens_on_this_machine_alone(door):
    assert door[0].getsockname()[0] == "127.0.0.1"


def test_the_first_caller_with_the_token_is_let_in_and_others_are_hung_up_on(door, monkeypatch):
    monkeypatch.setattr(loopback, "TOKEN_WAIT_S", 0.2)
    listener, call = door
    wrong = [call(b"guess\n"), call(b"secret-secret-secret-2\n"), call(b"x" * 2000), call(b"secret-"), call(b"")]
    right = call(b"secret-secret-secret\nafter")
    threading.Timer(0.01, right.shutdown, [socket.SHUT_WR]).start()
    caller = loopback.admitted(listener, "secret-secret-secret")
    assert caller.source.read() == b"after"
    caller.target.write(b"answer")
    caller.target.flush()
    assert right.recv(20) == b"answer"
    caller.close()
    assert right.recv(20) == b""
    for other in wrong:
        with contextlib.suppress(ConnectionResetError):
            assert other.recv(20) == b""


def test_a_token_is_long_random_and_one_word():
    tokens = {loopback.new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) >= 43 and not set(token) & set(" \n") for token in tokens)


@pytest.mark.parametrize("text", ["", "short", "two words of some length", "x" * 600])
def test_a_token_file_must_hold_one_long_word(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(BunrakuError, match=r"--token-file .*token: must hold one word of 16 to 511 bytes"):
        loopback.read_token(file)
    file.write_text("  a-token-that-is-long\n")
    assert loopback.read_token(file) == "a-token-that-is-long"
    with pytest.raises(BunrakuError, match="cannot be read"):
        loopback.read_token(tmp_path / "nowhere")


def test_ports_that_cannot_be_are_refused(door):
    with pytest.raises(BunrakuError, match="--port 70000: a port is 0"):
        loopback.listening(70000)
    taken = door[0].getsockname()[1]
    with pytest.raises(BunrakuError, match=f"--port {taken}: cannot be listened on"):
        loopback.listening(taken)


def test_standard_input_says_whether_it_is_a_file():
    source, regular = loopback.standard_input()
    assert source.fileno() == 0
    assert regular == stat.S_ISREG(os.fstat(0).st_mode)
