"""Real glTF rigs: every animation of every file baked and inverted, and Blender's evaluation of robot.glb.

    BUNRAKU_DATA=… python benchmarks/rig_gltf.py

One process per rig, so that the peak of memory is the rig's own. Frames per second are of the whole inversion
(alignment, first guess, Levenberg–Marquardt, metrics), on one thread; opening the file stands in a column of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from record import print_table, record

BLENDER = "robot_dance.npz (Blender)"


def measure(rig_path: Path, sequence: Path | None) -> dict[str, object]:
    from bunraku.compute.threads import one_thread
    from bunraku.formats.sequence import load_sequence
    from bunraku.inversion.invert import InvertConfig, invert
    from bunraku.rigs.skinned import bake, open_gltf_rig

    with one_thread():
        started = time.perf_counter()
        rig = open_gltf_rig(rig_path)
        rig.reduce()
        opened_s = time.perf_counter() - started
        if sequence is not None:
            shots = [(load_sequence(sequence), None)]
        else:
            shots = [bake(rig, animation.name, Fraction(24)) for animation in rig.animations]
        frames, wall, cpu = 0, 0.0, 0.0
        worst, errors, control_errors, alignments = 0.0, [], [], set()
        for shot, true in shots:
            wall0, cpu0 = time.perf_counter(), time.process_time()
            take = invert(rig, shot, InvertConfig(), true_curves=true)
            frames += shot.frames
            wall += time.perf_counter() - wall0
            cpu += time.process_time() - cpu0
            errors.append(take.metrics.number("relative_error"))
            worst = max(worst, take.metrics.number("max_vertex_error"))
            alignments.add(take.metrics["alignment"])
            if true is not None:
                control_errors.append(take.metrics.number("control_error"))
    return {
        "rig": rig_path.name if sequence is None else f"{rig_path.name} ← {BLENDER}",
        "vertices": len(rig.neutral),
        "controls": len(rig.spec),
        "animations": len(shots),
        "frames": frames,
        "relative_error": float(max(errors)),
        "max_vertex_error": worst,
        "control_error": float(np.nanmax(control_errors)) if control_errors else None,
        "alignment": ", ".join(sorted(str(a) for a in alignments)),
        "open_s": opened_s,
        "frames_per_s": frames / wall,
        "cpu_s": cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    data = Path(os.environ["BUNRAKU_DATA"])
    jobs = [(path, None) for path in sorted((data / "rigs").glob("*.gl*"))]
    jobs.append((data / "rigs" / "robot.glb", data / "sequences" / "robot_dance.npz"))
    rows = []
    for rig, sequence in jobs:
        words = [sys.executable, __file__, "--one", str(rig), *([str(sequence)] if sequence else [])]
        rows.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
        print(f"{rows[-1]['rig']}: {rows[-1]['relative_error']:.1e}", flush=True)
    print_table("Real glTF rigs, all of their animations (relative_error: the worst animation's)", rows)
    record("rig_gltf", {"fps": 24, "threads": 1}, rows)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--one":
        print(json.dumps(measure(Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)))
    else:
        main()
