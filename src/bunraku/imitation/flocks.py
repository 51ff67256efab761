"""All characters of a training, in parts that are simulated apart, so that threads can work on several at once.

What comes out depends on the number of flocks, and not on that of threads.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from bunraku.core.errors import BunrakuError
from bunraku.imitation.mirror import Mirror
from bunraku.imitation.protocol import Environment
from bunraku.imitation.rollout import Act, Segment, at_once, collect, joined
from bunraku.imitation.slot import Slot

_SWITCH_S = 2e-4
"""How soon a thread that comes back from the physics gets its turn (Python's own 5 ms is as long as its work)."""


class Flocks:
    """Environments of equal kind side by side."""

    def __init__(self, make: Callable[[int], Environment], count: int, flocks: int, threads: int) -> None:
        """`make(n)` makes n characters.

        Raises:
            BunrakuError: fewer than one flock, or more than characters.
        """
        if not 1 <= flocks <= count or count % flocks:
            raise BunrakuError(f"flocks = {flocks}: expected a number that divides the {count} characters")
        self.environments = [make(count // flocks) for _ in range(flocks)]
        self.threads = threads
        self._observations: list[np.ndarray] = []

    @property
    def _any(self) -> Environment:
        return self.environments[0]

    @property
    def observation_size(self) -> int:
        """Numbers per observation."""
        return self._any.observation_size

    @property
    def action_size(self) -> int:
        """Numbers per action."""
        return self._any.action_size

    @property
    def control_hz(self) -> float:
        """Steps per simulated second."""
        return self._any.control_hz

    @property
    def episode_steps(self) -> int:
        """Steps after which an episode is truncated."""
        return self._any.episode_steps

    @property
    def layout(self) -> tuple[Slot, ...]:
        """What the observation's numbers are."""
        return self._any.layout

    @property
    def mirror(self) -> Mirror | None:
        """What a mirror does to observations and actions."""
        return self._any.mirror

    def reset(self, seed: int) -> None:
        """Start new episodes everywhere; the first flock as an environment alone would."""
        self._observations = [each.reset(_seed(seed, i)) for i, each in enumerate(self.environments)]

    def collect(
        self, jittered: Callable[[np.ndarray, np.random.Generator], np.ndarray], seed: tuple[int, ...], steps: int
    ) -> Segment:
        """Act for some steps from where the characters are; `jittered` is given a generator of each flock's own."""
        work = list[Callable[[], tuple[Segment, np.ndarray]]]()
        for i, (environment, observation) in enumerate(zip(self.environments, self._observations, strict=True)):
            rng = np.random.default_rng([*seed, i] if i else list(seed))
            act: Act = partial(_acting, jittered, rng)
            work.append(partial(collect, environment, observation, act, steps))
        with _switching_soon():
            done = at_once(*work, threads=self.threads)
        self._observations = [observation for _, observation in done]
        return joined([segment for segment, _ in done])

    def snapshot(self) -> dict[str, np.ndarray]:
        """Of all flocks."""
        return {
            f"{i}.{name}": np.array(array)
            for i, each in enumerate(self.environments)
            for name, array in each.snapshot().items()
        }

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go back to a snapshot."""
        self._observations = []
        for i, each in enumerate(self.environments):
            own = {name.removeprefix(f"{i}."): a for name, a in snapshot.items() if name.startswith(f"{i}.")}
            self._observations.append(each.restore(own))

    def timers(self) -> dict[str, float]:
        """Seconds so far by part, summed over flocks: more than have passed where threads share the work."""
        totals: dict[str, float] = {}
        for each in self.environments:
            for part, seconds in each.timers().items():
                totals[part] = totals.get(part, 0.0) + seconds
        return totals


def _acting(
    jittered: Callable[[np.ndarray, np.random.Generator], np.ndarray], rng: np.random.Generator, seen: np.ndarray
) -> np.ndarray:
    return jittered(seen, rng)


def _seed(seed: int, flock: int) -> int:
    return int(np.random.SeedSequence([seed, flock]).generate_state(1)[0]) if flock else seed


@contextlib.contextmanager
def _switching_soon() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
