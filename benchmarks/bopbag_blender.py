"""The bop bag trained inside Blender: the published 6,144 frames of its own rigid bodies, seed by seed.

    python benchmarks/bopbag_blender.py [--seeds N] [--first-seed S]

Each training starts a Blender of its own and is judged in it: 32 episodes of 20 s without jitter.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from record import print_table, record

from bunraku import mimic
from bunraku.core import artifact


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    rows, program, rest = [], "", {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            done = mimic.train("blender:bopbag", out, seed=seed)
            program = artifact.read_manifest(out)["settings"]["task"]["host"]["program"]
        rest = {row["controller"]: row["normalized_return"] for row in done["controllers"][1:]}
        rows.append(
            {
                "seed": seed,
                "frames": done["samples"],
                "normalized_return": done["normalized_return"],
                "standing": done["standing"],
                "train_s": done["train_wall_seconds"],
                "blender_s": done["times"]["physics"],
                "update_s": done["times"]["update"],
                "all_s": time.perf_counter() - began,
            }
        )
        print(rows[-1], flush=True)
    stood = sum(row["standing"] == 1 for row in rows)
    print_table(f"Bop bags of {program}: {stood} of {len(rows)} policies stand in all 32 episodes", rows)
    record("bopbag_blender", {"program": program, "episodes": 32, "episode_s": 20}, rows, baselines=rest)


if __name__ == "__main__":
    main()
