"""A stretch of experience of many characters, as arrays; the same for every learner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from bunraku.core.errors import BunrakuError
from bunraku.imitation.protocol import Environment, Step
from bunraku.imitation.shifts import Shifts

Act = Callable[[Float32[np.ndarray, "count observation"]], Float32[np.ndarray, "count action"]]


@dataclass(frozen=True, eq=False)
class Segment:
    """What happened in `steps` control steps of `count` characters."""

    observations: Float32[np.ndarray, "steps count observation"]
    """In which the actions were chosen."""
    actions: Float32[np.ndarray, "steps count action"]
    rewards: Float[np.ndarray, "steps count"]
    terminated: Bool[np.ndarray, "steps count"]
    truncated: Bool[np.ndarray, "steps count"]
    next_observations: Float32[np.ndarray, "steps count observation"]
    """In which the steps ended, before any reset."""
    terms: Mapping[str, float]
    """Means of the reward's terms."""
    inference_s: float
    """Wall seconds spent on choosing actions."""

    @property
    def ended(self) -> Bool[np.ndarray, "steps count"]:
        """Where an episode ended, for whichever reason."""
        return self.terminated | self.truncated


def collect(
    environment: Environment | Shifts, observation: Float32[np.ndarray, "count observation"], act: Act, steps: int
) -> tuple[Segment, Float32[np.ndarray, "count observation"]]:
    """Act for some steps from where the environment is; the segment, and the observation after it.

    While the characters of one shift are simulated those of the next are looked at.

    Raises:
        BunrakuError: a reward or an observation is not finite.
    """
    shifts = environment if isinstance(environment, Shifts) else Shifts([environment])
    size, count = shifts.observation_size, shifts.count
    seen = np.empty((2, steps, count, size), np.float32)
    actions = np.empty((steps, count, shifts.action_size), np.float32)
    rewards, ends = np.empty((steps, count)), np.empty((2, steps, count), bool)
    totals: dict[str, float] = {}
    inference_s = 0.0
    observation = observation.copy()
    for k in range(steps + 1):
        for shift, rows in enumerate(shifts.rows):
            if k:
                step = shifts.conclude(shift)
                _finite(step)
                seen[1, k - 1, rows], rewards[k - 1, rows] = step.final_observation, step.reward
                ends[0, k - 1, rows], ends[1, k - 1, rows] = step.terminated, step.truncated
                for name, term in step.terms.items():
                    totals[name] = totals.get(name, 0.0) + float(term.sum()) / (steps * count)
                observation[rows] = step.observation
            if k < steps:
                before = time.perf_counter()
                seen[0, k, rows], actions[k, rows] = observation[rows], act(observation[rows])
                inference_s += time.perf_counter() - before
                shifts.launch(shift, actions[k, rows])
    return Segment(seen[0], actions, rewards, ends[0], ends[1], seen[1], totals, inference_s), observation


def _finite(step: Step) -> None:
    if np.isfinite(step.reward).all() and np.isfinite(step.observation).all():
        return
    terms = [name for name, term in step.terms.items() if not np.isfinite(term).all()]
    if terms:
        raise BunrakuError(f"the reward's term {terms[0]!r} is not a finite number; training stopped")
    what = "reward" if not np.isfinite(step.reward).all() else "observation"
    raise BunrakuError(f"the environment gave a {what} that is not a finite number; training stopped")


def minibatches(order: Int[np.ndarray, "samples"], rows: int) -> Iterator[Int[np.ndarray, "rows"]]:
    """An order cut into pieces of `rows`, the last of which may be shorter."""
    return (order[first : first + rows] for first in range(0, len(order), rows))


def next_values(
    segment: Segment,
    values: Float[np.ndarray, "steps count"],
    estimate: Callable[[Float32[np.ndarray, "rows observation"]], Float[np.ndarray, "rows"]],
) -> Float[np.ndarray, "steps count"]:
    """V(s_{t+1}) of the state in which each step ended, given V(s_t).

    An episode that was only out of time is worth what `estimate` says of the state in which it stopped; one that
    terminated is worth nothing from there on.
    """
    result = np.concatenate([values[1:], np.zeros_like(values[:1])])
    ask = segment.truncated.copy()
    ask[-1] = True
    result[ask] = estimate(segment.next_observations[ask])
    result[segment.terminated] = 0.0
    return result


@dataclass(frozen=True, eq=False)
class Episodes:
    """Sums over the episodes that are under way."""

    reward: Float[np.ndarray, "count"]
    steps: Float[np.ndarray, "count"]

    @staticmethod
    def starting(count: int) -> Episodes:
        """Nothing has happened yet."""
        return Episodes(np.zeros(count), np.zeros(count))

    def after(self, segment: Segment) -> tuple[Episodes, Float[np.ndarray, "ended 2"]]:
        """The sums after a segment, and (sum of rewards, steps) of each episode that ended in it, in order of time."""
        reward, steps = self.reward.copy(), self.steps.copy()
        finished: list[np.ndarray] = [np.empty((0, 2))]
        for rewards, ended in zip(segment.rewards, segment.ended, strict=True):
            reward, steps = reward + rewards, steps + 1
            finished.append(np.stack([reward[ended], steps[ended]], axis=1))
            reward, steps = np.where(ended, 0.0, reward), np.where(ended, 0.0, steps)
        return Episodes(reward, steps), np.concatenate(finished)
