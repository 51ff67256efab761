"""Long shots of robot.glb (7,218 vertices) solved as a whole: memory and time against the number of frames.

    BUNRAKU_DATA=… python benchmarks/rig_long.py [--frames 1000 3000 10000] [--noise 0.001]

The rig's dance forwards and backwards, again and again, with noise on every vertex (a share of the diagonal), in
single precision as captures come. One process per length, so that the peak of memory is its own; `before` is what the
process held when the capture was there and nothing solved. The curves are smoothed over the whole shot.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from record import print_table, record


def measure(frames: int, noise: float) -> dict[str, Any]:
    from bunraku.compute.threads import one_thread
    from bunraku.core.mesh_sequence import mesh_sequence
    from bunraku.core.rig import diagonal
    from bunraku.inversion.account import observability
    from bunraku.inversion.evaluate import control_error, roughness
    from bunraku.inversion.invert import InvertConfig, invert
    from bunraku.rigs.skinned import bake, open_gltf_rig

    rig = open_gltf_rig(Path(os.environ["BUNRAKU_DATA"]) / "rigs" / "robot.glb")
    _, dance = bake(rig, "Robot_Dance", Fraction(24))
    assert dance is not None
    there = dance.ordered_as(rig.spec)
    cycle = np.concatenate([there, there[-2:0:-1]])
    true = np.tile(cycle, (frames // len(cycle) + 1, 1))[:frames]
    rng, length = np.random.default_rng(0), diagonal(rig.neutral)
    mesh = np.empty((frames, len(rig.neutral), 3), np.float32)
    for first in range(0, frames, 64):
        part = rig.evaluate(true[first : first + 64])
        mesh[first : first + 64] = part + noise * length * rng.standard_normal(part.shape)
    before = _peak_mb()
    with one_thread():
        began, cpu = time.perf_counter(), time.process_time()
        take = invert(rig, mesh_sequence(mesh), InvertConfig())
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    controls = take.curves.values
    determined = observability(rig, true[:: max(frames // 64, 1)]).determined
    return {
        "frames": frames,
        "controls": len(rig.spec),
        "seconds": seconds,
        "cpu_s": cpu_s,
        "frames_per_cpu_s": frames / cpu_s,
        "before_mb": before,
        "peak_mb": _peak_mb(),
        "relative_error": take.metrics.number("relative_error"),
        "control_error": control_error(rig.spec, controls, true, determined),
        "roughness_of_true": roughness(rig.spec, controls) / roughness(rig.spec, true),
        "cuts": len(take.metrics["cuts"]),  # pyright: ignore[reportArgumentType]
        "smoothed": take.metrics["smoothed"],
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 3000, 10_000])
    parser.add_argument("--noise", type=float, default=0.001)
    parser.add_argument("--one", type=int)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.noise)))
        return
    rows, load = list[dict[str, Any]](), os.getloadavg()[0]
    for frames in asked.frames:
        words = [sys.executable, __file__, "--one", str(frames), "--noise", str(asked.noise)]
        rows.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
        print(f"{frames}: {rows[-1]['frames_per_cpu_s']:.3g} frames/s, {rows[-1]['peak_mb']:.0f} MB", flush=True)
    print_table("long shots of robot.glb", rows)
    record("rig_long", {"frames": asked.frames, "noise": asked.noise, "load_at_start": load}, rows)


if __name__ == "__main__":
    main()
