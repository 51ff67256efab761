"""How long a film takes: a run's character at 640×480, drawn without a screen, and encoded.

    python benchmarks/render.py RUN [--seconds 20]

Everything on one core (the process binds itself to one, so that software OpenGL and the encoder cannot use more):
simulating, drawing with ghost, shadow and captions, and encoding to .mp4. CPU time includes the encoder's process; on a
machine that others use, wall time says how busy it was.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

from record import print_table, record  # noqa: E402 (threads are counted when libraries are loaded)

from bunraku.imitation.render import RenderConfig  # noqa: E402
from bunraku.mimic.filming import film, take_footage  # noqa: E402
from bunraku.mimic.opening import load_trained, policy_of  # noqa: E402


def cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    trained, task = load_trained(options.run, None)
    policy = policy_of(trained, "last")
    began, cpu = time.perf_counter(), cpu_s()
    footage = take_footage(policy, task, options.seconds)
    simulated = cpu_s() - cpu
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for ending in (".mp4", ".png"):
            began, cpu = time.perf_counter(), cpu_s()
            told = film(policy, task, Path(folder) / f"film{ending}", options.seconds, 0, RenderConfig())
            spent = {"cpu_s": cpu_s() - cpu, "wall_s": time.perf_counter() - began}
            rows.append({"file": ending, "frames": told["frames"], **spent, "kB": told["bytes"] / 1e3})
    print_table(f"{options.seconds:g} s of {task.name}, 640×480, one core", rows)
    about = {"simulation_cpu_s": simulated, "frames_simulated": len(footage.qpos)}
    record("render", {"seconds": options.seconds, "width": 640, "height": 480}, rows, **about)


if __name__ == "__main__":
    main()
