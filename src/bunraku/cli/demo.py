"""`bunraku demo`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bunraku.cli.command import Command, Switch
from bunraku.cli.report import open_page
from bunraku.core.progress import Progress


def demo() -> type[Command]:
    """`bunraku demo`."""

    @dataclass(frozen=True, kw_only=True)
    class Demo(Command):
        """Invert a cube rig and a small skinned character, teach a bop bag to stand; all data is made on the spot."""

        out: Path = Path("demo")
        """The folder to write."""
        overwrite: Switch = False
        """Replace a demo that was made with other settings."""
        open: Switch = False
        """Open its report in the browser."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku.demo import demo as show_off

            done = show_off(self.out, overwrite=self.overwrite, progress=progress)
            if self.open:
                open_page(Path(done["report"]))
            return done

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_rows, print_values
            from bunraku.demo import ABOUT, TITLES

            for what, title in TITLES.items():
                print_rows(title, _titled(result[what]))
                print(ABOUT[what])
            print_values({**result["files"], "wall seconds": result["wall_seconds"]})
            print(f"Everything is in {result['out']}; to look at it, open")
            print(result["report"])

    return Demo


def _titled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers as texts of three digits, so that columns stay narrow."""
    return [{key.replace("_", " "): _text(value) for key, value in row.items()} for row in rows]


def _text(value: Any) -> str | None:
    return f"{value:.3g}" if isinstance(value, float) else None if value is None else str(value)
