"""How long work tells where it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called now and then with a stage's name and how much of it is done; must return at once."""

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        """`note` is a short live remark (a loss, an error with its unit)."""
        ...


def silent(stage: str, done: float, total: float, note: str = "") -> None:
    """Nobody listens."""
