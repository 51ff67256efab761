"""The plain data in a pickle, read by an interpreter of the few opcodes that plain data needs; nothing is ever run.

A pickle is a program for a stack machine. Opcodes that build dicts, lists, tuples, numbers, texts and bytes do so
here. Those that would import a name or call it (GLOBAL, REDUCE, BUILD) are taken as data for the handful of names
that numpy's arrays and scalars consist of, and refused for everything else; so are all opcodes not in the tables
below. Opcodes and their operands: the comments of Python's `pickletools` and PEP 307, 3154, 574.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bunraku.core.errors import BunrakuError
from bunraku.formats.pickled_arrays import KNOWN, Array, Known, build_as_data, call_as_data

_LONGEST_LINE = 1 << 10
_HARMFUL = {
    "i": "INST", "o": "OBJ", "\x81": "NEWOBJ", "\x92": "NEWOBJ_EX", "P": "PERSID",
    "Q": "BINPERSID", "\x82": "EXT1", "\x83": "EXT2", "\x84": "EXT4",
}  # fmt: skip


def read_pickled(path: Path) -> Any:
    """The value in a pickle (protocols 1 to 5) of dicts with text keys, lists, tuples, numbers, texts, bytes, arrays.

    Raises:
        BunrakuError: missing, unreadable, truncated, no pickle, or anything in it that is not such data (named, with
            its position).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BunrakuError(f"{path}: no such file") from None
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    return _Machine(data, str(path)).run()


