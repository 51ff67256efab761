"""A face-like rig as a black box: 100 controls, 2,000 vertices, in-betweens, 150 combinations, a jaw that turns.

    python benchmarks/rig_face.py [--seeds 3]

Millimetres on the true rig after 0, 1, 2, 3, 5 and 10 true evaluations a frame (the first of them looks at the
start), CPU seconds of one thread with sampling and fitting in them, and a plain linear blendshape solve beside it (one
column per control, measured at its full value; exact bounds).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from record import print_table, record
from scipy.optimize import lsq_linear

from bunraku.compute.threads import one_thread
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.dataset import load_samples
from bunraku.inversion.draw import SampleConfig
from bunraku.inversion.encoder import train_encoder
from bunraku.inversion.fit import FitConfig, fit
from bunraku.inversion.refine import RefineConfig, refine
from bunraku.inversion.sample import sample
from bunraku.inversion.solve import solve
from bunraku.rigs.face import Face, animation

SAMPLES, FRAMES = 4000, 96
FIRST_SHOT = 100  # shots that nothing in the package was chosen by: its defaults were, by shots 0 to 2


def blendshapes(rig: Face, target: np.ndarray) -> np.ndarray:
    """Each frame's bounded linear least squares over one shape per control."""
    spec = rig.spec
    full = np.where(np.abs(spec.upper - spec.neutral) > 0, spec.upper, spec.lower)
    poses = np.tile(spec.neutral, (len(spec), 1))
    np.fill_diagonal(poses, full)
    shapes = ((rig.evaluate(poses) - rig.neutral).reshape(len(spec), -1) / (full - spec.neutral)[:, None]).T
    orthogonal, upper = np.linalg.qr(shapes)
    coordinates = (target - rig.neutral).reshape(len(target), -1) @ orthogonal
    bounds = (spec.lower - spec.neutral, spec.upper - spec.neutral)
    return spec.neutral + np.array([lsq_linear(upper, z, bounds, tol=1e-12).x for z in coordinates])


def measure(rig: Face, shot_seed: int) -> list[dict[str, object]]:
    true = animation(rig, FRAMES, shot_seed).values
    target = rig.evaluate(true)
    shot = mesh_sequence(target)

    def row(method: str, evaluations: int, cpu_s: float, controls: np.ndarray) -> dict[str, object]:
        distance = np.linalg.norm(rig.evaluate(controls) - target, axis=2)
        active = float((np.abs(controls - rig.spec.neutral) > 0.02 * rig.spec.range).sum(axis=1).mean())
        wrong = float((np.abs(controls - true) / rig.spec.range).mean())
        measured = {"mean_mm": float(distance.mean()), "max_mm": float(distance.max()), "active": active}
        return {"method": method, "evaluations": evaluations, "cpu_s": cpu_s, **measured, "control_error": wrong}

    rows = [row("truth", 0, 0.0, true)]
    started = time.process_time()
    linear = blendshapes(rig, target)
    rows.append(row("bounded linear blendshapes", 0, time.process_time() - started, linear))
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        sample(rig, SampleConfig(SAMPLES, seed=shot_seed), Path(folder) / "samples")
        sampled = time.process_time()
        model = fit(load_samples(Path(folder) / "samples"), FitConfig(seed=shot_seed))
        fitted = time.process_time()
        solution = solve(model, shot)
        cpu = time.process_time() - started
        first = row("approximation + solve", 0, cpu, solution.controls)
        rows.append({**first, "sample_cpu_s": sampled - started, "fit_cpu_s": fitted - sampled})
        for budget in (1, 2, 3, 5, 10):
            began = time.process_time()
            refined = refine(rig.evaluate, model, shot, solution.controls, RefineConfig(budget))
            rows.append(row("… + refine", budget, cpu + time.process_time() - began, refined.controls))
        began = time.process_time()
        encoder = train_encoder(model, shot)
        spent = fitted - started + time.process_time() - began
        answer = row("approximation + encoder", 0, spent, encoder.encode(target))
        rest = encoder.encode(rig.neutral[None])[0]
        off = float((np.abs(rest - rig.spec.neutral) / rig.spec.range).max())
        rows.append({**answer, "neutral_control": off})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    load = os.getloadavg()[0]
    with one_thread():
        runs = [measure(Face(), FIRST_SHOT + seed) for seed in range(seeds)]
    medians = []
    for rows in zip(*runs, strict=True):
        numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
        fixed = {"method": rows[0]["method"], "evaluations": rows[0]["evaluations"]}
        medians.append({**fixed, **{n: float(np.median([float(r[n]) for r in rows])) for n in numbers}})
    rig = Face()
    moved = [rig.evaluate(animation(rig, FRAMES, FIRST_SHOT + k).values) - rig.neutral for k in range(seeds)]
    motion = float(np.median([np.linalg.norm(offset, axis=2).mean() for offset in moved]))
    title = f"Face, {SAMPLES} sparse samples, {FRAMES} frames, {motion:.1f} mm mean motion, medians of {seeds} shots"
    print_table(title, medians)
    config = {"seeds": seeds, "samples": SAMPLES, "frames": FRAMES, "threads": 1, "load_at_start": load}
    rows = [{"seed": FIRST_SHOT + seed, **row} for seed, run in enumerate(runs) for row in run]
    record("rig_face", config, rows, medians=medians, mean_motion_mm=motion)


if __name__ == "__main__":
    main()
