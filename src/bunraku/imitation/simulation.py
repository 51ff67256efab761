"""Batches of MuJoCo states, stepped together on threads; states that diverge are found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from mujoco.rollout import Rollout

from bunraku.core.artifact import disk_errors, read_arrays, write_arrays
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.imitation.character import Built

_CONTROL = int(mujoco.mjtState.mjSTATE_CTRL)
_CONTROL_AND_FORCE = _CONTROL | int(mujoco.mjtState.mjSTATE_XFRC_APPLIED)
_FULL = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)


_BEGIN_S = 1.0
"""Time at which states begin."""


def _unsaid(_: str) -> None:
    """Diverged states are found in the results and counted."""


# By itself MuJoCo would print every warning and write it to a file in the working folder.
mujoco.set_mju_user_warning(_unsaid)


@dataclass(frozen=True)
class SimulationConfig:
    """How a batch is computed; nothing here changes its results."""

    threads: int = 1
    """Threads of the physics."""
    replay: Path | None = None
    """Folder for the states and controls from which the simulation diverged."""
    replay_limit: int = 100
    """At most so many of them are kept."""


@runtime_checkable
class States(Protocol):
    """What an environment knows of a simulation: a batch of states of one character, wherever it is computed."""

    diverged: int
    """How many states have diverged so far."""

    @property
    def qpos(self) -> Float[np.ndarray, "count nq"]:
        """Generalised positions."""
        ...

    @property
    def qvel(self) -> Float[np.ndarray, "count nv"]:
        """Generalised velocities."""
        ...

    def place(
        self,
        which: Bool[np.ndarray, "count"],
        qpos: Float[np.ndarray, "placed nq"],
        qvel: Float[np.ndarray, "placed nv"],
    ) -> None:
        """Put some characters into given positions and velocities."""
        ...

    def push(self, body: str, force_w: Float[np.ndarray, "count 3"], steps: int) -> None:
        """Push a body with a force [N] in world axes during the next `steps` control steps."""
        ...

    def let_go(self) -> None:
        """Nobody pushes any more."""
        ...

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that decides what follows, as a copy."""
        ...

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go back to a snapshot."""
        ...

    def advance(self, control: Float[np.ndarray, "count nu"]) -> Bool[np.ndarray, "count"]:
        """One control step; which states diverged and stay as they were."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


