# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in Blender or in a Python with `bpy`: serves a rig of a .blend file over standard input and output.

    python serve.py -- HOST_PY      or      blender --background --factory-startup --python serve.py -- HOST_PY

HOST_PY is the path of Bunraku's `host.py`, the protocol. All else is asked for through it.
"""

import importlib.util
import os
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


def import_bpy_with_few_threads():
    """Blender counts the cores that it may run on when it is loaded, and makes as many threads; there is no other way
    to tell a Python with `bpy` how many. Where they run is left to the system afterwards.
    """
    said = os.environ.get("BUNRAKU_CORES", "")
    if not said.isdigit() or int(said) < 1 or not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[: int(said)])
    import bpy  # noqa: F401

    os.sched_setaffinity(0, allowed)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_bpy_with_few_threads()
    load_protocol(sys.argv[sys.argv.index("--") + 1])
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from bunraku_blender import rig_host

    rig_host.serve()
