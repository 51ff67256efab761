# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes with the add-on and is used elsewhere too: the same files, under the names that they call each other."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "bundled"


def module(name):
    """A bundled module: `bunraku_blender.home`, `bunraku_player`, …"""
    if name not in sys.modules:
        sys.path.insert(0, str(FOLDER))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(FOLDER))
    return sys.modules[name]


def forget():
    """Let go of the modules, so that a newer add-on loads its own."""
    ours = [
        name for name, one in sys.modules.items() if str(getattr(one, "__file__", None) or "").startswith(str(FOLDER))
    ]
    for name in ours:
        del sys.modules[name]
