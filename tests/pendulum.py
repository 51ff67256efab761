"""A small environment of numpy alone for learners: pendulums on their heads, pushed at the hinge."""

import time

import numpy as np

from bunraku.imitation.mirror import Mirror, Reflection
from bunraku.imitation.protocol import Step
from bunraku.imitation.slot import Slot


class Pendulums:
    """θ'' = 6·θ − θ' + 12·a, held within ±π, 24 steps a second; r = .6·exp(−2·|θ|) + .4·exp(−.1·θ'²).

    With `fall` an episode terminates where |θ| passes it. Start states depend on seed, pendulum and episode alone.
    """

    control_hz = 24.0
    action_size = 1
    observation_size = 2
    layout = (Slot("angle", 1, "rad"), Slot("rate", 1, "rad/s"))
    mirror = Mirror(Reflection(np.arange(2), -np.ones(2)), Reflection(np.arange(1), -np.ones(1)))

    def __init__(self, count, episode_steps=48, fall=None, spoil_at=None, pause_s=0.0):
        self.count, self.episode_steps = count, episode_steps
        self.fall, self.spoil_at, self.pause_s = fall, spoil_at, pause_s
        self.seed, self.calls, self.spent = 0, 0, 0.0
        self.state, self.steps, self.episode = np.zeros((count, 2)), np.zeros(count, int), np.zeros(count, int)

    def reset(self, seed):
        self.seed, self.calls = seed, 0
        self.episode[:] = 0
        self._start(np.ones(self.count, bool))
        return self._observation()

    def _start(self, who):
        for i in np.flatnonzero(who):
            angle = np.random.default_rng([self.seed, i, self.episode[i]]).uniform(-0.8, 0.8)
            self.state[i], self.steps[i] = (angle, 0.0), 0
            self.episode[i] += 1

    def _observation(self):
        return self.state.astype(np.float32)

    def step(self, actions):
        before = time.perf_counter()
        time.sleep(self.pause_s)
        angle, rate = self.state.T
        for _ in range(4):
            rate = rate + (6 * angle - rate + 12 * np.clip(actions[:, 0], -3, 3).astype(float)) / 96
            angle = np.clip(angle + rate / 96, -np.pi, np.pi)
        self.state = np.stack([angle, rate], axis=1)
        self.steps, self.calls = self.steps + 1, self.calls + 1
        pose, velocity = np.exp(-2 * abs(angle)), np.exp(-0.1 * rate**2)
        if self.calls == self.spoil_at:
            pose = pose * np.nan
        fallen = abs(angle) > self.fall if self.fall else np.zeros(self.count, bool)
        late = (self.steps >= self.episode_steps) & ~fallen
        final = self._observation()
        self._start(fallen | late)
        self.spent += time.perf_counter() - before
        terms = {"pose": pose, "velocity": velocity}
        return Step(self._observation(), 0.6 * pose + 0.4 * velocity, fallen, late, final, terms)

    def snapshot(self):
        numbers = np.array([self.seed, self.calls])
        return {
            "state": self.state.copy(),
            "steps": self.steps.copy(),
            "episode": self.episode.copy(),
            "numbers": numbers,
        }

    def restore(self, snapshot):
        self.state, self.steps = snapshot["state"].copy(), snapshot["steps"].copy()
        self.episode = snapshot["episode"].copy()
        self.seed, self.calls = (int(number) for number in snapshot["numbers"])
        return self._observation()

    def timers(self):
        return {"physics": self.spent, "observation_reward": 0.0}
