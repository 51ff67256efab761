"""The command `bunraku`: finds the command that the first words name and turns what happens into a status."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from types import TracebackType

from bunraku import __version__
from bunraku.core.errors import BunrakuError

# Command words, the function that gives its class (imported only when it is asked for), and the line of the overview.
COMMANDS: dict[tuple[str, ...], tuple[str, str]] = {
    ("demo",): ("bunraku.cli.demo:demo", "invert a cube and a character, teach a bop bag to stand"),
    ("rig", "describe"): ("bunraku.cli.rig:describe", "controls, mesh size, animations and speed of a rig"),
    ("rig", "bake"): ("bunraku.cli.rig:bake", "a rig's own animation as a mesh sequence"),
    ("rig", "sample"): ("bunraku.cli.rig:sample", "random poses of a rig and their meshes"),
    ("rig", "fit"): ("bunraku.cli.rig:fit", "a differentiable approximation from samples"),
    ("rig", "improve"): ("bunraku.cli.improve:improve", "a better approximation around a shot, by sampling there"),
    ("rig", "invert"): ("bunraku.cli.rig:invert", "a captured mesh sequence into control curves"),
    ("rig", "invert-many"): ("bunraku.cli.shots:invert_many", "many captures of one rig, a take for each"),
    ("rig", "stream"): ("bunraku.cli.stream:stream", "frames into control values while they come in"),
    ("rig", "evaluate"): ("bunraku.cli.rig:evaluate", "the metrics of a take, again, on the true rig"),
    ("rig", "account"): ("bunraku.cli.account:account", "what the capture could tell, and where the error is from"),
    ("rig", "export"): ("bunraku.cli.rig:export", "a take or model in a format for other programs"),
    ("rig", "simplify"): ("bunraku.cli.simplify:simplify", "a take's curves as few keys that an artist can edit"),
    ("clip", "check"): ("bunraku.cli.clip:check", "what is wrong with a clip, and what mending would do about it"),
    ("clip", "convert"): ("bunraku.cli.clip:convert", "a clip in another format, mended, on another character"),
    ("host", "install"): (
        "bunraku.cli.host:install",
        "a Blender that runs rigs, in an environment of its own",
    ),
    ("mimic", "train"): ("bunraku.cli.mimic:train", "a simulated character learns to imitate a pose or a clip"),
    ("mimic", "evaluate"): ("bunraku.cli.mimic:evaluate", "how well it does, and which pushes it survives"),
    ("mimic", "export"): ("bunraku.cli.mimic:export", "a policy or its motion in a format for other programs"),
    ("report",): ("bunraku.cli.report:report", "one HTML page that explains a take or a run"),
    ("view",): ("bunraku.cli.view:view", "a rig, mesh, take, clip or run in the browser, live"),
}

DONE, OUR_FAILURE, USER_MISTAKE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` is without the program's name. Returns the exit status (INTERFACE: 0, 1, 2, 130)."""
    words = list(sys.argv[1:] if argv is None else argv)
    with Outcome(debug="--debug" in words or os.environ.get("BUNRAKU_DEBUG") == "1") as outcome:
        _dispatch(words)
    return outcome.status


def _dispatch(words: list[str]) -> None:
    if words[:1] == ["--version"]:
        print(f"bunraku {__version__}")
        return
    name = _command_name(words)
    rest = words[len(name) :]
    if name not in COMMANDS:
        if {"-h", "--help"} & set(rest[:1]):
            print(_overview(name))
            return
        raise _no_such_command(name, rest)
    from bunraku.cli.command import parse, run

    module, function = COMMANDS[name][0].split(":")
    kind = getattr(importlib.import_module(module), function)()
    run(parse(kind, rest, prog=" ".join(["bunraku", *name])))


def _command_name(words: Sequence[str]) -> tuple[str, ...]:
    """As many first words as are a command, or a group of commands."""
    longest = max(len(name) for name in COMMANDS)
    for count in range(min(longest, len(words)), 0, -1):
        if any(name[:count] == tuple(words[:count]) for name in COMMANDS):
            return tuple(words[:count])
    return ()


def _no_such_command(group: tuple[str, ...], rest: Sequence[str]) -> BunrakuError:
    members = list(dict.fromkeys(name[len(group)] for name in COMMANDS if name[: len(group)] == group))
    listed = f"{' '.join(['bunraku', *group])} has: {', '.join(members)}"
    if not rest:
        return BunrakuError(f"which command? {listed}")
    if rest[0].startswith("-"):
        return BunrakuError(f"{rest[0]}: options come after the command; {listed}")
    # Both words may be misspelt, or the group forgotten.
    whole = {" ".join(name): name for name in COMMANDS} | {name[-1]: name for name in COMMANDS}
    asked = [" ".join([*group, *rest[: 2 - len(group)]]), rest[0]]
    near = [whole[match] for word in asked for match in difflib.get_close_matches(word, whole, 1)]
    suggestion = f"did you mean 'bunraku {' '.join(near[0])}'? " if near else ""
    return BunrakuError(f"no command '{' '.join([*group, rest[0]])}'; {suggestion}{listed}")


def _overview(group: tuple[str, ...]) -> str:
    chosen = {name: entry for name, entry in COMMANDS.items() if name[: len(group)] == group}
    width = max(len(" ".join(name)) for name in chosen) + 2
    lines = [f"usage: {' '.join(['bunraku', *group])} COMMAND ...", ""]
    lines += [f"  {' '.join(name):{width}}{summary}" for name, (_, summary) in chosen.items()]
    lines += ["", "bunraku COMMAND --help tells the rest; every command takes --json. bunraku --version"]
    return "\n".join(lines)


class Outcome:
    """Turns the exception that ends a command, if any, into one line on standard error and an exit status."""

    def __init__(self, *, debug: bool) -> None:
        self.debug = debug
        self.status = DONE

    def __enter__(self) -> Outcome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return True
        if isinstance(error, SystemExit):
            self.status = error.code if isinstance(error.code, int) else DONE
            return True
        self.status, line = _judge(error)
        if self.debug and self.status != INTERRUPTED:
            import traceback

            traceback.print_exception(error)
        print(f"bunraku: {line}", file=sys.stderr)
        return True


def _judge(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted; the work so far is kept and the same command resumes it"
    if isinstance(error, BunrakuError):
        return USER_MISTAKE, f"error: {_one_line(error)}"
    what = f"{type(error).__name__}: {_one_line(error)}"
    return OUR_FAILURE, f"failed: {what} (a fault of bunraku's; please report it with the output of --debug)"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
