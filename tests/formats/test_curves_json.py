import json
from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.formats.curves_json import load_json_curves, save_json_curves

GOOD = {"fps": [24, 1], "start_frame": 0, "names": ["a", "b"], "values": [[0, 1], [2, 3]]}


def test_curves_read_back_as_they_were_written(tmp_path):
    values = np.array([[0.1 + 0.2, -0.0], [5e-324, 1e308]])
    solved = curves(['say "hi"', "two\nlines ä"], values, Fraction(24000, 1001), -4)
    save_json_curves(tmp_path / "a.json", solved, ["rad", "m"])
    back = load_json_curves(tmp_path / "a.json")
    assert (back.names, back.fps, back.start_frame) == (solved.names, solved.fps, -4)
    assert back.values.tobytes() == values.tobytes()
    about = json.loads((tmp_path / "a.json").read_text())
    assert (about["units"], about["fps"]) == (["rad", "m"], [24000, 1001])


def test_a_rate_may_be_a_number(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({**GOOD, "fps": 29.97}))
    assert load_json_curves(tmp_path / "a.json").fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": "ab"}, "names must be a list of texts"),
        ({"names": ["a", 1]}, "names must be a list of texts"),
        ({"names": ["a"]}, r"expected \(frames, 1\)"),
        ({"names": ["a", "a"]}, "named twice"),
        ({"values": []}, "expected"),
        ({"values": [[0, 1], [2]]}, "of equal length"),
        ({"values": [[0, "x"]]}, "lists of numbers"),
        ({"values": [[0, {}]]}, "lists of numbers"),
        ({"values": [[0, float("nan")]]}, "'b' is not finite at row 0"),
        ({"fps": [24, 0]}, "expected a number or"),
        ({"fps": "24"}, "expected a number or"),
        ({"fps": -1}, "not positive"),
        ({"start_frame": 0.5}, "expected a whole number"),
    ],
)
def test_other_contents_are_refused_in_one_line(tmp_path, change, said):
    (tmp_path / "a.json").write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(BunrakuError, match=said) as caught:
        load_json_curves(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_what_is_not_curves_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BunrakuError, match=r"a\.json"):
        load_json_curves(tmp_path / "a.json")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(BunrakuError, match=r"a\.json: no such file"):
        load_json_curves(tmp_path / "a.json")
