"""A sample set larger than the memory it may take: sampled to disk and fitted from there, each in a process of its own.

    python benchmarks/rig_memory.py                  5 GB of samples, in a temporary folder that is removed afterwards
    python benchmarks/rig_memory.py --gigabytes 0.3  a small try

Prints a table and writes benchmarks/results/rig_memory.json. The aim: no process above 2 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

RIG = "python:rig_memory:rig"
OPENER = "bunraku.rigs.python:open_python_rig"
CONTROLS, PAIRS, VERTICES = 60, 60, 20_000
LIMIT_GB = 2.0
RESULTS = Path(__file__).parent / "results" / "rig_memory.json"


@cache
def _shapes() -> tuple[Any, Any, Any]:
    """A sphere of points, smooth local offsets for each control, and for some pairs of controls another one."""
    import numpy as np

    rng = np.random.default_rng(0)

    def directions(count: int) -> np.ndarray:
        points = rng.normal(size=(count, 3))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    points = directions(VERTICES)
    near = np.exp(-6 * (1 - points @ directions(CONTROLS + PAIRS).T))
    push = rng.normal(scale=0.1, size=(CONTROLS + PAIRS, 3))
    offsets = (near.T[:, :, None] * push[:, None, :]).reshape(CONTROLS + PAIRS, -1)
    return points.ravel(), offsets, rng.integers(0, CONTROLS, size=(PAIRS, 2))


def rig(controls: Any) -> Any:
    """(N, 60) to (N, 20000, 3): linear offsets, corrections for pairs, one curved control."""
    import numpy as np

    points, offsets, pairs = _shapes()
    products = controls[:, pairs[:, 0]] * controls[:, pairs[:, 1]]
    amounts = np.concatenate([controls, products], axis=1)
    amounts[:, 0] = np.sin(2 * amounts[:, 0])
    return (points + amounts @ offsets).reshape(len(controls), -1, 3)


rig.controls = [f"c{i}" for i in range(CONTROLS)]  # pyright: ignore[reportFunctionMemberAccess]


def peak_gb() -> float:
    """The largest memory this process itself has held (VmHWM; ru_maxrss would count what it was forked from)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def stage_sample(out: Path, gigabytes: float, seed: int, workers: int) -> dict[str, Any]:
    from bunraku.compute.workers import Workers
    from bunraku.inversion.sample import SampleConfig, rig_task, sample
    from bunraku.rigs.python import open_python_rig

    cfg = SampleConfig(samples=round(gigabytes * 1e9 / (12 * VERTICES)), seed=seed)
    task = rig_task(OPENER, RIG, range(CONTROLS))
    result = sample(open_python_rig(RIG), cfg, out, source={"rig": RIG}, task=task, engine=Workers(workers))
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return {"samples": result.samples, "bytes": result.bytes, "largest_worker_gb": largest}


def stage_fit(out: Path, seed: int) -> dict[str, Any]:
    import numpy as np
    import torch

    from bunraku.core.rig import diagonal
    from bunraku.inversion.dataset import load_samples
    from bunraku.inversion.fit import FitConfig, fit

    torch.set_num_threads(1)
    samples = load_samples(out)
    model = fit(samples, FitConfig(seed=seed))
    seen, total = 0, 0.0
    for controls, vertices in samples.batches("test", 64):
        total += float(np.linalg.norm(model.evaluate(controls) - vertices, axis=2).mean(axis=1).sum())
        seen += len(controls)
    return {"components": model.component_count, "relative_error": total / seen / diagonal(samples.neutral)}


def in_a_process_of_its_own(stage: str, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(out)]
    command += ["--gigabytes", str(options.gigabytes), "--seed", str(options.seed), "--workers", str(options.workers)]
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return {"stage": stage, "wall_seconds": round(time.perf_counter() - began, 1), **json.loads(done.stdout)}


def run_stage(options: argparse.Namespace) -> None:
    if options.stage == "sample":
        result = stage_sample(options.folder, options.gigabytes, options.seed, options.workers)
    else:
        result = stage_fit(options.folder, options.seed)
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(part.ru_utime + part.ru_stime for part in used)
    print(json.dumps({**result, "peak_gb": peak_gb(), "cpu_seconds": round(cpu, 1)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the samples go for a while (default: a temporary folder)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--stage", choices=["sample", "fit"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options)
        return
    with tempfile.TemporaryDirectory(prefix="rig_memory_", dir=options.folder) as folder:
        out = Path(folder) / "samples"
        stages = [in_a_process_of_its_own(stage, out, options) for stage in ("sample", "fit")]
    print(
        f"{stages[0]['bytes'] / 1e9:.2f} GB: {stages[0]['samples']} samples of {VERTICES} vertices, {CONTROLS} controls"
    )
    print(f"{'stage':8} {'peak GB':>8} {'wall s':>8} {'CPU s':>8}")
    for stage in stages:
        print(f"{stage['stage']:8} {stage['peak_gb']:8.2f} {stage['wall_seconds']:8.1f} {stage['cpu_seconds']:8.1f}")
    print(f"largest worker {stages[0]['largest_worker_gb']:.2f} GB")
    print(
        f"approximation: {stages[1]['components']} components, relative error {stages[1]['relative_error']:.2e} on test"
    )
    highest = max(stages[0]["largest_worker_gb"], *(stage["peak_gb"] for stage in stages))
    print(f"aim: below {LIMIT_GB} GB; highest {highest:.2f} GB: {'met' if highest < LIMIT_GB else 'MISSED'}")
    write(options, stages, highest)


def write(options: argparse.Namespace, stages: list[dict[str, Any]], highest: float) -> None:
    from bunraku.core.artifact import provenance

    config = {"gigabytes": options.gigabytes, "workers": options.workers, "controls": CONTROLS, "vertices": VERTICES}
    result = {"config": config, "seed": options.seed, "stages": stages, "highest_gb": highest, "limit_gb": LIMIT_GB}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps({**result, "provenance": provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
