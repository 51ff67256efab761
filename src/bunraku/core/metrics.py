"""Named numbers with units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MetricValue = float | int | str | bool | None | list[str] | dict[str, float]


@dataclass(frozen=True)
class Metrics:
    """What was measured: values by name in a fixed order, and the unit of those that have one. JSON-able."""

    values: Mapping[str, MetricValue]
    units: Mapping[str, str]

    def __getitem__(self, name: str) -> MetricValue:
        return self.values[name]

    def number(self, name: str) -> float:
        """A metric that is a number, as a float."""
        value = self.values[name]
        assert isinstance(value, (int, float)), f"{name} is {value!r}, not a number"
        return float(value)

    def merged(self, other: Metrics) -> Metrics:
        """Both; `other` wins where both have a name."""
        return Metrics({**self.values, **other.values}, {**self.units, **other.units})
