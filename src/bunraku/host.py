"""A rig or a simulation that lives in another program, served over pipes: the far side of `bunraku.rigs.host`.

Needs the standard library and numpy (1.20 or newer) alone, on Python 3.9 or newer, and is made to be copied: into
Blender's Python, mayapy, or a tool of one's own. `docs/hosts.md` describes the bytes and shows a host of ten lines.
Whatever is received is numbers, arrays and texts; nothing of it is ever executed.
"""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

MAGIC = b"BNRK"
VERSION = 1
HEAD = struct.Struct("<4sHHIIQ")
"""magic, version, kind, number of the request, length of the JSON text, length of the arrays: 24 bytes."""
MAX_TEXT = 1 << 24
MAX_ARRAYS = 1 << 30
DTYPES = ("<f4", "<f8", "<i4", "<i8", "|u1", "|b1")
MAX_AXES = 4

# What is asked. Numbers up to 1023 are this project's, those above are free for the hosts of others.
HELLO, OPEN, EVALUATE, STOP = 1, 2, 3, 4
RESET, ACT, STEP, OBSERVE = 16, 17, 18, 19
# What is answered: any number of PARTs and NOTEs, then one DONE or FAILED, each with the number of the request.
DONE, PART, NOTE, FAILED = 128, 129, 130, 131

SCRATCH = "BUNRAKU_SCRATCH"
"""The variable that names a host's own folder for temporary files, which goes when it ends."""
SEND_EVERY_S = 0.1
SEND_EVERY_BYTES = 4 << 20
GRACE_S = 1.0


class ProtocolError(ValueError):
    """What was received is not a message of this protocol."""


class Message(NamedTuple):
    """One message: what it is, which request it belongs to, JSON values by name, arrays by name."""

    kind: int
    number: int
    plain: dict[str, Any]
    arrays: dict[str, np.ndarray]


Handler = Callable[[Message], Iterator[tuple[int, dict, dict]]]
"""Answers a request: yields (PART or NOTE, plain, arrays), last (DONE, plain, arrays). An exception becomes FAILED."""


