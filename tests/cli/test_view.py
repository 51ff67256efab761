"""`bunraku view` from outside."""

import json
import re
import signal
import subprocess
import sys

import pytest

from bunraku.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing: no such file or folder, and no rig of that name (cube"),
        (["cube", "--other", "x"], "--other: is for a take; cube is a rig"),
        (["cube", "--port", "70000"], "--port 70000: expected 0 to 65535"),
        (["cube", "--model", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_shown_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["view", *words]) == 2
    assert message in capsys.readouterr().err


def test_ctrl_c_ends_it_and_standard_output_is_the_result_alone():
    code = "import sys; from bunraku.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "view", "cube", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in iter(process.stderr.readline, "") if "http://" in line)
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32,}/", line)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert address is not None
    assert process.returncode == 0
    assert json.loads(out) == {"path": "cube", "host": "127.0.0.1", "url": address[0]}
