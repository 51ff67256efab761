from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.formats.csv import load_csv_curves, save_csv_curves

AWKWARD = ("jaw", "a,b", 'say "hi"', "two\nlines", "back\r", "ä日本", " padded ", "frame", "", "'", "#1", "\ttab")


def test_awkward_names_and_exact_numbers_survive(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, len(AWKWARD))) * 10.0 ** rng.integers(-300, 300, size=(5, len(AWKWARD)))
    values[0, :4] = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308]
    save_csv_curves(tmp_path / "a.csv", curves(AWKWARD, values, 30, 101))
    back = load_csv_curves(tmp_path / "a.csv")
    assert back.names == AWKWARD
    assert back.values.tobytes() == values.tobytes()
    assert (back.fps, back.start_frame) == (30, 101)


def test_the_table_looks_as_documented(tmp_path):
    save_csv_curves(tmp_path / "a.csv", curves(["jaw", "brow,l"], np.array([[0.5, 1.0], [0.25, -2.0]]), 25, 7))
    assert (tmp_path / "a.csv").read_text() == 'frame,time_s,jaw,"brow,l"\n7,0.0,0.5,1.0\n8,0.04,0.25,-2.0\n'


@pytest.mark.parametrize(
    "fps", [24, 25, 60, Fraction(24000, 1001), Fraction(2997, 125), Fraction(30000, 1001), Fraction(25, 2), 1000]
)
@pytest.mark.parametrize("frames", [2, 3, 100, 5000])
def test_the_rate_is_found_again_exactly(tmp_path, fps, frames):
    save_csv_curves(tmp_path / "a.csv", curves(["a"], np.zeros((frames, 1)), Fraction(fps)))
    assert load_csv_curves(tmp_path / "a.csv").fps == fps


def test_rounded_times_of_a_spreadsheet_give_the_usual_rates(tmp_path):
    rows = "".join(f"{k},{k * 1001 / 24000:.3f},0\n" for k in range(200))
    (tmp_path / "a.csv").write_text("\ufeffframe,time_s,a\n" + rows, encoding="utf-8")
    assert load_csv_curves(tmp_path / "a.csv").fps == Fraction(24000, 1001)


def test_a_single_frame_is_taken_for_24_a_second(tmp_path):
    save_csv_curves(tmp_path / "a.csv", curves(["a"], np.ones((1, 1)), 60))
    assert load_csv_curves(tmp_path / "a.csv").fps == 24


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected frame,time_s"),
        ("time,jaw\n0,1\n", "begins with 'time,jaw'"),
        ("frame,time_s\n0,0\n", "expected frame,time_s,control"),
        ("frame,time_s,a\n", "has no frames"),
        ("frame,time_s,a\n0,0,1\n1,.1\n", "row 3 has 2 values; the header names 3"),
        ("frame,time_s,a\n0,0,x\n", "row 2: 'a' is 'x'; expected a number"),
        ("frame,time_s,a\n0,0,nan\n", "'a' is not finite"),
        ("frame,time_s,a\n0.5,0,1\n", "expected a whole and a finite number"),
        ("frame,time_s,a\ninf,0,1\n", "expected a whole and a finite number"),
        ("frame,time_s,a\n0,0,1\n2,.1,1\n", "frame 2 at row 3; expected 1"),
        ("frame,time_s,a\n0,0,1\n1,0,1\n", "time_s does not grow"),
        ("frame,time_s,a\n0,0,1\n1,.1,1\n2,.3,1\n", "not evenly spaced"),
        ("frame,time_s,a,a\n0,0,1,1\n", "named twice"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BunrakuError, match=said) as caught:
        load_csv_curves(tmp_path / "a.csv")
    assert "a.csv" in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"frame,time_s,\xff\n0,0,0\n")
    with pytest.raises(BunrakuError, match=r"a\.csv: cannot be read"):
        load_csv_curves(tmp_path / "a.csv")
    with pytest.raises(BunrakuError, match=r"b\.csv: no such file"):
        load_csv_curves(tmp_path / "b.csv")
