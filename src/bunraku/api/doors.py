"""Files of any kind opened and kept, by their endings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunraku.core.curves import Curves
    from bunraku.core.mesh_sequence import MeshSequence
    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.inversion.approximation import Approximation


def open_rig(source: str | Path) -> Rig:
    """A rig by name or file: cube, face, figure, a .glb, .gltf or .usd* file, python:module:function, recorded samples.

    Raises:
        BunrakuError: what does not exist or cannot be read; the message says what does.
    """
    from bunraku.rigs import open as opening

    return opening.open_rig(source)


def load_sequence(path: str | Path) -> MeshSequence:
    """A capture from a file by its ending, or from a folder of .obj or .ply files; .fbx by way of Blender.

    Behind a `#` stands what is meant in the file: `shot.abc#/head`, `shot.usda#/World/Head`, `shot.fbx#Head`,
    `rig.glb#Walk` (an animation of the file, at 24 frames a second; `rig bake` makes others).
    """
    from bunraku.formats.sequence import load_sequence as load
    from bunraku.formats.sequence import parted

    file, inside = parted(path)
    if file.suffix.lower() == ".fbx":
        from bunraku.rigs.blender_fbx import load_fbx

        return load_fbx(file, inside)
    return _animated(file, inside) if file.suffix.lower() in _ANIMATED else load(path)


_ANIMATED = (".glb", ".gltf")


def _animated(file: Path, animation: str | None) -> MeshSequence:
    """A glTF file's animation as a capture; the only one where none is named."""
    from fractions import Fraction

    from bunraku.core.errors import BunrakuError
    from bunraku.rigs.skinned import bake, open_gltf_rig

    if not file.is_file():
        raise BunrakuError(f"{file}: no such file")
    rig = open_gltf_rig(file)
    names = [each.name for each in rig.animations]
    if animation is None and len(names) != 1:
        there = ", ".join(f"{file}#{name}" for name in names[:10]) or "none"
        raise BunrakuError(f"{file}: has {len(names)} animations; choose one as a capture: {there}")
    return bake(rig, animation or names[0], Fraction(24))[0]


def capture_identity(capture: Path) -> dict[str, Any]:
    """What artifacts record of a capture: its path and a hash over everything that it is read from."""
    return {"path": str(capture), "sha256": capture_hash(capture)}


def capture_hash(capture: Path) -> str:
    """SHA-256 over the files of a capture."""
    from bunraku.formats.sequence import parted, sequence_hash

    file, _ = parted(capture)
    if file.suffix.lower() in _ANIMATED:
        from bunraku.rigs.open import rig_identity

        return str(rig_identity(file)["sha256"])
    return sequence_hash(capture)


def load_curves(path: str | Path) -> Curves:
    """Curves from .csv, .json or .npz."""
    from bunraku.formats.curves import load_curves as load

    return load(path)


def save_curves(curves: Curves, path: str | Path) -> None:
    """Curves to .csv, .json or .npz."""
    from bunraku.formats.curves import save_curves as save

    save(curves, path)


def load_take(path: str | Path) -> Take:
    """A take from its folder."""
    from bunraku.core.take import load_take as load

    return load(Path(path))


def loaded_model(path: Path) -> Approximation:
    """A model from its folder."""
    from bunraku.inversion.approximation import load_model

    return load_model(path)


def rig_source(settings: Mapping[str, Any], named: str | None, take: Path) -> str:
    """The rig that is named now, or else the one that a take names.

    Raises:
        BunrakuError: the take's rig is code, which runs only when somebody names it again.
    """
    from bunraku.core.errors import BunrakuError

    if named is not None:
        return named
    source = str(settings["rig"]["source"])
    if source.startswith(("python:", "host:")):
        raise BunrakuError(f"{take}: its rig {source} runs code; name it again with --rig to allow that")
    return source


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Check that a file may be written.

    Raises:
        BunrakuError: it is there and `overwrite` is False, or its folder is not there.
    """
    from bunraku.core.errors import BunrakuError

    if path.exists() and not overwrite:
        raise BunrakuError(f"{path}: exists already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise BunrakuError(f"{path}: its folder {path.parent} does not exist")
