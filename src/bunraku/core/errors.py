"""The one exception that speaks to users."""

from __future__ import annotations

from collections.abc import Iterable


class BunrakuError(Exception):
    """A mistake of the user's: one line that names the culprit, what was expected and what exists.

    Raised at the doors (formats, commands, public functions); the command line prints it and exits with
    status 2. Our own failures are ordinary exceptions and asserts, and end with status 1.
    """


def unknown_name(kind: str, name: str, existing: Iterable[str], owner: str = "there is") -> BunrakuError:
    """The error for a name that is not there: it lists (at most twenty of) those that are.

    Example: ``unknown_name("control", "jaw.rz", spec.names, "this rig has")`` reads
    "no control 'jaw.rz'; this rig has: jaw.rx, jaw.ry".
    """
    names = list(existing)
    shown = ", ".join(names[:20]) + (f", … ({len(names) - 20} more)" if len(names) > 20 else "")
    return BunrakuError(f"no {kind} {name!r}; {owner}: {shown or 'none'}")
