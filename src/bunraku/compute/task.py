"""What is asked of an engine: named work, its pieces, and what came of each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

Payload = Mapping[str, Any]
"""Arrays, numbers, texts and lists of these by name; arrays only at the top, so that any wire can carry it."""

Work = Callable[[Payload], Payload]
"""Does one piece."""


@dataclass(frozen=True)
class Task:
    """Work that is named, not held: whoever has the package installed can start it, on any machine."""

    setup: str
    """`package.module:function`; called once per worker, it returns the function that does one piece."""
    arguments: tuple[Any, ...] = ()
    """What `setup` is called with; JSON-able."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece of work; needs nothing of any other."""

    key: int
    payload: Payload


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a piece: exactly one of `value` and `failure` is there."""

    key: int
    value: Payload | None
    failure: str | None


@runtime_checkable
class Engine(Protocol):
    """Something that runs pieces. Implementations share no memory with the work: all passes through payloads."""

    def run(self, task: Task | None, pieces: Iterable[Piece]) -> Generator[Outcome, None, None]:
        """The outcome of every piece, in any order, each as soon as it is there.

        Pieces are taken from the iterable only as they can be worked on, so it may be endless and its payloads large.
        Close the generator (`contextlib.closing`) to stop early: nothing keeps running after that.
        `task` may be None only for an engine that was given its work.

        Raises:
            BunrakuError: the task's setup says that the user has made a mistake, or no worker survives it.
        """
        ...


def build(task: Task) -> Work:
    """Import a task's setup and call it: the function that does one piece."""
    return imported(task.setup)(*task.arguments)


def imported(name: str) -> Callable[..., Any]:
    """What `package.module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
