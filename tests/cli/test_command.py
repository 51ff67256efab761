"""Patterns of --controls."""

import pytest

from bunraku.cli.command import patterns
from bunraku.core.errors import BunrakuError


def test_patterns_stand_between_commas():
    assert patterns("jaw.*, brow.L,,") == ("jaw.*", "brow.L")
    assert patterns("") == ()


def test_a_file_has_one_pattern_on_each_line(tmp_path):
    file = tmp_path / "face.txt"
    file.write_text("jaw.*\n\n  brow.L \nlid, upper\n#2\n")
    assert patterns(str(file)) == ("jaw.*", "brow.L", "lid, upper", "#2")


def test_an_empty_file_and_one_that_is_not_text_are_refused(tmp_path):
    file = tmp_path / "face.txt"
    file.write_text("\n\n")
    with pytest.raises(BunrakuError, match=r"--controls \S*face.txt: is empty"):
        patterns(str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BunrakuError, match="cannot be read as text"):
        patterns(str(file))
