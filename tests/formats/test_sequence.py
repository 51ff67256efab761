import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.sequence import load_sequence


def test_sequences_are_read_by_their_ending(tmp_path):
    vertices = np.ones((2, 3, 3))
    np.save(tmp_path / "a.npy", vertices)
    np.savez(tmp_path / "b.npz", vertices=vertices, fps=30)
    assert load_sequence(tmp_path / "a.npy").fps == 24
    assert load_sequence(str(tmp_path / "b.npz")).fps == 30


def test_other_endings_are_refused_with_those_that_there_are(tmp_path):
    (tmp_path / "a.mdd").write_bytes(b"")
    with pytest.raises(BunrakuError, match=r"a\.mdd: .*\.npz, \.npy"):
        load_sequence(tmp_path / "a.mdd")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(BunrakuError, match=r"a\.npz: no such file"):
        load_sequence(tmp_path / "a.npz")
