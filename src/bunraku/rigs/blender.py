"""Rigs of .blend files, evaluated by Blender itself in a process of its own: `docs/blender.md`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bunraku import host as wire
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.rigs.blender_program import VARIABLE, find_blender
from bunraku.rigs.host import HostRig, open_rig_of
from bunraku.rigs.host_process import HostCommand
from bunraku.rigs.integration import integration

SCRIPTS = "BUNRAKU_ALLOW_SCRIPTS"
TIMEOUT = "BUNRAKU_HOST_TIMEOUT_S"
# A .blend file begins so, as it is or compressed (gzip, Zstandard).
_BEGINNINGS = (b"BLENDER", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_CHOICES = {"include": list, "exclude": list, "limits": dict, "neutral": dict}


def open_blend_rig(source: str) -> HostRig:
    """The rig of `file.blend`, or of one of its mesh objects: `file.blend#Object`.

    Raises:
        BunrakuError: no such file or object, several objects to choose from, a file that is no .blend, drivers that
            need scripts which are off, no Blender.
    """
    path, name = split(source)
    _check(path)
    program = find_blender()
    allowed = scripts_allowed()
    options = {"path": str(path.resolve()), "object": name, "scripts_allowed": allowed, "choices": choices(path)}
    arguments = (str(Path(wire.__file__)),)
    words = program.words(integration("blender/serve.py"), arguments, scripts=allowed)
    return open_rig_of(HostCommand(words, source, options, answer_s=_timeout()), source)


def split(source: str) -> tuple[Path, str | None]:
    """File and object of `file.blend#Object`."""
    if "#" in source and not Path(source).exists():
        file, _, name = source.partition("#")
        return Path(file), name
    return Path(source), None


def blend_identity(source: str) -> dict[str, Any]:
    """What artifacts record of such a rig: a hash over the file and the choices beside it."""
    path, _ = split(source)
    digest = hashlib.sha256(path.read_bytes())
    beside = choices_file(path)
    if beside.is_file():
        digest.update(beside.read_bytes())
    return {"source": source, "sha256": digest.hexdigest(), **({"scripts": True} if scripts_allowed() else {})}


def choices_file(path: Path) -> Path:
    """Where the user's choices about a rig stand: `fox.controls.toml` beside `fox.blend`."""
    return path.with_name(f"{path.stem}.controls.toml")


def choices(path: Path) -> Mapping[str, Any]:
    """The user's choices about a rig's controls; empty where there is no such file.

    Raises:
        BunrakuError: it cannot be read, or says something else than `include`, `exclude`, `limits`, `neutral`.
    """
    file = choices_file(path)
    if not file.is_file():
        return {}
    try:
        said = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BunrakuError(f"{file}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    for key, value in said.items():
        if key not in _CHOICES:
            raise unknown_name("entry", key, _CHOICES, f"{file} may have")
        if not isinstance(value, _CHOICES[key]):
            raise BunrakuError(f"{file}: {key} is {value!r}; expected a {_CHOICES[key].__name__}")
    for key in ("include", "exclude"):
        if not all(isinstance(pattern, str) for pattern in said.get(key, [])):
            raise BunrakuError(f"{file}: {key} must be names or patterns in quotes")
    for name, value in said.get("limits", {}).items():
        if not (isinstance(value, list) and len(value) == 2 and all(map(_number, value)) and value[0] <= value[1]):
            raise BunrakuError(f"{file}: limits of {name!r} are {value!r}; expected [lower, upper]")
    for name, value in said.get("neutral", {}).items():
        if not _number(value):
            raise BunrakuError(f"{file}: neutral of {name!r} is {value!r}; expected a number")
    return said


@contextlib.contextmanager
def using(*, allow_scripts: bool = False, blender: str | None = None) -> Iterator[None]:
    """Inside: .blend files are opened with their scripts running, and by the Blender that is named.

    It is said through the environment, so that worker processes know it too.
    """
    wanted = {SCRIPTS: "1" if allow_scripts else None, VARIABLE: blender}
    before = {name: os.environ.get(name) for name in wanted}
    try:
        os.environ.update({name: value for name, value in wanted.items() if value is not None})
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def scripts_allowed() -> bool:
    """Whether the user has allowed .blend files to run their scripts."""
    return os.environ.get(SCRIPTS) == "1"


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            beginning = file.read(8)
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    if not beginning.startswith(_BEGINNINGS):
        raise BunrakuError(f"{path}: is not a .blend file")


def _timeout() -> float:
    said = os.environ.get(TIMEOUT, "60")
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise BunrakuError(f"{TIMEOUT}={said}: expected seconds")
    return seconds


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
