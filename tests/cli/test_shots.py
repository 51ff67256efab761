"""`rig invert-many` and `rig stream` as commands."""

import io
import json
import subprocess
import sys
from fractions import Fraction

import numpy as np

from bunraku.api import loopback
from bunraku.formats.frame_stream import FrameHeader, write_frames
from bunraku.rigs.cube import Cube, animation


def test_many_shots_are_a_table_and_a_failed_one_gives_status_2(run, tmp_path):
    np.savez(tmp_path / "one.npz", vertices=Cube().evaluate(animation(3).values))
    words = ("rig", "invert-many", "cube", tmp_path / "one.npz", tmp_path / "none.npz", "--out", tmp_path / "takes")
    ended = run(*words, "--json")
    assert ended.status == 2
    assert [row["state"] for row in json.loads(ended.out)["shots"]] == ["done", "failed"]
    assert "1 of 2 shots failed: none (" in ended.err.splitlines()[-1]
    shown = run(*words[:4], *words[5:])
    assert shown.status == 0
    header, row = (line.split() for line in shown.out.splitlines()[:2])
    assert header == ["shot", "frames", "mean", "p95", "max", "relative", "roughness", "active", "seconds", "state"]
    assert (row[0], row[1], row[-1]) == ("one", "3", "kept")


def test_a_stream_comes_from_standard_input_and_goes_to_standard_output(tmp_path):
    frames = Cube().evaluate(animation(4).values)
    data = io.BytesIO()
    write_frames(data, FrameHeader(8, "float32", Fraction(2)), frames)
    program = [sys.executable, "-m", "bunraku.cli.main", "rig", "stream", "cube", "--every-frame", "--json"]
    done = subprocess.run(program, input=data.getvalue()[:-5], capture_output=True, timeout=300)
    assert done.returncode == 2
    complaint = done.stderr.decode().splitlines()[-1]
    assert complaint == "bunraku: error: standard input: ends within frame 3, after 91 of 96 bytes"
    assert [json.loads(line).get("frame") for line in done.stdout.splitlines()] == [None, 0, 1, 2]


def test_a_stream_goes_through_a_socket(run, tmp_path, monkeypatch):
    frames = Cube().evaluate(animation(4).values)
    data, answers = io.BytesIO(), io.BytesIO()
    write_frames(data, FrameHeader(8, "float64", Fraction(2)), frames)
    data.seek(0)

    class Caller:
        source, target = data, answers

        def close(self):
            pass

    (tmp_path / "token").write_text("a-token-that-is-long")
    said = []
    monkeypatch.setattr(loopback, "admitted", lambda listener, token: said.append(token) or Caller())
    words = ("rig", "stream", "cube", "--port", "0", "--token-file", tmp_path / "token", "--every-frame", "--json")
    ended = run(*words, "--out", tmp_path / "take")
    assert ended.status == 0, ended.err
    assert said == ["a-token-that-is-long"]
    assert "listening on 127.0.0.1:" in ended.err
    assert "a-token-that-is-long" not in ended.err
    assert json.loads(ended.out)["solved_frames"] == 4
    assert len(answers.getvalue().splitlines()) == 5
    assert (tmp_path / "take" / "manifest.json").exists()


def test_a_token_without_a_socket_is_refused(run, tmp_path):
    ended = run("rig", "stream", "cube", "--token-file", tmp_path / "token")
    assert (ended.status, ended.out) == (2, "")
    assert "name its --port" in ended.err
