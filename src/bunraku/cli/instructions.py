"""Instructions as they are typed: NAME=VALUE, FRAME:NAME=VALUE, and lists of them between commas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.inversion.guidance import Instructions


def instructions(
    *, lock: str = "", freeze: str = "", drive: Path | None = None, pin: str = "", switch: str = "", twins: str = ""
) -> Instructions | None:
    """What the options say together; None where they say nothing.

    Raises:
        BunrakuError: a part that is not of its option's form; driving curves that cannot be read.
    """
    from bunraku.api import load_curves
    from bunraku.inversion.guidance import Instructions, Pin

    pins: list[Pin] = []
    for part in _parts(pin):
        frame, colon, rest = part.partition(":")
        if not colon or not _is_whole(frame):
            raise BunrakuError(f"--pin {part}: expected FRAME:NAME=VALUE")
        name, value = _setting("--pin", part, rest, "FRAME:NAME=VALUE")
        pins.append(Pin(int(frame), name, _number("--pin", part, value)))
    frozen = dict[str, float]()
    for part in _parts(freeze):
        name, value = _setting("--freeze", part, part, "NAME=VALUE")
        if name in frozen:
            raise BunrakuError(f"--freeze {part}: {name!r} is frozen at {frozen[name]:g} already")
        frozen[name] = _number("--freeze", part, value)
    switches = dict[str, list[float]]()
    for part in _parts(switch):
        name, values = _setting("--switch", part, part, "NAME=VALUE|VALUE")
        switches[name] = [_number("--switch", part, value) for value in values.split("|")]
    pairs: list[tuple[str, str]] = []
    for part in _parts(twins):
        left, equals, right = part.partition("=")
        if not equals or not left or not right:
            raise BunrakuError(f"--twins {part}: expected NAME=NAME")
        pairs.append((left, right))
    curves = None if drive is None else load_curves(drive)
    said = Instructions(tuple(_parts(lock)), frozen, curves, tuple(pins), switches, tuple(pairs))
    return said if said.given else None


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _setting(option: str, part: str, text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name or not value:
        raise BunrakuError(f"{option} {part}: expected {form}")
    return name, value


def _number(option: str, part: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BunrakuError(f"{option} {part}: {text!r} is not a number") from None


def _is_whole(text: str) -> bool:
    return text.strip().lstrip("-").isdigit()
