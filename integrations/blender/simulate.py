# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in Blender or in a Python with `bpy`: serves bop bags in Blender's own rigid-body simulation.

    python simulate.py -- HOST_PY      or      blender --background --factory-startup --python simulate.py -- HOST_PY

HOST_PY is the path of Bunraku's `host.py`, the protocol. All else is asked for through it.
"""

import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from serve import load_protocol

    protocol = load_protocol(sys.argv[sys.argv.index("--") + 1])
    import bpy
    from bunraku_blender.bop_bags import open_world

    protocol.serve_simulation(open_world, f"Blender {bpy.app.version_string}")
