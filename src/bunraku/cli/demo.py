"""`bunraku demo`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bunraku.cli.command import Command
from bunraku.core.progress import Progress


def demo() -> type[Command]:
    """`bunraku demo`."""

    @dataclass(frozen=True, kw_only=True)
    class Demo(Command):
        """Invert a cube rig and a small skinned character, all of it on data that is made on the spot."""

        out: Path = Path("demo")
        """The folder to write."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.demo(self.out, progress=progress)

    return Demo
