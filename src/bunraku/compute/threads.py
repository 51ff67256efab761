"""How many threads numerical libraries may take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

CORES = "BUNRAKU_CORES"
"""The variable that tells a program started by one of several workers how many cores it should use."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread inside: our products are many and small, and on a busy machine threads that wait for each other
    make them ten times slower.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
