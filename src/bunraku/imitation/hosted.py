"""States that another program simulates, such as Blender with its own rigid bodies, in place of `Simulation`'s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character import Built

LOSSES = 3
"""So often may the program be lost at one and the same step."""


class LostWorldError(Exception):
    """The program that simulated is gone, or simulates something else by now; its text says which."""


@runtime_checkable
class World(Protocol):
    """Characters, all alike and side by side, in another program. Every call may raise `LostWorldError`."""

    def open(self, holder: object, count: int, frames: int) -> None:
        """Make so many, for episodes of at most so many control steps, in place of what another holder had."""
        ...

    def begin(self, holder: object, qpos: Float[np.ndarray, "count nq"], qvel: Float[np.ndarray, "count nv"]) -> None:
        """Put all of them into these positions and velocities."""
        ...

    def step(
        self, holder: object, controls: Float[np.ndarray, "count nu"]
    ) -> tuple[Float[np.ndarray, "count nq"], Float[np.ndarray, "count nv"]]:
        """One control step; positions and velocities after it."""
        ...


class HostedSimulation:
    """What `Simulation` offers, by way of a `World` in which all episodes begin together.

    What was done since they began is noted, and done again where a state is to be brought back: so a training resumes
    exactly, and outlives the program that simulates.
    """

    def __init__(self, built: Built, count: int, world: World, frames: int) -> None:
        model = built.model
        assert model.nq == model.nv, "characters of hinges and slides alone"
        self.built, self.count, self.world = built, count, world
        self.diverged = 0
        """How many states have diverged so far: none, since what is not finite is refused."""
        self.qpos = np.tile(built.reference_qpos, (count, 1))
        """Generalised positions."""
        self.qvel = np.zeros((count, model.nv))
        """Generalised velocities."""
        self._begun = np.stack([self.qpos, self.qvel])
        self._done = np.zeros((frames, count, model.nu))
        self._taken = 0
        limited = np.asarray(model.actuator_ctrllimited, bool)
        self._low, self._high = (
            np.where(limited, model.actuator_ctrlrange[:, side], far) for side, far in enumerate((-np.inf, np.inf))
        )
        self._again()

    def place(
        self,
        which: Bool[np.ndarray, "count"],
        qpos: Float[np.ndarray, "placed nq"],
        qvel: Float[np.ndarray, "placed nv"],
    ) -> None:
        """Put all characters into given positions and velocities.

        Raises:
            BunrakuError: only some of them; a program that is lost again and again.
        """
        if not which.all():
            raise BunrakuError("in another program all episodes begin together; here some end before others")
        self._begun, self._taken = np.stack([qpos, qvel]), 0
        try:
            self.world.begin(self, qpos, qvel)
            self._take((qpos, qvel))
        except LostWorldError:
            self._again()

    def advance(self, control: Float[np.ndarray, "count nu"]) -> Bool[np.ndarray, "count"]:
        """One control step; which states diverged: none.

        Raises:
            BunrakuError: states that are not finite or of another shape; a program that is lost again and again.
        """
        if self._taken == len(self._done):
            raise BunrakuError(f"the simulation was opened for episodes of {len(self._done)} steps; this one is longer")
        control = np.clip(control, self._low, self._high)
        self._done[self._taken] = control
        self._taken += 1
        try:
            self._take(self.world.step(self, control))
        except LostWorldError:
            self._again()
        return np.zeros(self.count, bool)

    def _again(self) -> None:
        """Open the world anew, and do all that was done since the episodes began."""
        lost = ""
        for _ in range(LOSSES):
            try:
                self.world.open(self, self.count, len(self._done))
                self.world.begin(self, self._begun[0], self._begun[1])
                self._take((self._begun[0], self._begun[1]))
                for control in self._done[: self._taken]:
                    self._take(self.world.step(self, control))
                return
            except LostWorldError as error:
                lost = str(error)
        raise BunrakuError(f"{lost} ({LOSSES} times)")

    def _take(self, state: tuple[np.ndarray, np.ndarray]) -> None:
        shapes = self._begun[0].shape, self._begun[1].shape
        if (state[0].shape, state[1].shape) != shapes:
            raise BunrakuError(
                f"the host's states have shapes {state[0].shape} and {state[1].shape}; expected {shapes}"
            )
        if not (np.isfinite(state[0]).all() and np.isfinite(state[1]).all()):
            raise BunrakuError("the host's states are not finite")
        self.qpos, self.qvel = (np.array(part, np.float64) for part in state)

    def push(self, body: str, force_w: Float[np.ndarray, "count 3"], steps: int) -> None:
        """Nobody can push there.

        Raises:
            BunrakuError: always.
        """
        raise BunrakuError(f"{self.built.character.name}: cannot be pushed in another program")

    def let_go(self) -> None:
        """Nobody pushes."""

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that decides what follows, as a copy."""
        taken = {"taken": np.array(self._taken), "diverged": np.array(self.diverged)}
        return {"begun": self._begun.copy(), "done": self._done.copy(), **taken}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go back to a snapshot.

        Raises:
            BunrakuError: a program that is lost again and again.
        """
        self._begun, self._done = np.array(snapshot["begun"]), np.array(snapshot["done"])
        self._taken = int(snapshot["taken"])
        self._again()

    def close(self) -> None:
        """Nothing of it is held here."""
