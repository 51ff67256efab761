"""A simulated motion as numbers: where every body is at every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from bunraku.core.clip import Clip, clip
from bunraku.core.rotations import continuous_quats, quat_conjugate, quat_multiply
from bunraku.core.skeleton import skeleton
from bunraku.imitation.anatomy import body_poses_w
from bunraku.imitation.character import Built
from bunraku.imitation.clip_environment import HOLD_S, ClipEnvironment
from bunraku.imitation.evaluate import Controller
from bunraku.imitation.protocol import Environment
from bunraku.imitation.simulation import States

LOOP_S = 10.0
"""How much of a motion without end is shown."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What one character did; frame k at k/control_hz."""

    built: Built
    """The character."""
    body_names: tuple[str, ...]
    """All but the world."""
    times_s: Float[np.ndarray, "frames"]
    body_pos_w: Float[np.ndarray, "frames bodies 3"]
    """Origins of the bodies' frames [m], z up."""
    body_quat_w: Float[np.ndarray, "frames bodies 4"]
    """wxyz."""
    qpos: Float[np.ndarray, "frames nq"]
    clip: Clip
    """The same as rotations between the bodies, for any reader of clips."""
    fell: bool
    """It ended early: the last frame is the one before the fall."""


class Simulated(Environment, Protocol):
    """An environment whose states can be looked at."""

    @property
    def built(self) -> Built:
        """The character."""
        ...

    @property
    def simulation(self) -> States:
        """Its states."""
        ...


def play(act: Controller, environment: Simulated, seconds: float, seed: int = 0) -> Motion:
    """Let the first character of an environment act, without jitter, for some seconds or to its episode's end."""
    return _recorded(act, environment, environment.reset(seed), seconds)


def play_clip(act: Controller, environment: ClipEnvironment, seconds: float, begun_s: float = 0.0) -> Motion:
    """The same from a moment of the clip that is followed, its first frame unless said."""
    environment.reset(0)
    return _recorded(act, environment, environment.begin(np.full(environment.count, begun_s)), seconds)


def clip_seconds(environment: ClipEnvironment) -> float:
    """How long a clip is to be shown: ten seconds of one that loops, else to the end with the hold after it."""
    return LOOP_S if environment.table.loops else environment.table.duration_s + HOLD_S


def _recorded(act: Controller, environment: Simulated, observation: np.ndarray, seconds: float) -> Motion:
    states, fell = [environment.simulation.qpos[0].copy()], False
    for _ in range(round(seconds * environment.control_hz)):
        step = environment.step(act(observation))
        if step.terminated[0] or step.truncated[0]:
            # What the simulation holds now is the next episode's start.
            fell = bool(step.terminated[0])
            break
        states.append(environment.simulation.qpos[0].copy())
        observation = step.observation
    return _motion(environment.built, np.array(states), environment.control_hz, fell)


def _motion(built: Built, qpos: np.ndarray, control_hz: float, fell: bool) -> Motion:
    body, times_s = built.anatomy, np.arange(len(qpos)) / control_hz
    pos, quat = body_poses_w(body, qpos)
    quat = continuous_quats(quat)
    names = tuple(each.name or f"body {i}" for i, each in enumerate(body.bodies))
    parents = np.array([each.parent for each in body.bodies])
    local = quat_multiply(quat_conjugate(quat[:, parents[1:]]), quat[:, 1:])
    rest_pos, rest_quat = (np.array([getattr(each, what) for each in body.bodies[1:]]) for what in ("pos", "quat"))
    bones = skeleton(names[1:], parents[1:] - 1, rest_pos, rest_quat, name="motion")
    return Motion(
        built, names[1:], times_s, pos[:, 1:], quat[:, 1:], qpos, clip(bones, times_s, pos[:, 1], local), fell
    )
