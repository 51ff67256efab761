"""A socket that only this machine can reach and only who knows its token is let in."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import os
import secrets
import socket
import stat
import time
from pathlib import Path

from bunraku.core.errors import BunrakuError

HOST = "127.0.0.1"
LONGEST_TOKEN = 512
SHORTEST_TOKEN = 16
TOKEN_WAIT_S = 5.0
"""How long a caller may take to say the token."""


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def read_token(file: Path) -> str:
    """The token in a file, without the white space around it.

    Raises:
        BunrakuError: cannot be read, too short, not one word.
    """
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BunrakuError(f"--token-file {file}: cannot be read as text") from None
    if not SHORTEST_TOKEN <= len(token.encode()) < LONGEST_TOKEN or len(token.split()) != 1:
        size = f"{SHORTEST_TOKEN} to {LONGEST_TOKEN - 1}"
        raise BunrakuError(f"--token-file {file}: must hold one word of {size} bytes")
    return token


def listening(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes any that is free.

    Raises:
        BunrakuError: the port is no port, or taken.
    """
    if not 0 <= port < 65536:
        raise BunrakuError(f"--port {port}: a port is 0 (any that is free) to 65535")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((HOST, port))
        listener.listen(8)
    except OSError as error:
        listener.close()
        raise BunrakuError(f"--port {port}: cannot be listened on ({error.strerror})") from None
    return listener


class Caller:
    """An admitted connection: what it sends, and where answers go."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.source: io.IOBase = connection.makefile("rb", buffering=1 << 20)
        self.target: io.IOBase = connection.makefile("wb")

    def close(self) -> None:
        """Hang up; a caller that has gone already is no matter."""
        with contextlib.suppress(OSError):
            self.target.close()
        # A thread may still wait for bytes: only a shutdown wakes it.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def admitted(listener: socket.socket, token: str) -> Caller:
    """Wait for the first caller that says the token (a line of its own, before anything else); others are hung up on
    without an answer.
    """
    while True:
        connection, _ = listener.accept()
        if _knows(connection, token):
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Caller(connection)
        connection.close()


def _knows(connection: socket.socket, token: str) -> bool:
    said, deadline_s = bytearray(), time.monotonic() + TOKEN_WAIT_S
    with contextlib.suppress(OSError):
        # Byte by byte: nothing behind the line may be taken from whoever reads next.
        while len(said) <= LONGEST_TOKEN and not said.endswith(b"\n"):
            connection.settimeout(max(deadline_s - time.monotonic(), 1e-3))
            byte = connection.recv(1)
            if not byte:
                break
            said += byte
    # Digests are of equal length, so that the comparison's time says nothing, not even how long the token is.
    own, other = (hashlib.sha256(part).digest() for part in (token.encode() + b"\n", bytes(said)))
    return hmac.compare_digest(own, other)


def standard_input() -> tuple[io.BufferedReader, bool]:
    """Standard input as bytes, and whether it is a file on disk.

    Not `sys.stdin.buffer`: a thread that still waits in it would keep the interpreter from ending.
    """
    regular = stat.S_ISREG(os.fstat(0).st_mode)
    return io.BufferedReader(io.FileIO(0, closefd=False), 1 << 20), regular
