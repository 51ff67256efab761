"""Progress on standard error: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_EVERY_S = 10.0
VARIABLE = "BUNRAKU_PROGRESS_S"
"""How often lines are wanted instead, for programs that listen [s]."""


class Reporter:
    """A `core.progress.Progress` for the time of a command; also carries the package's log to standard error."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._begun_s: dict[str, float] = {}
        self._line_s = time.monotonic()
        self._every_s = _every_s()
        self._handler: _LogLines | None = None

    def __enter__(self) -> Reporter:
        self._handler = _LogLines(self)
        logger = logging.getLogger("bunraku")
        logger.addHandler(self._handler)
        logger.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler is not None:
            logging.getLogger("bunraku").removeHandler(self._handler)
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Show where a stage is."""
        self._begun_s.setdefault(stage, time.monotonic())
        # Bars put something of their own in the place of standard error: it is asked before them.
        if self._bars is not None or sys.stderr.isatty():
            self._draw(stage, done, total, note)
        elif time.monotonic() - self._line_s >= self._every_s:
            self._line_s = time.monotonic()
            print(_line(stage, done, total, note, self._line_s - self._begun_s[stage]), file=sys.stderr, flush=True)

    @property
    def console(self) -> Console | None:
        """Where lines go while bars are drawn."""
        return None if self._bars is None else self._bars.console

    def _draw(self, stage: str, done: float, total: float, note: str) -> None:
        if self._bars is None:
            self._bars = _bars()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note=note)
        self._bars.update(self._tasks[stage], completed=done, total=total, note=note)


def _every_s() -> float:
    try:
        return max(float(os.environ.get(VARIABLE, LINE_EVERY_S)), 0.1)
    except ValueError:
        return LINE_EVERY_S


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    bars = Progress(*columns, console=Console(stderr=True))
    bars.start()
    return bars


def _line(stage: str, done: float, total: float, note: str, elapsed_s: float) -> str:
    share = done / total if total > 0 else 0.0
    line = f"{stage}: {100 * share:.0f} %"
    if 0 < share < 1 and elapsed_s > 0:
        line += f", about {_duration(elapsed_s * (1 - share) / share)} left"
    return f"{line}, {note}" if note else line


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class _LogLines(logging.Handler):
    """Log records as single lines, above the bars where there are any."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.INFO)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        line = f"bunraku: {record.getMessage()}"
        if self.reporter.console is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self.reporter.console.print(line, markup=False, highlight=False, soft_wrap=True)
