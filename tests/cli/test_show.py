"""Results as strict JSON and as tables."""

import json
from pathlib import Path

import numpy as np

from bunraku.cli.show import print_rows, print_values, strict_json


def test_json_is_strict_whatever_is_in_it():
    value = {
        "nan": float("nan"),
        "deep": [{"inf": -float("inf")}, (1, 2)],
        "numpy": np.float32(0.5),
        "array": np.array([1.0, np.nan]),
        "whole": np.int64(3),
        "yes": np.bool_(True),
        "path": Path("a/b"),
        "name": "gelenk.ß",
        "none": None,
    }
    text = strict_json(value)
    assert "\n" not in text
    assert json.loads(text) == {
        "nan": None,
        "deep": [{"inf": None}, [1, 2]],
        "numpy": 0.5,
        "array": [1.0, None],
        "whole": 3,
        "yes": True,
        "path": "a/b",
        "name": "gelenk.ß",
        "none": None,
    }


def test_values_read_well(capsys):
    print_values({"error": 1.23456789e-7, "ok": True, "names": ["a", "b[0]"], "none": [], "missing": None})
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "error    1.23457e-07",
        "ok       yes",
        "names    a, b[0]",
        "none     none",
        "missing  –",
    ]


def test_rows_become_a_table_and_square_brackets_stay(capsys):
    print_rows("controls", [{"name": "lid[1]", "lower": -1.0}, {"name": "jaw", "lower": 0.25}])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["controls", "name    lower", "lid[1]     -1", "jaw      0.25"]
