"""Progress: lines now and then where nobody watches, bars on a terminal, the log beside them."""

import logging
import sys

import pytest

from bunraku.cli import progress
from bunraku.cli.progress import Reporter


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is told to move on."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_short_work_says_nothing(clock, capsys):
    with Reporter() as report:
        for step in range(5):
            clock[0] += 1
            report("sample", step, 5)
    assert capsys.readouterr() == ("", "")


def test_long_work_says_every_ten_seconds_how_long_it_still_takes(clock, capsys):
    with Reporter() as report:
        for step in range(41):
            report("sample", step, 100, "3 failed")
            clock[0] += 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "sample: 10 %, about 90 s left, 3 failed"
    assert [line.split(",")[0] for line in err.splitlines()] == [f"sample: {n} %" for n in (10, 20, 30, 40)]


def test_unknown_totals_are_no_division_by_zero(clock, capsys):
    with Reporter() as report:
        clock[0] += 60
        report("fit", 0, 0)
    assert capsys.readouterr().err == "fit: 0 %\n"


def test_a_terminal_gets_a_bar_with_the_time_left(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Reporter() as report:
        report("solve", 1, 4, "error 0.5 mm [x]")
        logging.getLogger("bunraku.rigs").warning("the rig's hash has changed")
        report("solve", 4, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "solve" in err
    assert "100%" in err
    assert "error 0.5 mm [x]" in err
    assert "bunraku: the rig's hash has changed" in err


def test_the_log_goes_to_standard_error_while_a_command_runs_and_not_after(capsys):
    log = logging.getLogger("bunraku.inversion")
    with Reporter():
        log.info("aligned: Z up")
    log.info("unheard")
    assert capsys.readouterr() == ("", "bunraku: aligned: Z up\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (99.4, "99 s"), (100, "2 min"), (3580, "1 h 0 min"), (3725, "1 h 2 min")]
)
def test_durations_for_people(seconds, text):
    assert progress._duration(seconds) == text
