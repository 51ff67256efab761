"""The largest push of 0.2 s on the pelvis that trained humanoids survive, against the paper's.

    python benchmarks/mimic_push.py RUN RUN … [--seed 0]    runs of `bunraku mimic train humanoid` on published clips

Eight phases of the clip, forward and sideways in its heading; survived: no fall in the five seconds after. The table
gives the phase that takes least and the median phase; the paper does not say at which phase it pushed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from record import print_table, record

from bunraku.imitation.clip_push import clip_pushes
from bunraku.imitation.push import PushConfig
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import load_trained, policy_of

PAPER_N = {
    "walk": (240, 300),
    "run": (720, 300),
    "backflip": (440, 100),
    "cartwheel": (200, 470),
    "spinkick": (690, 600),
}
"""Forward, sideways."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for path in asked.runs:
        run, task = load_trained(path, None)
        assert isinstance(task, ClipTask)
        clip = Path(str(task.clip_identity.get("path", task.clip_identity.get("made")))).stem.removeprefix(
            "humanoid3d_"
        )
        row: dict[str, Any] = {"clip": clip, "training seed": run.result["seed"], "samples": run.result["samples"]}
        done = clip_pushes(policy_of(run, "last").act, task.exam, PushConfig(seed=asked.seed))
        for push, paper in zip(done, PAPER_N.get(clip, (None, None)), strict=True):
            row |= {f"{push.direction}, least": float(push.stands_again_n.min())}
            row |= {
                f"{push.direction}, median": float(np.median(push.stands_again_n)),
                f"{push.direction}, paper": paper,
            }
        rows.append(row)
        print_table("largest pushes [N]", rows)
    record("mimic_push", {"seed": asked.seed, "push_s": 0.2, "phases": 8}, rows)


if __name__ == "__main__":
    main()
