"""How problems are told and ordered."""

from bunraku.motion.problem import Report, problem, span


def test_frames_are_told_as_runs():
    assert span([3]) == "frame 3"
    assert span([1, 2, 3, 7]) == "frames 1–3, 7"
    assert span(range(0, 20, 2)) == "frames 0, 2, 4, 6 and 6 more places"


def test_severity_follows_from_how_far_an_amount_is_beyond_its_limit():
    severities = [problem("sliding", "", amount, "m/s", "", limit=0.1).severity for amount in (0.15, 0.2, 0.5)]
    assert severities == ["low", "medium", "high"]
    note = problem("facing", "", 170, "deg", "", limit=30)
    assert (note.severity, note.weight) == ("note", 0.0)


def test_what_spoils_the_rest_is_told_first_then_the_worst():
    found = [
        problem("sliding", "a", 0.2, "m/s", "", limit=0.1),
        problem("sliding", "b", 0.3, "m/s", "", limit=0.1),
        problem("spike", "c", 1, "rad", "", limit=0.1),
        problem("facing", "d", 1, "rad", ""),
        problem("units", "e", 1, "m", ""),
    ]
    report = Report(1, 0, "none", 1, 0, 0, ()).with_problems(found)
    assert [each.where for each in report.problems] == ["e", "c", "b", "a", "d"]
    assert report.weight == 2 + 3 + 10 + 10
    assert report.as_json()["problems"][0]["kind"] == "units"
    assert [each.where for each in report.of("sliding")] == ["b", "a"]