def write(stream: io.BufferedIOBase, message: Message) -> None:
    """Send a message.

    Raises:
        ProtocolError: an array of a type that is not sent, or too much of anything.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    layout = [(name, _sent_as(name, array), array.shape) for name, array in arrays.items()]
    text = json.dumps({"plain": message.plain, "arrays": layout}, allow_nan=False).encode("utf-8")
    parts = [arrays[name].astype(dtype, copy=False) for name, dtype, _ in layout]
    size = sum(part.nbytes for part in parts)
    if len(text) > MAX_TEXT or size > MAX_ARRAYS:
        raise ProtocolError(f"a message of {len(text)} and {size} bytes is too long to send")
    stream.write(HEAD.pack(MAGIC, VERSION, message.kind, message.number, len(text), size) + text)
    for part in parts:
        if part.size:
            stream.write(part.reshape(-1).view(np.uint8).data)
    stream.flush()


def read(
    stream: io.BufferedIOBase,
    limit: Callable[[], int] = lambda: MAX_ARRAYS,
    skip: int = 0,
) -> Message | None:
    """The next message; None where the stream ends between messages.

    Arrays of more than `limit()` bytes in all are refused before memory is taken. Up to `skip` bytes before the message
    are passed over: programs greet before their script runs.

    Raises:
        ProtocolError: something else than a message, one of another version, or one that is cut short.
    """
    head = _head(stream, skip)
    if head is None:
        return None
    _, version, kind, number, text_size, size = HEAD.unpack(head)
    if version != VERSION:
        raise ProtocolError(f"version {version} of the protocol; this side speaks {VERSION}")
    if text_size > MAX_TEXT:
        raise ProtocolError(f"a header of {text_size} bytes; at most {MAX_TEXT} are read")
    if size > limit():
        raise ProtocolError(f"arrays of {size} bytes; at most {limit()} were expected")
    plain, layout = _header(_exactly(stream, text_size), size)
    arrays = {name: _array(stream, dtype, shape) for name, dtype, shape in layout}
    return Message(kind, number, plain, arrays)


def _sent_as(name: str, array: np.ndarray) -> str:
    dtype = array.dtype.newbyteorder("<").str
    if dtype not in DTYPES or array.ndim > MAX_AXES:
        raise ProtocolError(f"array {name!r} of {array.dtype} and {array.ndim} axes cannot be sent")
    return dtype


def _head(stream: io.BufferedIOBase, skip: int) -> bytes | None:
    head = _some(stream, HEAD.size)
    passed = 0
    while head[:4] != MAGIC:
        place = head.find(MAGIC[:1], 1)
        place = len(head) if place < 0 else place
        passed += place
        if passed > skip or len(head) < HEAD.size:
            if not head or (skip and len(head) < HEAD.size):
                return None
            raise ProtocolError(f"{bytes(head[:24])!r} is not the beginning of a message")
        head = head[place:]
        head += _some(stream, HEAD.size - len(head))
    if len(head) < HEAD.size:
        raise ProtocolError("a message that is cut short")
    return head


def _header(text: bytes, size: int) -> tuple[dict, list[tuple[str, np.dtype, tuple[int, ...]]]]:
    """The JSON values, and name, type and shape of each array, which together have the announced size."""
    try:
        header = json.loads(text.decode("utf-8"))
        plain, layout = header["plain"], [(name, dtype, tuple(shape)) for name, dtype, shape in header["arrays"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"a header that cannot be read ({type(error).__name__})") from None
    total = 0
    for name, dtype, shape in layout:
        if not isinstance(name, str) or dtype not in DTYPES or len(shape) > MAX_AXES:
            raise ProtocolError(f"an array that is announced as {str(dtype)[:20]!r} with {len(shape)} axes")
        if not all(type(length) is int and 0 <= length <= MAX_ARRAYS for length in shape):
            raise ProtocolError(f"array {name[:40]!r}: a shape of {str(shape)[:60]}")
        count = 1
        for length in shape:
            count *= length
        total += count * np.dtype(dtype).itemsize
    if not isinstance(plain, dict) or len({name for name, _, _ in layout}) != len(layout):
        raise ProtocolError("a header that is no table of values and of arrays of different names")
    if total != size:
        raise ProtocolError(f"arrays that are announced as {total} bytes and as {size}")
    return plain, [(name, np.dtype(dtype), shape) for name, dtype, shape in layout]


def _array(stream: io.BufferedIOBase, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype)
    if array.size:
        target = memoryview(array.reshape(-1).view(np.uint8).data)
        filled = 0
        while filled < len(target):
            got = stream.readinto(target[filled : filled + (1 << 20)])
            if not got:
                raise ProtocolError("a message that is cut short")
            filled += got
    return array


def _exactly(stream: io.BufferedIOBase, size: int) -> bytes:
    data = _some(stream, size)
    if len(data) < size:
        raise ProtocolError("a message that is cut short")
    return data


def _some(stream: io.BufferedIOBase, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        part = stream.read(min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def serve(handlers: dict[int, Handler], program: str) -> None:
    """Answer requests until the other side is gone or says STOP. Call it once, last.

    `handlers` by the kind of request (OPEN, EVALUATE, RESET, …); `program` says who answers ("Blender 5.0.1").
    Standard input and output become the pipes; what the program prints goes to standard error from here on.
    """
    requests, replies = _take_pipes()
    inbox: queue.Queue[Message | None] = queue.Queue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()
    try:
        while True:
            message = inbox.get()
            if message is None or message.kind == STOP:
                break
            _answer(handlers, program, message, replies)
    except BrokenPipeError:
        pass  # nobody is left to tell
    _leave(0)


def _leave(status: int) -> NoReturn:
    """Embedded interpreters crash now and then when they are taken down in the middle of a script."""
    sys.stderr.flush()
    if os.environ.get(SCRATCH):
        # Who would remove it may have been killed, and this process ends without looking back.
        shutil.rmtree(os.environ[SCRATCH], ignore_errors=True)
    os._exit(status)


def _answer(handlers: dict[int, Handler], program: str, message: Message, replies: io.BufferedIOBase) -> None:
    if message.kind == HELLO:
        write(replies, Message(DONE, message.number, {"program": program, "kinds": sorted(handlers)}, {}))
        return
    handler = handlers.get(message.kind)
    if handler is None:
        why = f"this host does not answer requests of kind {message.kind}"
        write(replies, Message(FAILED, message.number, {"why": why}, {}))
        return
    try:
        for kind, plain, arrays in handler(message):
            write(replies, Message(kind, message.number, plain, arrays))
    except BrokenPipeError:
        raise
    except Exception as error:
        write(replies, Message(FAILED, message.number, {"why": said(error)}, {}))


def said(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())[:600]
    if isinstance(error, MistakeError):
        return text
    places = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(places[-1].filename)} line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"


class MistakeError(Exception):
    """A mistake of the user's: its text is passed on as it is."""


def _take_pipes() -> tuple[io.BufferedIOBase, io.BufferedIOBase]:
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, replies


def _listen(requests: io.BufferedIOBase, inbox: queue.Queue[Message | None]) -> None:
    try:
        while True:
            message = read(requests)
            if message is None:
                break
            inbox.put(message)
    except (ProtocolError, OSError) as error:
        print(f"bunraku host: {error}", file=sys.stderr)
    # The other side is gone. What is being evaluated now, nobody waits for.
    inbox.put(None)
    time.sleep(GRACE_S)
    _leave(1)


