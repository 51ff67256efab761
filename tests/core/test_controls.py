"""Control specs: checks at the door, patterns, parts of specs."""

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError

NAMES = ("jaw.rx", "jaw.ry", "jaw.rz", "brow.L", "brow.R", "lid[1]", "lid1")


def spec(**changes):
    return control_spec(NAMES, -1, 1, 0, rotations=[[0, 1, 2]], **changes)


def test_scalars_are_spread_over_all_controls():
    made = spec(units="rad", driven=[False] * 6 + [True])
    assert len(made) == 7
    np.testing.assert_array_equal(made.lower, -np.ones(7))
    assert made.units == ("rad",) * 7
    assert made.driven.tolist() == [False] * 6 + [True]


def test_patterns_select_in_the_rigs_order_and_only_once():
    assert spec().select(("brow.*", "jaw.rz", "*.L")).tolist() == [2, 3, 4]


def test_an_exact_name_wins_over_its_meaning_as_a_pattern():
    assert spec().select(("lid[1]",)).tolist() == [5]


def test_a_pattern_without_a_match_is_named_beside_what_exists():
    with pytest.raises(BunrakuError, match=r"no control 'nose\.\*'; this rig has: jaw\.rx, jaw\.ry"):
        spec().select(("brow.*", "nose.*"))


def test_matching_is_case_sensitive():
    with pytest.raises(BunrakuError, match=r"brow\.l"):
        spec().select(("brow.l",))


def test_a_part_of_a_spec_keeps_whole_rotations_and_drops_broken_ones():
    whole = spec().take(np.array([3, 2, 1, 0]))
    assert whole.names == ("brow.L", "jaw.rz", "jaw.ry", "jaw.rx")
    assert whole.rotations.tolist() == [[3, 2, 1]]
    assert spec().take(np.array([0, 1])).rotations.shape == (0, 3)


def test_a_range_of_zero_can_be_divided_by():
    made = control_spec(["a", "b"], [0, 2], [4, 2], [0, 2])
    np.testing.assert_array_equal(made.range, [4, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": []}, "at least one control"),
        ({"names": ["a", "b", "a"]}, "'a' is named twice"),
        ({"names": ["a", "b"], "lower": [0, 3], "upper": [1, 2], "neutral": [0, 2]}, "'b': lower 3 is above upper 2"),
        ({"names": ["a"], "neutral": 2}, r"'a': neutral 2 is outside 0 … 1"),
        ({"names": ["a"], "upper": np.inf}, "'a': lower, upper and neutral must be finite"),
        ({"names": ["a"], "neutral": np.nan}, "'a'.*finite"),
        ({"names": ["a", "b"], "lower": [0, 0, 0]}, r"lower has shape \(3,\); expected one value for each of the 2"),
        ({"names": ["a", "b"], "units": ["m"]}, "units: 1 given for 2 controls"),
    ],
)
def test_a_bad_spec_is_refused_by_name(arguments, message):
    with pytest.raises(BunrakuError, match=message):
        control_spec(**arguments)


def test_the_error_for_an_unknown_name_stops_after_twenty():
    many = control_spec([f"c{i}" for i in range(50)])
    with pytest.raises(BunrakuError, match=r"c19, … \(30 more\)$"):
        many.index("d")
