"""Environments that take turns: while the characters of one are simulated, those of another are looked at and act.

Physics runs on threads of its own, and looking at characters is one thread's work: by turns no core waits. What comes
out does not depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32

from bunraku.imitation.mirror import Mirror
from bunraku.imitation.protocol import Environment, Launching, Step
from bunraku.imitation.slot import Slot


class Shifts:
    """Several environments of the same character and task as one whose characters are those of all, in order."""

    def __init__(self, environments: Sequence[Environment]) -> None:
        assert environments
        self.environments = tuple(environments)
        self._waiting: list[Float[np.ndarray, "count action"] | None] = [None] * len(environments)

    @property
    def count(self) -> int:
        """Characters side by side."""
        return sum(each.count for each in self.environments)

    @property
    def rows(self) -> tuple[slice, ...]:
        """Which of all characters are whose."""
        ends = np.cumsum([each.count for each in self.environments]).tolist()
        return tuple(slice(first, end) for first, end in zip([0, *ends], ends, strict=False))

    @property
    def observation_size(self) -> int:
        """Numbers per observation."""
        return self.environments[0].observation_size

    @property
    def action_size(self) -> int:
        """Numbers per action."""
        return self.environments[0].action_size

    @property
    def control_hz(self) -> float:
        """Steps per simulated second."""
        return self.environments[0].control_hz

    @property
    def episode_steps(self) -> int:
        """Steps after which an episode is truncated."""
        return self.environments[0].episode_steps

    @property
    def layout(self) -> tuple[Slot, ...]:
        """What the observation's numbers are, in order."""
        return self.environments[0].layout

    @property
    def mirror(self) -> Mirror | None:
        """What a mirror does to observations and actions."""
        return self.environments[0].mirror

    def launch(self, shift: int, actions: Float[np.ndarray, "count action"]) -> None:
        """Begin with a control step of one environment; `conclude` must come before its next."""
        environment = self.environments[shift]
        if isinstance(environment, Launching):
            environment.launch(actions)
        else:
            self._waiting[shift] = actions

    def conclude(self, shift: int) -> Step:
        """Wait for what the control step of one environment led to."""
        environment, actions = self.environments[shift], self._waiting[shift]
        if isinstance(environment, Launching):
            return environment.conclude()
        assert actions is not None
        return environment.step(actions)

    def reset(self, seed: int) -> Float32[np.ndarray, "count observation"]:
        """Start new episodes everywhere; environments after the first have generators of their own."""
        # A single environment is seeded as it would be by itself.
        seeds = [seed, *(int(np.random.SeedSequence([seed, k]).generate_state(1)[0]) for k in range(1, len(self.rows)))]
        return np.concatenate([each.reset(one) for each, one in zip(self.environments, seeds, strict=True)])

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that decides what follows."""
        return {
            f"{k}.{name}": array for k, each in enumerate(self.environments) for name, array in each.snapshot().items()
        }

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "count observation"]:
        """Go on from a snapshot of as many environments."""
        parts = [
            {name.removeprefix(f"{k}."): array for name, array in snapshot.items() if name.startswith(f"{k}.")}
            for k in range(len(self.environments))
        ]
        return np.concatenate([each.restore(part) for each, part in zip(self.environments, parts, strict=True)])

    def timers(self) -> Mapping[str, float]:
        """Wall seconds spent so far; under "physics" only what was waited for."""
        every = [each.timers() for each in self.environments]
        return {name: sum(one[name] for one in every) for name in every[0]}
