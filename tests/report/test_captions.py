"""Words on pictures."""

import numpy as np
import pytest

from bunraku.core.colours import RAMP
from bunraku.report.captions import captioned, plain, with_scale

GREY = np.full((120, 320, 3), 200, np.uint8)


def test_a_caption_darkens_the_lower_edge_alone():
    out = captioned(GREY, "walk", "0.50 s")
    assert (out[:90] == 200).all()
    assert out[-3, 160, 0] < 120
    assert out[100:].max() > 240  # ink
    assert (GREY == 200).all()


def test_a_name_that_is_too_long_is_cut_before_the_figures():
    figures = captioned(GREY, "", "return 0.98")
    out = captioned(GREY, "x" * 5000, "return 0.98")
    assert (out[:, 260:] == figures[:, 260:]).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc", "a b c"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\x1b[31mred\x07", "[31mred"),
        ("abc\u202ecba", "abc cba"),  # text that runs backwards would hide what it says
        ("é" * 10_000, "é" * 199 + "…"),
    ],
)
def test_names_become_one_line_of_plain_text(text: str, expected: str):
    assert plain(text) == expected


def test_a_scale_runs_from_the_first_colour_to_the_last():
    out = with_scale(GREY, RAMP, "2 mm")
    row = out[13]
    assert (np.abs(row.astype(int) - RAMP[0]).sum(axis=1) < 6).any()
    assert (np.abs(row.astype(int) - RAMP[-1]).sum(axis=1) < 6).any()
    assert (out[40:] == 200).all()
