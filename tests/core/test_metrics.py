"""Metrics: values and units, merged."""

import pytest

from bunraku.core.metrics import Metrics


def test_the_later_metrics_win_and_the_order_stays():
    merged = Metrics({"a": 1, "b": 2.0}, {"b": "m"}).merged(Metrics({"b": 3.0, "c": None}, {"b": "mm"}))
    assert list(merged.values.items()) == [("a", 1), ("b", 3.0), ("c", None)]
    assert merged.units == {"b": "mm"}
    assert merged.number("a") == 1.0
    assert merged["c"] is None


def test_a_name_is_not_a_number():
    with pytest.raises(AssertionError, match="not a number"):
        Metrics({"alignment": "identity"}, {}).number("alignment")
