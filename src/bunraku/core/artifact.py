"""Our own files: folders of a JSON manifest and plain arrays. The only reader and writer of them.

An output folder is opened before the work (`open_output`: new, to be resumed, or already finished), may hold
parts while the work runs, and is finished by one rename of its manifest. A reader never sees half a file;
nothing that is read can run code.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from bunraku.core.errors import BunrakuError

SCHEMA = 1
MANIFEST = "manifest.json"
ARRAYS = "arrays.safetensors"

State = Literal["new", "unfinished", "finished"]


@dataclass(frozen=True, eq=False)
class Output:
    """An output folder that work goes into."""

    path: Path
    state: State
    result: Mapping[str, Any] | None
    """What the finished work printed; None unless `state` is "finished"."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A finished artifact as it was read."""

    path: Path
    manifest: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def open_output(
    path: Path, kind: str, settings: Mapping[str, Any], *, seed: int | None = None, overwrite: bool = False
) -> Output:
    """Make an output folder, or find it again to resume or to repeat its result.

    `settings` is everything that decides the result (configuration, hashes of inputs), JSON-able: work is
    only ever resumed and a result only ever repeated under equal settings.

    Raises:
        BunrakuError: the path is a file, another kind of artifact, was made with other settings and `overwrite` is
            False, or another process works in it (see `alone`).
    """
    wanted = json.loads(json.dumps(settings))
    if path.exists() and not path.is_dir():
        raise BunrakuError(f"{path}: is a file; an output is a folder")
    if path.is_dir():
        with alone(path):
            _clear_leftovers(path)
    if path.is_dir() and any(path.iterdir()):
        if not (path / MANIFEST).is_file():
            raise BunrakuError(f"{path}: holds other files and no {MANIFEST}; choose another --out")
        manifest = read_manifest(path)
        if manifest["kind"] == kind and manifest["settings"] == wanted:
            finished = manifest["state"] == "finished"
            return Output(path, "finished" if finished else "unfinished", manifest["result"] if finished else None)
        if not overwrite:
            raise BunrakuError(f"{path}: {_difference(manifest, kind, wanted)}; --overwrite replaces it")
        shutil.rmtree(path)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    manifest = {
        "schema": SCHEMA,
        "kind": kind,
        "state": "unfinished",
        "settings": wanted,
        "seed": seed,
        "provenance": provenance(),
        "description": {},
        "result": {},
    }
    write_json(path / MANIFEST, manifest)
    return Output(path, "new", None)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Work in an existing output folder that no other process may work in meanwhile: two would ruin each other's.

    The claim ends with the process, however it ends. Where a system or a disk knows no locks nothing is checked.

    Raises:
        BunrakuError: another one does.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BunrakuError(
                f"{path}: another process is working there; wait for it or choose another --out"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(folder)


def _clear_leftovers(path: Path) -> None:
    """Remove temporary files that a killed run left at the top of its output."""
    for leftover in path.glob(_temporary_name("*", "?" * 8)):
        leftover.unlink(missing_ok=True)


def _temporary_name(name: str, unique: str) -> str:
    return f".{name}.{unique}.tmp"


def _difference(manifest: Mapping[str, Any], kind: str, wanted: Mapping[str, Any]) -> str:
    if manifest["kind"] != kind:
        return f"is a {manifest['kind']}, not a {kind}"
    had = manifest["settings"]
    for key in [*wanted, *had]:
        if had.get(key) != wanted.get(key):
            old, new = (json.dumps(side.get(key))[:60] for side in (had, wanted))
            return f"was made with {key} = {old}, now {new}"
    return "was made with other settings"


def finish_output(
    path: Path, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    """Write the arrays, then mark the folder finished: what describes them, and what commands print."""
    if arrays:
        write_arrays(path / ARRAYS, arrays)
    manifest = {**read_manifest(path), "state": "finished", "description": description, "result": result}
    write_json(path / MANIFEST, manifest)


def load(path: Path, kind: str) -> Stored:
    """A finished artifact of this kind.

    Raises:
        BunrakuError: nothing there, another kind, unfinished, a newer schema, corrupt arrays.
    """
    manifest = read_manifest(path)
    if manifest["kind"] != kind:
        raise BunrakuError(f"{path}: is a {manifest['kind']}; expected a {kind}")
    if manifest["state"] != "finished":
        raise BunrakuError(f"{path}: this {kind} is not finished; run the command that makes it again to resume it")
    arrays = read_arrays(path / ARRAYS) if (path / ARRAYS).exists() else {}
    return Stored(path, manifest, arrays)


def kind_of(path: Path) -> str | None:
    """The kind of the artifact in a folder; None where there is no manifest."""
    return read_manifest(path)["kind"] if (path / MANIFEST).is_file() else None


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of an artifact folder.

    Raises:
        BunrakuError: no such folder or manifest, not JSON, a schema newer than this program's.
    """
    file = path / MANIFEST
    if not file.is_file():
        what = "no such folder" if not path.exists() else f"no {MANIFEST} in it"
        raise BunrakuError(f"{path}: {what}; expected a folder that bunraku made")
    manifest = read_json(file)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise BunrakuError(f"{file}: is not a manifest of ours")
    if manifest["schema"] > SCHEMA:
        raise BunrakuError(
            f"{file}: was written by a newer version (schema {manifest['schema']}; this one reads up to {SCHEMA})"
        )
    missing = {"kind", "state", "settings", "description", "result", "provenance"} - manifest.keys()
    if missing:
        raise BunrakuError(f"{file}: lacks {', '.join(sorted(missing))}")
    texts, mappings = ("kind", "state"), ("settings", "description", "result", "provenance")
    wrong = [key for key in texts if not isinstance(manifest[key], str)]
    wrong += [key for key in mappings if not isinstance(manifest[key], dict)]
    if wrong:
        raise BunrakuError(f"{file}: is not a manifest of ours ({', '.join(wrong)} of another type)")
    return manifest


def read_json(file: Path) -> Any:
    """A JSON file.

    Raises:
        BunrakuError: cannot be read, or is not JSON.
    """
    try:
        return json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BunrakuError(f"{file}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise BunrakuError(f"{file}: is not valid JSON") from None


def write_json(file: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_bytes(file, (json.dumps(value, indent=1, allow_nan=True) + "\n").encode())


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one safetensors file, atomically."""
    from safetensors.numpy import save

    # `ascontiguousarray` would make a single number a list of one.
    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_bytes(file, save(whole))


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Named arrays of a safetensors file (the format checks declared sizes before it takes memory).

    Raises:
        BunrakuError: cannot be read or is corrupt.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except FileNotFoundError:
        raise BunrakuError(f"{file}: is missing") from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise BunrakuError(f"{file}: is corrupt ({str(error).splitlines()[0]})") from None


def write_array(file: Path, array: np.ndarray) -> None:
    """Write one array as `.npy`, atomically; large sets are memory-mapped from such files."""
    assert not array.dtype.hasobject, "objects would have to be pickled"
    whole = np.ascontiguousarray(array)
    with _replacing(file) as handle:
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(whole))
        # Not numpy's own `tofile`: on a full disk it does not say why it stopped.
        handle.write(whole.data)


def map_array(file: Path) -> np.ndarray:
    """A read-only memory map of a `.npy` file.

    Raises:
        BunrakuError: missing, not `.npy`, or its declared size is not the file's.
    """
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise BunrakuError(f"{file}: is missing") from None
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise BunrakuError(f"{file}: is corrupt ({str(error).splitlines()[0] if str(error) else 'empty'})") from None


def write_bytes(file: Path, data: bytes) -> None:
    """Write a file atomically: a temporary sibling, flushed to disk, then renamed."""
    with _replacing(file) as handle:
        handle.write(data)


def write_with(file: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file atomically by a function that is handed the open (seekable) file."""
    with _replacing(file) as handle:
        write(handle)


@contextlib.contextmanager
def _replacing(file: Path) -> Iterator[Any]:
    temporary = file.with_name(_temporary_name(file.name, uuid.uuid4().hex[:8]))
    with disk_errors(file):
        try:
            with temporary.open("wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a full or read-only disk says into one line that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BunrakuError(f"{path}: no space left on the disk; what was finished before is kept") from None
        raise BunrakuError(f"{path}: cannot be written ({error.strerror})") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def array_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays' types, shapes and bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def provenance() -> dict[str, Any]:
    """Versions and hardware, recorded in every artifact."""
    versions = {name: metadata.version(name) for name in ("bunraku", "mujoco", "numpy", "scipy", "torch")}
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    hardware = {"processor": processor, "cores": os.cpu_count(), "system": platform.system()}
    return {"versions": versions, "python": platform.python_version(), "hardware": hardware}
