"""How much of the physics' speed is left for a training, and how the environment compares with PyBullet's.

    python benchmarks/mimic_throughput.py [--clip FILE] [--seconds 20]

One run, one machine, alternating: `mj_step` alone on one and two threads (random torques about the clip's poses, ground
contacts on, 240 Hz), our environment without a learner, a training end to end on one and two threads; and, where its
wheel is there (pip install pybullet), PyBullet's own DeepMimic environment at 240 Hz, stepped as its tests do.
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


def training(clip: Any, threads: int, samples: int) -> tuple[float, dict[str, float]]:
    """Control steps per second of PPO from scratch, checkpoints included, and where its time went; without a primer,
    which would use up most of the samples."""
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
    return float(run.result["steps_per_second"]), dict(run.result["times"])


def pybullet(seconds: float) -> float | None:
    """Control steps per second of PyBullet's DeepMimic environment (physics at 240 Hz, actions at 30 Hz)."""
    found = importlib.util.find_spec("pybullet_envs")
    if found is None or found.submodule_search_locations is None:
        return None
    # Its __init__ registers environments with a Gym that no longer exists; the part needed here does without.
    package = types.ModuleType("pybullet_envs")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["pybullet_envs"] = package
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("BUNRAKU_DATA", "data"))
    parser.add_argument("--clip", type=Path, default=data / "clips" / "deepmimic" / "humanoid3d_walk.txt")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--samples", type=int, default=120_000)
    asked = parser.parse_args()
    clip = fitting_clip(asked.clip, open_character("humanoid"), mend=False).clip
    load = os.getloadavg()[0]
    theirs = pybullet(asked.seconds)
    with one_thread():
        ceiling = {threads: stepping(threads, asked.seconds) for threads in (1, 2)}
        ours = {threads: environment(clip, threads, asked.seconds) for threads in (1, 2)}
        trained = {threads: training(clip, threads, asked.samples) for threads in (1, 2)}
        again = {threads: stepping(threads, asked.seconds) for threads in (1, 2)}
    for threads, speed in again.items():
        ceiling[threads] = (ceiling[threads] + speed) / 2
    rows: list[dict[str, Any]] = [
        {"what": f"mj_step alone, {t} threads", "control steps/s": s, "of two threads": s / ceiling[2]}
        for t, s in ceiling.items()
    ]
    rows += [
        {"what": f"environment, {t} threads", "control steps/s": s, "of two threads": s / ceiling[2]}
        for t, s in ours.items()
    ]
    rows += [
        {"what": f"training, {t} threads", "control steps/s": s, "of two threads": s / ceiling[2], "times_s": times}
        for t, (s, times) in trained.items()
    ]
    if theirs is not None:
        times = {f"ours, {threads} threads": speed / theirs for threads, speed in ours.items()}
        rows.append({"what": "PyBullet's environment", "control steps/s": theirs, **times})
    print_table("throughput", [{k: v for k, v in row.items() if k != "times_s"} for row in rows])
    config = {"samples": asked.samples, "seconds": asked.seconds, "load_at_start": load, "clip": asked.clip.name}
    record("mimic_throughput", config, rows)


if __name__ == "__main__":
    main()
