"""What tests of rigs share."""

import subprocess
from pathlib import Path

import pytest

from bunraku.rigs.blender_program import find_blender

MAKER = Path(__file__).parents[1] / "made_blends.py"


@pytest.fixture(scope="module")
def blends(blender, tmp_path_factory) -> Path:
    """A folder of small .blend files."""
    folder = tmp_path_factory.mktemp("blends")
    words = find_blender().words(MAKER, (str(folder),), scripts=False)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder
