"""Captures from .fbx files, imported by Blender in a process of its own and read frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bunraku import host as wire
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence, frame_rate, mesh_sequence
from bunraku.rigs.blender_program import find_blender
from bunraku.rigs.host_process import HostCommand, HostProcess, LostHostError, parts_limit
from bunraku.rigs.integration import integration

# As in integrations/blender/bunraku_blender/fbx.py.
IMPORT, FRAMES = 36, 37
FACES_BYTES = 1 << 30
MOST_BYTES = 1 << 34
BEGINNINGS = (b"Kaydara FBX Binary", b"; FBX")


def load_fbx(path: Path, name: str | None = None) -> MeshSequence:
    """The moving mesh of a .fbx file, or the one that is named, at every frame of its animation.

    In metres and Z up, as Blender imports FBX (`about` says so), in world space; frame rate and frame numbers are the
    file's: a time of 0 is frame 0.

    Raises:
        BunrakuError: no Blender, no such file, none or several meshes, a file that Blender cannot read.
    """
    _check(path)
    words = find_blender().words(integration("blender/serve.py"), (str(Path(wire.__file__)),), scripts=False)
    try:
        process = HostProcess(HostCommand(words, str(path)))
    except LostHostError as lost:
        raise BunrakuError(str(lost)) from None
    try:
        return _read(process, path, name)
    except LostHostError as lost:
        raise BunrakuError(str(lost)) from None
    finally:
        process.kill()


def _read(process: HostProcess, path: Path, name: str | None) -> MeshSequence:
    asked = {"path": str(path.resolve()), "object": name}
    opened = process.tell(IMPORT, asked, limit=FACES_BYTES, wait_s=process.command.start_s)
    about = opened.plain
    frames, vertices = int(about["frames"]), int(about["vertices"])
    if frames * vertices * 12 > MOST_BYTES:
        raise BunrakuError(
            f"{path}: {frames} frames of {vertices} vertices are more than fit into {MOST_BYTES >> 30} GiB"
        )
    meshes = np.empty((frames, vertices, 3), np.float32)
    seen = 0
    listed = list(range(int(about["start"]), int(about["start"]) + frames))
    for message in process.ask(FRAMES, {"frames": listed}, limit=parts_limit(12 * vertices)):
        if message.kind == wire.PART:
            part = message.arrays["vertices"]
            if part.shape[1:] != (vertices, 3) or seen + len(part) > frames:
                raise process.lost(
                    f"answered {part.shape} where {frames - seen} frames of {vertices} vertices came next"
                )
            meshes[seen : seen + len(part)] = part
            seen += len(part)
    if seen < frames:
        raise process.lost(f"answered {seen} of {frames} frames")
    rate = frame_rate(round(float(about["fps"]), 3), str(path))
    said: dict[str, float | str] = {"unit_m": 1.0, "up_axis": "Z"}
    return mesh_sequence(meshes, opened.arrays["faces"], rate, int(about["start"]), about=said, name=str(path))


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            beginning = file.read(64)
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    if not beginning.lstrip().startswith(BEGINNINGS):
        raise BunrakuError(f"{path}: is not an .fbx file")
