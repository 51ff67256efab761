"""What the numbers of an observation are; policies carry it wherever they are played."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A run of numbers of the observation."""

    name: str
    size: int
    unit: str
