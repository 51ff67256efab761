"""JSON objects of a glTF file, read with suspicion: values are checked where they are taken, and named when wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bunraku.core.errors import BunrakuError


@dataclass(frozen=True, eq=False)
class Entry:
    """A JSON object with the place where it stands ("robot.glb: accessors[3]")."""

    data: dict[str, Any]
    where: str

    def wrong(self, what: str) -> BunrakuError:
        """The error that says what is wrong with this object."""
        return BunrakuError(f"{self.where} {what}")

    def integer(self, key: str, default: int | None = None, lowest: int = 0) -> int:
        """A whole number of at least `lowest`; `default` where it is absent.

        Raises:
            BunrakuError: absent without a default, not a whole number, too low.
        """
        value = self.data.get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            had = "is missing" if value is None else f"is {_short(value)}"
            raise BunrakuError(f"{self.where}.{key} {had}; expected a whole number of at least {lowest}")
        return value

    def index(self, key: str, others: Sequence[Any], kind: str) -> int:
        """An index into the file's list of that kind ("nodes").

        Raises:
            BunrakuError: absent, or no such entry in the list.
        """
        value = self.integer(key)
        if value >= len(others):
            raise BunrakuError(f"{self.where}.{key} is {value}; there are {len(others)} {kind}")
        return value

    def indices(self, key: str, others: Sequence[Any], kind: str) -> list[int]:
        """A list of indices into the file's list of that kind; empty where it is absent.

        Raises:
            BunrakuError: not a list of indices of existing entries.
        """
        values = self.data.get(key, [])
        if not isinstance(values, list):
            raise BunrakuError(f"{self.where}.{key} is {_short(values)}; expected a list of {kind}")
        for i, value in enumerate(values):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(others):
                raise BunrakuError(f"{self.where}.{key}[{i}] is {_short(value)}; there are {len(others)} {kind}")
        return list(values)

    def numbers(self, key: str, length: int, default: Sequence[float]) -> np.ndarray:
        """A list of that many finite numbers, float64; `default` where it is absent.

        Raises:
            BunrakuError: another length, or something in it is not a finite number.
        """
        values = self.data.get(key, default)
        good = isinstance(values, list | tuple) and len(values) == length
        # Anything beyond 1e300 is no measure of a mesh; JSON's integers may be longer than a float can hold.
        if not good or not all(_is_number(v) and abs(v) < 1e300 for v in values):
            raise BunrakuError(f"{self.where}.{key} is {_short(values)}; expected {length} finite numbers")
        return np.array([float(v) for v in values], np.float64)

    def text(self, key: str) -> str | None:
        """A string that is not empty; None where there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) and value else None

    def entry(self, key: str) -> Entry | None:
        """The object under a key; None where it is absent.

        Raises:
            BunrakuError: something else than an object stands there.
        """
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise BunrakuError(f"{self.where}.{key} is {_short(value)}; expected an object")
        return Entry(value, f"{self.where}.{key}")

    def entries(self, key: str) -> tuple[Entry, ...]:
        """The list of objects under a key; empty where it is absent.

        Raises:
            BunrakuError: not a list of objects.
        """
        values = self.data.get(key, [])
        dot = " " if self.where.endswith(":") else "."
        if not isinstance(values, list):
            raise BunrakuError(f"{self.where}{dot}{key} is {_short(values)}; expected a list")
        for i, value in enumerate(values):
            if not isinstance(value, dict):
                raise BunrakuError(f"{self.where}{dot}{key}[{i}] is {_short(value)}; expected an object")
        return tuple(Entry(value, f"{self.where}{dot}{key}[{i}]") for i, value in enumerate(values))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
