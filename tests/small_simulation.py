"""A host that simulates bop bags as points on massless rods, and misbehaves when it is told to. Run as a program."""

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "src" / "bunraku"))

import host

MASS, LENGTH, SUBSTEPS = 3.0, 0.55, 8


class Rods:
    """Explicit steps of θ'' = (m g l sin θ + τ) / (m l²)."""

    def __init__(self, count, hz, how):
        self.angle, self.speed, self.torque = np.zeros((3, count, 1))
        self.step_s, self.how, self.steps = 1 / (hz * SUBSTEPS), how, 0

    def reset(self, qpos, qvel):
        self.angle, self.speed = qpos.copy(), qvel.copy()

    def act(self, controls):
        self.torque = controls

    def step(self):
        self.steps += 1
        once = Path(sys.argv[2]) if len(sys.argv) > 2 else None
        if self.how == "dies" or (self.how == "dies once" and self.steps == 20 and not once.exists()):
            if once is not None:
                once.touch()
            os.kill(os.getpid(), 9)
        for _ in range(SUBSTEPS):
            pull = MASS * 9.81 * LENGTH * np.sin(self.angle) + self.torque
            self.speed = self.speed + self.step_s * pull / (MASS * LENGTH**2)
            self.angle = self.angle + self.step_s * self.speed

    def observe(self):
        if self.how == "lies":
            return self.angle * np.nan, self.speed
        return self.angle, self.speed


def open_world(count, frames, character, control_hz, substeps):
    if character != "bopbag":
        raise host.MistakeError(f"no character {character!r}")
    physics_hz = control_hz * (2 if how == "slow" else substeps)
    return {"control_hz": control_hz, "physics_hz": physics_hz}, Rods(count, control_hz, how)


if __name__ == "__main__":
    how = sys.argv[1]
    host.serve_simulation(open_world, "rods 1.0")
