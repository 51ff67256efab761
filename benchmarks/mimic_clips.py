"""The humanoid learns published clips from scratch, clip by clip and seed by seed, against the paper's figures.

    python benchmarks/mimic_clips.py walk run jump --seeds 3 --minutes 20 --work DIR [--threads 2]

A training is cut into pieces of `--every` samples (a run continues exactly) and judged after each: 32 episodes
without jitter, 20 s from random moments for clips that loop, once from the first frame for others. It ends at
`--samples`, or after `--minutes` of a processor's time (no judging), at `--until` of return with every episode whole,
or with `--until-paper` at the paper's return. Trainings are kept in `--work` and go on where they stopped; the table
has a row for each clip and seed that is there, and is written after every piece. A training that ends at the first
passed exam has been lucky in the draw of 32 starts: with `--strictly` each piece is examined in 256 episodes of another
seed too, and these decide; `--wide` examines the last policies of the clips named so, once more. Wall time counts what
else the machine did, and pauses; "load" says how busy it was.

Peng et al. 2018, table of performance: T s, million samples, normalised return. Which of three readings of the reward
it used is not known, so that all three stand here and the comparison is indicative.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exam import examined
from record import code, merged, print_table, record

from bunraku import mimic
from bunraku.core.artifact import write_json
from bunraku.mimic.paper import PAPER

CARRIED = {"cmu_02_01": ("cmu/02_01.amc", 0.85), "cmu_12_01": ("cmu/12_01.bvh", 0.85)}
"""Clips of other skeletons, mended and carried over; the return that is asked for here is our own."""

JUDGED = (
    *("samples", "train_wall_seconds", "train_cpu_seconds", "normalized_return", "normalized_return_literal"),
    *("normalized_return_released", "full_episodes", "mean_episode_s", "reward_terms", "yaw_error_deg"),
    *("root_error_m", "saturated", "beyond_limit", "diverged", "times"),
)

UNEXAMINED = {"normalized_return": 0.0, "full_episodes": 0.0}

LAST = ("primer", "saturated", "beyond_limit", "diverged", "load", "threads", "code")


def trained(clip: str, seed: int, asked: argparse.Namespace) -> None:
    """Train one clip with one seed, piece by piece; its points are kept beside the run."""
    out = asked.work / f"{clip}_{seed}"
    kept = asked.work / f"{clip}_{seed}.json"
    points: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    place = CARRIED[clip][0] if clip in CARRIED else f"deepmimic/humanoid3d_{clip}.txt"
    file, mend = asked.data / "clips" / place, asked.mend or clip in CARRIED
    while not _over(clip, points, asked):
        goal = (points[-1]["samples"] if points else 0) + asked.every
        load = os.getloadavg()[0]
        done = mimic.train("humanoid", out, clip=file, samples=goal, seed=seed, threads=asked.threads, mend=mend)
        point = {name: done[name] for name in JUDGED} | {"load": load, "threads": asked.threads, "code": code()}
        if "from_random_moments" in done:
            point["return_from_random_moments"] = done["from_random_moments"]["normalized_return"]
        point["primer"] = done["primer"]
        point["no_action"] = done["controllers"][1]["normalized_return"]
        point["kinematic_pd"] = done["controllers"][2]["normalized_return"]
        if asked.strictly:
            point["wide"] = examined(out)
        points.append(point)
        write_json(kept, points)
        report(asked)


def widened(clip: str, seed: int, asked: argparse.Namespace) -> None:
    """Examine the last policy once more, in 256 episodes."""
    kept = asked.work / f"{clip}_{seed}.json"
    points = json.loads(kept.read_text())
    points[-1]["wide"] = examined(asked.work / f"{clip}_{seed}")
    write_json(kept, points)


def _over(clip: str, points: list[dict[str, Any]], asked: argparse.Namespace) -> bool:
    if not points:
        return False
    last = points[-1]
    judged = last.get("wide", UNEXAMINED) if asked.strictly else last
    good = judged["normalized_return"] >= asked.until and judged["full_episodes"] == 1.0
    if asked.until_paper:
        good = good or judged["normalized_return"] >= _goal(clip)[1]
    return good or last["samples"] >= asked.samples or last["train_cpu_seconds"] >= 60 * asked.minutes


def _goal(clip: str) -> tuple[float | None, float]:
    """The paper's million samples, and the return to reach."""
    return (None, CARRIED[clip][1]) if clip in CARRIED else PAPER[clip]


