"""A rig from what the user calls it, and what tells later whether it is still the same rig."""

from __future__ import annotations

import difflib
import hashlib
import sys
from pathlib import Path
from typing import Any, cast

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import Rig

BUILT_IN = ("cube", "cube:published", "face", "figure")
FORMS = (
    *BUILT_IN,
    "a .glb, .gltf, .usd* or .blend file (.blend#Object where it has several)",
    "python:module:function",
    "host:COMMAND",
    "recorded samples (a folder or .npz)",
)

_GLTF = (".glb", ".gltf")
_USD = (".usd", ".usda", ".usdc", ".usdz")
_BLEND = ".blend"


def open_rig(source: str | Path) -> Rig:
    """The rig that `source` names: one of `FORMS`. A `python:` rig is code that runs: only pass on what the user named.

    Raises:
        BunrakuError: nothing of that name (the message lists what there is), or what the reader of the format refuses.
    """
    name = str(source)
    if name in BUILT_IN:
        return _built_in(name)
    if name.startswith("python:"):
        from bunraku.rigs.python import open_python_rig

        return open_python_rig(name)
    if name.startswith("host:"):
        from bunraku.rigs.host import open_host_rig

        return cast(Rig, open_host_rig(name))  # as below
    path = _existing(name)
    if path.suffix.lower() in _GLTF:
        from bunraku.rigs.skinned import open_gltf_rig

        return cast(Rig, open_gltf_rig(path))  # its cached properties are properties, which the type checker denies
    if path.suffix.lower() in _USD:
        from bunraku.rigs.skinned import open_usd_rig

        return cast(Rig, open_usd_rig(path, _inside(name, path)))  # as above
    if path.suffix.lower() == _BLEND:
        from bunraku.rigs.blender import open_blend_rig

        return cast(Rig, open_blend_rig(name))  # as above
    from bunraku.rigs.recorded import open_recorded_rig

    return open_recorded_rig(path)


def rig_identity(source: str | Path) -> dict[str, Any]:
    """What artifacts record of a rig: its name as given and, where there are files, a hash over everything they say.

    Raises:
        BunrakuError: as `open_rig`.
    """
    name = str(source)
    if name in BUILT_IN:
        return {"source": name, "sha256": None}
    if name.startswith("python:"):
        file = _python_file(name)
        return {"source": name, "sha256": None if file is None else artifact.file_hash(file)}
    if name.startswith("host:"):
        return {"source": name, "sha256": None}
    path = _existing(name)
    ending = path.suffix.lower()
    if ending == _BLEND:
        from bunraku.rigs.blender import blend_identity

        return blend_identity(name)
    if ending in _USD:
        from bunraku.formats.usd_stage import usd_hash

        return {"source": name, "sha256": usd_hash(path)}
    return {"source": name, "sha256": _gltf_hash(path) if ending in _GLTF else _recorded_hash(path)}


def _built_in(name: str) -> Rig:
    if name == "face":
        from bunraku.rigs.face import Face

        return cast(Rig, Face())  # as above
    if name == "figure":
        from bunraku.rigs.figure import figure_rig

        return cast(Rig, figure_rig())  # as above
    from bunraku.rigs.cube import Cube

    return Cube(published_vertices=name == "cube:published")


def _existing(name: str) -> Path:
    path = Path(name.partition("#")[0]) if "#" in name and not Path(name).exists() else Path(name)
    suffix = path.suffix.lower()
    if not path.exists():
        raise BunrakuError(f"no rig {name!r}{_near(name, path)}; a rig is one of: {', '.join(FORMS)}")
    if path.is_file() and suffix not in (*_GLTF, *_USD, _BLEND, ".npz"):
        raise BunrakuError(f"{name}: is not a rig's file; a rig is one of: {', '.join(FORMS)}")
    return path


def _inside(name: str, path: Path) -> str | None:
    """What stands behind the `#` of a file's name."""
    return name.partition("#")[2] or None if str(path) != str(Path(name)) else None


def _near(name: str, path: Path) -> str:
    there = list(BUILT_IN)
    if path.parent.is_dir():
        there += [
            str(file)
            for file in path.parent.iterdir()
            if file.is_dir() or file.suffix.lower() in (*_GLTF, *_USD, _BLEND, ".npz")
        ]
    near = difflib.get_close_matches(name, there, 3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _python_file(name: str) -> Path | None:
    module = sys.modules.get(name.split(":")[1])
    if module is None:
        from bunraku.rigs.python import open_python_rig

        return open_python_rig(name).file
    return Path(module.__file__) if module.__file__ else None


def _gltf_hash(path: Path) -> str:
    from bunraku.formats.gltf_container import read_document

    document = read_document(path)
    digest = hashlib.sha256(path.read_bytes())
    # The buffers of a .gltf are files of their own; those inside the file are hashed with it already.
    for declared, data in zip(document.json.get("buffers", []), document.buffers, strict=True):
        if data is not None and not declared.get("uri", "data:").startswith("data:"):
            digest.update(data)
    return digest.hexdigest()


def _recorded_hash(path: Path) -> str:
    if path.is_file():
        return artifact.file_hash(path)
    # A manifest of ours holds the settings, and thereby the samples, of the folder; other folders have one .npz.
    named = [path / artifact.MANIFEST, path / "dataset.npz"]
    there = [file for file in named if file.is_file()]
    if not there:
        raise BunrakuError(f"{path}: is not a folder of samples (no {' nor '.join(file.name for file in named)} in it)")
    return artifact.file_hash(there[0])
