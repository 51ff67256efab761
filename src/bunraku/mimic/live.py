"""A trained policy that acts while somebody watches; see `core.live`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.live import Glimpse
from bunraku.mimic.clip_task import ClipTask
from bunraku.mimic.opening import Task, Which, load_trained, policy_of

if TYPE_CHECKING:
    from bunraku.core.solid import Solid
    from bunraku.imitation.clip_environment import ClipEnvironment
    from bunraku.imitation.environment import SimulatedEnvironment
    from bunraku.imitation.policy import Policy

_EPISODE_S = 20.0
_FASTEST_HZ = 10_000.0


def live(run: Path, policy: Which = "last", seed: int = 0) -> LiveRun:
    """A run's policy, ready to act.

    Raises:
        BunrakuError: no finished run there.
    """
    trained, task = load_trained(run, None)
    return LiveRun(policy_of(trained, policy), task, seed)


class LiveRun:
    """See `core.live.Live`."""

    def __init__(self, policy: Policy, task: Task | ClipTask, seed: int = 0) -> None:
        from bunraku.imitation.solids import solids

        self._policy, self._task, self._seed = policy, task, seed
        self._trained = task.character
        self._environment = self._opened(task)
        self.name = Path(task.name).stem
        self.body_names = self._trained.body_names
        self.solids: tuple[Solid, ...] = solids(self._environment.built)
        self.restart()

    @staticmethod
    def _opened(task: Task | ClipTask) -> SimulatedEnvironment | ClipEnvironment:
        return task.exam(1, _EPISODE_S)

    @property
    def control_hz(self) -> float:
        """See `Live`."""
        return self._trained.control_hz

    @property
    def trained_hz(self) -> float:
        """See `Live`."""
        return self._trained.physics_hz

    @property
    def physics_hz(self) -> float:
        """See `Live`."""
        return self._environment.character.physics_hz

    def restart(self) -> Glimpse:
        """See `Live`; each begins elsewhere, where the task does."""
        self._observation = self._environment.reset(self._seed)
        self._seed += 1
        return self._begun("")

    def step(self) -> Glimpse:
        """See `Live`."""
        step = self._environment.step(self._policy.act(self._observation))
        self._observation = step.observation
        if step.terminated[0] or step.truncated[0]:
            return self._begun("fell" if step.terminated[0] else "time")
        self._steps += 1
        self._reward = float(step.reward[0])
        self._sum += self._reward
        self._terms = {name: float(term[0]) for name, term in step.terms.items()}
        return self._glimpse("")

    def _begun(self, ended: str) -> Glimpse:
        self._steps, self._sum, self._reward = 0, 0.0, 0.0
        self._terms: Mapping[str, float] = {}
        return self._glimpse(ended)

    def push(self, body: str, force_w: Float[np.ndarray, "3"], seconds: float) -> None:
        """See `Live`."""
        steps = max(1, round(seconds * self.control_hz))
        self._environment.push(body, np.asarray(force_w, np.float64)[None], steps)

    def set_physics_hz(self, hz: float, *, allowed: bool) -> Glimpse:
        """See `Live`."""
        substeps = hz / self.control_hz
        if not 1 <= substeps <= _FASTEST_HZ / self.control_hz or abs(substeps - round(substeps)) > 1e-6:
            raise BunrakuError(
                f"physics at {hz:g} Hz: expected a multiple of the control rate, {self.control_hz:g} Hz, "
                f"up to {_FASTEST_HZ:g} Hz"
            )
        if hz != self.trained_hz and not allowed:
            raise BunrakuError(
                f"physics at {hz:g} Hz: the policy was trained at {self.trained_hz:g} Hz and is bound to its rate"
            )
        self._environment.close()
        character = replace(self._trained, physics_hz=float(hz))
        self._environment = self._opened(replace(self._task, character=character))
        return self.restart()

    def close(self) -> None:
        """End the threads of the physics."""
        self._environment.close()

    def _glimpse(self, ended: str) -> Glimpse:
        from bunraku.imitation.anatomy import body_poses_w

        environment = self._environment
        both = np.concatenate([environment.simulation.qpos[:1], environment.wanted_qpos()[:1]])
        pos, quat = body_poses_w(environment.built.anatomy, both)
        mean = self._sum / self._steps if self._steps else 0.0
        return Glimpse(
            time_s=self._steps / self.control_hz,
            body_pos_w=pos[0, 1:],
            body_quat_w=quat[0, 1:],
            ghost_pos_w=pos[1, 1:],
            ghost_quat_w=quat[1, 1:],
            reward=self._reward,
            mean_reward=mean,
            terms=self._terms,
            ended=ended,
        )
