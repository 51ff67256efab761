"""One small run that all these tests look at."""

import shutil

import pytest

from small_training import briefly, small


@pytest.fixture(autouse=True, scope="module")
def brief():
    """Nothing here waits for long evaluations."""
    with pytest.MonkeyPatch.context() as patch:
        briefly(patch)
        yield


@pytest.fixture(scope="module")
def finished(brief, tmp_path_factory):
    """A finished run of the bop bag; not to be written to."""
    out = tmp_path_factory.mktemp("run") / "run"
    small("bopbag", out)
    return out


@pytest.fixture
def run_folder(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "copy")
