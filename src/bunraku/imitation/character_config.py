"""What a user says about a character in a small file beside its MJCF: `mycharacter.toml` for `mycharacter.xml`."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from bunraku.core.errors import BunrakuError, unknown_name


@dataclass(frozen=True)
class ServoConfig:
    """What is said about the servos of some joints; None: found out."""

    kp: float | None = None
    """Stiffness [N m/rad]."""
    kd: float | None = None
    """Damper [N m s/rad]; a tenth of kp unless said."""
    limit: float | None = None
    """Bound of spring plus damper [N m]."""


@dataclass(frozen=True)
class CharacterConfig:
    """The file's keys. Names of joints may be patterns (`"hip_*"`); of several that fit, the last counts."""

    control_hz: float | None = None
    """Actions per second."""
    physics_hz: float | None = None
    """Physics steps per second, a multiple of `control_hz`."""
    action_rad: float | None = None
    """What one unit of action adds to a servo's target [rad]."""
    effectors: tuple[str, ...] | None = None
    """Bodies or sites whose places the reward compares."""
    fall: tuple[str, ...] | None = None
    """Bodies whose touch of the ground ends an episode."""
    servo: Mapping[str, ServoConfig] = field(default_factory=dict[str, ServoConfig])
    """By joint."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share of each joint in the reward, by joint; scaled together."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """By body or joint: a part of the body ("left_knee", "spine") or the clip's joint; empty: stays at rest."""
    source: str = ""
    """The file, for messages."""


def config_beside(path: Path) -> CharacterConfig:
    """The config file beside an MJCF file; without one, nothing is said.

    Raises:
        BunrakuError: the file is not TOML, has an unknown key or a value of the wrong kind.
    """
    file = path.with_suffix(".toml")
    return read_config(file) if file.is_file() else CharacterConfig()


def read_config(file: Path) -> CharacterConfig:
    """Read a config file.

    Raises:
        BunrakuError: as `config_beside`.
    """
    try:
        said = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BunrakuError(f"{file}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BunrakuError(f"{file}: is not valid TOML: {error}") from None
    source = str(file)
    _known(said, [each.name for each in fields(CharacterConfig) if each.name != "source"], source)
    rates = [_positive(said[key], f"{source}: {key}") if key in said else None for key in _RATES]
    lists = [_names(said[key], f"{source}: {key}") if key in said else None for key in _LISTS]
    tables = {key: _table(said.get(key, {}), f"{source}: [{key}]") for key in ("servo", "weights", "names")}
    return CharacterConfig(
        control_hz=rates[0],
        physics_hz=rates[1],
        action_rad=rates[2],
        effectors=lists[0],
        fall=lists[1],
        servo={name: _servo(value, f"{source}: [servo.{name!r}]") for name, value in tables["servo"].items()},
        weights={name: _number(w, f"{source}: [weights] {name!r}") for name, w in tables["weights"].items()},
        names={name: _text(value, f"{source}: [names] {name!r}") for name, value in tables["names"].items()},
        source=source,
    )


_RATES = ("control_hz", "physics_hz", "action_rad")
_LISTS = ("effectors", "fall")


def matching(pattern: str, names: Sequence[str], kind: str, where: str) -> tuple[str, ...]:
    """The names that fit a pattern.

    Raises:
        BunrakuError: none does.
    """
    found = tuple(name for name in names if fnmatchcase(name, pattern))
    if not found:
        raise unknown_name(kind, pattern, names, f"in {where}; the character has")
    return found


def _known(said: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    known = list(names)
    for key in said:
        if key not in known:
            raise unknown_name("key", key, known, f"in {where}; there are")


def _servo(said: object, where: str) -> ServoConfig:
    values = _table(said, where)
    _known(values, [each.name for each in fields(ServoConfig)], where)
    numbers = {key: _number(value, f"{where} {key}") for key, value in values.items()}
    for key in ("kp", "limit"):
        if numbers.get(key) == 0:
            raise BunrakuError(f"{where} {key}: expected more than 0; it is 0")
    return ServoConfig(**numbers)


def _table(said: object, where: str) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise BunrakuError(f"{where}: expected a table; it is {said!r}")
    return cast(dict[str, Any], said)


def _number(said: object, where: str) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said) or said < 0:
        raise BunrakuError(f"{where}: expected a number that is not negative; it is {said!r}")
    return float(said)


def _positive(said: object, where: str) -> float:
    number = _number(said, where)
    if number == 0:
        raise BunrakuError(f"{where}: expected more than 0; it is 0")
    return number


def _text(said: object, where: str) -> str:
    if not isinstance(said, str):
        raise BunrakuError(f"{where}: expected a name in quotes; it is {said!r}")
    return said


def _names(said: object, where: str) -> tuple[str, ...]:
    if not isinstance(said, list):
        raise BunrakuError(f"{where}: expected a list of names; it is {said!r}")
    return tuple(_text(each, where) for each in cast(list[object], said))
