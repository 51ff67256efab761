"""USD files (.usd, .usda, .usdc, .usdz) opened: only what lies inside the file's own folder, errors in one line."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate

ENDINGS = (".usd", ".usda", ".usdc", ".usdz")
_MOST_LAYERS = 1000


@dataclass(frozen=True, eq=False)
class UsdFile:
    """An open stage and what it says of itself."""

    path: Path
    stage: Any
    layers: tuple[Path, ...]
    """The files that it is made of, its own first."""
    codes_per_s: Fraction
    """Time codes per second."""
    start: float
    """The time code that counts as time 0: the stage's startTimeCode, 0 where it says none."""
    unit_m: float
    """metersPerUnit."""
    up_axis: str
    """"Y" or "Z"."""

    def about(self) -> dict[str, Any]:
        """For reports: what nothing here converts."""
        return {"unit_m": self.unit_m, "up_axis": self.up_axis, "fps": float(self.codes_per_s)}


def open_stage(path: Path) -> UsdFile:
    """Open a USD file with the layers that it is composed of.

    Raises:
        BunrakuError: usd-core is not installed; missing, truncated, not USD; a sublayer, reference or payload that is
            not there or lies outside the file's folder; value clips (which are not read).
    """
    if not path.is_file():
        raise BunrakuError(f"{path}: no such file")
    layers = _walk(path)
    from pxr import Usd, UsdGeom

    with refused(path):
        stage = Usd.Stage.Open(str(path))
    if not stage:
        raise BunrakuError(f"{path}: cannot be read as USD")
    rate = float(stage.GetTimeCodesPerSecond())
    unit = float(UsdGeom.GetStageMetersPerUnit(stage))
    if not np.isfinite(unit) or unit <= 0:
        raise BunrakuError(f"{path}: metersPerUnit is {unit:g}; expected a positive number")
    start = float(stage.GetStartTimeCode()) if stage.HasAuthoredMetadata("startTimeCode") else 0.0
    if not np.isfinite(start):
        raise BunrakuError(f"{path}: startTimeCode is {start:g}; expected a finite number")
    up = str(UsdGeom.GetStageUpAxis(stage))
    return UsdFile(path, stage, layers, frame_rate(rate, f"{path}: timeCodesPerSecond"), start, unit, up)


def usd_hash(path: Path) -> str:
    """SHA-256 over the file and every layer that it is composed of.

    Raises:
        BunrakuError: as `open_stage`.
    """
    digest = hashlib.sha256()
    for layer in sorted(set(_walk(path)) - {path.resolve()}):
        digest.update(artifact.file_hash(layer).encode())
    digest.update(artifact.file_hash(path).encode())
    return digest.hexdigest()


def require_usd(path: Path) -> None:
    """Check that the library is there.

    Raises:
        BunrakuError: it is not; the message says how to get it.
    """
    if find_spec("pxr") is None:
        raise BunrakuError(f"{path}: USD files need usd-core; pip install 'bunraku[usd]'")


@contextlib.contextmanager
def refused(path: Path) -> Generator[None]:
    """Turn what the library says about a broken file into one line."""
    from pxr import Tf

    try:
        yield
    except Tf.ErrorException as error:
        raise BunrakuError(f"{path}: cannot be read as USD ({_one_line(error)})") from None
    except RuntimeError as error:
        raise BunrakuError(f"{path}: cannot be read as USD ({_one_line(error)})") from None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    said = re.search(r" at line \d+ in file \S+ : '(.*?)'(?:\s*Error in|\s*$)", text)  # without the library's own lines
    return (said.group(1) if said else text)[:160]


def _walk(path: Path) -> tuple[Path, ...]:
    """Every layer, found by reading each one's references before anything is composed.

    A package (.usdz) is one file: what is inside it counts as inside.
    """
    require_usd(path)
    from pxr import Sdf

    folder = path.resolve().parent
    seen: dict[str, Path] = {}
    waiting = [str(path)]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen[name] = _inside(name, folder, path)
        if len(seen) > _MOST_LAYERS:
            raise BunrakuError(f"{path}: is composed of more than {_MOST_LAYERS} layers")
        with refused(path):
            layer = Sdf.Layer.FindOrOpen(name)
        if not layer:
            raise BunrakuError(f"{path}: {_shown(name, path)} cannot be read as USD")
        _refuse_clips(layer, path)
        waiting += [layer.ComputeAbsolutePath(found) for found in layer.GetCompositionAssetDependencies() if found]
    return tuple(dict.fromkeys(seen.values()))


def _inside(name: str, folder: Path, path: Path) -> Path:
    file = Path(name.partition("[")[0] if name.endswith("]") else name)
    try:
        resolved = file.resolve()
    except OSError:
        raise BunrakuError(f"{path}: refers to {name[:100]!r}, which is no file's name") from None
    if not resolved.is_relative_to(folder):
        raise BunrakuError(f"{path}: refers to {name[:100]!r}, outside its folder; only files inside it are read")
    if not resolved.is_file():
        raise BunrakuError(f"{path}: refers to {name[:100]!r}, which is not there")
    return resolved


def _shown(name: str, path: Path) -> str:
    return "it" if name == str(path) else repr(name[:100])


def _refuse_clips(layer: Any, path: Path) -> None:
    found: list[str] = []

    def look(at: Any) -> None:
        if at.IsPrimPath() and not found:
            prim = layer.GetPrimAtPath(at)
            if prim and prim.HasInfo("clips"):
                found.append(str(at))

    from pxr import Sdf

    layer.Traverse(Sdf.Path.absoluteRootPath, look)
    if found:
        raise BunrakuError(f"{path}: {found[0]} takes its animation from value clips, which are not read; flatten it")
