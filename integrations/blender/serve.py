# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in Blender or in a Python with `bpy`: serves a rig of a .blend file over standard input and output.

    python serve.py -- HOST_PY      or      blender --background --factory-startup --python serve.py -- HOST_PY

HOST_PY is the path of Bunraku's `host.py`, the protocol. All else is asked for through it.
"""

import importlib.util
import signal
import sys
from pathlib import Path


def load_protocol(path):
    """The module that speaks the protocol, from its file: the package it is part of is not installed here."""
    spec = importlib.util.spec_from_file_location("bunraku_host", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bunraku_host"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    load_protocol(sys.argv[sys.argv.index("--") + 1])
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from bunraku_blender import rig_host

    rig_host.serve()
