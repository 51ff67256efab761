"""`bunraku rig invert-many`: a folder full of captures into a folder full of takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from bunraku.cli.command import Command, RigCommand, Switch, patterns
from bunraku.cli.instructions import instructions
from bunraku.core.progress import Progress

Flat = arg(name="")
SHORT = {
    "error_mean": "mean",
    "error_p95": "p95",
    "error_max": "max",
    "relative_error": "relative",
    "active_controls": "active",
}


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each shot, never folded; below, why some have failed."""
    names = [name for name in rows[0] if name != "reason"]
    cells = [[SHORT.get(name, name) for name in names], *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row["reason"] is not None:
            print(f"{row['shot']}: {row['reason']}")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def invert_many() -> type[Command]:
    """`bunraku rig invert-many`."""
    from bunraku.api.matching import Matching
    from bunraku.inversion.invert import InvertConfig

    @dataclass(frozen=True, kw_only=True)
    class InvertMany(RigCommand):
        """Control curves for many captures of one rig: one approximation for all, a take for each, a table of all.

        The same command again goes on where it was stopped, and with more captures adds theirs. Shots that fail do not
        stop the others; the status is then 2.
        """

        rig: Positional[str]
        """The rig: see `bunraku rig describe`."""
        captures: Positional[tuple[Path, ...]]
        """The captures; each becomes the take OUT/NAME."""
        out: Path
        """The folder of takes to write, with summary.json and summary.csv."""
        model: Path | None = None
        """An approximation from `bunraku rig fit`; without it one is made for all shots if that pays."""
        workers: int = 1
        """Processes that invert shots (and sample the rig)."""
        controls: str = ""
        """What is solved for: names and shell patterns between commas, or a file; the rest stays at neutral."""
        lock: str = ""
        """Controls that stay at neutral: names and shell patterns between commas."""
        freeze: str = ""
        """Controls that stay at a value: NAME=VALUE between commas."""
        switch: str = ""
        """Controls that know a few values only: NAME=VALUE|VALUE between commas."""
        twins: str = ""
        """Pairs for --symmetric that are not found by mirroring the rig: NAME=NAME between commas."""
        stable: Path | None = None
        """A list of vertices that stand still (.json, .csv, .npy), for --stabilise; else they are found."""
        device: str = "cpu"
        """cpu, cuda, or another device of PyTorch's."""
        overwrite: Switch = False
        """Replace takes that were made with other settings."""
        matching: Annotated[Matching, Flat] = field(default_factory=Matching)
        cfg: Annotated[InvertConfig, Flat] = field(default_factory=InvertConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.invert_many(
                self.captures,
                self.rig,
                self.out,
                self.cfg,
                model=self.model,
                controls=patterns(self.controls),
                instructions=instructions(lock=self.lock, freeze=self.freeze, switch=self.switch, twins=self.twins),
                matching=self.matching,
                stable=self.stable,
                device=self.device,
                workers=self.workers,
                overwrite=self.overwrite,
                progress=progress,
            )

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_values

            print_table(result["shots"])
            print_values({name: value for name, value in result.items() if name != "shots"})

        def verdict(self, result: Mapping[str, Any]) -> str | None:
            failed = [f"{row['shot']} ({row['reason']})" for row in result["shots"] if row["state"] == "failed"]
            if not failed:
                return None
            more = f", … ({len(failed) - 3} more)" if len(failed) > 3 else ""
            return f"{len(failed)} of {len(result['shots'])} shots failed: {', '.join(failed[:3])}{more}"

    return InvertMany