class _Machine:
    """The stack, the memo and the place in the program."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data: Final = data
        self.label: Final = label
        self.at = 0
        self.start = 0  # of the opcode being read
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self) -> Any:
        while True:
            self.start = self.at
            code = chr(self.take(1)[0])
            if code == ".":
                return self.plain(self.pop())
            if code in _CONSTANTS:
                self.stack.append(_CONSTANTS[code])
            elif code in _FIXED:
                self.stack.append(struct.unpack(_FIXED[code], self.take(struct.calcsize(_FIXED[code])))[0])
            elif code in _SIZED:
                self.sized(code)
            elif code in _STEPS:
                _STEPS[code](self)
            elif code in _HARMFUL:
                raise self.refused(f"opcode {_HARMFUL[code]} makes or calls an object: a pickled payload; refused")
            else:
                raise self.refused(f"opcode {code!r} is none that plain data needs; no motion, or no pickle at all")

    def refused(self, why: str) -> BunrakuError:
        return BunrakuError(f"{self.label}: byte {self.start}: {why}")

    # --- reading the program
    def take(self, count: int) -> bytes:
        left = len(self.data) - self.at
        if count > left:
            raise self.refused(f"the pickle ends early (declares {count} bytes more, {left} are left)")
        self.at += count
        return self.data[self.at - count : self.at]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_LINE)
        if end < 0:
            raise self.refused("the pickle ends early, or in a very long line")
        taken = self.data[self.at : end]
        self.at = end + 1
        return taken.decode("latin-1")

    def sized(self, code: str) -> None:
        form, kind = _SIZED[code]
        (size,) = struct.unpack(form, self.take(struct.calcsize(form)))
        if kind == "integer" and size > 8:
            raise self.refused(f"a whole number of {size} bytes; at most 8 are read")
        if size < 0:
            raise self.refused(f"declares {size} bytes")
        content = self.take(size)
        if kind == "text":
            try:
                self.stack.append(content.decode("utf-8", "surrogatepass"))
            except UnicodeDecodeError:
                raise self.refused("a text that is not UTF-8") from None
        else:
            self.stack.append(content if kind == "bytes" else int.from_bytes(content, "little", signed=True))

    # --- the stack
    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.refused("the pickle takes more from its stack than it put there")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise self.refused("the pickle refers to a mark that it did not set")
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def top(self, kind: type[Any]) -> Any:
        value = self.pop()
        self.stack.append(value)
        if not isinstance(value, kind):
            raise self.refused(f"adds to a {type(value).__name__} as if it were a {kind.__name__}")
        return value

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def discard(self) -> None:
        self.pop()

    def discard_to_mark(self) -> None:
        self.since_mark()

    def push_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def update(self, target: dict[str, Any], items: list[Any]) -> None:
        if len(items) % 2:
            raise self.refused("a dict with a key and no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise self.refused(f"a key that is a {type(key).__name__}; expected texts")
            target[key] = value

    def push_dict(self) -> None:
        made: dict[str, Any] = {}
        self.update(made, self.since_mark())
        self.stack.append(made)

    def set_items(self) -> None:
        items = self.since_mark()
        self.update(self.top(dict), items)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.update(self.top(dict), [key, value])

    def number_line(self, read: Callable[[str], float]) -> None:
        text = self.line()
        try:
            self.stack.append(read(text))
        except ValueError:
            raise self.refused(f"{text[:40]!r} is no number") from None

    def header(self) -> None:
        version = self.take(1)[0]
        if version > 5:
            raise self.refused(f"pickle protocol {version}; 1 to 5 are read")

    def frame(self) -> None:
        (size,) = struct.unpack("<Q", self.take(8))
        if size > len(self.data) - self.at:
            left = len(self.data) - self.at
            raise self.refused(f"the pickle ends early (declares {size} bytes more, {left} are left)")

    # --- the memo
    def store(self, key: int) -> None:
        self.memo[key] = self.top(object)

    def fetch(self, key: int) -> None:
        if key not in self.memo:
            raise self.refused(f"refers to memo {key}, which is not there")
        self.stack.append(self.memo[key])

    def memo_line(self) -> int:
        text = self.line()
        if not text.isdecimal():
            raise self.refused(f"{text[:40]!r} is no place in the memo")
        return int(text)

    # --- names and calls, as data
    def name(self, module: Any, name: Any) -> None:
        role = KNOWN.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if role is None:
            shown = f"{str(module)[:60]}.{str(name)[:60]}" if isinstance(module, str) else "a name"
            raise self.refused(f"names {shown!r}, which no motion needs: a pickled payload; refused")
        self.stack.append(Known(role))

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def call(self) -> None:
        given, called = self.pop(), self.pop()
        if isinstance(given, tuple) and len(given) == 2 and called == Known("bytes"):
            # One text in the memo could be encoded again and again: that is counted.
            self.encoded += len(given[0]) if isinstance(given[0], str) else 0
        if self.encoded > len(self.data):
            raise self.refused("more bytes than the file has")
        try:
            self.stack.append(call_as_data(called, given))
        except ValueError as error:
            raise self.refused(str(error)) from None

    def build(self) -> None:
        state, target = self.pop(), self.top(object)
        try:
            build_as_data(target, state)
        except ValueError as error:
            raise self.refused(str(error)) from None

    def plain(self, value: Any) -> Any:
        """The value without our placeholders: the top level and what dicts and lists hold at their first level."""
        if isinstance(value, dict):
            return {key: self.unwrap(held) for key, held in value.items()}
        return self.unwrap(value)

    def unwrap(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.content(held) for held in value]
        return self.content(value)

    def content(self, value: Any) -> Any:
        if isinstance(value, Array):
            if value.content is None:
                raise self.refused("an array without content")
            return value.content
        return value


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError("at most 64 bits are read")
    return int(text)


def _boolean_or_integer(text: str) -> int:
    return {"00": False, "01": True}[text] if text in ("00", "01") else _integer(text)


_CONSTANTS: Mapping[str, Any] = {"N": None, "\x88": True, "\x89": False, ")": ()}
_FIXED: Mapping[str, str] = {"J": "<i", "K": "<B", "M": "<H", "G": ">d"}
_SIZED: Mapping[str, tuple[str, str]] = {
    "X": ("<I", "text"), "\x8c": ("<B", "text"), "\x8d": ("<Q", "text"),
    "B": ("<I", "bytes"), "C": ("<B", "bytes"), "\x8e": ("<Q", "bytes"), "\x96": ("<Q", "bytes"),
    "\x8a": ("<B", "integer"), "\x8b": ("<i", "integer"),
}  # fmt: skip
_STEPS: Mapping[str, Callable[[_Machine], None]] = {
    "\x80": _Machine.header,
    "\x95": _Machine.frame,
    "(": _Machine.mark,
    "0": _Machine.discard,
    "1": _Machine.discard_to_mark,
    "2": lambda machine: machine.stack.append(machine.top(object)),
    "]": lambda machine: machine.stack.append([]),
    "}": lambda machine: machine.stack.append({}),
    "l": lambda machine: machine.stack.append(machine.since_mark()),
    "t": lambda machine: machine.stack.append(tuple(machine.since_mark())),
    "\x85": lambda machine: machine.push_tuple(1),
    "\x86": lambda machine: machine.push_tuple(2),
    "\x87": lambda machine: machine.push_tuple(3),
    "a": lambda machine: machine.extend([machine.pop()]),
    "e": lambda machine: machine.extend(machine.since_mark()),
    "d": _Machine.push_dict,
    "s": _Machine.set_item,
    "u": _Machine.set_items,
    "I": lambda machine: machine.number_line(_boolean_or_integer),
    "L": lambda machine: machine.number_line(lambda text: _integer(text.removesuffix("L"))),
    "F": lambda machine: machine.number_line(float),
    "p": lambda machine: machine.store(machine.memo_line()),
    "q": lambda machine: machine.store(machine.take(1)[0]),
    "r": lambda machine: machine.store(struct.unpack("<I", machine.take(4))[0]),
    "\x94": lambda machine: machine.store(len(machine.memo)),
    "g": lambda machine: machine.fetch(machine.memo_line()),
    "h": lambda machine: machine.fetch(machine.take(1)[0]),
    "j": lambda machine: machine.fetch(struct.unpack("<I", machine.take(4))[0]),
    "c": lambda machine: machine.name(machine.line(), machine.line()),
    "\x93": _Machine.stack_name,
    "R": _Machine.call,
    "b": _Machine.build,
}
