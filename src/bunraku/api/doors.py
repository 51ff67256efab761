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
    """A rig by name or file: cube, face, figure, a .glb or .gltf file, python:module:function, recorded samples.

    Raises:
        BunrakuError: what does not exist or cannot be read; the message says what does.
    """
    from bunraku.rigs import open as opening

    return opening.open_rig(source)


def load_sequence(path: str | Path) -> MeshSequence:
    """A capture from a file, by its ending."""
    from bunraku.formats.sequence import load_sequence as load

    return load(path)


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
