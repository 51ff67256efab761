"""How much of the physics' speed is left for a training, and how the environment compares with PyBullet's.

    python benchmarks/mimic_throughput.py [--clip FILE] [--rounds 5] [--seconds 4]

One run, one machine, in rounds, since machines that are shared change their speed within a minute: `mj_step` alone
(random targets of the servos, ground contacts on, 240 Hz) before and after a training end to end and our environment
without a learner, on two threads and on one; and, where its wheel is there (pip install pybullet), PyBullet's own
DeepMimic environment at 240 Hz, stepped as its tests do. Ratios are taken within a round; the table has the medians.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import mujoco
import numpy as np
from record import print_table, record

from bunraku.compute.threads import one_thread
from bunraku.imitation.character import build, open_character
from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
from bunraku.imitation.learner import PrimerConfig
from bunraku.imitation.presets import following_ppo
from bunraku.imitation.rollout import collect
from bunraku.imitation.run import Subject
from bunraku.imitation.shifts import Shifts
from bunraku.imitation.simulation import SimulationConfig
from bunraku.imitation.train import train
from bunraku.mimic.fitting import fitting_clip


def stepping(threads: int, seconds: float) -> float:
    """Control steps per second of `mj_step` alone, its interpreter lock given up for a whole control step."""
    built = build(open_character("humanoid"))
    steps = built.character.substeps

    def one(seed: int) -> int:
        rng = np.random.default_rng(seed)
        data, done = mujoco.MjData(built.model), 0
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            mujoco.mj_resetData(built.model, data)
            data.qvel[:] = rng.normal(size=built.model.nv) * 0.3
            for _ in range(30):
                data.ctrl[:] = rng.normal(size=built.model.nu) * 0.1
                mujoco.mj_step(built.model, data, steps)
                done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, range(threads))) / seconds


def environment(clip: Any, threads: int, seconds: float) -> float:
    """Control steps per second of the environment under random actions, in two shifts as trainings have it."""
    cfg = ClipConfig(count=128, simulation=SimulationConfig(threads=threads))
    made = [ClipEnvironment(open_character("humanoid"), clip, cfg) for _ in range(2)]
    shifts, rng = Shifts(made), np.random.default_rng(0)
    observation, done, began = shifts.reset(0), 0, time.perf_counter()

    def act(seen: np.ndarray) -> np.ndarray:
        return rng.normal(size=(len(seen), 28)).astype(np.float32) * np.float32(0.2)

    while time.perf_counter() - began < seconds:
        _, observation = collect(shifts, observation, act, 16)
        done += 16 * shifts.count
    spent = time.perf_counter() - began
    for each in made:
        each.close()
    return done / spent


def training(clip: Any, threads: int, samples: int) -> float:
    """Control steps per second of PPO from scratch, checkpoints included; without a primer, which would use up most of
    the samples.
    """
    character = open_character("humanoid")
    plan, simulation = following_ppo(samples).train, SimulationConfig(threads=threads)
    plan = replace(plan, primer=PrimerConfig())
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            lambda count: ClipEnvironment(character, clip, ClipConfig(count=count, simulation=simulation)),
            plan,
            Path(folder) / "run",
            subject=Subject("humanoid", character.hash, character.physics_hz),
            threads=threads,
        )
    return float(run.result["steps_per_second"])


def pybullet_package() -> bool:
    """Whether PyBullet's environments are here; made importable without their __init__, which registers them with a Gym
    that no longer exists.
    """
    if "pybullet_envs" not in sys.modules:
        found = importlib.util.find_spec("pybullet_envs")
        if found is None or found.submodule_search_locations is None:
            return False
        package = types.ModuleType("pybullet_envs")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["pybullet_envs"] = package
    return True


def pybullet(seconds: float) -> float | None:
    """Control steps per second of PyBullet's DeepMimic environment (physics at 240 Hz, actions at 30 Hz)."""
    if not pybullet_package():
        return None
    import pybullet_data  # pyright: ignore[reportMissingImports]
    from pybullet_envs.deep_mimic.env import pybullet_deep_mimic_env  # pyright: ignore[reportMissingImports]
    from pybullet_utils.arg_parser import ArgParser  # pyright: ignore[reportMissingImports]

    arguments = ArgParser()
    arguments.load_file(str(Path(pybullet_data.getDataPath()) / "args" / "run_humanoid3d_walk_args.txt"))
    made = pybullet_deep_mimic_env.PyBulletDeepMimicEnv(arg_parser=arguments, enable_draw=False)
    made.reset()
    rng, done, began = np.random.default_rng(0), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        made.set_action(0, rng.normal(size=made.get_action_size(0)) * 0.1)
        # Eight physics steps of 1/240 s are one control step.
        for _ in range(8):
            made.update(1.0 / 240.0)
        made.record_state(0)
        made.calc_reward(0)
        done += 1
        if made.is_episode_end():
            made.reset()
    return done / (time.perf_counter() - began)


STEPPING, ENVIRONMENT, TRAINING, PYBULLET = "mj_step alone", "environment", "training", "PyBullet's environment"


def one_round(clip: Any, asked: argparse.Namespace) -> dict[tuple[str, int], float]:
    """Control steps a second of everything, by name and threads; `mj_step` before and after the rest."""
    speeds: dict[tuple[str, int], float] = {}
    for threads in (2, 1):
        before = stepping(threads, asked.seconds)
        speeds[TRAINING, threads] = training(clip, threads, asked.samples)
        speeds[ENVIRONMENT, threads] = environment(clip, threads, asked.seconds)
        speeds[STEPPING, threads] = (before + stepping(threads, asked.seconds)) / 2
    theirs = pybullet(asked.seconds)
    return speeds if theirs is None else speeds | {(PYBULLET, 1): theirs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("BUNRAKU_DATA", "data"))
    parser.add_argument("--clip", type=Path, default=data / "clips" / "deepmimic" / "humanoid3d_walk.txt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--samples", type=int, default=60_000)
    asked = parser.parse_args()
    clip = fitting_clip(asked.clip, open_character("humanoid"), mend=False).clip
    load = os.getloadavg()[0]
    with one_thread():
        rounds = [one_round(clip, asked) for _ in range(asked.rounds)]
    rows: list[dict[str, Any]] = []
    for name, threads in rounds[0]:
        speeds = [speed[name, threads] for speed in rounds]
        shares = [speed[name, threads] / speed[STEPPING, 2] for speed in rounds]
        row = {"what": name, "threads": threads, "control steps/s": median(speeds), "of mj_step": median(shares)}
        if (PYBULLET, 1) in rounds[0]:
            row["times PyBullet's"] = median(speed[name, threads] / speed[PYBULLET, 1] for speed in rounds)
        rows.append(row | {"each round": speeds, "shares": shares})
    print_table("throughput", [{k: v for k, v in row.items() if k != "each round"} for row in rows])
    config = {"rounds": asked.rounds, "samples": asked.samples, "seconds": asked.seconds, "clip": asked.clip.name}
    record("mimic_throughput", config | {"load_at_start": load}, rows)


if __name__ == "__main__":
    main()
