"""Frames solved while they come in: from a stream of bytes to a line of JSON each, and a take at the end."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bunraku.api.doors import loaded_model, open_rig
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.api.frame_queue import FrameQueue
    from bunraku.api.stream_record import StreamRecord
    from bunraku.core.rig import DifferentiableRig, Rig
    from bunraku.formats.frame_stream import ByteSource, FrameHeader
    from bunraku.inversion.stream import Stream, StreamConfig, Streamed

Residual = Literal["auto", "rig", "model"]

TRUE_SHARE = 0.1  # of a frame's time: what one evaluation of the true rig may take to be asked in every frame
DIFFERENCE_SHARE = 0.25  # the same for all the evaluations of a finite-difference Jacobian


@dataclass(frozen=True)
class QueueConfig:
    """What happens to frames that come faster than they are solved."""

    waiting: int = 2
    """At most so many frames wait; of more, the oldest are dropped and counted."""
    every_frame: bool = False
    """Drop none: whoever sends must wait instead, and latency has no bound."""


def stream(
    rig: str,
    source: ByteSource,
    send: Callable[[str], object],
    cfg: StreamConfig | None = None,
    *,
    model: Path | None = None,
    controls: tuple[str, ...] = (),
    lock: tuple[str, ...] = (),
    freeze: Mapping[str, float] | None = None,
    fps: Fraction | None = None,
    residual: Residual = "auto",
    queue: QueueConfig | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    name: str = "standard input",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Solve the frames of `source` (docs/stream.md says how they are framed) until it ends, and `send` a line of JSON
    for each; with `out` the curves become a take there, also when the stream breaks off. Controls that match `lock`
    stay at neutral, those in `freeze` at their values.

    Returns what was counted: frames, dropped frames, latencies, errors.

    Raises:
        BunrakuError: a first line that does not fit the rig or `fps`, a frame that is cut off, a rig that is too slow
            to be solved on without a model; before anything is sent, except for the cut-off frame.
    """
    from bunraku.api.frame_queue import FrameQueue
    from bunraku.api.stream_record import StreamRecord
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import diagonal
    from bunraku.core.take import KIND, save_take
    from bunraku.formats.frame_stream import read_frames, read_header
    from bunraku.inversion.stream import StreamConfig

    cfg, queue = cfg or StreamConfig(), queue or QueueConfig()
    if queue.waiting < 1:
        raise BunrakuError(f"--waiting {queue.waiting}: at least 1 frame has to wait")
    opened = open_rig(rig)
    header = read_header(source, name)
    _check(header, opened, rig, fps, name)
    held = _held(opened, lock, freeze or {})
    solver, measured_on = _solver(opened, rig, model, controls, held, header.fps, residual, cfg)
    settings = {**_settings(rig, model, controls, cfg, queue, name), "held": held}
    if out is not None:
        artifact.open_output(out, KIND, settings, overwrite=overwrite)
    record = StreamRecord(solver.spec, header.vertices, diagonal(opened.neutral), out is not None)
    frames = FrameQueue(read_frames(source, header, name), queue.waiting, queue.every_frame)
    try:
        _said(send, {"rig": rig, "controls": list(solver.spec.names), "fps": float(header.fps)})
        _solve(solver, frames, record, send, progress)
    except (BrokenPipeError, ConnectionResetError):
        pass  # whoever read our lines has gone: that is the end of the stream
    finally:
        # Also after Ctrl-C or a cut-off frame: what was solved is kept.
        frames.close()
        metrics = record.metrics(frames.dropped)
        if out is not None and record.solved:
            save_take(out, record.take(opened.spec, held, header.fps, metrics, settings))
    said = {"measured_on": measured_on, "fps": float(header.fps)}
    return {**metrics.values, **said, **({} if out is None else {"path": str(out)})}


def _solve(
    solver: Stream,
    frames: FrameQueue,
    record: StreamRecord,
    send: Callable[[str], object],
    progress: Progress,
) -> None:
    before = -1
    for waiting in frames:
        solved = solver.push(waiting.vertices, elapsed=waiting.number - before)
        before = waiting.number
        latency_ms = 1e3 * (time.perf_counter() - waiting.arrived_s)
        record.add(waiting.number, solved, latency_ms)
        _said(send, _line(waiting.number, solved, latency_ms, frames.dropped))
        progress("stream", record.solved, record.solved, f"frame {waiting.number}, {latency_ms:.1f} ms")


def _line(number: int, solved: Streamed, latency_ms: float, dropped: int) -> dict[str, Any]:
    error = None if math.isnan(solved.error) else solved.error
    about = {"latency_ms": round(latency_ms, 3), "error": error, "dropped": dropped}
    return {"frame": number, "controls": solved.controls.tolist(), **about, **({"cut": True} if solved.cut else {})}


def _said(send: Callable[[str], object], value: Mapping[str, Any]) -> None:
    send(json.dumps(value, allow_nan=False) + "\n")


