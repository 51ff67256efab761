"""Mesh sequences from files, by file ending."""

from __future__ import annotations

from pathlib import Path

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.formats.npz import load_npz_sequence

ENDINGS = (".npz", ".npy")


def load_sequence(path: Path | str) -> MeshSequence:
    """Read a mesh sequence from `.npz` or `.npy`.

    Raises:
        BunrakuError: no such file, another file ending, or a file that is not what its ending says.
    """
    path = Path(path)
    if not path.exists():
        raise BunrakuError(f"{path}: no such file")
    if path.suffix.lower() not in ENDINGS:
        raise BunrakuError(f"{path}: no mesh sequence by its ending; these are read: {', '.join(ENDINGS)}")
    return load_npz_sequence(path)
