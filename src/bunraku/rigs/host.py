"""A rig that lives in another process: described once, then evaluated in batches that are streamed back.

`bunraku.host` is the far side, `docs/hosts.md` the page about both.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bunraku import host as wire
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.rigs.host_process import HostCommand, HostProcess, LostHostError, parts_limit

DEATHS = 2
"""A pose that the host dies of so often, asked for it alone, is set aside."""
RESTARTS = 100
"""So many hosts may die for one rig before the rig itself is called broken."""
DESCRIPTION_BYTES = 1 << 30


@dataclass(frozen=True)
class LeftOut:
    """Something that could be turned but is no control."""

    name: str
    why: str


@dataclass(frozen=True)
class NamedAnimation:
    """An animation that the host's file holds."""

    name: str
    start: float = 0.0
    """First frame."""
    end: float = 0.0
    """Last frame."""


@dataclass(frozen=True, eq=False)
class HostDescription:
    """What a host says of its rig."""

    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    left_out: tuple[LeftOut, ...]
    animations: tuple[NamedAnimation, ...]
    program: str
    """What the host runs in ("Blender 5.0.1")."""
    more: Mapping[str, Any]
    """Whatever else it says, JSON."""
    arrays: Mapping[str, np.ndarray]
    """Whatever other arrays it sends."""