def _check(header: FrameHeader, rig: Rig, source: str, fps: Fraction | None, name: str) -> None:
    from bunraku.core.errors import BunrakuError

    if header.vertices != len(rig.neutral):
        raise BunrakuError(
            f"{name}: has {header.vertices} vertices, {source} has {len(rig.neutral)}; they must correspond one to one"
        )
    if fps is not None and fps != header.fps:
        raise BunrakuError(f"{name}: its first line says {header.fps} frames per second, --fps says {fps}")


def _held(rig: Rig, lock: tuple[str, ...], freeze: Mapping[str, float]) -> dict[str, float]:
    """What stays where: by name, in the controls' own units."""
    from bunraku.core.errors import BunrakuError

    spec = rig.spec
    held = {spec.names[column]: float(spec.neutral[column]) for column in (spec.select(lock) if lock else ())}
    for name, value in freeze.items():
        spec.index(name)
        if name in held:
            raise BunrakuError(f"control {name!r} is locked at {held[name]:g} and frozen at {value:g}")
        held[name] = value
    return held


def _settings(
    rig: str, model: Path | None, controls: tuple[str, ...], cfg: StreamConfig, queue: QueueConfig, name: str
) -> dict[str, Any]:
    from bunraku.core import artifact
    from bunraku.rigs.open import rig_identity

    made_with = None if model is None else {"path": str(model), "sha256": artifact.file_hash(model / artifact.MANIFEST)}
    return {
        # No two streams are the same: a finished take of an earlier one must not be repeated, nor be written over.
        "session": uuid.uuid4().hex,
        **asdict(cfg),
        **asdict(queue),
        "capture": {"path": name, "sha256": None},
        "rig": rig_identity(rig),
        "controls": list(controls),
        "model": made_with,
    }


def _solver(
    rig: Rig,
    source: str,
    model: Path | None,
    controls: tuple[str, ...],
    held: Mapping[str, float],
    fps: Fraction,
    residual: Residual,
    cfg: StreamConfig,
) -> tuple[Stream, str]:
    """The solver, and which rig its errors are measured on."""
    from bunraku.core.errors import BunrakuError
    from bunraku.core.rig import DifferentiableRig, hold, restrict
    from bunraku.inversion.stream import Stream
    from bunraku.rigs.recorded import RecordedRig

    if model is None:
        moving = restrict(rig, controls)
        moving = hold(moving, {name: value for name, value in held.items() if name in moving.spec.names})
        on = moving if isinstance(moving, DifferentiableRig) else _by_differences(moving, source, fps)
        return Stream(on, cfg), "rig"
    approximation = loaded_model(model)
    if len(approximation.neutral) != len(rig.neutral):
        raise BunrakuError(f"{model}: has {len(approximation.neutral)} vertices, {source} has {len(rig.neutral)}")
    moving = restrict(rig, tuple(approximation.spec.names))
    if moving.spec.names != approximation.spec.names:
        raise BunrakuError(f"{model}: has the controls of {source} in another order; fit it again")
    if controls and set(moving.spec.names) != set(restrict(rig, controls).spec.names):
        raise BunrakuError(f"{model}: moves other controls than --controls names; give one or the other")
    recorded = isinstance(rig, RecordedRig)
    if recorded and residual == "rig":
        raise BunrakuError(f"--residual rig: {source} are recorded samples, which cannot be evaluated anew")
    asked = residual == "rig" or (
        residual == "auto" and not recorded and _evaluation_s(moving) < TRUE_SHARE / float(fps)
    )
    stays = {name: value for name, value in held.items() if name in moving.spec.names}
    on, moving = hold(approximation, stays), hold(moving, stays)
    assert isinstance(on, DifferentiableRig)
    return Stream(on, cfg, evaluate=moving.evaluate if asked else None), "rig" if asked else "model"


def _by_differences(rig: Rig, source: str, fps: Fraction) -> DifferentiableRig:
    from bunraku.core.errors import BunrakuError
    from bunraku.inversion.refine import FiniteDifferences, difference_step
    from bunraku.rigs.recorded import RecordedRig

    advice = "make a model (bunraku rig sample, bunraku rig fit) and name it with --model"
    if isinstance(rig, RecordedRig):
        raise BunrakuError(f"{source}: recorded samples cannot be evaluated anew; {advice}")
    needed_s = _evaluation_s(rig, len(rig.spec) + 1)
    if needed_s > DIFFERENCE_SHARE / float(fps):
        frame = f"a frame lasts {1e3 / float(fps):.1f} ms"
        slow = f"knows no derivatives, and differences take {1e3 * needed_s:.1f} ms where {frame}"
        raise BunrakuError(f"{source}: {slow}; {advice}")
    return FiniteDifferences(rig, difference_step(rig))


def _evaluation_s(rig: Rig, poses: int = 1) -> float:
    """Seconds for so many poses at once, the least of a few tries: the first may have to load things."""
    batch = np.tile(rig.spec.neutral, (poses, 1))
    tries: list[float] = []
    for _ in range(4):
        started = time.perf_counter()
        rig.evaluate(batch)
        tries.append(time.perf_counter() - started)
    return min(tries)
