"""`bunraku demo`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bunraku.cli.command import Command, Switch
from bunraku.core.progress import Progress

CUBE = """\
The published recipe's row is stored (measured by benchmarks/rig_toy.py, its encoder cut at 50 CPU s), not run here.
cpu seconds include fitting the approximation to its samples; evaluations are of the true rig, after sampling.
"""
FIGURE = """\
Measured against mesh and curves before the noise; the roughness in the capture's row is that of the true curves.
Errors are mean and largest vertex distances on the true rig (the cube is 2 wide; the figure 1.64 m high); control
error is the mean distance to the true curves, as a share of each control's range.
"""
BOPBAG = """\
32 episodes of 20 s from up to 86 degrees off upright; standing is the share that stands at the end. The return is the
mean reward of a frame, 1 at best: resting anywhere is worth 0.4.
"""


def demo() -> type[Command]:
    """`bunraku demo`."""

    @dataclass(frozen=True, kw_only=True)
    class Demo(Command):
        """Invert a cube rig and a small skinned character, teach a bop bag to stand; all data is made on the spot."""

        out: Path = Path("demo")
        """The folder to write."""
        overwrite: Switch = False
        """Replace a demo that was made with other settings."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku.demo import demo as show_off

            return show_off(self.out, overwrite=self.overwrite, progress=progress)

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_rows, print_values

            print_rows("The cube, as published: samples, approximation, curves", _titled(result["cube"]))
            print(CUBE)
            print_rows("The figure: its own walk, dirtied with noise, won back as curves", _titled(result["figure"]))
            print(FIGURE)
            print_rows("The bop bag: learns to stand from as many frames as published", _titled(result["bopbag"]))
            print(BOPBAG)
            print_values({**result["files"], "wall seconds": result["wall_seconds"]})
            print(f"Everything is in {result['out']}")

    return Demo


def _titled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers as texts of three digits, so that columns stay narrow."""
    return [{key.replace("_", " "): _text(value) for key, value in row.items()} for row in rows]


def _text(value: Any) -> str | None:
    return f"{value:.3g}" if isinstance(value, float) else None if value is None else str(value)
