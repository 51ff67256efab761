"""Mesh sequences from files and folders, by their endings."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.formats import mesh_folder
from bunraku.formats.npz import load_npz_sequence

NUMPY = (".npz", ".npy")
USD = (".usd", ".usda", ".usdc", ".usdz")
ALEMBIC = (".abc",)
ENDINGS = (*NUMPY, *ALEMBIC, *USD)


def load_sequence(path: Path | str) -> MeshSequence:
    """Read a mesh sequence from `.npz`, `.npy`, `.abc`, `.usd*`, or a folder of `.obj` or `.ply` files.

    Behind a `#` stands which of a file's meshes is meant: `shot.abc#/head/mesh`, `shot.usda#/World/Head`.

    Raises:
        BunrakuError: no such file, another file ending, or a file that is not what its ending says.
    """
    file, inside = parted(path)
    if file.is_dir():
        return mesh_folder.load_mesh_folder(file)
    if not file.exists():
        raise BunrakuError(f"{file}: no such file")
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        folders = f"folders of {' or '.join(mesh_folder.ENDINGS)} files"
        raise BunrakuError(f"{file}: no mesh sequence by its ending; these are read: {', '.join(ENDINGS)}, {folders}")
    if ending in USD:
        from bunraku.formats.usd_cache import load_usd_sequence

        return load_usd_sequence(file, inside)
    if ending in ALEMBIC:
        from bunraku.formats.alembic import load_alembic

        return load_alembic(file, inside)
    return load_npz_sequence(file)


def parted(path: Path | str) -> tuple[Path, str | None]:
    """A file's path, and what stands behind a `#` in it; a file whose own name has a `#` is itself."""
    text = str(path)
    if "#" not in text or Path(text).exists():
        return Path(text), None
    file, _, inside = text.partition("#")
    return Path(file), inside or None


def sequence_hash(path: Path | str) -> str:
    """SHA-256 of everything that a mesh sequence is read from.

    Raises:
        BunrakuError: a folder without meshes, a USD file that cannot be read.
    """
    file, _ = parted(path)
    if file.is_dir():
        digest = hashlib.sha256()
        for number, part in mesh_folder.mesh_files(file).items():
            digest.update(f"{number}:{artifact.file_hash(part)};".encode())
        return digest.hexdigest()
    if file.suffix.lower() in USD:
        from bunraku.formats.usd_stage import usd_hash

        return usd_hash(file)
    return artifact.file_hash(file)
