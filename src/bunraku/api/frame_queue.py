"""Frames that wait to be solved: few of them, the newest ones."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError


@dataclass(frozen=True, eq=False)
class Waiting:
    """A frame that has come in."""

    number: int
    arrived_s: float
    """By `time.perf_counter`."""
    vertices: Float[np.ndarray, "vertices 3"]


class FrameQueue:
    """Takes frames from an iterator on a thread of its own.

    Where more than `most` wait, the oldest are dropped and counted; with `every_frame` the iterator is made to wait
    instead. A BunrakuError of the iterator's is raised again where the queue is read, after the frames before it.
    """

    def __init__(self, frames: Iterator[Float[np.ndarray, "vertices 3"]], most: int, every_frame: bool) -> None:
        self.dropped = 0
        self._frames = frames
        self._most = most
        self._every_frame = every_frame
        self._waiting: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BunrakuError | None = None
        threading.Thread(target=self._fill, daemon=True).start()

    def __iter__(self) -> Iterator[Waiting]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                frame = self._waiting.popleft()
                self._changed.notify_all()
            yield frame
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Take no more frames."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fill(self) -> None:
        try:
            for number, vertices in enumerate(self._frames):
                if not self._put(Waiting(number, time.perf_counter(), vertices)):
                    break
        except BunrakuError as error:  # a thread's errors end nowhere: this one is for whoever reads the queue
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, frame: Waiting) -> bool:
        with self._changed:
            if self._every_frame:
                self._changed.wait_for(lambda: len(self._waiting) < self._most or self._closed)
            elif len(self._waiting) == self._most:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(frame)
            self._changed.notify_all()
            return not self._closed
