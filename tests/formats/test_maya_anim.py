"""Maya's .anim, written and read back."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.keys import keyed_curves, keys
from bunraku.formats.maya_anim import attributes, load_anim, save_anim, time_unit

UNITS = {"arm.rx": "rad", "arm.ty": "m", "jaw": "1", "rest.sx": "1"}


def shot(fps=Fraction(24000, 1001)):
    own = [
        keys([1001, 1005, 1012], [0.0, 1.0, -0.5], [0, 0.2, 0], [0, -0.1, 0]),
        keys([1003], [0.25]),
        keys([1001, 1006, 1012], [0, 1, 0], interpolation="step"),
        keys([], []),
    ]
    return keyed_curves(list(UNITS), own, [0.0, 0, 0, 1], fps, 1001, 12)


def test_keys_tangents_rate_and_start_come_back(tmp_path):
    save_anim(tmp_path / "it.anim", shot(), UNITS)
    back = load_anim(tmp_path / "it.anim")
    assert (back.names, back.fps, back.start_frame, back.frames) == (
        ("arm.rx", "arm.ty", "controls.jaw"),
        Fraction(24000, 1001),
        1001,
        12,
    )
    for mine, theirs in zip(shot().keys, back.keys, strict=False):
        np.testing.assert_allclose(theirs.frames, mine.frames)
        np.testing.assert_allclose(theirs.values, mine.values, atol=1e-12)
        np.testing.assert_allclose(theirs.slope_in, mine.slope_in, atol=1e-12)
        np.testing.assert_allclose(theirs.slope_out, mine.slope_out, atol=1e-12)
        assert theirs.interpolation == mine.interpolation


def test_what_stands_in_the_file(tmp_path):
    save_anim(tmp_path / "it.anim", shot(), UNITS)
    lines = (tmp_path / "it.anim").read_text().splitlines()
    assert lines[:7] == [
        *("animVersion 1.1;", "mayaVersion 2020;", "timeUnit 23.976fps;", "linearUnit m;", "angularUnit deg;"),
        *("startTime 1001;", "endTime 1012;"),
    ]
    assert "anim rotate.rotateX rotateX arm 0 0 0;" in lines
    assert "anim translate.translateY translateY arm 0 0 1;" in lines
    # By hand: 1 rad is 57.29577951308232°, a slope of 0.2 rad a frame atan(11.459…) = 85.0128…° steep.
    words = next(line for line in lines if line.startswith("    1005 ")).rstrip(";").split()
    assert words[1:7] == ["57.29577951308232", "fixed", "fixed", "0", "1", "0"]
    np.testing.assert_allclose(float(words[7]), np.degrees(np.arctan(np.degrees(0.2))))
    assert "    1006 1 fixed step 0 1 0 0 1;" in lines


@pytest.mark.parametrize(
    ("fps", "name"),
    [
        (Fraction(24), "film"),
        (Fraction(25), "pal"),
        (Fraction(30), "ntsc"),
        (Fraction(60), "ntscf"),
        (Fraction(30000, 1001), "29.97fps"),
        (Fraction(120), "120fps"),
    ],
)
def test_frame_rates_have_mayas_names_and_come_back(tmp_path, fps, name):
    assert time_unit(fps, Path("it")) == name
    save_anim(tmp_path / "it.anim", shot(fps), UNITS)
    assert load_anim(tmp_path / "it.anim").fps == fps


def test_a_rate_that_maya_does_not_know_is_refused(tmp_path):
    with pytest.raises(BunrakuError, match="no time unit of 49/2 frames/s; it has: game, film"):
        save_anim(tmp_path / "it.anim", shot(Fraction(49, 2)), UNITS)
    assert not (tmp_path / "it.anim").exists()


def test_hostile_names_become_names_that_maya_may_have():
    found = attributes(["a b;\n}.rx", "1x.ty", "a_b___.rx", "<script>", "char:arm.tx"])
    assert found == [
        ("a_b___", "rotateX"),
        ("_1x", "translateY"),
        ("a_b___", "rotateX_2"),
        ("controls", "_script_"),
        ("char:arm", "translateX"),
    ]


def test_auto_tangents_are_read_as_the_slope_between_neighbours(tmp_path):
    path = tmp_path / "it.anim"
    path.write_text(
        "animVersion 1.1;\ntimeUnit film;\nanim a.b b c 0 0 0;\nanimData {\n input time;\n output unitless;\n keys {\n"
        " 1 0 auto linear 1 1 0;\n 2 1 auto auto 1 1 0; // a remark\n 3 4 flat flat 1 1 0;\n }\n}\nanim nobody 0 0 0;\n"
    )
    back = load_anim(path)
    assert (back.names, back.start_frame, back.frames) == (("c.b",), 1, 3)
    np.testing.assert_allclose(back.keys[0].slope_in, [1, 2, 0])
    np.testing.assert_allclose(back.keys[0].slope_out, [1, 2, 0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("animVersion 1.1;", ""), "animVersion"),
        (("timeUnit 23.976fps", "timeUnit fortnight"), "timeUnit is 'fortnight'"),
        (("    1005 57.29577951308232", "    1005 nan"), "'nan' where a number"),
        (("    1005 57.29577951308232", "    1000 5"), "order of time"),
        (("endTime 1012", "endTime 1e30"), "expected a shot"),
        (("    1006 1 fixed step 0 1 0 0 1;", "    1006 1;"), "expected time, value, tangents"),
    ],
)
def test_broken_files_are_refused(tmp_path, change, says):
    path = tmp_path / "it.anim"
    save_anim(path, shot(), UNITS)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(BunrakuError, match=says):
        load_anim(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "it.anim"
    save_anim(path, shot(), UNITS)
    path.write_text(path.read_text()[:-4])
    with pytest.raises(BunrakuError, match="truncated"):
        load_anim(path)
