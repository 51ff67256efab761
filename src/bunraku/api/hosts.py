"""Other programs that hold rigs: found, installed, and told what they may do."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any

from bunraku.core.progress import Progress, silent


def install_blender(
    *, python: str | None = None, overwrite: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """A Blender without a window, in a virtual environment of its own in the user's data folder.

    Raises:
        BunrakuError: no Python that it is built for, an installation that fails, libraries of the system missing.
    """
    from bunraku.rigs.blender_program import install_blender as install

    return install(python=python, overwrite=overwrite, progress=progress)


def find_blender() -> dict[str, Any]:
    """The Blender that .blend files are opened with: where it is and which version.

    Raises:
        BunrakuError: there is none, or it does not run.
    """
    from bunraku.rigs.blender_program import blender_version
    from bunraku.rigs.blender_program import find_blender as find

    program = find()
    return {**asdict(program), "version": blender_version(program)}


def using_blender(
    *, allow_scripts: bool = False, blender: str | None = None
) -> contextlib.AbstractContextManager[None]:
    """Inside it: .blend files may run their scripts, and are opened by the Blender that is named."""
    from bunraku.rigs.blender import using

    return using(allow_scripts=allow_scripts, blender=blender)
