"""What reference state initialisation and early termination are worth, and what our physics costs.

    python benchmarks/mimic_ablation.py starts walk backflip --samples 3000000 --work DIR     the paper's table 2
    python benchmarks/mimic_ablation.py physics walk backflip --samples 3000000 --work DIR    rates; joint damping
    python benchmarks/mimic_ablation.py learner walk --samples 1500000 --seeds 3 --work DIR   what the preset is made of

Each row is one training from scratch with one thing changed from the preset; all of a table have the same budget of
samples, and each clip a file of its own, in which rows of the same budget that others measured stay. Trainings are kept
in `--work` and go on where they stopped. Judged as benchmarks/mimic_clips.py judges.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exam import examined
from record import code, merged, print_table, record

from bunraku import mimic
from bunraku.core.artifact import write_bytes
from bunraku.imitation.character import character_from_xml
from bunraku.imitation.clip_environment import ClipConfig
from bunraku.imitation.humanoid import humanoid
from bunraku.imitation.learner import PrimerConfig, TrainConfig
from bunraku.imitation.phases import PhasesConfig
from bunraku.imitation.presets import following_ppo
from bunraku.mimic.fitting import FALLS

PAPER = {
    "starts": {"walk": (0.980, 0.981, 0.974), "backflip": (0.791, 0.730, 0.379), "spinkick": (0.848, 0.858, 0.358)},
}
"""Both, early termination only, initialisation only (Peng et al. 2018)."""


@dataclass(frozen=True)
class Variant:
    """One row: what is changed."""

    name: str
    cfg: Callable[[ClipConfig], ClipConfig] = lambda cfg: cfg
    plan: Callable[[TrainConfig], TrainConfig] = lambda plan: plan
    xml: str | None = None


def _never_ends(cfg: ClipConfig) -> ClipConfig:
    return replace(cfg, fall=(), stray_m=0.0, stray_rad=0.0)


def _first(cfg: ClipConfig) -> ClipConfig:
    return replace(cfg, start="first")


def _policy(**changed: Any) -> Callable[[TrainConfig], TrainConfig]:
    return lambda plan: replace(plan, policy=replace(plan.policy, **changed))


def _ppo(**changed: Any) -> Callable[[TrainConfig], TrainConfig]:
    return lambda plan: replace(plan, ppo=replace(plan.ppo, **changed))


def _damped_joints() -> str:
    """The damper outside the limit: as joint damping under the implicit integrator, 120 Hz."""
    return humanoid(physics_hz=120.0, armature=0.02, joint_damping=True)


TABLES: dict[str, tuple[Variant, ...]] = {
    "starts": (
        Variant("both"),
        Variant("early termination only", _first),
        Variant("initialisation only", _never_ends),
        Variant("neither", lambda cfg: _first(_never_ends(cfg))),
    ),
    "physics": (
        Variant("240 Hz, armature .05 (preset)"),
        Variant("240 Hz, armature .02", xml=humanoid(240.0, armature=0.02)),
        Variant("240 Hz, armature .1", xml=humanoid(240.0, armature=0.1)),
        Variant("120 Hz", xml=humanoid(120.0)),
        Variant("480 Hz", xml=humanoid(480.0)),
        Variant("1200 Hz, no armature", xml=humanoid(1200.0, armature=0.0)),
        Variant("joint damping, 120 Hz", xml=_damped_joints()),
    ),
    "learner": (
        Variant("preset"),
        Variant("no primer", plan=lambda plan: replace(plan, primer=PrimerConfig(rounds=0))),
        Variant("rate adapted at each step", plan=_ppo(adapt="step")),
        Variant("4 passes, minibatch 1024", plan=_ppo(epochs=4, minibatch=1024)),
        Variant("no normalisation", plan=_policy(normalise=False)),
        Variant("fixed deviation", plan=_policy(learn_deviation=False)),
        Variant("nets 128, 64", plan=_policy(hidden=(128, 64), critic_hidden=(128, 64))),
        Variant("nets 512, 256", plan=_policy(hidden=(512, 256), critic_hidden=(512, 256))),
        Variant("values bounded", plan=_ppo(value_clip=0.2)),
        Variant("absolute actions", lambda cfg: replace(cfg, action="absolute")),
        Variant("the published observation", lambda cfg: replace(cfg, observation="deepmimic")),
        Variant("lead 0", lambda cfg: replace(cfg, lead=0.0)),
        Variant("lead 2", lambda cfg: replace(cfg, lead=2.0)),
        Variant("no limit to straying", lambda cfg: replace(cfg, stray_m=0.0, stray_rad=0.0)),
        Variant("all starts uniform", lambda cfg: replace(cfg, phases=PhasesConfig(uniform=1.0))),
        Variant("episodes of 20 s", lambda cfg: replace(cfg, episode_s=20.0)),
    ),
}

JUDGED = ("normalized_return", "normalized_return_literal", "full_episodes", "mean_episode_s")
SPENT = ("train_wall_seconds", "train_cpu_seconds")


def trained(clip: str, variant: Variant, seed: int, asked: argparse.Namespace) -> None:
    """Train one row, and keep it beside its training."""
    preset = following_ppo(asked.samples)
    base = ClipConfig(episode_s=preset.episode_s, fall=FALLS[clip])
    name = "".join(letter if letter.isalnum() else "_" for letter in variant.name)
    character: str | Path = "humanoid"
    if variant.xml is not None:
        character = file = asked.work / f"{name}.xml"
        write_bytes(file, character_from_xml(variant.xml, "humanoid").xml.encode())
    folder = asked.work / f"{clip}_{name}_{seed}"
    done = mimic.train(
        character,
        folder,
        clip=asked.data / "clips" / "deepmimic" / f"humanoid3d_{clip}.txt",
        samples=asked.samples,
        seed=seed,
        threads=asked.threads,
        cfg=variant.plan(preset.train),
        environment=variant.cfg(base),
    )
    row = {"variant": variant.name, "seed": seed, "Msamples": done["samples"] / 1e6}
    row |= {key: done[key] for key in (*JUDGED, *SPENT)}
    wide = examined(folder)
    row |= {"in 256": wide["normalized_return"], "whole of 256": wide["full_episodes"]}
    row |= {"no_action": done["controllers"][1]["normalized_return"], "code": code()}
    kept = {"table": asked.table, "clip": clip, "samples": asked.samples, "row": row}
    folder.with_suffix(".json").write_text(json.dumps(kept))


def rows_of(clip: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows of a clip with this budget that are kept here."""
    kept = [json.loads(file.read_text()) for file in asked.work.glob(f"{clip}_*.json")]
    same = {"table": asked.table, "clip": clip, "samples": asked.samples}
    return [each["row"] for each in kept if {key: each[key] for key in same} == same]


def report(clip: str, asked: argparse.Namespace) -> None:
    """The table so far in its order, printed and written; what other machines or sittings measured stays in it."""
    name = f"mimic_ablation_{asked.table}_{clip}"
    config = {"table": asked.table, "clip": clip, "samples": asked.samples, "threads": asked.threads}
    order = [variant.name for variant in TABLES[asked.table]]
    everything = merged(name, rows_of(clip, asked), ("variant", "seed"), config)
    everything.sort(key=lambda row: (order.index(row["variant"]), row["seed"]))
    print_table(name, [{word: value for word, value in row.items() if word != "code"} for row in everything])
    record(name, config, everything, paper=PAPER.get(asked.table, {}).get(clip))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("clips", nargs="+", choices=sorted(FALLS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names contain one of these")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BUNRAKU_DATA", "data")))
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    variants = [v for v in TABLES[asked.table] if not asked.only or any(word in v.name for word in asked.only)]
    for clip in asked.clips:
        for variant in variants:
            for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
                trained(clip, variant, seed, asked)
                report(clip, asked)


if __name__ == "__main__":
    main()
