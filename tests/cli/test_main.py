"""Which command the words name, and which exit status an outcome has."""

import json
import os
import signal
import subprocess
import sys

import pytest

import bunraku
from bunraku.cli.main import COMMANDS

RIG = ("describe", "bake", "sample", "fit", "invert", "evaluate", "export")


def one_line(ended, status):
    """The complaint of a command that failed: one line on standard error, nothing on standard output."""
    assert ended.status == status
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    return line


def test_the_overview_names_every_command(run):
    ended = run("--help")
    assert (ended.status, ended.err) == (0, "")
    for name in COMMANDS:
        assert " ".join(name) in ended.out


def test_the_overview_of_a_group_names_its_commands_only(run):
    ended = run("rig", "--help")
    assert ended.status == 0
    assert all(f"rig {name}" in ended.out for name in RIG)
    assert "demo" not in ended.out


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_has_its_help(run, name):
    ended = run(*name, "--help")
    assert ended.status == 0
    assert ended.out.startswith(f"usage: bunraku {' '.join(name)} ")
    assert "--json" in ended.out


def test_the_settings_of_a_stage_are_options_with_their_help(run):
    out = run("rig", "invert", "--help").out
    assert "--smooth FLOAT" in out
    assert "--align {auto,none}" in out
    assert "Weight of smoothness" in out


def test_the_version(run):
    assert run("--version").out == f"bunraku {bunraku.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which command? bunraku has: demo, rig"),
        (("rig",), "which command? bunraku rig has: describe, bake"),
        (("rig", "descrbe", "cube"), "no command 'rig descrbe'; did you mean 'bunraku rig describe'? bunraku rig has:"),
        (("describe", "cube"), "no command 'describe'; did you mean 'bunraku rig describe'?"),
        (("rgi", "invert"), "no command 'rgi'; did you mean 'bunraku rig invert'?"),
        (("zzz",), "no command 'zzz'; bunraku has: demo, rig"),
        (("--json", "rig", "describe"), "--json: options come after the command"),
    ],
)
def test_an_unknown_command_is_answered_with_what_there_is(run, words, message):
    assert one_line(run(*words), 2).startswith(f"bunraku: error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "missing: CAPTURE, --rig STR"),
        (("a.npz",), "missing: --rig STR"),
        (("a.npz", "--rg", "cube"), "unknown argument: --rg; missing: --rig STR"),
        (("a.npz", "--rig", "cube", "--smoth", "1"), "unknown argument: --smoth; did you mean --smooth?"),
        (("a.npz", "b.npz", "--rig", "cube"), "unknown argument: b.npz"),
        (("a.npz", "--rig"), "--rig: its value is missing"),
        (("a.npz", "--rig", "cube", "--frames", "x" * 300), "--frames INT: invalid literal for int()"),
        (
            ("a.npz", "--rig", "cube", "--align", "maybe"),
            "invalid choice 'maybe' for argument '--align'. Expected one of",
        ),
    ],
)
def test_a_malformed_argument_is_one_line_that_names_it(attempt, words, message):
    line = one_line(attempt(*words), 2)
    assert line.startswith(f"bunraku: error: {message}")
    assert line.endswith("(see bunraku rig try --help)")
    assert "─" not in line


def test_long_values_are_not_broken_in_the_complaint(attempt):
    assert "y" * 300 in one_line(attempt("a.npz", "--rig", "cube", "--align", "y" * 300), 2)


def test_json_is_one_strict_object_and_nothing_else_on_standard_output(attempt):
    ended = attempt("a.npz", "--rig", "cube", "--smooth", "0.25", "--json")
    assert ended.status == 0

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(ended.out, parse_constant=refuse) == {
        "frames": 3,
        "smooth": 0.25,
        "error": None,
        "capture": "a.npz",
    }
    assert "chatter" in ended.err


def test_without_json_people_get_names_and_values(attempt):
    out = attempt("a.npz", "--rig", "cube", "--frames", "7").out
    assert [line.split()[:2] for line in out.splitlines()[:2]] == [["frames", "7"], ["smooth", "0.5"]]


def test_a_mistake_is_one_line_and_status_2(attempt):
    assert one_line(attempt("a", "--rig", "mistake"), 2) == "bunraku: error: shot.npz: has no frames; needs one"


def test_a_failure_of_ours_is_one_line_and_status_1(attempt):
    line = one_line(attempt("a", "--rig", "bug", "--json"), 1)
    assert line.startswith("bunraku: failed: ZeroDivisionError: division by zero")
    assert "report" in line


def test_debug_shows_where_an_error_comes_from(attempt, monkeypatch):
    assert "Traceback" in attempt("a", "--rig", "bug", "--debug").err
    monkeypatch.setenv("BUNRAKU_DEBUG", "1")
    ended = attempt("a", "--rig", "mistake")
    assert ended.status == 2
    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1].startswith("bunraku: error: shot.npz")


def test_an_interrupt_is_status_130_and_says_that_work_is_kept(attempt):
    line = one_line(attempt("a", "--rig", "interrupt", "--debug"), 130)
    assert "interrupted" in line
    assert "resumes" in line


def test_ctrl_c_ends_a_real_process_with_130(tmp_path):
    (tmp_path / "endless.py").write_text(
        "import time, numpy as np\n"
        "controls = ['x']\n"
        "def rig(values):\n"
        "    if values[0] != 0: print('begun', flush=True); time.sleep(60)\n"
        "    return np.eye(4, 3)\n"
    )
    words = ["rig", "sample", "python:endless:rig", "--out", str(tmp_path / "samples"), "--samples", "8", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "bunraku.cli.main", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("bunraku: interrupted")
    assert "Traceback" not in err


def test_a_reader_that_leaves_early_is_no_failure(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "bunraku.cli.main", "rig", "describe", "cube", "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
