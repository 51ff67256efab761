"""One process that speaks the host protocol: started, asked, timed, ended."""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

import numpy as np

from bunraku import host as wire
from bunraku.core.errors import BunrakuError

GREETING_BYTES = 1 << 16
"""What a program may print before its script answers for the first time."""
SMALL = 1 << 20


class LostHostError(Exception):
    """The host died, hung, or answered what is no message; its text says which, and what it printed last."""


@dataclass(frozen=True)
class HostCommand:
    """How a host is started, and how long it may take."""

    words: tuple[str, ...]
    """Program and arguments; no shell reads them."""
    name: str
    """What messages call it: a file, a program."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the host is told when it opens its rig; JSON-able."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside this process's own."""
    start_s: float = 300.0
    """How long starting and opening may take."""
    answer_s: float = 60.0
    """How long it may say nothing while it evaluates; a longer silence counts as hanging."""


class HostProcess:
    """A running host. Ends with this process, however that ends, and when it is garbage."""

    def __init__(self, command: HostCommand) -> None:
        self.command = command
        self._number = 0
        self._line = _Line()
        self._last_words: collections.deque[str] = collections.deque(maxlen=12)
        scratch = tempfile.mkdtemp(prefix="bunraku-host-")
        try:
            self._process = _start(command, scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        threading.Thread(target=self._line.listen, args=(self._process.stdout,), daemon=True).start()
        self._murmur = threading.Thread(target=_keep, args=(self._process.stderr, self._last_words), daemon=True)
        self._murmur.start()
        self._finalizer = weakref.finalize(self, _end, self._process, scratch)
        try:
            self.about = self.tell(wire.HELLO, {"version": wire.VERSION}, wait_s=command.start_s).plain
        except BaseException:
            self.kill()
            raise

    def ask(
        self,
        kind: int,
        plain: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        limit: int = SMALL,
        wait_s: float | None = None,
    ) -> Iterator[wire.Message]:
        """The answers to a request as they come, the last of them DONE; arrays of one answer within `limit` bytes.

        Read all of them, or `kill` the host. `wait_s` bounds each silence.

        Raises:
            BunrakuError: the host says that it cannot.
            LostHostError: the host is gone, silent for too long, or answers what is no message; it has been killed.
        """
        self._number += 1
        self._line.limit = limit
        assert isinstance(self._process.stdin, BufferedIOBase)
        with contextlib.suppress(OSError):  # that it is gone, its silence says too
            wire.write(self._process.stdin, wire.Message(kind, self._number, dict(plain or {}), dict(arrays or {})))
        while True:
            message = self._next(wait_s if wait_s is not None else self.command.answer_s)
            if message.kind == wire.FAILED:
                raise BunrakuError(f"{self.command.name}: {_text(message.plain.get('why'))}")
            yield message
            if message.kind == wire.DONE:
                return

    def tell(
        self,
        kind: int,
        plain: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        limit: int = SMALL,
        wait_s: float | None = None,
    ) -> wire.Message:
        """`ask` for the last answer alone."""
        return collections.deque(self.ask(kind, plain, arrays, limit=limit, wait_s=wait_s), maxlen=1).pop()

    def kill(self) -> None:
        """Stop it, whatever it does, with all that it has started."""
        self._finalizer()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def lost(self, how: str) -> LostHostError:
        """The error that says how the host was lost; it is killed."""
        self.kill()
        self._murmur.join(timeout=1)
        status = self._process.poll()
        if how == "ended" and status is not None:
            how = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        words = " | ".join(line for line in self._last_words if line)[-400:]
        return LostHostError(f"{self.command.name}: the host {how}" + (f"; it printed last: {words}" if words else ""))

    def _next(self, wait_s: float) -> wire.Message:
        try:
            heard = self._line.heard.get(timeout=wait_s)
        except queue.Empty:
            raise self.lost(f"said nothing for {wait_s:g} s") from None
        if isinstance(heard, str):
            raise self.lost(heard)
        if heard.number != self._number or heard.kind not in (wire.DONE, wire.PART, wire.NOTE, wire.FAILED):
            raise self.lost(f"answered request {heard.number} with {heard.kind}; request {self._number} was asked")
        return heard


class _Line:
    """What comes from a host. Knows nothing of the `HostProcess`, which can thereby become garbage while it listens."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[wire.Message | str] = queue.SimpleQueue()
        """Messages, and at last how it ended."""
        self.limit = SMALL
        """Bytes of arrays that an answer may have now."""

    def listen(self, stream: Any) -> None:
        ended, skip = "ended", GREETING_BYTES
        try:
            while (message := wire.read(stream, lambda: self.limit, skip)) is not None:
                skip = 0
                self.heard.put(message)
        except wire.ProtocolError as error:
            ended = f"answered {error}"
        except (OSError, ValueError, MemoryError) as error:
            ended = f"cannot be heard ({type(error).__name__})"
        self.heard.put(ended)


def _start(command: HostCommand, scratch: str) -> subprocess.Popen[bytes]:
    program = shutil.which(command.words[0])
    if program is None:
        raise BunrakuError(f"{command.name}: no program {command.words[0]!r}")
    # Programs that are killed leave their temporary files behind; these lie where they can be removed.
    own = dict.fromkeys(("TMPDIR", "TEMP", "TMP", wire.SCRATCH), scratch)
    try:
        return subprocess.Popen(
            [program, *command.words[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **own, **command.environment},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops its hosts
        )
    except OSError as error:
        raise BunrakuError(f"{command.name}: {program} cannot be started ({error.strerror})") from None


def _end(process: subprocess.Popen[bytes], scratch: str) -> None:
    if process.poll() is None:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    shutil.rmtree(scratch, ignore_errors=True)


def _keep(stream: Any, lines: collections.deque[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while line := stream.readline(2000):
            lines.append(" ".join(line.decode("utf-8", "replace").split())[:200])


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:1000]


def parts_limit(mesh_bytes: int) -> int:
    """How many bytes of arrays one answer may have where one mesh has so many."""
    return max(SMALL, 2 * mesh_bytes + wire.SEND_EVERY_BYTES)
