"""Frames into files that anybody can look at: .mp4, .gif, or a sheet of pictures as .png."""

from __future__ import annotations

import contextlib
import itertools
import math
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from bunraku.core.artifact import disk_errors, write_with
from bunraku.core.errors import BunrakuError

MOVING = (".mp4", ".gif")
WRITTEN = (*MOVING, ".png")
_GIF_FPS = 20.0
"""Players hold pictures of a GIF for hundredths of a second: 20 is the fastest even rate that all of them keep."""
_PALETTE = (
    "split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle"
)


def check_video(to: Path, width: int, height: int) -> None:
    """What can be said before the first frame is drawn.

    Raises:
        BunrakuError: an ending that is not written, a size that the format cannot hold.
    """
    if to.suffix.lower() not in WRITTEN:
        raise BunrakuError(f"{to}: pictures are written as {', '.join(WRITTEN)}")
    if to.suffix.lower() == ".mp4" and (width % 2 or height % 2):
        raise BunrakuError(f"{to}: {width}×{height} pixels; an .mp4 needs even numbers")


def frame_indices(to: Path, count: int, fps: float, sheet: int) -> list[int]:
    """Which of `count` frames a file shows: all; at most twenty a second in a .gif; `sheet` of them in a .png."""
    if to.suffix.lower() == ".png":
        return [int(k) for k in np.unique(np.round(np.linspace(0, count - 1, max(1, min(sheet, count)))).astype(int))]
    if to.suffix.lower() == ".gif" and fps > _GIF_FPS:
        shown = max(1, math.ceil(count / fps * _GIF_FPS))
        return [min(count - 1, int(k * fps / _GIF_FPS)) for k in range(shown)]
    return list(range(count))


def save_frames(to: Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], fps: float) -> int:
    """Write the frames that `frame_indices` chose, and return how many; nothing is left of a file that fails.

    Raises:
        BunrakuError: no frames, the file cannot be written.
    """
    if to.suffix.lower() == ".png":
        pictures = list(frames)
        if not pictures:
            raise BunrakuError(f"{to}: no frames")
        save_picture(to, contact_sheet(pictures))
        return len(pictures)
    return _encoded(to, iter(frames), min(fps, _GIF_FPS) if to.suffix.lower() == ".gif" else fps)


def contact_sheet(pictures: Sequence[UInt8[np.ndarray, "height width 3"]]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Pictures side by side in rows, in their order, with thin white lines between them."""
    columns = min(len(pictures), max(1, math.ceil(math.sqrt(len(pictures)))))
    rows, gap = math.ceil(len(pictures) / columns), 4
    height, width, _ = pictures[0].shape
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def save_picture(to: Path, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    """One picture as .png."""
    from PIL import Image

    write_with(to, lambda handle: Image.fromarray(picture).save(handle, format="PNG", optimize=True))


def _encoded(to: Path, frames: Iterator[np.ndarray], fps: float) -> int:
    """Through ffmpeg, into a sibling that takes the file's place when it is whole."""
    first = next(frames, None)
    if first is None:
        raise BunrakuError(f"{to}: no frames")
    part = to.with_name(f".{to.name}.part{to.suffix.lower()}")
    with disk_errors(to):
        encoder = _encoder(part, first.shape[1], first.shape[0], fps)
        try:
            count = _fed(encoder, itertools.chain([first], frames))
            _, said = encoder.communicate()
            if encoder.returncode:
                raise BunrakuError(f"{to}: cannot be encoded: {_last_line(said)}")
            part.replace(to)
        finally:
            if encoder.poll() is None:
                encoder.kill()
                encoder.wait()
            part.unlink(missing_ok=True)
    return count


def _fed(encoder: subprocess.Popen[bytes], frames: Iterator[np.ndarray]) -> int:
    """Give it all frames; what stops it early it tells by itself."""
    assert encoder.stdin is not None
    count = 0
    with contextlib.suppress(BrokenPipeError):
        for frame in frames:
            encoder.stdin.write(np.ascontiguousarray(frame).data)
            count += 1
    return count


def _encoder(part: Path, width: int, height: int, fps: float) -> subprocess.Popen[bytes]:
    from imageio_ffmpeg import get_ffmpeg_exe

    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:.6g}", "-i", "pipe:0"]
    if part.suffix == ".gif":
        how = ["-filter_complex", _PALETTE, "-loop", "0"]
    else:
        # Even a phone plays it; the index at the front lets a browser begin before the end has come.
        how = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    quiet = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    plain = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    command: list[Any] = [get_ffmpeg_exe(), *quiet, *raw, *how, *plain, str(part.absolute())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it does not say why"
