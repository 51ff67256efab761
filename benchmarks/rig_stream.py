"""Streaming on the face: 100 controls, 2,000 vertices, frame after frame on one core.

    python benchmarks/rig_stream.py [--frames 300] [--fps 60]

A shot of the face at `--fps` with noise of 0.5 % of the diagonal on every coordinate, and without noise, pushed through
`Stream` one frame at a time, solved on an approximation (sampled and fitted first) with one true evaluation a frame;
beside it Levenberg–Marquardt on each frame alone, refined on the true rig, and the same with 30 % missing vertices
(another third of them in every frame). Latency in CPU and in wall milliseconds: on a machine that others use, wall time
says how busy it was. Errors are after the first half second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from record import print_table, record
from scipy.interpolate import CubicSpline

from bunraku.compute.threads import one_thread
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.dataset import load_samples
from bunraku.inversion.draw import SampleConfig
from bunraku.inversion.fit import FitConfig, fit
from bunraku.inversion.refine import RefineConfig, refine
from bunraku.inversion.sample import sample
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.inversion.stream import Stream
from bunraku.rigs.face import Face, animation

SHOT = 100


def shot(rig: Face, frames: int, fps: float) -> np.ndarray:
    """The animation of the face at another rate, inside its bounds."""
    times = np.arange(frames) * 24 / fps
    slow = animation(rig, int(times[-1]) + 2, SHOT).values
    return np.clip(CubicSpline(np.arange(len(slow)), slow)(times), rig.spec.lower, rig.spec.upper)


def judged(rig: Face, method: str, case: str, own: np.ndarray, true: np.ndarray, skip: int) -> dict[str, object]:
    off = (own - true)[skip:] / rig.spec.range
    rough = float((np.diff(off, n=2, axis=0) ** 2).mean())
    distance = np.linalg.norm(rig.evaluate(own[skip:]) - rig.evaluate(true[skip:]), axis=2)
    measured = {"control_error": float(np.abs(off).mean()), "roughness_of_error": rough}
    return {"case": case, "method": method, **measured, "error_to_clean_mm": float(distance.mean())}


def streamed(rig: Face, model: Approximation, frames: np.ndarray) -> tuple[np.ndarray, dict[str, object]]:
    stream = Stream(model, evaluate=rig.evaluate)
    controls, cpu_ms, wall_ms, counts = [], [], [], []
    for frame in frames:
        wall, cpu = time.perf_counter(), time.process_time()
        solved = stream.push(frame)
        cpu_ms.append(1e3 * (time.process_time() - cpu))
        wall_ms.append(1e3 * (time.perf_counter() - wall))
        controls.append(solved.controls)
        counts.append(solved.linearizations)
    late = {
        "cpu_ms_median": float(np.median(cpu_ms)),
        "cpu_ms_p99": float(np.percentile(cpu_ms, 99)),
        "wall_ms_median": float(np.median(wall_ms)),
        "wall_ms_p99": float(np.percentile(wall_ms, 99)),
        "frames_per_cpu_s": 1e3 * len(frames) / float(np.sum(cpu_ms)),
        "frames_per_s": 1e3 * len(frames) / float(np.sum(wall_ms)),
        "linearizations": float(np.mean(counts)),
    }
    return np.array(controls), late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--fps", type=float, default=60.0)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    rig, skip = Face(), int(args.fps / 2)
    rows: list[dict[str, object]] = []
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        sample(rig, SampleConfig(4000, seed=0), Path(folder) / "samples")
        model = fit(load_samples(Path(folder) / "samples"), FitConfig())
        true = shot(rig, args.frames, args.fps)
        clean = rig.evaluate(true)
        rng = np.random.default_rng(1)
        noisy = clean + 0.005 * diagonal(rig.neutral) * rng.standard_normal(clean.shape)
        holes = np.where(rng.random(clean.shape[:2])[..., None] < 0.3, np.nan, noisy)
        for case, frames in (("clean", clean), ("noise .5 %", noisy), ("and 30 % missing", holes)):
            own, late = streamed(rig, model, frames)
            rows.append({**judged(rig, "stream", case, own, true, skip), **late})
            if case == "noise .5 %":
                capture = mesh_sequence(frames)
                start = solve(model, capture, SolveConfig()).controls
                alone = refine(rig.evaluate, model, capture, start, RefineConfig(3)).controls
                rows.append(judged(rig, "per-frame LM + 3 true evaluations", case, alone, true, skip))
    print_table(f"Face at {args.fps:g} frames/s, {args.frames} frames, one core, load {load:.1f} at the start", rows)
    record("rig_stream", {"frames": args.frames, "fps": args.fps, "threads": 1, "load_at_start": load}, rows)


if __name__ == "__main__":
    main()
