"""The published toy: the recipe of Marquis Bolduc & Phan (SIGGRAPH Asia 2022) beside ours, same data, same run.

    python benchmarks/rig_toy.py [--seeds 5] [--cap 250 50]

1,000 uniform samples of the published cube (its vertex list, its 128 frames); the first seed's animation is the
published straight line in control space, the others are curved and reverse. The recipe stops by its own rules or at
the cap of CPU seconds (approximation, encoder). CPU seconds are of one thread and include all that a method needs
after the samples are there. Every method has the machine to itself only if nothing else runs: the load at the start
is recorded.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from published_recipe import run_published
from record import print_table, record

from bunraku.compute.threads import one_thread
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.dataset import load_samples
from bunraku.inversion.encoder import train_encoder
from bunraku.inversion.fit import FitConfig, fit, quick
from bunraku.inversion.refine import FiniteDifferences, RefineConfig, refine
from bunraku.inversion.solve import solve
from bunraku.rigs.cube import Cube

FRAMES, SAMPLES = 128, 1000


def animation(seed: int) -> np.ndarray:
    """Straight from one random pose to another (seed 0, as published), else a curve that turns back twice."""
    rng = np.random.default_rng([seed, 1])
    start, end = rng.random((2, 6))
    t = np.arange(FRAMES)[:, None] / FRAMES
    line = start + t * (end - start)
    if seed == 0:
        return line
    phase, turns = rng.random(6), rng.integers(1, 3, 6)
    return np.clip(line + 0.3 * np.sin(2 * np.pi * (turns * t + phase)), 0.0, 1.0)


def error(rig: Cube, controls: np.ndarray, target: np.ndarray) -> float:
    return float(np.linalg.norm(rig.evaluate(controls) - target, axis=2).mean())


def ours(rig: Cube, samples: Path, target: np.ndarray, seed: int) -> list[dict[str, object]]:
    """Our rows: a full and a quick fit, each solved and refined; the encoder; and no approximation at all."""
    rows: list[dict[str, object]] = []
    shot = mesh_sequence(target)
    for name, cfg in (("fit + solve", FitConfig(seed=seed)), ("quick fit + solve", quick())):
        started = time.process_time()
        model = fit(load_samples(samples), cfg)
        solution = solve(model, shot)
        cpu = time.process_time() - started
        rows.append({"method": name, "evaluations": 0, "cpu_s": cpu, "error": error(rig, solution.controls, target)})
        for budget in (3, 5, 8):
            started = time.process_time()
            refined = refine(rig.evaluate, model, shot, solution.controls, RefineConfig(budget))
            spent = cpu + time.process_time() - started
            found = error(rig, refined.controls, target)
            rows.append({"method": f"{name} + refine", "evaluations": budget, "cpu_s": spent, "error": found})
        if name == "fit + solve":
            started = time.process_time()
            encoder = train_encoder(model, shot)
            spent = cpu + time.process_time() - started
            found = error(rig, encoder.encode(target), target)
            rest = encoder.encode(rig.neutral[None])[0]
            off = float(np.abs(rest - rig.spec.neutral).max())
            row = {"method": "fit + encoder", "evaluations": 0, "cpu_s": spent, "error": found}
            rows.append({**row, "neutral_error": error(rig, rest[None], rig.neutral[None]), "neutral_control": off})
    started = time.process_time()
    direct = solve(FiniteDifferences(rig), shot)
    cpu = time.process_time() - started
    asked = round(direct.evaluations * (1 + len(rig.spec)) / FRAMES, 1)
    row = {"method": "finite differences, no network", "evaluations": asked, "cpu_s": cpu}
    return [*rows, {**row, "error": error(rig, direct.controls, target)}]


def write_dataset(folder: Path, rig: Cube, controls: np.ndarray) -> Path:
    """The published file: arr_0 controls, arr_1 vertices."""
    path = folder / "dataset.npz"
    np.savez(path, controls, rig.evaluate(controls))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cap", type=float, nargs=2, default=(250.0, 50.0), metavar=("APPROXIMATION", "ENCODER"))
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rig = Cube(published_vertices=True)
    rows: list[dict[str, object]] = []
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        ours(
            rig,
            write_dataset(Path(folder), rig, np.random.default_rng(9).random((SAMPLES, 6))),
            rig.evaluate(animation(9)),
            9,
        )
        for seed in range(options.seeds):
            controls = np.random.default_rng([seed, 0]).random((SAMPLES, 6))
            shot = animation(seed)
            samples = write_dataset(Path(folder), rig, controls)
            rows += [{"seed": seed, **row} for row in ours(rig, samples, rig.evaluate(shot), seed)]
            caps = {"cap_approximation_s": options.cap[0], "cap_encoder_s": options.cap[1]}
            done = run_published(rig.evaluate, rig.neutral, controls, shot, **caps, seed=seed)
            row = {"seed": seed, "method": "published recipe", "evaluations": 0, "cpu_s": done.cpu_seconds}
            row |= {"error": done.inversion_error, "neutral_error": done.neutral_error}
            row |= {"cut": [done.approximation.capped, done.encoder.capped]}
            row |= {"epochs": [done.approximation.epochs, done.encoder.epochs]}
            rows.append(row)
            print(f"seed {seed}: published {done.inversion_error:.3g} in {done.cpu_seconds:.0f} CPU s", flush=True)
    medians = summary(rows)
    print_table(f"Cube, {SAMPLES} samples, {FRAMES} frames: medians over {options.seeds} seeds", medians)
    config = {"seeds": options.seeds, "samples": SAMPLES, "frames": FRAMES, "cap_cpu_s": list(options.cap)}
    record("rig_toy", {**config, "threads": 1, "load_at_start": load}, rows, medians=medians)


def summary(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Medians per method and budget, and the ratios to the published recipe's."""
    keys = list(
        dict.fromkeys(
            (str(row["method"]), row["evaluations"] if row["evaluations"] in (0, 3, 5, 8) else "≈") for row in rows
        )
    )
    out: list[dict[str, object]] = []
    for method, budget in keys:
        mine = [r for r in rows if r["method"] == method and (budget == "≈" or r["evaluations"] == budget)]
        median = {name: float(np.median([float(r[name]) for r in mine])) for name in ("cpu_s", "error")}
        extra = {
            n: float(np.median([float(r[n]) for r in mine]))
            for n in ("neutral_error", "neutral_control")
            if n in mine[0]
        }
        asked = float(np.median([float(r["evaluations"]) for r in mine]))
        out.append({"method": method, "evaluations": asked, **median, **extra})
    recipe = next((row for row in out if row["method"] == "published recipe"), None)
    for row in out if recipe else []:
        row["cpu_ratio"] = recipe["cpu_s"] / row["cpu_s"]
        row["error_ratio"] = recipe["error"] / row["error"]
    return out


if __name__ == "__main__":
    main()
