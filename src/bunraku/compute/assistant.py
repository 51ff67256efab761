"""One worker process that is asked again and again, while this one does something else."""

from __future__ import annotations

import queue
from types import TracebackType

from bunraku.compute.task import Payload, Task
from bunraku.compute.workers import Events, Worker


class Assistant:
    """Does pieces of a task, one at a time.

    It may be lost (killed, crashed), and a piece may fail in it: then the answer is None, and whoever asked does the
    piece himself, or learns by it what is wrong. It ends with this process, however that ends.
    """

    def __init__(self, task: Task) -> None:
        self._events: Events = queue.SimpleQueue()
        self._worker: Worker | None = Worker(task, self._events)

    def ask(self, payload: Payload) -> None:
        """Begin with a piece; its answer must be fetched before the next is asked for."""
        if self._worker is not None:
            self._worker.send(payload)

    def answer(self) -> Payload | None:
        """Wait for what came of the piece."""
        while self._worker is not None:
            _, message = self._events.get()
            if message is None or "unable" in message:
                self.close()
            elif "ready" not in message:
                return message if message.pop("failure") is None else None
        return None

    def close(self) -> None:
        """Stop it, whatever it does."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.end()
            self._worker = None

    def __enter__(self) -> Assistant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
