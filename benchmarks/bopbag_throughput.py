"""How much of MuJoCo's own speed the environment keeps: 256 bop bags, 8 substeps a control step, no learner.

Beside it, in turns in the same run, on as many threads and over the same kind of states: plain `mj_step`, eight
substeps a call; and, as the most that could be had, all substeps of a thread in one call.

    python benchmarks/bopbag_throughput.py [characters, by commas] [seconds a round]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
from record import print_table, record

from bunraku.imitation.character import build, open_character
from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
from bunraku.imitation.simulation import SimulationConfig

COUNT, SECONDS, ROUNDS, SEED = 256, 1.0, 5, 0
CHARACTERS = ("bopbag", "bopbag6", "bopbag2", "bopbag3")


def timed(step: Callable[[], None], seconds: float) -> float:
    """Control steps of all characters per second."""
    step()
    begun, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        step()
        done += COUNT
    return done / spent


def raw(name: str, threads: int) -> Callable[[], None]:
    """Plain `mj_step` of as many states, each in an MjData of its own, shared out among threads; random controls."""
    built = build(open_character(name))
    model, substeps = built.model, built.character.substeps
    environment = SimulatedEnvironment(built.character, EnvironmentConfig(COUNT))
    environment.reset(SEED)
    data = [mujoco.MjData(model) for _ in range(COUNT)]
    for one, qpos, qvel in zip(data, environment.simulation.qpos, environment.simulation.qvel, strict=True):
        one.qpos[:], one.qvel[:] = qpos, qvel
    rng, scale = np.random.default_rng(SEED), np.array(built.character.action_scale)
    pool = ThreadPoolExecutor(threads)
    shares = [data[i::threads] for i in range(threads)]

    def work(share: list[mujoco.MjData], controls: np.ndarray) -> None:
        for one, control in zip(share, controls, strict=True):
            one.ctrl[:] = control
            mujoco.mj_step(model, one, nstep=substeps)

    def step() -> None:
        controls = scale * rng.normal(size=(COUNT, model.nu))
        if threads == 1:
            work(data, controls)
        else:
            list(pool.map(work, shares, [controls[i::threads] for i in range(threads)]))

    return step


def bare(name: str, threads: int) -> Callable[[], None]:
    """The same number of substeps without Python between them: one call a thread, one state, no control."""
    model = build(open_character(name)).model
    data = [mujoco.MjData(model) for _ in range(threads)]
    for one in data:
        one.qvel[:] = 0.1
    pool, substeps = ThreadPoolExecutor(threads), 8 * COUNT // threads

    def step() -> None:
        list(pool.map(lambda one: mujoco.mj_step(model, one, nstep=substeps), data))

    return step


def ours(name: str, threads: int) -> Callable[[], None]:
    """The environment: physics, observation, reward, episodes that end and begin."""
    cfg = EnvironmentConfig(COUNT, simulation=SimulationConfig(threads=threads))
    environment = SimulatedEnvironment(open_character(name), cfg)
    environment.reset(SEED)
    rng = np.random.default_rng(SEED)

    def step() -> None:
        environment.step(rng.normal(size=(COUNT, environment.action_size)))

    return step


def main(characters: tuple[str, ...] = CHARACTERS, seconds: float = SECONDS) -> None:
    rows = []
    for name in characters:
        for threads in (1, 2):
            rates: dict[str, list[float]] = {"ours": [], "raw": [], "bare": []}
            for _ in range(ROUNDS):
                # In turns, so that whatever else the machine does falls on both.
                for kind, make in (("ours", ours), ("raw", raw), ("bare", bare)):
                    rates[kind].append(timed(make(name, threads), seconds))
            kept = np.array(rates["ours"]) / np.array(rates["raw"])
            of_bare = np.array(rates["ours"]) / np.array(rates["bare"])
            rows.append(
                {
                    "character": name,
                    "threads": threads,
                    "environment steps/s": float(np.median(rates["ours"])),
                    "mj_step steps/s": float(np.median(rates["raw"])),
                    "one call steps/s": float(np.median(rates["bare"])),
                    "share of mj_step": float(np.median(kept)),
                    "least": float(kept.min()),
                    "share of one call": float(np.median(of_bare)),
                }
            )
            print(rows[-1], flush=True)
    print_table(
        f"{COUNT} characters, control steps (of 8 substeps) per second, median of {ROUNDS} rounds in turns", rows
    )
    config = {"count": COUNT, "substeps": 8, "seconds": seconds, "rounds": ROUNDS, "seed": SEED}
    record("bopbag_throughput", config, rows)


if __name__ == "__main__":
    names = tuple(sys.argv[1].split(",")) if len(sys.argv) > 1 else CHARACTERS
    main(names, float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS)
