"""Rigs by what the user calls them, and their identities."""

import json
import shutil

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rig import Rig
from bunraku.rigs.cube import Cube
from bunraku.rigs.face import Face
from bunraku.rigs.open import open_rig, rig_identity


def test_built_in_rigs_open_by_name():
    assert open_rig("cube") == Cube()
    assert open_rig("cube:published") == Cube(published_vertices=True)
    assert isinstance(open_rig("face"), Face)
    assert rig_identity("cube") == {"source": "cube", "sha256": None}


@pytest.fixture
def recorded(tmp_path):
    controls = np.random.default_rng(0).random((5, 6))
    np.savez(tmp_path / "poses.npz", controls=controls, vertices=Cube().evaluate(controls))
    return tmp_path / "poses.npz"


def test_recorded_samples_open_and_are_told_apart_by_their_content(recorded):
    rig = open_rig(recorded)
    assert isinstance(rig, Rig)
    assert len(rig.spec) == 6
    before = rig_identity(recorded)
    assert before["source"] == str(recorded)
    with np.load(recorded) as arrays:
        np.savez(recorded, controls=arrays["controls"], vertices=arrays["vertices"] * 2)
    assert rig_identity(recorded)["sha256"] != before["sha256"]


def test_a_python_rig_is_known_by_its_file(tmp_path, monkeypatch):
    (tmp_path / "my_box_rig.py").write_text(
        "import numpy as np\ncontrols = ['x']\ndef box(values):\n    return np.eye(4, 3) * values[0]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    rig = open_rig("python:my_box_rig:box")
    assert rig.spec.names == ("x",)
    assert len(rig_identity("python:my_box_rig:box")["sha256"]) == 64


def test_a_misspelt_rig_is_answered_with_what_there_is(recorded):
    with pytest.raises(
        BunrakuError, match=r"no rig 'cbue'; did you mean cube\?; a rig is one of: cube, cube:published, face"
    ):
        open_rig("cbue")
    with pytest.raises(BunrakuError, match=r"did you mean \S*poses.npz\?"):
        open_rig(recorded.with_name("pose.npz"))
    with pytest.raises(BunrakuError, match="no rig 'zzzz'; a rig is one of"):
        rig_identity("zzzz")


@pytest.mark.parametrize("name", ["set.usda", "set.usda#/Root", "set.USDZ"])
def test_a_usd_file_that_is_not_there_is_told_as_missing(name):
    with pytest.raises(BunrakuError, match=f"no rig '{name}'"):
        open_rig(name)


def test_a_file_that_is_no_rig_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BunrakuError, match=r"notes.txt: is not a rig's file"):
        open_rig(tmp_path / "notes.txt")
    with pytest.raises(BunrakuError, match="folder"):
        open_rig(tmp_path)
    with pytest.raises(BunrakuError, match=r"is not a folder of samples"):
        rig_identity(tmp_path)


def test_the_identity_of_a_gltf_includes_its_buffers(data_dir, tmp_path):
    source = data_dir / "rigs" / "MorphStressTest.gltf"
    document = json.loads(source.read_text())
    files = [buffer["uri"] for buffer in document["buffers"] if not buffer["uri"].startswith("data:")]
    copy = tmp_path / source.name
    if files:
        for name in files:
            shutil.copy(source.parent / name, tmp_path / name)
    else:
        import base64

        files = ["motion.bin"]
        (tmp_path / files[0]).write_bytes(base64.b64decode(document["buffers"][0]["uri"].split(",")[1]))
        document["buffers"][0]["uri"] = files[0]
    copy.write_text(json.dumps(document))
    assert isinstance(open_rig(copy), Rig)
    before = rig_identity(copy)["sha256"]
    assert rig_identity(copy)["sha256"] == before
    data = bytearray((tmp_path / files[0]).read_bytes())
    data[-1] ^= 1
    (tmp_path / files[0]).write_bytes(bytes(data))
    assert rig_identity(copy)["sha256"] != before
