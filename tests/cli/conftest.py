"""Commands run in this process."""

from typing import NamedTuple

import pytest

from bunraku.cli import main as cli


class Ended(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run `bunraku` with these words."""

    def run(*words):
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        return Ended(status, *capsys.readouterr())

    return run


@pytest.fixture
def attempt(run, monkeypatch):
    """Run `bunraku rig try` (tests/trial_command.py) with these words."""
    monkeypatch.setitem(cli.COMMANDS, ("rig", "try"), ("trial_command:trial", "try things out"))
    return lambda *words: run("rig", "try", *words)
