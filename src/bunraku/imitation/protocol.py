"""All that learners know of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32

from bunraku.imitation.mirror import Mirror
from bunraku.imitation.slot import Slot as Slot


@dataclass(frozen=True, eq=False)
class Step:
    """What one control step of all characters led to."""

    observation: Float32[np.ndarray, "count observation"]
    """After the step; of the *new* episode where one ended."""
    reward: Float[np.ndarray, "count"]
    terminated: Bool[np.ndarray, "count"]
    """The episode ended for a reason of its own (a fall, a diverged state): nothing is worth anything after it."""
    truncated: Bool[np.ndarray, "count"]
    """The episode's time was over: it could have gone on, so that its value is bootstrapped."""
    final_observation: Float32[np.ndarray, "count observation"]
    """Of the state in which the step ended, before any reset; equals `observation` where no episode ended."""
    terms: Mapping[str, Float[np.ndarray, "count"]]
    """The reward's terms by name, unweighted."""


@runtime_checkable
class Environment(Protocol):
    """Many characters side by side that act and are rewarded; episodes that end begin anew by themselves."""

    @property
    def count(self) -> int:
        """How many characters are simulated side by side."""
        ...

    @property
    def observation_size(self) -> int:
        """Numbers per observation."""
        ...

    @property
    def action_size(self) -> int:
        """Numbers per action."""
        ...

    @property
    def control_hz(self) -> float:
        """Steps per simulated second."""
        ...

    @property
    def episode_steps(self) -> int:
        """Steps after which an episode is truncated."""
        ...

    @property
    def layout(self) -> tuple[Slot, ...]:
        """What the observation's numbers are, in order; every artifact stores it."""
        ...

    @property
    def mirror(self) -> Mirror | None:
        """What a mirror does to observations and actions, where characters and task are their own mirror image."""
        ...

    def reset(self, seed: int) -> Float32[np.ndarray, "count observation"]:
        """Start new episodes everywhere; everything that follows depends on the seed and the actions alone."""
        ...

    def step(self, actions: Float[np.ndarray, "count action"]) -> Step:
        """Advance all characters by one control step; those whose episode ended start a new one."""
        ...

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything (states, generators, counters) from which `restore` continues bit for bit."""
        ...

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "count observation"]:
        """Go back to a snapshot of an environment with the same settings; the observation there."""
        ...

    def timers(self) -> Mapping[str, float]:
        """Wall seconds so far, under "physics" and "observation_reward"."""
        ...


@runtime_checkable
class Launching(Protocol):
    """An environment whose control step is begun and concluded, with time for something else between."""

    def launch(self, actions: Float[np.ndarray, "count action"]) -> None:
        """Begin with a control step of all characters."""
        ...

    def conclude(self) -> Step:
        """Wait for what it led to."""
        ...
