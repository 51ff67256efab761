"""`bunraku report`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from bunraku.cli.command import Command, Switch
from bunraku.core.progress import Progress


def report() -> type[Command]:
    """`bunraku report`."""

    @dataclass(frozen=True, kw_only=True)
    class Report(Command):
        """One HTML page of a take or a run, to be opened in a browser from disk: what was made, how well, where it is
        wrong.
        """

        path: Positional[Path]
        """A take from `bunraku rig invert` or a run from `bunraku mimic train`."""
        out: Path | None = None
        """The file to write; report.html in the folder itself unless said. A page that is there is replaced."""
        rig: str | None = None
        """The rig, where it is not the one that the take names (a python: rig runs only when named here)."""
        open: Switch = False
        """Open it in the browser."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            done = api.report(self.path, out=self.out, rig=self.rig, progress=progress)
            if self.open:
                open_page(Path(done["path"]))
            return done

    return Report


def open_page(file: Path) -> None:
    """Show a page in the user's browser."""
    import webbrowser

    webbrowser.open(file.resolve().as_uri())


def reported(
    result: Mapping[str, Any], folder: Path, rig: str | None = None, evaluation: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A command's result, and beside it the page that tells of it (None: it could not be made, which was said)."""
    from bunraku import api

    return {**result, "report": api.report_beside(folder, rig=rig, evaluation=evaluation)}
