"""A command to try the command line's machinery with."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from bunraku.cli.command import Command
from bunraku.core.errors import BunrakuError

FAILURES = {
    "mistake": BunrakuError("shot.npz: has no frames;\n  needs one"),
    "bug": ZeroDivisionError("division by zero"),
    "interrupt": KeyboardInterrupt(),
}


@dataclass(frozen=True)
class SolveConfig:
    """Settings of a stage."""

    smooth: float = 0.5
    """Weight of smoothness."""
    align: Literal["auto", "none"] = "auto"
    """Mend other axes."""


@dataclass(frozen=True, kw_only=True)
class Trial(Command):
    """Tries things out."""

    capture: tyro.conf.Positional[Path]
    """What to read."""
    rig: str
    """The rig, or how to fail."""
    frames: int = 3
    """How many."""
    cfg: Annotated[SolveConfig, tyro.conf.arg(name="")] = field(default_factory=SolveConfig)

    def run(self, progress) -> Mapping[str, Any]:
        if self.rig in FAILURES:
            raise FAILURES[self.rig]
        progress("work", 1, 2, "note")
        print("a library's chatter", file=sys.stderr)
        return {"frames": self.frames, "smooth": self.cfg.smooth, "error": float("nan"), "capture": self.capture}


def trial():
    return Trial