class Simulation:
    """Steps `count` states of one character. States are MuJoCo's full physics: time, qpos, qvel, activations."""

    def __init__(self, built: Built, count: int, cfg: SimulationConfig) -> None:
        assert count >= 1
        assert cfg.threads >= 1
        self.built, self.count, self.cfg = built, count, cfg
        model = built.model
        self.diverged = 0
        """How many states have diverged so far."""
        self._size = mujoco.mj_stateSize(model, _FULL)
        self._models = [model] * count
        self._data = [mujoco.MjData(model) for _ in range(cfg.threads)]
        self._pool = Rollout(nthread=cfg.threads if cfg.threads > 1 else 0)
        self._steps = built.character.substeps
        self._seconds = (self._steps - 0.5) * float(model.opt.timestep)
        self._out = np.empty((count, self._steps, self._size))
        self._force_w, self._force_steps = np.zeros((count, model.nbody, 6)), 0
        # Every state starts as MuJoCo's own reset leaves it.
        mujoco.mj_resetData(model, self._data[0])
        self._blank = np.empty(self._size)
        mujoco.mj_getState(model, self._data[0], self._blank, _FULL)
        # Not 0, so that MuJoCo's own resets, which start there, show at once.
        self._blank[0] = _BEGIN_S
        self.states = np.tile(self._blank, (count, 1))

    @property
    def qpos(self) -> Float[np.ndarray, "count nq"]:
        """Generalised positions."""
        return self.states[:, 1 : 1 + self.built.model.nq]

    @property
    def qvel(self) -> Float[np.ndarray, "count nv"]:
        """Generalised velocities."""
        first = 1 + self.built.model.nq
        return self.states[:, first : first + self.built.model.nv]

    def place(
        self,
        which: Bool[np.ndarray, "count"],
        qpos: Float[np.ndarray, "placed nq"],
        qvel: Float[np.ndarray, "placed nv"],
    ) -> None:
        """Put some characters into given positions and velocities."""
        fresh = np.tile(self._blank, (int(which.sum()), 1))
        nq, nv = qpos.shape[1], qvel.shape[1]
        fresh[:, 1 : 1 + nq], fresh[:, 1 + nq : 1 + nq + nv] = qpos, qvel
        self.states[which] = fresh

    def push(self, body: str, force_w: Float[np.ndarray, "count 3"], steps: int) -> None:
        """Push a body at its centre of mass with a force [N] in world axes during the next `steps` control steps.

        Raises:
            BunrakuError: the character has no such body.
        """
        names = self.built.character.body_names
        if body not in names:
            raise unknown_name("body", body, names, "this character has")
        self._force_w[:] = 0.0
        self._force_w[:, 1 + names.index(body), :3] = force_w
        self._force_steps = steps

    def let_go(self) -> None:
        """Nobody pushes any more."""
        self._force_steps = 0

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that decides what follows, as a copy."""
        counts = {"force_steps": np.array(self._force_steps), "diverged": np.array(self.diverged)}
        return {"states": self.states.copy(), "force_w": self._force_w.copy(), **counts}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go back to a snapshot."""
        self.states, self._force_w = np.array(snapshot["states"]), np.array(snapshot["force_w"])
        self._force_steps, self.diverged = int(snapshot["force_steps"]), int(snapshot["diverged"])

    def advance(self, control: Float[np.ndarray, "count nu"]) -> Bool[np.ndarray, "count"]:
        """One control step: controls, and what pushes, are held over its substeps.

        Returns which states diverged: they stay as they were before the step, and must be placed anew.
        """
        held, spec = control, _CONTROL
        if self._force_steps:
            held, spec = np.concatenate([control, self._force_w.reshape(self.count, -1)], axis=1), _CONTROL_AND_FORCE
            self._force_steps -= 1
        held = np.ascontiguousarray(np.broadcast_to(held[:, None], (self.count, self._steps, held.shape[1])))
        # Without checks: they cost more than the physics of a bop bag. All substeps come back; the last counts.
        self._pool.rollout(
            self._models,
            self._data,
            self.states,
            held,
            control_spec=spec,
            skip_checks=True,
            nstep=self._steps,
            state=self._out,
        )
        after = self._out[:, -1]
        # MuJoCo starts a state that is not finite or far too large again at time 0, or stops stepping it.
        bad = ~(after[:, 0] - self.states[:, 0] > self._seconds) | ~np.isfinite(after).all(axis=1)
        if bad.any():
            self._keep_for_replay(bad, held[:, 0], spec)
            after = np.where(bad[:, None], self.states, after)
        self.states = after.copy()
        return bad

    def _keep_for_replay(self, bad: np.ndarray, held: np.ndarray, spec: int) -> None:
        for i in np.flatnonzero(bad):
            if self.cfg.replay is not None and self.diverged < self.cfg.replay_limit:
                with disk_errors(self.cfg.replay):
                    self.cfg.replay.mkdir(parents=True, exist_ok=True)
                arrays = {"state": self.states[i], "held": held[i], "spec": np.array([spec])}
                write_arrays(self.cfg.replay / f"diverged_{self.diverged:06d}.safetensors", arrays)
            self.diverged += 1

    def close(self) -> None:
        """End the threads."""
        self._pool.close()


def replay(built: Built, file: Path) -> Float[np.ndarray, "substeps state"]:
    """The states of a kept step, substep by substep, up to the last that could be computed.

    Raises:
        BunrakuError: the file is not such a step of this character.
    """
    arrays = read_arrays(file)
    if arrays.keys() != {"state", "held", "spec"}:
        raise BunrakuError(f"{file}: is not a diverged step that was kept")
    model, spec = built.model, int(arrays["spec"][0])
    sizes = mujoco.mj_stateSize(model, _FULL), mujoco.mj_stateSize(model, spec)
    if (len(arrays["state"]), len(arrays["held"])) != sizes:
        raise BunrakuError(f"{file}: was kept from another character")
    data, out = mujoco.MjData(model), list[np.ndarray]()
    mujoco.mj_setState(model, data, arrays["state"], _FULL)
    for _ in range(built.character.substeps):
        mujoco.mj_setState(model, data, arrays["held"], spec)
        mujoco.mj_step(model, data)
        if np.any(data.warning.number):
            break
        state = np.empty(sizes[0])
        mujoco.mj_getState(model, data, state, _FULL)
        out.append(state)
    return np.array(out).reshape(len(out), sizes[0])
