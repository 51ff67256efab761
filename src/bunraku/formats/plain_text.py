"""Text files from strangers."""

from __future__ import annotations

from pathlib import Path

from bunraku.core.errors import BunrakuError

_MOST_POSES = 10**8


def check_poses(frames: int, joints: int, path: Path) -> None:
    """Refuse clips of more than 10⁸ joint poses: joints that do not move cost bytes in a file and gigabytes here.

    Raises:
        BunrakuError: frames times joints is greater.
    """
    if frames * joints > _MOST_POSES:
        raise BunrakuError(f"{path}: {frames} frames of {joints} joints are more than this reader takes")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 (ASCII included), with or without a byte order mark.

    Raises:
        BunrakuError: missing, unreadable, or not text in UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BunrakuError(f"{path}: no such file") from None
    except OSError as error:
        raise BunrakuError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BunrakuError(f"{path}: is not text in UTF-8 (byte {error.start} is 0x{data[error.start]:02x})") from None
    if "\0" in text:
        raise BunrakuError(f"{path}: is not text (byte {data.index(0)} is 0x00)")
    return text
