"""Rigify's human, a rig of 243 controls inside Blender: a shot of it followed on the rig itself, and by samples.

    python benchmarks/rig_rigify.py [--folder DIR] [--frames N] [--black-box] [--samples N]

The rig is `integrations/blender/rigify_human.py`'s; the shot moves 65 controls (torso, hips, chest, spine, neck, head,
shoulders, hands, feet, breath), all 243 are solved for. Blender itself evaluates it, so that the truth is known; the
solver gets its vertices alone. `follow` asks the rig from frame to frame; --black-box also samples it, fits an
approximation, and solves on that, without and with 8 true evaluations a frame. One Blender; samples and approximation
are kept in the folder and not made again. `cpu_s` is this process' own, without Blender's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from record import print_table, record

import bunraku as bk
from bunraku.core.curves import Curves
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.inversion.draw import SampleConfig
from bunraku.inversion.follow import follow
from bunraku.rigs.blender_program import find_blender
from bunraku.rigs.integration import integration

MOVED = (
    *("torso.[tr]?", "hips.r?", "chest.r?", "chest.breath", "spine_fk*.r?", "neck.r?", "head.r?", "shoulder.?.r?"),
    *("hand_ik.?.[tr]?", "foot_ik.?.[tr]?", "thigh_ik.?.ry", "upper_arm_ik.?.ry"),
)
"""What an animator keys; patterns of names."""
AMPLITUDE = 0.5
"""Of the distance from neutral to the nearer bound."""


def generate(path: Path) -> float:
    """Have Blender make the rig; seconds."""
    began = time.perf_counter()
    words = find_blender().words(integration("blender/rigify_human.py"), (str(path),), scripts=False)
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def shot(rig, frames: int, seed: int = 0) -> tuple[MeshSequence, Curves]:
    """Smooth random curves of what is moved, and the meshes that Blender makes of them."""
    from fnmatch import fnmatchcase

    spec, random = rig.spec, np.random.default_rng(seed)
    values, t = np.tile(spec.neutral, (frames, 1)), np.arange(frames) / 24
    for column, name in enumerate(spec.names):
        if any(fnmatchcase(name, pattern) for pattern in MOVED):
            low, high = spec.neutral[column] - spec.lower[column], spec.upper[column] - spec.neutral[column]
            waves = random.uniform(0.2, 0.7, 3)[:, None] * t + random.uniform(0, 1, 3)[:, None]
            wave = np.sin(2 * np.pi * waves).mean(axis=0)
            reach = min(low, high) if min(low, high) > 0 else max(low, high)
            values[:, column] += AMPLITUDE * reach * (wave if low > 0 else (1 + wave) / 2)
    curves = Curves(spec.names, values, Fraction(24))
    return mesh_sequence(rig.evaluate(values), rig.faces, curves.fps), curves


def judged(rig, capture: MeshSequence, true: Curves, way: str, values: np.ndarray, **costs: float) -> dict[str, object]:
    diagonal, spec = float(np.linalg.norm(np.ptp(rig.neutral, axis=0))), rig.spec
    off = np.linalg.norm(rig.evaluate(values) - capture.vertices, axis=-1)
    return {
        "way": way,
        "relative_error": float(off.mean()) / diagonal,
        "p95_mm": 1e3 * float(np.quantile(off, 0.95)),
        "max_mm": 1e3 * float(off.max()),
        **costs,
        "control_error": float(np.abs((values - true.values) / spec.range).mean()),
        "active_controls": float((np.abs(values - spec.neutral) / spec.range > 0.02).sum(axis=1).mean()),
    }


def followed(rig, capture: MeshSequence, true: Curves) -> dict[str, object]:
    began, cpu = time.perf_counter(), time.process_time()
    done = follow(rig, capture)
    costs = {"evaluations": done.evaluations, "wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    return judged(rig, capture, true, f"follow ({done.jacobians} Jacobians)", done.controls, **costs)


def by_samples(rig, file: Path, folder: Path, samples: int, capture: MeshSequence, true: Curves):
    began, cpu = time.perf_counter(), time.process_time()
    bk.sample(str(file), folder / "samples", SampleConfig(samples=samples, seed=0))
    bk.fit(folder / "samples", folder / "model")
    made = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    for refine in (0, 8):
        began, cpu = time.perf_counter(), time.process_time()
        take = bk.invert(capture, rig, model=folder / "model", refine=refine)
        costs = {
            "evaluations": samples + int(take.metrics.number("rig_evaluations")),
            "wall_s": made["wall_s"] + time.perf_counter() - began,
            "cpu_s": made["cpu_s"] + time.process_time() - cpu,
        }
        yield judged(rig, capture, true, f"approximation, refine {refine}", take.curves.values, **costs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("out/rigify"))
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--black-box", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "rigify_human.blend"
    generated = None if file.exists() else generate(file)
    rig = bk.open_rig(str(file))
    capture, true = shot(rig, options.frames)
    moved = int((np.ptp(true.values, axis=0) > 0).sum())
    counts = {"controls": len(rig.spec), "moved": moved, "vertices": len(rig.neutral), "frames": options.frames}
    config = {**counts, "samples": options.samples, "seed": 0, "threads": 1, "load": os.getloadavg()[0]}
    rows = [followed(rig, capture, true)]
    print(rows[-1], flush=True)
    record("rig_rigify", config, rows, generate_s=generated)
    for row in by_samples(rig, file, options.folder, options.samples, capture, true) if options.black_box else ():
        rows.append(row)
        print(row, flush=True)
        record("rig_rigify", config, rows, generate_s=generated)
    print_table(f"Rigify's human through Blender: {counts}", rows)


if __name__ == "__main__":
    main()
