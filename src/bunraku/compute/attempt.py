"""Calling code that is not ours. The one place where every exception is caught."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bunraku.core.errors import BunrakuError


@dataclass(frozen=True, eq=False)
class Attempt:
    """What came of a call."""

    value: Any
    failure: str | None
    """One line: the exception and where it was raised; None where the call returned."""
    error: BaseException | None = None


def attempt(call: Callable[..., Any], *arguments: Any) -> Attempt:
    """Call a foreign function (a rig, an imported module): whatever it raises becomes one line of text.

    `exit()` inside a rig counts as a failure of the rig; Ctrl-C passes through.
    """
    try:
        return Attempt(call(*arguments), None)
    except BunrakuError as error:
        return Attempt(None, str(error), error)
    except (Exception, SystemExit) as error:  # foreign code may raise anything, and none of it is ours to prevent
        return Attempt(None, _one_line(error), error)


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())[:300]
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if len(frames) < 2:  # raised by the call itself, not inside the function
        return text
    return f"{text} ({frames[-1].filename.rsplit('/', 1)[-1]} line {frames[-1].lineno})"
