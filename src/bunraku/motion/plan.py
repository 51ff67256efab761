"""What the clips that are made in code ask of a body, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

FPS = 30


@dataclass(frozen=True, eq=False)
class Plan:
    """What a clip asks for, frame by frame; the body is upright and faces +X where nothing is said."""

    duration_s: float
    lower: Float[np.ndarray, "frames"]
    """How far the hips are below where straight legs hold them, as a share of the legs' length."""
    lean: Float[np.ndarray, "frames"]
    """Turn of the trunk forward [rad]."""
    shift: Float[np.ndarray, "frames"]
    """Where the centre of mass is between the feet: −1 over the right one, 1 over the left."""
    lift: Float[np.ndarray, "frames 2"]
    """Height of the left and the right foot above the ground, as a share of the legs' length."""
    forward: Float[np.ndarray, "frames"]
    """Arms from hanging (0) to the front (π/2) [rad]."""
    aside: Float[np.ndarray, "frames"]
    """Arms from hanging (0) to the side (π/2) and up (π) [rad]."""


def _plan(duration_s: float, **asked: np.ndarray | Callable[[np.ndarray], np.ndarray]) -> Plan:
    frames = round(duration_s * FPS) + 1
    phase = np.linspace(0, 1, frames)
    values: dict[str, np.ndarray] = {
        "lower": np.full(frames, 0.02),
        "lean": np.zeros(frames),
        "shift": np.zeros(frames),
        "lift": np.zeros((frames, 2)),
        "forward": np.zeros(frames),
        "aside": np.full(frames, 0.12),
    }
    values |= {name: value(phase) if callable(value) else value for name, value in asked.items()}
    return Plan(duration_s, **values)


def _swell(phase: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back in one cycle."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * phase)


def _standing() -> Plan:
    return _plan(2.0)


def _squatting() -> Plan:
    return _plan(
        3.0,
        lower=lambda phase: 0.02 + 0.28 * _swell(phase),
        lean=lambda phase: 0.45 * _swell(phase),
        forward=lambda phase: 1.2 * _swell(phase),
    )


def _weight_shift() -> Plan:
    return _plan(
        4.0, lower=lambda phase: np.full(len(phase), 0.03), shift=lambda phase: 0.7 * np.sin(2 * np.pi * phase)
    )


def _marching() -> Plan:
    def lift(phase: np.ndarray) -> np.ndarray:
        wave = np.sin(2 * np.pi * phase)
        # The foot that carries nothing rises, while the weight is well over the other.
        return 0.16 * np.stack([np.clip(-wave - 0.3, 0, 1), np.clip(wave - 0.3, 0, 1)], axis=1) ** 2 / 0.49

    return _plan(
        2.0,
        lower=lambda phase: np.full(len(phase), 0.03),
        shift=lambda phase: 0.75 * np.sin(2 * np.pi * phase),
        lift=lift,
    )


def _arm_raise() -> Plan:
    return _plan(3.0, aside=lambda phase: 0.12 + 2.4 * _swell(phase))


PLANS: Mapping[str, Callable[[], Plan]] = {
    "standing": _standing,
    "squatting": _squatting,
    "weight_shift": _weight_shift,
    "marching": _marching,
    "arm_raise": _arm_raise,
}
