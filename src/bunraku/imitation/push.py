"""The largest push that a character survives, found by bisection: all directions and moments side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.errors import BunrakuError
from bunraku.imitation.environment import SimulatedEnvironment
from bunraku.imitation.evaluate import Controller, MakeSimulated, standing
from bunraku.imitation.start import StartConfig

DIRECTIONS_W = {"+x": (1.0, 0.0, 0.0), "-x": (-1.0, 0.0, 0.0), "+y": (0.0, 1.0, 0.0), "-y": (0.0, -1.0, 0.0)}


NEAR_REFERENCE = StartConfig(tilt_rad=0.1, bend_rad=0.1, spin_rad_s=0.1)
"""Where those who are to be pushed should start: what a push does is not to be mixed with getting up."""

Survives = Callable[[Float[np.ndarray, "count"]], Bool[np.ndarray, "count"]]


@dataclass(frozen=True)
class PushConfig:
    """How a character is pushed."""

    push_s: float = 0.2
    """How long, rounded to whole control steps [s]."""
    settle_s: float = 2.0
    """Before the first moment at which it is pushed [s]."""
    phases: int = 8
    """Moments: spread over a clip's length, or a tenth of a second apart where a pose is held."""
    recover_s: float = 5.0
    """It has survived when it stands so long after the push [s]."""
    greatest_n: float = 1000.0
    """Larger pushes are not tried [N]."""
    resolution_n: float = 2.0
    """How well the largest push is known [N]."""
    upright_rad: float = 1.0
    """The second criterion: all the while no rotation was further from the reference than this [rad]."""
    seed: int = 0
    """Of the starts."""


@dataclass(frozen=True, eq=False)
class Push:
    """The largest force survived, by direction and moment; `greatest_n` where no push tried was too large."""

    body: str
    direction: str
    stands_again_n: Float[np.ndarray, "phases"]
    stays_upright_n: Float[np.ndarray, "phases"]
    push_s: float

    def row(self) -> dict[str, float | str]:
        """As commands print it: the moment at which it takes least."""
        return {
            "direction": self.direction,
            "stands_again_n": float(self.stands_again_n.min()),
            "stays_upright_n": float(self.stays_upright_n.min()),
        }


def pushes(act: Controller, make_environment: MakeSimulated, body: str, cfg: PushConfig) -> tuple[Push, ...]:
    """The largest horizontal force on a body's centre of mass that the character survives, by direction.

    Two criteria: it stands again `recover_s` later, and it never fell meanwhile. Bisection supposes that who survives
    a push survives a smaller one.

    Raises:
        BunrakuError: no such body, no phases.
    """
    if cfg.phases < 1:
        raise BunrakuError(f"phases = {cfg.phases}: expected at least 1")
    trial = _Trial(act, make_environment, body, cfg)
    stands = bisected(lambda force: trial.run(force)[0], trial.count, cfg)
    upright = bisected(lambda force: trial.run(force)[1], trial.count, cfg)
    trial.environment.close()
    shape = (len(DIRECTIONS_W), cfg.phases)
    rows = zip(DIRECTIONS_W, stands.reshape(shape), upright.reshape(shape), strict=True)
    return tuple(Push(body, direction, again, up, trial.push_s) for direction, again, up in rows)


def bisected(survives: Survives, count: int, cfg: PushConfig) -> Float[np.ndarray, "count"]:
    """The largest force that each survives [N], to `cfg.resolution_n`."""
    low, high = np.zeros(count), np.full(count, cfg.greatest_n)
    # Who stands at the greatest force is not asked any further.
    low[survives(high)] = cfg.greatest_n
    while (high - low).max() > cfg.resolution_n:
        middle = (low + high) / 2
        survived = survives(middle)
        low, high = np.where(survived, middle, low), np.where(survived, high, middle)
    return low


class _Trial:
    """One character for each direction and moment."""

    def __init__(self, act: Controller, make_environment: MakeSimulated, body: str, cfg: PushConfig) -> None:
        self.act, self.body, self.cfg = act, body, cfg
        self.count = len(DIRECTIONS_W) * cfg.phases
        # Time enough for no episode to end by itself.
        self.environment: SimulatedEnvironment = make_environment(self.count, 1e4)
        rate, duration = self.environment.control_hz, self.environment.reference.duration_s
        apart = duration / cfg.phases if duration > 0 else 0.1
        self.width = max(1, round(cfg.push_s * rate))
        self.push_s = self.width / rate
        moments = np.round((cfg.settle_s + apart * np.arange(cfg.phases)) * rate).astype(np.int64)
        self.begins = np.tile(moments, len(DIRECTIONS_W))
        self.directions_w = np.repeat(np.array(list(DIRECTIONS_W.values())), cfg.phases, axis=0)
        self.checked = self.begins + self.width + round(cfg.recover_s * rate)

    def run(self, force_n: Float[np.ndarray, "count"]) -> tuple[Bool[np.ndarray, "count"], Bool[np.ndarray, "count"]]:
        """Whether each stands again, and whether it stayed upright."""
        environment = self.environment
        observation = environment.reset(self.cfg.seed)
        alive, stands = np.ones(self.count, bool), np.zeros(self.count, bool)
        upright = np.ones(self.count, bool)
        for k in range(int(self.checked.max()) + 1):
            pushed = (k >= self.begins) & (k < self.begins + self.width)
            if pushed.any():
                environment.push(self.body, (pushed * force_n)[:, None] * self.directions_w, 1)
            step = environment.step(self.act(observation))
            observation = step.observation
            alive &= ~(step.terminated & (k < self.checked))
            tracking = environment.tracking()
            after = (k >= self.begins) & (k <= self.checked)
            upright &= ~after | (tracking.angles < self.cfg.upright_rad).all(axis=1)
            now = k == self.checked
            stands[now] = standing(tracking)[now]
        return stands & alive, upright & stands & alive
