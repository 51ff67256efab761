"""Solved curves brought home to Blender: a copy of the .blend file with keys on the controls, played again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku import host as wire
from bunraku.core.errors import BunrakuError
from bunraku.rigs.blender_curves import Channel, FCurve, channels_of
from bunraku.rigs.host import HostRig
from bunraku.rigs.host_process import HostProcess, LostHostError, parts_limit

# As in integrations/blender/bunraku_blender/home.py.
CHANNELS, SURVEY, WRITE, PLAY = 32, 33, 34, 35
SURVEYED_BYTES = 1 << 30


@dataclass(frozen=True)
class Shot:
    """What a copy is written for."""

    name: str
    """What the action is called."""
    start: int
    """First frame."""
    frames: int
    fps: Fraction


@dataclass(frozen=True, eq=False)
class Beneath:
    """What a file's own animation does to the channels that a layer will be added to."""

    values: Float[np.ndarray, "frames curves"]
    fps: Fraction
    others: tuple[str, ...]
    """Paths of what it moves besides."""


def blender_channels(rig: HostRig) -> tuple[Channel, ...]:
    """Where the controls of a Blender rig are in its file."""
    return channels_of(rig.spec.names, _tell(rig.running(), CHANNELS, {}, {}).plain["channels"])


class BlenderFile:
    """A .blend file in a Blender of its own, to be written from and played. Close it."""

    def __init__(self, rig: HostRig) -> None:
        more = rig.description.more
        options = dict(rig.command.options)
        self.options = {**options, "object": more["object"]}
        self.wait_s = rig.command.start_s
        try:
            self.process = HostProcess(rig.command)
        except LostHostError as lost:
            raise BunrakuError(str(lost)) from None

    def close(self) -> None:
        """End the process."""
        self.process.kill()

    def __enter__(self) -> BlenderFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def survey(self, shot: Shot, curves: Sequence[FCurve]) -> Beneath:
        """What is beneath a layer with these curves (that change nothing), frame by frame.

        Raises:
            BunrakuError: an object that cannot be animated, a track that plays alone.
        """
        plain, arrays = _curves(curves)
        asked = {**self.options, **plain, "name": shot.name, "start": shot.start, "frames": shot.frames}
        answer = _tell(self.process, SURVEY, asked, arrays, limit=SURVEYED_BYTES, wait_s=self._patience(shot))
        rate, base = answer.plain["fps"]
        fps = Fraction(rate) / Fraction(base).limit_denominator(10_000)
        return Beneath(answer.arrays["values"].astype(np.float64), fps, tuple(answer.plain["beneath"]))

    def write(self, to: Path, shot: Shot, curves: Sequence[FCurve], *, layer: bool) -> bool:
        """Write the copy; whether its action has slots.

        Raises:
            BunrakuError: an object that cannot be animated, a file that cannot be written.
        """
        plain, arrays = _curves(curves)
        rate, base = blender_rate(shot.fps)
        asked = {
            **self.options,
            **plain,
            "name": shot.name,
            "start": shot.start,
            "frames": shot.frames,
            "fps": rate,
            "fps_base": base,
            "layer": layer,
            "to": str(to.resolve()),
            "compress": not _plain(Path(self.options["path"])),
        }
        return bool(_tell(self.process, WRITE, asked, arrays, wait_s=self.wait_s).plain["slotted"])

    def play(self, path: Path, shot: Shot, vertices: int) -> Iterator[tuple[int, np.ndarray]]:
        """First row and meshes (frames, V, 3) of a file that is written, as Blender plays it, part by part.

        Raises:
            BunrakuError: a mesh of another number of vertices.
        """
        frames = list(range(shot.start, shot.start + shot.frames))
        asked = {**self.options, "path": str(path.resolve()), "frames": frames}
        limit = parts_limit(24 * vertices)
        try:
            for message in self.process.ask(PLAY, asked, limit=limit, wait_s=self.wait_s):
                if message.kind == wire.PART:
                    meshes = message.arrays["vertices"].astype(np.float64)
                    if meshes.shape[1:] != (vertices, 3):
                        raise BunrakuError(f"{path}: has {meshes.shape[1]} vertices when played, the rig {vertices}")
                    yield int(message.plain["start"]), meshes
        except LostHostError as lost:
            raise BunrakuError(str(lost)) from None

    def _patience(self, shot: Shot) -> float:
        return self.wait_s + shot.frames


def blender_rate(fps: Fraction) -> tuple[int, float]:
    """A frame rate as Blender holds it: a whole number, divided by a number; 24000/1001 is 24 / 1.001.

    Raises:
        BunrakuError: faster or slower than Blender plays.
    """
    rate = max(1, round(fps))
    if not (rate <= 32767 and fps > Fraction(1, 1000)):
        raise BunrakuError(f"a rate of {fps} frames/s: Blender plays up to 32767")
    return rate, float(Fraction(rate) / fps)


def _curves(curves: Sequence[FCurve]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    listed = [[*f.block, f.path, f.index, f.group, len(f.keys)] for f in curves]
    rows = [
        np.stack([own.frames, own.values, own.slope_in, own.slope_out, [way == "step" for way in own.interpolation]], 1)
        for own in (f.keys for f in curves)
    ]
    return {"curves": listed}, {"keys": np.concatenate(rows) if rows else np.zeros((0, 5))}


def _tell(
    process: HostProcess,
    kind: int,
    plain: dict[str, Any],
    arrays: dict[str, np.ndarray],
    *,
    limit: int = 1 << 20,
    wait_s: float = 300.0,
) -> wire.Message:
    try:
        return process.tell(kind, plain, arrays, limit=limit, wait_s=wait_s)
    except LostHostError as lost:
        raise BunrakuError(str(lost)) from None


def _plain(path: Path) -> bool:
    """Whether a .blend file is not compressed."""
    with path.open("rb") as file:
        return file.read(7) == b"BLENDER"
