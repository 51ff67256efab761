"""The engine that needs nothing: pieces run one after the other, here."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from bunraku.compute.attempt import attempt
from bunraku.compute.task import Outcome, Piece, Task, Work, build


@dataclass(frozen=True, eq=False)
class InProcess:
    """Runs pieces in this process, in order."""

    work: Work | None = None
    """What does a piece, already built (around a rig that is open, say); else the task's setup builds it."""

    def run(self, task: Task | None, pieces: Iterable[Piece]) -> Generator[Outcome, None, None]:
        """The outcome of every piece, in order. What a piece raises is its failure; Ctrl-C passes through."""
        from threadpoolctl import ThreadpoolController

        work = self.work
        if work is None:
            assert task is not None, "no work: give the engine its work, or run() a task"
            work = build(task)
        threads = ThreadpoolController()
        for piece in pieces:
            # One thread, as in workers: sums do not then depend on where a piece ran.
            with threads.limit(limits=1):
                tried = attempt(work, piece.payload)
            yield Outcome(piece.key, tried.value, tried.failure)
