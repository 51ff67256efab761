"""The largest push on the root that a character survives while it follows a clip, by direction and phase."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.errors import BunrakuError
from bunraku.imitation.clip_environment import HOLD_S
from bunraku.imitation.clip_evaluate import MakeClipEnvironment
from bunraku.imitation.evaluate import Controller
from bunraku.imitation.push import Push, PushConfig, bisected

DIRECTIONS_H = {"forward": (1.0, 0.0, 0.0), "sideways": (0.0, 1.0, 0.0)}
"""In the heading frame of the clip at the moment of the push."""


def clip_pushes(act: Controller, make_environment: MakeClipEnvironment, cfg: PushConfig) -> tuple[Push, ...]:
    """The largest force on the root's centre of mass, by direction and phase; bisection, all of them side by side.

    Survived: `cfg.recover_s` later no fall has ended the episode; for a clip that does not loop, at its end. Episodes
    begin on the clip at each phase, `cfg.settle_s` earlier in a loop.

    Raises:
        BunrakuError: no phases.
    """
    if cfg.phases < 1:
        raise BunrakuError(f"phases = {cfg.phases}: expected at least 1")
    trial = _Trial(act, make_environment, cfg)
    largest = bisected(trial.survived, len(trial.directions_w), cfg)
    trial.environment.close()
    forces = zip(DIRECTIONS_H, largest.reshape(len(DIRECTIONS_H), cfg.phases), strict=True)
    return tuple(Push(trial.body, direction, force, force, trial.push_s) for direction, force in forces)


class _Trial:
    """One character for each direction and phase."""

    def __init__(self, act: Controller, make_environment: MakeClipEnvironment, cfg: PushConfig) -> None:
        self.act, self.cfg = act, cfg
        count = len(DIRECTIONS_H) * cfg.phases
        self.environment = make_environment(count, 1e6)
        table, rate = self.environment.table, self.environment.control_hz
        self.body = self.environment.character.body_names[0]
        self.width = max(1, round(cfg.push_s * rate))
        self.push_s = self.width / rate
        phases_s = np.arange(cfg.phases) / cfg.phases * table.duration_s
        moments_s = np.tile(phases_s, len(DIRECTIONS_H))
        self.settle = round(cfg.settle_s * rate) if table.loops else 0
        self.begun_s = (moments_s - self.settle / rate) % table.duration_s if table.loops else moments_s
        left_s = cfg.recover_s if table.loops else np.minimum(cfg.recover_s, table.duration_s + HOLD_S - moments_s)
        self.checked = self.settle + self.width + np.round(np.broadcast_to(left_s, count) * rate).astype(np.int64)
        if not table.loops:
            self.checked -= self.width
        heading = table.at(moments_s, np.zeros((count, 2))).landmarks.heading
        local = np.repeat(np.array(list(DIRECTIONS_H.values())), cfg.phases, axis=0)
        c, s = heading[:, 0], heading[:, 1]
        x, y = local[:, 0], local[:, 1]
        self.directions_w = np.stack([c * x - s * y, s * x + c * y, local[:, 2]], axis=1)

    def survived(self, force_n: Float[np.ndarray, "count"]) -> Bool[np.ndarray, "count"]:
        """Whether each is still within the rules when it is checked."""
        environment = self.environment
        environment.reset(self.cfg.seed)
        observation = environment.begin(self.begun_s)
        alive = np.ones(len(force_n), bool)
        for k in range(int(self.checked.max())):
            if k == self.settle:
                environment.push(self.body, force_n[:, None] * self.directions_w, self.width)
            step = environment.step(self.act(observation))
            observation = step.observation
            alive &= ~(step.terminated & (k < self.checked))
        return alive
