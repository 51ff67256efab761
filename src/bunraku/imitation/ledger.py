"""What a training leaves in its folder while it runs: a line for each update, a learning curve, an event file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.imitation.curve import Line, learning_curve
from bunraku.imitation.run import CHECKPOINT, CURVE, EVENTS, METRICS, history
from bunraku.imitation.tensorboard import EventFile


class Ledger:
    """The updates of a run so far."""

    def __init__(self, out: Path, *, tensorboard: bool) -> None:
        self.out = out
        self.entries: list[dict[str, Any]] = []
        self._events = EventFile(out / EVENTS) if tensorboard else None

    def reopen(self, updates: int) -> None:
        """Go on after so many updates; what was noted after them is forgotten.

        Raises:
            BunrakuError: fewer are there.
        """
        if updates:
            self.entries = history(self.out)[:updates]
        if len(self.entries) < updates:
            raise BunrakuError(f"{self.out / METRICS}: holds fewer updates than {CHECKPOINT}; --overwrite starts anew")
        lines = "".join(json.dumps(entry) + "\n" for entry in self.entries)
        artifact.write_bytes(self.out / METRICS, lines.encode())
        for entry in self.entries:
            self._show(entry)

    def note(self, entry: dict[str, Any]) -> None:
        """One more update."""
        self.entries.append(entry)
        with artifact.disk_errors(self.out / METRICS), (self.out / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._show(entry)

    def draw(self, algorithm: str, title: str) -> None:
        """The learning curve so far."""
        line = Line(
            algorithm,
            np.array([entry["samples"] for entry in self.entries], np.float64),
            np.array([entry["return"] for entry in self.entries], np.float64),
        )
        artifact.write_bytes(self.out / CURVE, learning_curve([line], title).encode())

    def close(self) -> None:
        """Nothing more comes."""
        if self._events is not None:
            self._events.close()

    def _show(self, entry: Mapping[str, Any]) -> None:
        if self._events is None:
            return
        values = {name: entry[name] for name in ("return", "reward", "episode_s") if entry[name] is not None}
        for group in ("terms", "learner", "times"):
            values |= {f"{group}/{name}": value for name, value in entry[group].items()}
        self._events.scalars(entry["samples"], entry["times"]["wall"], values)
