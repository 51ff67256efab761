"""How many threads numerical work may take, and how it is shared out among them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

CORES = "BUNRAKU_CORES"
"""The variable that tells a program started by one of several workers how many cores it should use."""

_MOST = 8
"""Threads beyond so many wait for memory rather than compute."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread inside: our products are many and small, and on a busy machine threads that wait for each other
    make them ten times slower.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


@contextlib.contextmanager
def prompt_handover(seconds: float = 5e-4) -> Iterator[None]:
    """Threads that come back from compiled code get the interpreter within so many seconds inside, not the usual five
    milliseconds: those that simulate have work of a few milliseconds at a time. For the whole process.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def cores() -> int:
    """How many threads this process should compute on: what `BUNRAKU_CORES` says, or all cores that it may use."""
    told = os.environ.get(CORES, "")
    if told.isdigit() and int(told) > 0:
        return int(told)
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _MOST)


def spread(work: Callable[[Part], Result], parts: Iterable[Part], threads: int) -> Iterator[Result]:
    """What `work` makes of each part, in their order, by several threads; they see the caller's context variables
    (numpy's error state is one). Where one fails, or the caller stops, those not yet begun are left out.
    """
    parts = list(parts)
    if min(threads, len(parts)) <= 1:
        yield from map(work, parts)
        return
    pool = ThreadPoolExecutor(min(threads, len(parts)))
    try:
        for future in [pool.submit(copy_context().run, work, part) for part in parts]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
