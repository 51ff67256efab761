"""What every command is: a frozen dataclass that the arguments fill, that runs, and that shows what came out."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro

from bunraku.cli.progress import Reporter
from bunraku.core.errors import BunrakuError
from bunraku.core.progress import Progress

MARKERS = (tyro.conf.PositionalMetavarFromFieldName,)
Switch = tyro.conf.FlagCreatePairsOff[bool]
"""An option that is there or not: without its --no- twin, which settings have."""


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """The options that every command has."""

    json: Switch = False
    """One JSON object on standard output, and nothing else there."""
    debug: Switch = False
    """Show where in the program an error comes from."""

    @abstractmethod
    def run(self, progress: Progress) -> Mapping[str, Any]:
        """Do it; the result is JSON-able."""

    def around(self) -> contextlib.AbstractContextManager[None]:
        """What holds while it runs."""
        return contextlib.nullcontext()

    def show(self, result: Mapping[str, Any]) -> None:
        """Print the result for people."""
        from bunraku.cli.show import print_values

        print_values(result)

    def verdict(self, result: Mapping[str, Any]) -> str | None:
        """What went wrong, in one line, though there is a result: after it, the command ends as a mistake does."""
        return None


@dataclass(frozen=True, kw_only=True)
class RigCommand(Command):
    """The options of every command that opens a rig."""

    allow_scripts: Switch = False
    """Let a .blend file run the scripts it holds: code of whoever made it. Off, drivers that need them are named."""
    blender: str | None = None
    """A Blender program to open .blend files with, instead of the one that `bunraku host install blender` made."""

    def around(self) -> contextlib.AbstractContextManager[None]:
        """Blender files are opened as the options say."""
        from bunraku.rigs.blender import using

        return using(allow_scripts=self.allow_scripts, blender=self.blender)


Kind = TypeVar("Kind", bound=Command)


def run(command: Command) -> None:
    """Run a command with progress on standard error and its result on standard output."""
    from bunraku.cli.show import strict_json

    with Reporter() as progress, command.around():
        result = command.run(progress)
    try:
        if command.json:
            print(strict_json(result))
        else:
            command.show(result)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output (`| head`) has gone; the interpreter must not complain about that once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    wrong = command.verdict(result)
    if wrong is not None:
        raise BunrakuError(wrong)


def parse(kind: type[Kind], words: Sequence[str], prog: str) -> Kind:
    """The command that the arguments describe; `--help` prints and leaves through SystemExit(0).

    Raises:
        BunrakuError: unknown, missing or malformed arguments.
    """
    asked_for_help = "-h" in words or "--help" in words
    complaint = io.StringIO()
    with contextlib.ExitStack() as stack:
        if not asked_for_help:
            # The parser draws its complaint as a box, as wide as the terminal and of characters that standard output
            # has. Only in a wide one its lines stay whole, and only line characters tell its frame from its text.
            stack.enter_context(_columns(100_000))
            stack.enter_context(contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")))
            stack.enter_context(contextlib.redirect_stderr(complaint))
        try:
            return tyro.cli(kind, args=list(words), prog=prog, config=MARKERS)
        except SystemExit as leaving:
            if leaving.code in (0, None) or asked_for_help:
                raise
    raise BunrakuError(f"{_one_line(complaint.getvalue())} (see {prog} --help)")


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _one_line(box: str) -> str:
    """The parser's box as one line: what it says above its first rule, and of its suggestions the nearest."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    rows = [row.strip("│").rstrip() for row in plain.splitlines()[1:-1]]
    end = next((i for i, row in enumerate(rows) if row.strip() and not row.strip(" ─")), len(rows))
    first, rest = rows[:end], rows[end + 1 :]
    message = " ".join(row.strip() for row in first)
    if message.startswith("Missing from"):
        # Names stand at indent 4, their help deeper.
        missing = "missing: " + ", ".join(row.strip() for row in first if re.match(r" {5}\S", row))
        unknown = [row.strip() for row in rest if re.match(r" {5}-", row)]
        return f"unknown argument: {unknown[0]}; {missing}" if unknown else missing
    if message.startswith("Unrecognized options:"):
        named = [row.strip().split()[0] for row in rest if re.match(r" {5}-", row)]
        unknown = message.split(":", 1)[1].split(",")[0].strip()
        near = difflib.get_close_matches(unknown, named, 1, cutoff=0) if unknown.startswith("-") else []
        return f"unknown argument: {unknown}" + (f"; did you mean {near[0]}?" if near else "")
    lacking = re.match(r"Missing value for argument '(.+?)'", message)
    if lacking:
        return f"{lacking[1]}: its value is missing" if lacking[1].startswith("-") else f"missing: {lacking[1].upper()}"
    parsing = re.match(r"Error parsing (\S+): (.*)", message)
    if parsing:
        usage = next((row.strip() for row in rest if row.strip().startswith(parsing[1])), parsing[1])
        return f"{usage}: {parsing[2]}"
    return message[:1].lower() + message[1:].rstrip(".")


def patterns(controls: str) -> tuple[str, ...]:
    """What `--controls` means: names and shell patterns between commas, or a file with one on each line.

    Raises:
        BunrakuError: a file that cannot be read or names nothing.
    """
    path = Path(controls)
    if not controls or not path.is_file():
        return tuple(part.strip() for part in controls.split(",") if part.strip())
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BunrakuError(f"--controls {controls}: cannot be read as text") from None
    named = tuple(line.strip() for line in lines if line.strip())
    if not named:
        raise BunrakuError(f"--controls {controls}: is empty; expected one control name or pattern on each line")
    return named
