"""A Blender that can run rigs: found, or installed in a virtual environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from bunraku.compute.threads import CORES
from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.progress import Progress, silent

BPY = "5.0.1"
"""The version of `bpy` that is installed; it pins numpy below 2, hence an environment of its own."""
PYTHON = (3, 11)
"""The one Python that this version of `bpy` is built for."""
VARIABLE = "BUNRAKU_BLENDER"
SIZE_MB = 1400
"""About what is written while `bpy` is downloaded and unpacked."""
MARKER = "bunraku.json"

# What bpy's library needs of the system, and the Debian package that brings it.
LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
}
_ASK = "import bpy, numpy; print('bunraku', bpy.app.version_string, numpy.__version__)"


@dataclass(frozen=True)
class BlenderProgram:
    """What Bunraku starts to have Blender evaluate a rig."""

    path: str
    kind: str
    """python (one that has `bpy`) or blender (the program itself)."""
    found: str
    """Where it was found, in words."""

    def words(self, script: Path, arguments: tuple[str, ...], *, scripts: bool) -> tuple[str, ...]:
        """The command that runs one of our scripts in it."""
        if self.kind == "python":
            return (self.path, "-I", str(script), "--", *arguments)
        allowed = "--enable-autoexec" if scripts else "--disable-autoexec"
        quiet = ("--background", "--factory-startup", "-noaudio", allowed, "--python-exit-code", "3")
        cores = os.environ.get(CORES)
        few = ("--threads", cores) if cores else ()
        return (self.path, *quiet, *few, "--python", str(script), "--", *arguments)


def hosts_folder() -> Path:
    """Where programs are installed: BUNRAKU_HOME/hosts, or in the user's data folder."""
    named = os.environ.get("BUNRAKU_HOME")
    if named:
        return Path(named) / "hosts"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "bunraku" / "hosts"
    default = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_DATA_HOME")
    return Path(default or Path.home() / ".local" / "share") / "bunraku" / "hosts"


def find_blender() -> BlenderProgram:
    """The Blender to use: what BUNRAKU_BLENDER names, the one that was installed, a `blender` on the path.

    Raises:
        BunrakuError: none; the message says how to get one.
    """
    named = os.environ.get(VARIABLE)
    if named:
        program = shutil.which(named)
        if program is None:
            raise BunrakuError(f"{VARIABLE}={named}: no such program; expected a blender, or a python that has bpy")
        kind = "python" if Path(program).name.lower().startswith(("python", "pypy")) else "blender"
        return BlenderProgram(program, kind, f"named by {VARIABLE}")
    folder = hosts_folder() / "blender"
    if (folder / MARKER).is_file():
        return BlenderProgram(str(_python_of(folder)), "python", f"installed in {folder}")
    program = shutil.which("blender")
    if program is not None:
        return BlenderProgram(program, "blender", "on the path")
    raise BunrakuError(
        "no Blender to open .blend files with: run `bunraku host install blender`, "
        f"or name a blender program with --blender or {VARIABLE}"
    )


def blender_version(program: BlenderProgram) -> str:
    """What a Blender says that it is.

    Raises:
        BunrakuError: it does not run; the message names the system's packages that are missing.
    """
    if program.kind == "python":
        words = [program.path, "-I", "-c", _ASK]
    else:
        words = [program.path, "--background", "--factory-startup", "--python-expr", _ASK]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BunrakuError(f"{program.path}: does not run ({type(error).__name__})") from None
    said = [line.split() for line in done.stdout.splitlines() if line.startswith("bunraku ")]
    if said:
        return said[0][1]
    wrong = " ".join((done.stderr.strip().splitlines() or ["it says nothing"])[-1].split())[:300]
    lacking = [package for library, package in LIBRARIES.items() if library in done.stderr]
    advice = f"; on Debian and Ubuntu: apt install {' '.join(LIBRARIES.values())}" if lacking else ""
    raise BunrakuError(f"{program.path}: Blender does not start: {wrong}{advice}")


def install_blender(
    *, python: str | None = None, overwrite: bool = False, progress: Progress = silent
) -> dict[str, object]:
    """A virtual environment with `bpy`, in the user's data folder; what is there already is looked at and kept.

    An installation that was interrupted is begun again (what was downloaded stays in pip's cache). `python` names the
    Python to use, by default this one or a `python3.11` on the path.

    Raises:
        BunrakuError: no Python that `bpy` is built for, an installation that fails, libraries of the system missing.
    """
    folder = hosts_folder() / "blender"
    program = BlenderProgram(str(_python_of(folder)), "python", f"installed in {folder}")
    there = (folder / MARKER).is_file() and not overwrite
    if not there:
        base = _python(python)
        progress("install blender", 0, SIZE_MB, f"bpy {BPY} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run([base, "-m", "venv", str(folder)], "python -m venv")
        downloads = folder / "tmp"
        downloads.mkdir()
        watched = _Watched(folder, progress)
        with watched:
            pip = [program.path, "-m", "pip", "install", "--disable-pip-version-check", f"bpy=={BPY}"]
            _run(pip, f"pip install bpy=={BPY}", {"TMPDIR": str(downloads)})
        shutil.rmtree(downloads, ignore_errors=True)
    version = blender_version(program)
    if not there:
        artifact.write_json(folder / MARKER, {"bpy": BPY, "blender": version})
        progress("install blender", SIZE_MB, SIZE_MB, f"Blender {version}")
    return {**asdict(program), "version": version, "installed": not there}


class _Watched:
    """Tells how much has been written while somebody else writes."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder, self.progress = folder, progress
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.done.wait(2.0):
            written = 0
            for place, _, files in os.walk(self.folder):
                for name in files:
                    try:
                        written += os.lstat(os.path.join(place, name)).st_size
                    except OSError:
                        continue  # pip has removed it meanwhile
            self.progress("install blender", min(written / 1e6, SIZE_MB - 1), SIZE_MB, f"{written / 1e6:.0f} MB")


def _run(words: list[str], name: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        wrong = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
        raise BunrakuError(f"{name} failed: {' '.join(wrong[-1].split())[:300]}")


def _python(named: str | None) -> str:
    wanted = ".".join(map(str, PYTHON))
    choices = [named] if named else [sys.executable, f"python{wanted}"]
    for choice in choices:
        program = shutil.which(choice)
        if program is None:
            continue
        ask = "import sys; print(*sys.version_info[:2])"
        done = subprocess.run([program, "-I", "-c", ask], capture_output=True, text=True, check=False)
        if done.stdout.split() == [str(number) for number in PYTHON]:
            return program
    raise BunrakuError(
        f"bpy {BPY} needs Python {wanted}, and {' and '.join(choices)} are none; name one with --python, "
        f"or use a blender program ({VARIABLE})"
    )


def _python_of(folder: Path) -> Path:
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"
