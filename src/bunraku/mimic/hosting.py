"""Characters that another program simulates: `blender:bopbag`, or `host:COMMAND` for one that speaks our protocol.

`docs/host-simulation.md` says how such a program is made.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.imitation.character import Built, Character
    from bunraku.imitation.hosted import HostedSimulation, LostWorldError
    from bunraku.rigs.host_process import HostCommand, HostProcess

BLENDER, HOST = "blender:", "host:"
SIMULATED = ("bopbag",)
"""Characters that other programs are asked for."""
STATE_BYTES = 1 << 24


def is_hosted(source: str) -> bool:
    """Whether a character's name says that another program simulates it."""
    return source.startswith((BLENDER, HOST))


def character_of(source: str) -> str:
    """The character that is meant: the name after `blender:`; what `host:` programs simulate is a bop bag.

    Raises:
        BunrakuError: one that no program simulates.
    """
    name = source.removeprefix(BLENDER) if source.startswith(BLENDER) else SIMULATED[0]
    if name not in SIMULATED:
        raise BunrakuError(f"{source}: Blender simulates {', '.join(SIMULATED)}, not {name!r}")
    return name


def open_world(source: str, character: Character) -> HostedWorld:
    """The program that simulates a character, as the user names it; not started yet.

    Raises:
        BunrakuError: no Blender; no command after `host:`.
    """
    return HostedWorld(source, _command(source), character)


def reopen_world(source: str, character: Character, expected: Mapping[str, Any]) -> HostedWorld:
    """What simulated a run's character: a Blender like that one; a command that the run names is code, and is not run.

    Both are only asked for when something is to be simulated.
    """
    return HostedWorld(source, None, character, dict(expected))


def _command(source: str) -> HostCommand:
    from bunraku import host as wire
    from bunraku.rigs.blender_program import find_blender
    from bunraku.rigs.host_process import HostCommand
    from bunraku.rigs.integration import integration

    if source.startswith(BLENDER):
        words = find_blender().words(integration("blender/simulate.py"), (str(wire.__file__),), scripts=False)
        return HostCommand(words, source)
    try:
        words = tuple(shlex.split(source.removeprefix(HOST)))
    except ValueError as error:
        raise BunrakuError(f"{source}: {error}") from None
    if not words:
        raise BunrakuError(f"{source}: expected host:COMMAND, a program and its arguments")
    return HostCommand(words, words[-1])


@dataclass(eq=False)
class HostedWorld:
    """A program that simulates one character many times; see `imitation.hosted.World`.

    One program serves all who ask one after the other: who asks again after somebody else opens it again.
    """

    source: str
    """As the user or the run names it."""
    command: HostCommand | None
    """None: what a run names, which is looked up when it is needed."""
    character: Character
    expected: Mapping[str, Any] | None = None
    process: HostProcess | None = None
    holder: object = None

    def simulate(self, built: Built, count: int, frames: int) -> HostedSimulation:
        """So many characters for episodes of so many steps."""
        from bunraku.imitation.hosted import HostedSimulation

        return HostedSimulation(built, count, self, frames)

    def identity(self) -> dict[str, Any]:
        """What simulates, as the program says it: a policy is bound to that.

        Raises:
            BunrakuError: it cannot be started.
        """
        from bunraku.rigs.host_process import LostHostError

        try:
            return {"program": str(self._running().about.get("program", "a host"))[:80]}
        except LostHostError as lost:
            raise BunrakuError(str(lost)) from None

    def open(self, holder: object, count: int, frames: int) -> None:
        """Make so many characters, in place of another holder's."""
        from bunraku import host as wire

        character = self.character
        substeps = round(character.physics_hz / character.control_hz)
        rates = {"control_hz": character.control_hz, "substeps": substeps}
        asked = {"character": character_of(self.source), "count": count, "frames": frames, **rates}
        said = self._told(wire.OPEN, asked, {}).plain
        for rate, mine in {"control_hz": character.control_hz, "physics_hz": character.physics_hz}.items():
            if said.get(rate) != mine:
                raise BunrakuError(f"{self.source}: simulates with {rate} {said.get(rate)!r}; expected {mine:g}")
        if self.expected is not None and self.expected != self.identity():
            raise BunrakuError(
                f"{self.source}: the policy was trained in {self.expected.get('program')!r}, this is "
                f"{self.identity()['program']!r}; name the character again to have it simulated by this"
            )
        self.holder = holder

    def begin(self, holder: object, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Put all of them into these positions and velocities."""
        from bunraku import host as wire

        self._check(holder)
        self._told(wire.RESET, {}, {"qpos": qpos, "qvel": qvel})

    def step(self, holder: object, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One control step; positions and velocities after it."""
        from bunraku import host as wire

        self._check(holder)
        self._told(wire.ACT, {}, {"controls": controls})
        self._told(wire.STEP, {}, {})
        seen = self._told(wire.OBSERVE, {}, {}).arrays
        if not {"qpos", "qvel"} <= seen.keys():
            raise BunrakuError(f"{self.source}: answers {', '.join(seen) or 'nothing'}; expected qpos and qvel")
        return seen["qpos"], seen["qvel"]

    def _check(self, holder: object) -> None:
        from bunraku.imitation.hosted import LostWorldError

        if self.process is None or self.holder is not holder:
            raise LostWorldError(f"{self.source}: simulates something else")

    def _told(self, kind: int, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
        from bunraku.rigs.host_process import LostHostError

        try:
            return self._running().tell(kind, plain, arrays, limit=STATE_BYTES)
        except LostHostError as lost:
            raise self._gone(str(lost)) from None
        except BaseException:
            self.close()  # its answers to what nobody waits for any more would be taken for those to come
            raise

    def _gone(self, how: str) -> LostWorldError:
        from bunraku.imitation.hosted import LostWorldError

        self.close()
        return LostWorldError(how)

    def _running(self) -> HostProcess:
        from bunraku.rigs.host_process import HostProcess

        if self.process is None:
            if self.command is None and not self.source.startswith(BLENDER):
                raise BunrakuError(
                    f"{self.source}: simulated this, but a command that a run names is not run; "
                    "name it again with --character"
                )
            self.process = HostProcess(self.command or _command(self.source))
        return self.process

    def close(self) -> None:
        """Stop the program; whoever asks next starts another."""
        if self.process is not None:
            self.process.kill()
        self.process, self.holder = None, None
