"""`bunraku rig simplify`: curves that an artist can edit.

Annotations are evaluated at once, as in `cli.rig`: the settings' class is a local name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from bunraku.cli.command import Command, RigCommand, Switch
from bunraku.core.progress import Progress


def simplify() -> type[Command]:
    """`bunraku rig simplify`."""
    from bunraku.inversion.simplify import SimplifyConfig

    @dataclass(frozen=True, kw_only=True)
    class Simplify(RigCommand):
        """A take's curves as few keys with tangents, whose mesh stays within a tolerance: keys.json and keys.csv."""

        take: Positional[Path]
        """A take from `bunraku rig invert`."""
        rig: str | None = None
        """The rig, where it is not the one that the take names (a python: rig runs only when named here)."""
        out: Path | None = None
        """The folder to write keys.json and keys.csv into; without it the take's own."""
        overwrite: Switch = False
        """Replace keys that were made with other settings."""
        cfg: Annotated[SimplifyConfig, arg(name="")] = field(default_factory=SimplifyConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku.api.simplifying import simplify

            return simplify(
                self.take, self.cfg, rig=self.rig, out=self.out, overwrite=self.overwrite, progress=progress
            )

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_rows, print_values

            counts: Mapping[str, float] = result["keys_per_control"]
            print_rows("keys", [{"control": name, "keys": int(count)} for name, count in counts.items()])
            print_values({name: value for name, value in result.items() if name != "keys_per_control"})

    return Simplify