def serve_rig(
    describe: Callable[..., dict[str, Any]],
    pose: Callable[[np.ndarray], np.ndarray],
    program: str = "a host",
    more: dict[int, Handler] | None = None,
) -> None:
    """Serve a rig until the other side is gone.

    `describe(**options)` returns `controls` (a list of `{"name", "lower", "upper", "neutral", "unit"}`), `neutral`
    (V, 3) and `faces` (T, 3) arrays, and optionally `rotations` (triples of control numbers that are a rotation
    vector), `left_out` (a list of `{"name", "why"}`), `animations` (a list of `{"name"}`) and anything else that JSON
    can say. `pose` takes the values of all controls (C,) and returns vertices (V, 3), float32 or float64; what it
    raises is reported as the failure of that pose alone. `more` answers further kinds of request.
    """
    serve({OPEN: lambda message: _opened(describe, message), EVALUATE: evaluator(pose), **(more or {})}, program)


def _opened(describe: Callable[..., dict], message: Message) -> Iterator[tuple[int, dict, dict]]:
    about = dict(describe(**message.plain))
    arrays = {name: about.pop(name) for name in list(about) if isinstance(about[name], np.ndarray)}
    yield DONE, about, arrays


def evaluator(pose: Callable[[np.ndarray], np.ndarray]) -> Handler:
    """The handler of EVALUATE around a function of one pose.

    Meshes are sent as they come, so that the other side knows how far this one had come if it dies; with `each` in
    the request after every single one.
    """

    def evaluate(message: Message) -> Iterator[tuple[int, dict, dict]]:
        each = bool(message.plain.get("each"))
        controls = message.arrays["controls"]
        vertices = message.plain.get("vertices")
        held: list[np.ndarray] = []
        failed: list[list] = []
        first, since = 0, time.monotonic()
        for row in range(len(controls)):
            mesh, why = _posed(pose, controls[row], vertices)
            if mesh is None:
                failed.append([row, why])
            else:
                held.append(mesh)
            full = held and len(held) * held[-1].nbytes >= SEND_EVERY_BYTES
            if each or full or time.monotonic() - since >= SEND_EVERY_S or row + 1 == len(controls):
                shown = {"vertices": np.stack(held)} if held else {}
                yield PART, {"start": first, "count": row + 1 - first, "failed": failed}, shown
                held, failed, first, since = [], [], row + 1, time.monotonic()
        yield DONE, {}, {}

    return evaluate


def _posed(
    pose: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    vertices: int | None,
) -> tuple[np.ndarray | None, str]:
    try:
        mesh = np.asarray(pose(values))
    except Exception as error:
        return None, said(error)
    if mesh.shape != (vertices, 3):
        return None, f"the mesh has shape {mesh.shape}; at neutral it had {(vertices, 3)}"
    return mesh.astype(np.float32 if mesh.dtype.itemsize <= 4 else np.float64, copy=False), ""


def serve_simulation(open_world: Callable[..., tuple[dict[str, Any], Any]], program: str = "a host") -> None:
    """Serve simulated characters, all alike and side by side, until the other side is gone.

    `open_world(count=…, frames=…, **options)` returns what is to be told of the world (JSON) and the world: an object
    with `reset(qpos, qvel)`, which puts all characters into these positions and velocities (count, …), `act(controls)`,
    which sets what their actuators do from now on (count, …), `step()`, one control step of all, and `observe()`, their
    (qpos, qvel) now. Opening again replaces the world.
    """
    held: dict[str, Any] = {}

    def opened(message: Message) -> Iterator[tuple[int, dict, dict]]:
        about, held["world"] = open_world(**message.plain)
        yield DONE, about, {}

    def answering(do: Callable[[Any, Message], dict[str, np.ndarray]]) -> Handler:
        def answer(message: Message) -> Iterator[tuple[int, dict, dict]]:
            if "world" not in held:
                raise MistakeError("no simulation is open")
            yield DONE, {}, do(held["world"], message)

        return answer

    def reset(world: Any, message: Message) -> dict[str, np.ndarray]:
        world.reset(message.arrays["qpos"], message.arrays["qvel"])
        return {}

    def act(world: Any, message: Message) -> dict[str, np.ndarray]:
        world.act(message.arrays["controls"])
        return {}

    def step(world: Any, message: Message) -> dict[str, np.ndarray]:
        world.step()
        return {}

    def observe(world: Any, message: Message) -> dict[str, np.ndarray]:
        qpos, qvel = world.observe()
        return {"qpos": np.asarray(qpos, np.float64), "qvel": np.asarray(qvel, np.float64)}

    handlers = {RESET: reset, ACT: act, STEP: step, OBSERVE: observe}
    serve({OPEN: opened, **{kind: answering(do) for kind, do in handlers.items()}}, program)