@dataclass(eq=False)
class HostRig:
    """A rig in another process, which is started again when it dies, and asked again for what it did not answer.

    A pose that kills it (or hangs it) twice is set aside: it is never asked for again, and `poisonous` tells why.
    """

    command: HostCommand
    source: str
    process: HostProcess | None = None
    poisonous: dict[bytes, str] = field(default_factory=dict)
    """Why, by the bytes of the pose."""
    lost: int = 0
    """How many hosts have died so far."""

    def __post_init__(self) -> None:
        self.description = _described(self)

    @property
    def spec(self) -> ControlSpec:
        """The controls that the host described."""
        return self.description.spec

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """The triangles that the host described."""
        return self.description.faces

    @property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh at the neutral controls, as the host described it."""
        return self.description.neutral

    @property
    def animations(self) -> tuple[NamedAnimation, ...]:
        """The animations that the host's file holds."""
        return self.description.animations

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The mesh of every pose, float64.

        Raises:
            BunrakuError: a pose that the rig fails at, or that kills its host; a host that dies of everything.
        """
        meshes, failed = self.outcomes(controls)
        if failed:
            first = min(failed)
            more = f" (and {len(failed) - 1} other poses)" if len(failed) > 1 else ""
            raise BunrakuError(f"{self.source}: pose {first} of {len(controls)}: {failed[first]}{more}")
        return meshes

    def outcomes(
        self, controls: Float[np.ndarray, "poses controls"]
    ) -> tuple[Float[np.ndarray, "poses vertices 3"], dict[int, str]]:
        """The mesh of every pose, NaN where there is none, and why not, by pose.

        Raises:
            BunrakuError: a host that cannot be started again, or dies of everything.
        """
        controls = np.ascontiguousarray(controls, np.float64)
        if controls.ndim != 2 or controls.shape[1] != len(self.spec):
            raise BunrakuError(f"{self.source}: controls of shape {controls.shape}; it has {len(self.spec)} controls")
        meshes = np.full((len(controls), *self.neutral.shape), np.nan)
        keys = [pose.tobytes() for pose in controls]
        failed = {pose: self.poisonous[key] for pose, key in enumerate(keys) if key in self.poisonous}
        rows = np.array([pose for pose in range(len(controls)) if pose not in failed], np.int64)
        done, each, alone = 0, False, 0
        while done < len(rows):
            batch = _Batch(rows[done:], controls, meshes, failed)
            try:
                batch.evaluate(self.running(), each=each)
                break
            except LostHostError as error:
                lost = str(error)
                self.count_loss(lost)
            except BaseException:
                self.close()  # its answers to what nobody waits for any more would be taken for those to come
                raise
            # Poses come back in their order: sent one by one, the first that is missing is the one it died of.
            alone = (1 if batch.shown else alone + 1) if each else 0
            done, each = done + batch.shown, True
            if alone == DEATHS:
                pose = int(rows[done])
                failed[pose] = self.poisonous[keys[pose]] = f"{lost} ({DEATHS} times, at this pose alone)"
                done, alone = done + 1, 0
        return meshes, failed

    def running(self) -> HostProcess:
        """The process with the rig open in it; for requests of other kinds than evaluation."""
        if self.process is None:
            self.process, again = _opened(self.command)
            if again.spec.names != self.spec.names or again.neutral.shape != self.neutral.shape:
                raise BunrakuError(f"{self.source}: its controls or mesh have changed since it was opened")
        return self.process

    def count_loss(self, lost: str) -> None:
        """The host is gone: forget it, so that another is started.

        Raises:
            BunrakuError: too many have died.
        """
        self.process = None
        self.lost += 1
        if self.lost > RESTARTS:
            raise BunrakuError(f"{self.source}: {self.lost} hosts have died, the last: {lost}")

    def close(self) -> None:
        """Stop the process; the next evaluation starts another."""
        if self.process is not None:
            self.process.kill()
            self.process = None


@dataclass(eq=False)
class _Batch:
    """Poses that are asked for, and how many of them have been answered."""

    rows: Int[np.ndarray, "asked"]
    controls: Float[np.ndarray, "poses controls"]
    meshes: Float[np.ndarray, "poses vertices 3"]
    failed: dict[int, str]
    shown: int = 0

    def evaluate(self, process: HostProcess, *, each: bool) -> None:
        vertices = self.meshes.shape[1]
        plain = {"vertices": vertices, "each": each}
        arrays = {"controls": self.controls[self.rows]}
        limit = parts_limit(24 * vertices)
        for message in process.ask(wire.EVALUATE, plain, arrays, limit=limit):
            if message.kind == wire.PART:
                self._take(process, message)
            elif message.kind == wire.DONE and self.shown < len(self.rows):
                raise process.lost(f"answered {self.shown} of {len(self.rows)} poses")

    def _take(self, process: HostProcess, message: wire.Message) -> None:
        start, said, failures = (message.plain.get(key) for key in ("start", "count", "failed"))
        count = said if isinstance(said, int) else 0
        reasons = _reasons(failures, self.shown, count)
        if start != self.shown or not 0 < count <= len(self.rows) - self.shown or reasons is None:
            raise process.lost(f"answered poses {start!r}+{said!r} where {self.shown} of {len(self.rows)} came next")
        good = [pose for pose in range(self.shown, self.shown + count) if pose not in reasons]
        shown = message.arrays.get("vertices", np.zeros((0, self.meshes.shape[1], 3), np.float32))
        if shown.shape != (len(good), *self.meshes.shape[1:]) or shown.dtype.kind != "f":
            raise process.lost(f"answered {shown.shape} of {shown.dtype} for {len(good)} meshes")
        self.meshes[self.rows[good]] = shown
        self.failed.update({int(self.rows[pose]): why for pose, why in reasons.items()})
        self.shown += count


def _reasons(failures: Any, start: int, count: int) -> dict[int, str] | None:
    """Why, by the row of the request; None where that is not what was said."""
    if not isinstance(failures, list):
        return None
    reasons: dict[int, str] = {}
    for entry in failures:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], int)):
            return None
        if not start <= entry[0] < start + count:
            return None
        reasons[entry[0]] = " ".join(str(entry[1]).split())[:500]
    return reasons


def open_host_rig(source: str, answer_s: float = 60.0) -> HostRig:
    """`host:COMMAND`: a program that speaks the protocol, such as `host:mayapy my_rig.py --scene a.ma`.

    It is code that runs: only pass on what the user named. Words are split as a shell would, but no shell reads them.

    Raises:
        BunrakuError: no command, no such program, or what it describes is no rig.
    """
    try:
        words = shlex.split(source.removeprefix("host:"))
    except ValueError as error:
        raise BunrakuError(f"{source}: {error}") from None
    if not words:
        raise BunrakuError(f"{source}: expected host:COMMAND, a program and its arguments")
    return open_rig_of(HostCommand(tuple(words), words[-1] if len(words) > 1 else words[0], answer_s=answer_s), source)


def open_rig_of(command: HostCommand, source: str) -> HostRig:
    """The rig that a host opens.

    Raises:
        BunrakuError: the host cannot be started, dies twice while it opens, or describes what is no rig.
    """
    return HostRig(command, source)


def _described(rig: HostRig) -> HostDescription:
    rig.process, description = _opened(rig.command)
    return description


def _opened(command: HostCommand) -> tuple[HostProcess, HostDescription]:
    for attempt in range(DEATHS):
        try:
            process = HostProcess(command)
            request = process.ask(wire.OPEN, command.options, limit=DESCRIPTION_BYTES, wait_s=command.start_s)
            answer = next(message for message in request if message.kind == wire.DONE)
            return process, _description(command, process, answer)
        except LostHostError as lost:
            if attempt == DEATHS - 1:
                raise BunrakuError(f"{lost} (while it opened the rig, {DEATHS} times)") from None
    raise AssertionError


def _description(command: HostCommand, process: HostProcess, answer: wire.Message) -> HostDescription:
    """What the host said, checked.

    Raises:
        BunrakuError: it is no description of a rig.
    """
    plain, arrays = dict(answer.plain), answer.arrays
    try:
        listed = [dict(entry) for entry in plain.pop("controls")]
        spec = control_spec(
            [str(entry["name"]) for entry in listed],
            *([float(entry[key]) for entry in listed] for key in ("lower", "upper", "neutral")),
            units=[str(entry.get("unit", "1")) for entry in listed],
            rotations=_triples(plain.pop("rotations", []), len(listed)),
        )
        neutral, faces = arrays["neutral"], arrays.get("faces")
        left_out = tuple(LeftOut(str(e["name"]), str(e["why"])) for e in plain.pop("left_out", []))
        animations = tuple(
            NamedAnimation(str(e["name"]), float(e.get("start", 0)), float(e.get("end", 0)))
            for e in plain.pop("animations", [])
        )
        if neutral.ndim != 2 or neutral.shape[1] != 3 or len(neutral) == 0:
            raise BunrakuError(f"a neutral mesh of shape {neutral.shape}; expected (vertices, 3)")
        if not np.isfinite(neutral).all():
            raise BunrakuError("a neutral mesh with positions that are not finite")
        checked = mesh_sequence(neutral[None], faces, name=command.name).faces
    except (KeyError, TypeError, ValueError, BunrakuError) as error:
        process.kill()
        missing = f"nothing under {error}" if isinstance(error, KeyError) else str(error)
        raise BunrakuError(f"{command.name}: the host does not describe a rig: {missing}") from None
    program = str(process.about.get("program", "a host"))[:80]
    others = {name: array for name, array in arrays.items() if name not in ("neutral", "faces")}
    return HostDescription(spec, checked, neutral.astype(np.float64), left_out, animations, program, plain, others)


def _triples(rotations: Any, count: int) -> np.ndarray:
    triples = np.asarray(rotations, np.int64).reshape(-1, 3)
    if triples.size and not (triples.min() >= 0 and triples.max() < count):
        raise BunrakuError(f"rotations of controls that are not among its {count}")
    return triples
