"""Something that acts and can be watched, pushed and stopped meanwhile: what the viewer knows of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from bunraku.core.solid import Solid


@dataclass(frozen=True, eq=False)
class Glimpse:
    """One moment of it."""

    time_s: float
    """Since the episode began."""
    body_pos_w: Float[np.ndarray, "bodies 3"]
    """Origins of the bodies' frames [m], z up."""
    body_quat_w: Float[np.ndarray, "bodies 4"]
    """wxyz."""
    ghost_pos_w: Float[np.ndarray, "bodies 3"]
    """Where the reference is at this moment."""
    ghost_quat_w: Float[np.ndarray, "bodies 4"]
    reward: float
    """Of the step that led here."""
    mean_reward: float
    """Over the episode so far: the return, as a share of what there was to be had."""
    terms: Mapping[str, float]
    """What the reward is made of."""
    ended: str
    """Why the episode before this one ended ("fell", "time"); empty: it still goes on."""


@runtime_checkable
class Live(Protocol):
    """A character that a policy moves."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def body_names(self) -> tuple[str, ...]:
        """All but the world."""
        ...

    @property
    def solids(self) -> tuple[Solid, ...]:
        """Their shapes; a solid's `joint` is the body that carries it."""
        ...

    @property
    def control_hz(self) -> float:
        """Steps per second."""
        ...

    @property
    def physics_hz(self) -> float:
        """Of the physics now."""
        ...

    @property
    def trained_hz(self) -> float:
        """Of the physics that the policy was trained in."""
        ...

    def restart(self) -> Glimpse:
        """Begin an episode."""
        ...

    def step(self) -> Glimpse:
        """One control step; where the episode ends, the first moment of the next."""
        ...

    def push(self, body: str, force_w: Float[np.ndarray, "3"], seconds: float) -> None:
        """Push a body at its centre of mass from now on [N]."""
        ...

    def set_physics_hz(self, hz: float, *, allowed: bool) -> Glimpse:
        """Other physics; begins an episode.

        Raises:
            BunrakuError: not allowed (the policy is bound to its rate), or no multiple of the control rate.
        """
        ...
