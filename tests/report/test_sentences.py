import pytest

from bunraku.report.sentences import count, duration, listed, number, percent, said_of_run, said_of_take, short
from report_values import run_report, take_report


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00578, "0.00578"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (3.2e-7, "3.20e-07"),
        (20, "20"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_short_and_read_as_people_write_them(value, text):
    assert number(value) == text


def test_shares_lists_counts_and_times():
    assert percent(0.00285) == "0.285\u00a0%"
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdef")) == "a, b, c, d and 2 more"
    assert short("x" * 100) == "x" * 59 + "…"
    assert [count(2.27e6), count(960)] == ["2.27 M", "960"]
    assert [duration(38), duration(2371), duration(9000)] == ["38 s", "40 min", "2.5 h"]


def test_a_take_says_what_how_well_and_where():
    said = said_of_take(take_report())
    assert "follows the capture" in said["verdict"]
    assert "of the rig's size" in said["verdict"]
    assert "24 frames, 1 s, 192 points" in said["what"]
    assert "Worst in frame 117" in said["where"]
    assert "1 of 3 controls could not be seen in this capture: idle" in said["where"]


@pytest.mark.parametrize(
    ("relative", "words"),
    [(1e-9, "to numerical precision"), (5e-4, "very closely"), (5e-3, "closely"), (0.02, "roughly"), (0.5, "poorly")],
)
def test_the_verdict_follows_the_relative_error(relative, words):
    report = take_report()
    said = said_of_take(take_report(metrics={**report.metrics, "relative_error": relative}))
    assert f"follows the capture {words}:" in said["verdict"]


def test_noise_is_said_to_be_noise():
    report = take_report()
    mean = report.metrics["mean_vertex_error"]
    noisy = take_report(metrics={**report.metrics, "noise": mean / 1.7})
    assert "flickers by itself" in said_of_take(noisy)["where"]
    clean = take_report(metrics={**report.metrics, "noise": mean / 100})
    assert "flickers" not in said_of_take(clean)["where"]


def test_a_run_is_said_beside_what_does_not_learn_and_the_paper():
    said = said_of_run(run_report())
    assert said["verdict"] == (
        "The policy reaches 0.910 of the return (1 is perfect); without learning: no action 0.200; "
        "the paper has 0.985 with 61 M samples."
    )
    assert "75\u00a0% of the episodes last to their end; they last 17 s on average" in said["where"]
    assert "The weakest part of the reward is velocity" in said["where"]
    assert "it falls" in said["where"]
    assert "paper" not in said_of_run(run_report(paper=None))["verdict"]


def test_a_run_that_was_not_judged_says_so():
    said = said_of_run(run_report(result={"samples": 10, "train_wall_seconds": 1.0}))
    assert "not been evaluated" in said["verdict"]