def rows(work: Path) -> Iterable[dict[str, Any]]:
    """One row for each clip and seed."""
    for kept in sorted(work.glob("*.json")):
        clip, _, seed = kept.stem.rpartition("_")
        if clip not in PAPER and clip not in CARRIED:
            continue
        points = json.loads(kept.read_text())
        million, goal = _goal(clip)
        best = max(points, key=lambda point: point["normalized_return"])
        reached = next((point for point in points if point["normalized_return"] >= goal), None)
        strictly = next((point for point in points if point.get("wide", UNEXAMINED)["normalized_return"] >= goal), None)
        yield {
            "clip": clip,
            "seed": int(seed),
            "return": points[-1]["normalized_return"],
            "literal": points[-1]["normalized_return_literal"],
            "released": points[-1]["normalized_return_released"],
            "whole": points[-1]["full_episodes"],
            "in 256": points[-1].get("wide", {}).get("normalized_return"),
            "whole of 256": points[-1].get("wide", {}).get("full_episodes"),
            "paper reached in 256 at Msamples": strictly and strictly["samples"] / 1e6,
            "best": best["normalized_return"],
            "paper": goal,
            "Msamples": points[-1]["samples"] / 1e6,
            "minutes": points[-1]["train_wall_seconds"] / 60,
            "CPU minutes": points[-1]["train_cpu_seconds"] / 60,
            "paper reached at Msamples": reached and reached["samples"] / 1e6,
            "and CPU minutes": reached and reached["train_cpu_seconds"] / 60,
            "share of the paper's samples": reached and million and reached["samples"] / 1e6 / million,
            "no action": points[-1]["no_action"],
            "kinematic PD": points[-1]["kinematic_pd"],
            "curve": [[point[name] for name in ("samples", "normalized_return", "full_episodes", "train_wall_seconds")]
                      for point in points],
            "terms": points[-1]["reward_terms"],
            "last": {name: points[-1][name] for name in LAST if name in points[-1]},
        }  # fmt: skip


def report(asked: argparse.Namespace) -> None:
    """The table so far, printed and written; what other machines or sittings measured stays in it."""
    key = ("clip", "seed")
    everything = sorted(merged(asked.table, rows(asked.work), key), key=lambda row: [row[word] for word in key])
    print_table("clips", [{k: v for k, v in row.items() if k not in ("curve", "terms", "last")} for row in everything])
    config = {name: value for name, value in vars(asked).items() if name not in ("work", "data", "clips")}
    record(asked.table, config, everything, paper={clip: list(figures) for clip, figures in PAPER.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", choices=sorted({**PAPER, **CARRIED}))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=20_000_000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--until", type=float, default=2.0, help="stop at this return with every episode whole")
    parser.add_argument("--until-paper", action="store_true", help="stop at the paper's return")
    parser.add_argument("--every", type=int, default=500_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wide", action="store_true", help="examine what was trained in more episodes")
    parser.add_argument("--strictly", action="store_true", help="256 episodes decide when a training ends")
    parser.add_argument("--mend", action="store_true")
    parser.add_argument("--table", default="mimic_clips", help="name of the file of results")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BUNRAKU_DATA", "data")))
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for clip in asked.clips:
            (widened if asked.wide else trained)(clip, seed, asked)
    report(asked)


if __name__ == "__main__":
    main()
