"""What runs inside a worker process: set up once, then one piece after the other until the parent is gone."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from io import BufferedIOBase
from typing import Any

from bunraku.compute import wire
from bunraku.compute.attempt import attempt
from bunraku.compute.task import Task, build
from bunraku.core.errors import BunrakuError

GRACE_S = 1.0
"""How long a worker that is idle may take to leave by itself once its parent is gone."""


def main() -> None:
    """Serve the process at the other end of standard input and output."""
    requests, replies = _take_pipes()
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, inbox), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        _serve(inbox, replies)


def _serve(inbox: queue.SimpleQueue[dict[str, Any] | None], replies: BufferedIOBase) -> None:
    hello = inbox.get()
    if hello is None:
        return
    built = attempt(build, Task(hello["setup"], tuple(hello["arguments"])))
    if built.failure is not None:
        wire.send(replies, {"unable": built.failure, "mistake": isinstance(built.error, BunrakuError)})
        return
    wire.send(replies, {"ready": True})
    while (payload := inbox.get()) is not None:
        tried = attempt(built.value, payload)
        wire.send(replies, {"failure": tried.failure} if tried.value is None else {"failure": None, **tried.value})


def _take_pipes() -> tuple[BufferedIOBase, BufferedIOBase]:
    """The pipes to the parent, out of reach of a rig that prints or reads: its output goes to standard error."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (lives as long as the process)
    return requests, replies


def _read(requests: BufferedIOBase, inbox: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    while (message := wire.receive(requests)) is not None:
        inbox.put(message)
    # The parent has closed the pipe or was killed. Busy workers are not waited for: nobody wants their result.
    inbox.put(None)
    time.sleep(GRACE_S)
    os._exit(1)
