"""The engine of worker processes on this machine."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bunraku.compute import wire
from bunraku.compute.task import Outcome, Piece, Task
from bunraku.compute.threads import CORES
from bunraku.core.errors import BunrakuError

RETRIES = 2
"""How often a piece is tried again after the worker that had it died."""

# A fresh interpreter that does not run the caller's script again (as multiprocessing's spawn would), and finds
# modules where this process finds them without handing PYTHONPATH down to whatever the rig itself starts.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from bunraku.compute.worker import main; main()"

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)

Events = queue.SimpleQueue[tuple["Worker", dict[str, Any] | None]]


@dataclass(frozen=True)
class Workers:
    """Runs pieces in worker processes, each with one thread for linear algebra; programs that they start (hosts of
    rigs) are told to take their share of the cores: threads that wait for each other's core cost more than they bring.

    Each worker has one piece at a time: at most `workers` are being worked on while one outcome is with the caller.
    A worker that dies (killed, crashed) is replaced and its piece tried again, twice; then the piece has failed.
    Workers end with this process, however it ends.
    """

    workers: int

    def run(self, task: Task | None, pieces: Iterable[Piece]) -> Generator[Outcome, None, None]:
        """The outcome of every piece, as they finish.

        Raises:
            BunrakuError: no task, the task's setup fails for a mistake of the user's, or workers die in it.
            RuntimeError: the task's setup fails otherwise.
        """
        if task is None:
            raise BunrakuError("worker processes open the rig themselves: name it (a file or python:module:function)")
        if self.workers < 1:
            raise BunrakuError(f"workers: {self.workers}; needs at least 1")
        share = None if self.workers == 1 else max(1, (os.cpu_count() or 1) // self.workers)
        crew = _Crew(task, share)
        waiting = iter(pieces)
        try:
            for piece in itertools.islice(waiting, self.workers):
                crew.hire(piece)
            while crew.busy:
                outcome = crew.next_outcome(waiting)
                if outcome is not None:
                    yield outcome
        finally:
            crew.dismiss()


class _Crew:
    """The workers of one run. One thread per worker listens; all that they hear comes through one queue."""

    def __init__(self, task: Task, cores: int | None) -> None:
        self.task, self.cores = task, cores
        self.events: Events = queue.SimpleQueue()
        self.busy: set[_Hired] = set()
        self.leaving: list[_Hired] = []
        self.lost_in_setup = 0

    def hire(self, piece: Piece, losses: int = 0) -> None:
        self.busy.add(_Hired(self.task, self.events, piece, losses, self.cores))

    def next_outcome(self, waiting: Iterator[Piece]) -> Outcome | None:
        """Wait for what a worker says next; the worker is busy again before its outcome is handed on."""
        worker, message = self.events.get()
        if not isinstance(worker, _Hired) or worker not in self.busy:
            return None
        if message is None:
            return self._replace(worker, waiting)
        if "unable" in message:
            raise (BunrakuError if message["mistake"] else RuntimeError)(message["unable"])
        if "ready" in message:
            worker.ready = True
            worker.send(worker.piece.payload)
            return None
        key, failure = worker.piece.key, message.pop("failure")
        following = next(waiting, None)
        if following is None:
            self.busy.remove(worker)
            self.leaving.append(worker)
            worker.close()
        else:
            worker.piece, worker.losses = following, 0
            worker.send(following.payload)
        return Outcome(key, None, failure) if failure is not None else Outcome(key, message, None)

    def _replace(self, worker: _Hired, waiting: Iterator[Piece]) -> Outcome | None:
        self.busy.remove(worker)
        how = worker.end()
        if not worker.ready:
            self.lost_in_setup += 1
            if self.lost_in_setup > RETRIES:
                raise BunrakuError(
                    f"worker processes die ({how}) while they set up {self.task.setup}{self.task.arguments}"
                )
            self.hire(worker.piece, worker.losses)
            return None
        if worker.losses < RETRIES:
            self.hire(worker.piece, worker.losses + 1)
            return None
        following = next(waiting, None)
        if following is not None:
            self.hire(following)
        return Outcome(worker.piece.key, None, f"the worker process died ({how}), {RETRIES + 1} times")

    def dismiss(self) -> None:
        for worker in self.busy:
            worker.kill()
        for worker in self.leaving:
            worker.leave()
        for worker in self.busy:
            worker.end()


class Worker:
    """One process and the thread that listens to it: its messages go to `events`, and None when it is gone."""

    def __init__(self, task: Task, events: Events, cores: int | None = None) -> None:
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD, **({} if cores is None else {CORES: str(cores)})},
            # Ctrl-C reaches this process alone, which then stops its workers and all that they have started.
            start_new_session=True,
        )
        self.listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self.listener.start()
        self.send({"setup": task.setup, "arguments": list(task.arguments)})

    def _listen(self, events: Events) -> None:
        assert isinstance(self.process.stdout, io.BufferedIOBase)
        while (message := wire.receive(self.process.stdout)) is not None:
            events.put((self, message))
        events.put((self, None))

    def send(self, message: wire.Message) -> None:
        """Hand it something; nothing happens if it is gone, which its events say."""
        assert isinstance(self.process.stdin, io.BufferedIOBase)
        with contextlib.suppress(BrokenPipeError):
            wire.send(self.process.stdin, message)

    def close(self) -> None:
        """It will get nothing more, and leaves when it is done."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def leave(self) -> None:
        """Let it end by itself, for a moment."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2)
        self.end()

    def kill(self) -> None:
        """Stop it and whatever it has started."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def end(self) -> str:
        """Wait until it is gone; how it ended, in words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
        self.kill()
        status = self.process.wait()
        self.close()
        self.listener.join(timeout=3)
        assert self.process.stdout is not None
        if not self.listener.is_alive():
            self.process.stdout.close()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


class _Hired(Worker):
    """A worker and what it is working on."""

    def __init__(self, task: Task, events: Events, piece: Piece, losses: int, cores: int | None) -> None:
        self.piece = piece
        self.losses = losses
        """Workers that died on this piece before this one."""
        self.ready = False
        super().__init__(task, events, cores)
