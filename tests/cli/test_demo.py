import json
from pathlib import Path

import pytest

RESULT = {
    "cube": [
        {"way": "published, stored", "mean_error": 0.017, "max_error": None, "cpu_seconds": 280},
        {"way": "solve", "mean_error": 0.00031415, "max_error": 0.0012, "cpu_seconds": 1.25},
    ],
    "figure": [{"way": "with smoothness", "mean_error": 0.0004, "roughness": 1.2e-5}],
    "bopbag": [
        {"controller": "learned", "normalized_return": 0.98, "standing": 1.0, "samples": 6144, "cpu_seconds": 2.0}
    ],
    "files": {"cube curves": "there/cube/curves.csv"},
    "report": "there/report.html",
    "wall_seconds": 20.0,
    "out": "there",
}


@pytest.fixture
def asked(monkeypatch):
    """The command without its work; what it asked for."""
    calls = []

    def fake(out, *, overwrite, progress):
        calls.append((out, overwrite))
        return RESULT

    monkeypatch.setattr("bunraku.demo.demo", fake)
    return calls


def test_it_shows_tables_and_ends_with_the_folder(run, asked):
    ended = run("demo", "--out", "there")
    assert ended.status == 0
    assert asked == [(Path("there"), False)]
    assert "0.000314" in ended.out
    assert "stored" in ended.out
    assert "not run here" in ended.out
    assert ended.out.splitlines()[-2:] == ["Everything is in there; to look at it, open", "there/report.html"]


def test_its_json_is_one_object(run, asked):
    ended = run("demo", "--json", "--overwrite")
    assert json.loads(ended.out) == RESULT
    assert asked == [(Path("demo"), True)]


def test_a_folder_of_something_else_is_refused_in_one_line(run, tmp_path):
    (tmp_path / "holiday.txt").write_text("hello")
    ended = run("demo", "--out", tmp_path)
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1
    assert (tmp_path / "holiday.txt").read_text() == "hello"


def test_its_report_is_opened_on_request(run, asked, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run("demo", "--out", "there").status == 0
    assert opened == []
    assert run("demo", "--out", "there", "--open").status == 0
    assert opened == [Path("there/report.html").resolve().as_uri()]
