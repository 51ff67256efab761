"""What a policy sees of a simulated character: short functions of state arrays, and their layout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A run of numbers of the observation."""

    name: str
    size: int
    unit: str
