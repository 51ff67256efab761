"""`bunraku host …`: the programs that rigs live in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tyro.conf import Positional

from bunraku.cli.command import Command, Switch
from bunraku.core.progress import Progress


def install() -> type[Command]:
    """`bunraku host install`."""

    @dataclass(frozen=True, kw_only=True)
    class Install(Command):
        """A program that runs rigs, in an environment of its own; what is there already is looked at and kept."""

        program: Positional[Literal["blender"]]
        """blender: Blender without a window (about 0.4 GB to download, 1 GB on disk)."""
        python: str | None = None
        """The Python to build on, where this one does not fit: Blender 5.0 needs Python 3.11."""
        overwrite: Switch = False
        """Install again what is there."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.install_blender(python=self.python, overwrite=self.overwrite, progress=progress)

    return Install
