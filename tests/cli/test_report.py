"""`bunraku report`, and the commands that write one at their end."""

import json

import numpy as np
import pytest

from bunraku.rigs.cube import Cube, animation


@pytest.fixture
def shot(tmp_path):
    np.savez(tmp_path / "shot.npz", vertices=Cube().evaluate(animation(6).values), fps=24)
    return tmp_path / "shot.npz"


def test_an_inversion_writes_its_report_unless_told_not_to(run, shot, tmp_path):
    ended = run("rig", "invert", shot, "--rig", "cube", "--out", tmp_path / "take", "--json")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["report"] == str(tmp_path / "take" / "report.html")
    assert (tmp_path / "take" / "report.html").exists()
    assert "report.html: made in" in ended.err
    ended = run("rig", "invert", shot, "--rig", "cube", "--out", tmp_path / "bare", "--no-report", "--json")
    assert "report" not in json.loads(ended.out)
    assert not (tmp_path / "bare" / "report.html").exists()
    opened = run("report", tmp_path / "bare", "--json")
    assert json.loads(opened.out)["kind"] == "take"
    assert (tmp_path / "bare" / "report.html").exists()


def test_it_is_opened_on_request(run, shot, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    run("rig", "invert", shot, "--rig", "cube", "--out", tmp_path / "take", "--no-report")
    ended = run("report", tmp_path / "take", "--open", "--out", tmp_path / "page.html")
    assert ended.status == 0, ended.err
    assert shown == [(tmp_path / "page.html").as_uri()]


def test_what_is_not_there_is_one_line(run, tmp_path):
    ended = run("report", tmp_path / "nothing")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert "no such folder" in ended.err
