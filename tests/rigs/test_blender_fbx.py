"""Captures from .fbx files, by way of Blender."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bunraku.api.doors import capture_hash, load_sequence
from bunraku.core.errors import BunrakuError
from bunraku.rigs.blender_program import find_blender

MAKER = Path(__file__).parents[1] / "blender_column.py"


@pytest.fixture(scope="module")
def shot(blender: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("fbx")
    words = [word for word in find_blender().words(MAKER, (), scripts=False) if word != "--"]
    made = [str(folder / "shot.fbx"), str(folder / "meshes.npy")]
    done = subprocess.run([*words, *made], capture_output=True, text=True, timeout=300, check=False)
    assert (folder / "shot.fbx").exists(), done.stderr
    return folder / "shot.fbx", np.load(folder / "meshes.npy")


def test_the_moving_mesh_is_read_frame_by_frame(shot: tuple[Path, np.ndarray]) -> None:
    path, meshes = shot
    found = load_sequence(path)
    assert found.fps == Fraction(30000, 1001)
    assert (found.start_frame, found.frames) == (0, 12)  # Blender writes its first frame as time 0
    assert np.abs(found.vertices - meshes).max() < 1e-5
    assert found.faces.shape == (30, 3)
    assert found.about == {"unit_m": 1.0, "up_axis": "Z"}
    assert len(capture_hash(path)) == 64


def test_a_mesh_that_is_not_there_is_named_with_those_that_are(shot: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(BunrakuError, match=r"no mesh 'Head'; it has: #Column"):
        load_sequence(f"{shot[0]}#Head")


def test_a_truncated_file_is_refused(shot: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    whole = shot[0].read_bytes()
    (tmp_path / "cut.fbx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BunrakuError, match=r"cut\.fbx: Blender cannot read it"):
        load_sequence(tmp_path / "cut.fbx")


def test_what_is_no_fbx_file_is_refused_before_blender_starts(tmp_path: Path) -> None:
    (tmp_path / "no.fbx").write_bytes(b"solid cube")
    with pytest.raises(BunrakuError, match=r"no\.fbx: is not an \.fbx file"):
        load_sequence(tmp_path / "no.fbx")
    with pytest.raises(BunrakuError, match=r"none\.fbx: cannot be read"):
        load_sequence(tmp_path / "none.fbx")
