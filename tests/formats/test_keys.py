"""Keyed curves to JSON and back, and to CSV."""

import csv
import json
from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.keys import keyed_curves, keys
from bunraku.formats.keys_csv import save_csv_keys
from bunraku.formats.keys_json import load_json_keys, save_json_keys


def shot():
    jaw = keys([101, 104.5, 110], [0.1, 1 / 3, -2e-17], [0.0, 0.25, 1e-9], [0.5, -0.25, 0], ["cubic", "cubic", "step"])
    return keyed_curves(["jaw, left", "lid", "rest"], [jaw, keys([101], [1.0]), keys([], [])], [0, 0, 0.6],
                        Fraction(24000, 1001), 101, 12)  # fmt: skip


def test_keys_read_back_as_they_were_written(tmp_path):
    save_json_keys(tmp_path / "keys.json", shot(), {"settings": {"tolerance": "0.1%"}})
    back, was = load_json_keys(tmp_path / "keys.json"), shot()
    assert (back.names, back.fps, back.start_frame, back.frames) == (was.names, was.fps, 101, 12)
    for own, other in zip(back.keys, was.keys, strict=True):
        for part in ("frames", "values", "slope_in", "slope_out"):
            np.testing.assert_array_equal(getattr(own, part), getattr(other, part))
        assert own.interpolation == other.interpolation
    np.testing.assert_array_equal(back.evaluate().values, was.evaluate().values)


def test_the_table_has_a_row_for_each_key(tmp_path):
    save_csv_keys(tmp_path / "keys.csv", shot())
    with (tmp_path / "keys.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["control", "frame", "time_s", "value", "slope_in", "slope_out", "interpolation"]
    assert [row[:2] for row in rows] == [["jaw, left", "101"], ["jaw, left", "104.5"], ["jaw, left", "110"],
                                         ["lid", "101"]]  # fmt: skip
    assert float(rows[1][2]) == pytest.approx(3.5 * 1001 / 24000)
    assert float(rows[1][3]) == 1 / 3
    assert rows[2][6] == "step"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"controls": []}, "controls must be an object"),
        ({"controls": {"lid": {"frame": 1}}}, "'lid': expected a list of keys"),
        ({"controls": {"lid": [{"frame": 1, "value": "high"}]}}, "'lid': value is 'high'; expected a number"),
        ({"controls": {"lid": [{"frame": 1, "value": 0, "interpolation": "tcb"}]}}, "no interpolation 'tcb'"),
        ({"neutral": {}}, "the neutral of 'jaw, left' is None"),
        ({"frames": 2.5}, "frames is 2.5; expected a whole number"),
        ({"fps": "film"}, "fps is 'film'"),
    ],
)
def test_other_json_is_refused_by_what_is_wrong(tmp_path, change, complaint):
    file = tmp_path / "keys.json"
    save_json_keys(file, shot())
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(BunrakuError, match=complaint):
        load_json_keys(file)


def test_a_file_without_its_parts_says_which(tmp_path):
    (tmp_path / "keys.json").write_text('{"fps": 24, "controls": {}}')
    with pytest.raises(BunrakuError, match="it lacks frames, neutral, start_frame"):
        load_json_keys(tmp_path / "keys.json")
