"""Artifacts: atomic, resumable, refused when they are not what they should be, never code."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError

ARRAYS = {"values": np.arange(6.0).reshape(2, 3), "index": np.array([3, 1], np.int64)}


def finished(path, settings=None):
    artifact.open_output(path, "take", settings or {"smooth": 1}, seed=3)
    artifact.finish_output(path, ARRAYS, {"names": ["a"]}, {"error": 0.5})
    return path


def test_what_is_written_is_read_back(tmp_path):
    stored = artifact.load(finished(tmp_path / "deep" / "take"), "take")
    assert stored.manifest["settings"] == {"smooth": 1}
    assert stored.manifest["seed"] == 3
    assert stored.manifest["description"] == {"names": ["a"]}
    assert stored.manifest["result"] == {"error": 0.5}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(stored.arrays[name], array)
        assert stored.arrays[name].dtype == array.dtype
    assert artifact.kind_of(tmp_path / "deep" / "take") == "take"


def test_provenance_tells_versions_and_hardware(tmp_path):
    about = artifact.load(finished(tmp_path / "t"), "take").manifest["provenance"]
    assert {"bunraku", "numpy", "scipy", "torch"} <= about["versions"].keys()
    assert about["hardware"]["cores"] == os.cpu_count()


def test_an_output_is_new_then_unfinished_then_finished(tmp_path):
    out = tmp_path / "out"
    states = [artifact.open_output(out, "model", {"width": (1, 2)}).state]
    states.append(artifact.open_output(out, "model", {"width": [1, 2]}).state)
    artifact.finish_output(out, {}, {}, {"loss": 1.5})
    again = artifact.open_output(out, "model", {"width": (1, 2)})
    assert [*states, again.state] == ["new", "unfinished", "finished"]
    assert again.result == {"loss": 1.5}


def test_two_processes_do_not_work_in_one_output(tmp_path):
    out = tmp_path / "out"
    artifact.open_output(out, "thing", {"a": 1})
    leftover = out / ".arrays.safetensors.12345678.tmp"
    leftover.write_bytes(b"half")
    holding = (
        "import sys; from pathlib import Path; from bunraku.core import artifact\n"
        "with artifact.alone(Path(sys.argv[1])):\n    print('here', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holding, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "here\n"
    for overwrite in (False, True):
        with pytest.raises(BunrakuError, match="out: another process is working there; wait for it"):
            artifact.open_output(out, "thing", {"a": 2}, overwrite=overwrite)
    assert leftover.exists()
    other.kill()
    other.communicate()
    assert artifact.open_output(out, "thing", {"a": 1}).state == "unfinished"
    assert not leftover.exists()
    with artifact.alone(out), artifact.alone(tmp_path):
        pass


def test_other_settings_are_refused_and_named_unless_overwritten(tmp_path):
    out = finished(tmp_path / "out", {"smooth": 1, "rig": "a.glb"})
    (out / "part.npy").write_bytes(b"x")
    with pytest.raises(BunrakuError, match=r'made with rig = "a.glb", now "b.glb"; --overwrite replaces it'):
        artifact.open_output(out, "take", {"smooth": 1, "rig": "b.glb"})
    assert artifact.load(out, "take").manifest["result"] == {"error": 0.5}
    assert artifact.open_output(out, "take", {"smooth": 2}, overwrite=True).state == "new"
    assert not (out / "part.npy").exists()


def test_a_finished_output_of_the_same_settings_is_not_thrown_away_by_overwrite(tmp_path):
    assert artifact.open_output(finished(tmp_path / "out"), "take", {"smooth": 1}, overwrite=True).state == "finished"


def test_another_kind_a_file_and_a_strangers_folder_are_refused(tmp_path):
    with pytest.raises(BunrakuError, match="is a take, not a model"):
        artifact.open_output(finished(tmp_path / "out"), "model", {"smooth": 1})
    with pytest.raises(BunrakuError, match="is a take; expected a model"):
        artifact.load(tmp_path / "out", "model")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BunrakuError, match="is a file"):
        artifact.open_output(tmp_path / "file", "take", {})
    stranger = tmp_path / "thesis"
    stranger.mkdir()
    (stranger / "chapter.txt").write_text("mine")
    with pytest.raises(BunrakuError, match="holds other files"):
        artifact.open_output(stranger, "take", {}, overwrite=True)
    assert (stranger / "chapter.txt").read_text() == "mine"


def test_an_unfinished_artifact_cannot_be_loaded(tmp_path):
    artifact.open_output(tmp_path / "out", "take", {})
    with pytest.raises(BunrakuError, match=r"not finished.*resume"):
        artifact.load(tmp_path / "out", "take")


def test_a_missing_artifact_is_named(tmp_path):
    with pytest.raises(BunrakuError, match=r"nowhere: no such folder"):
        artifact.load(tmp_path / "nowhere", "take")
    with pytest.raises(BunrakuError, match=r"no manifest.json in it"):
        artifact.load(tmp_path, "take")
    assert artifact.kind_of(tmp_path) is None


def rewrite(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": artifact.SCHEMA + 1}, "newer version"),
        ({"schema": "1"}, "not a manifest of ours"),
        ({"settings": []}, "settings"),
        ({"kind": 3}, "kind"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(tmp_path, changes, message):
    rewrite(finished(tmp_path / "out"), **changes)
    with pytest.raises(BunrakuError, match=message):
        artifact.load(tmp_path / "out", "take")
    with pytest.raises(BunrakuError, match=message):
        artifact.open_output(tmp_path / "out", "take", {"smooth": 1}, overwrite=True)


def test_a_manifest_that_is_not_json_or_lacks_entries_is_refused(tmp_path):
    out = finished(tmp_path / "out")
    for text, message in (
        ('{"schema": 1', "not valid JSON"),
        ('{"schema": 1}', "lacks description, kind"),
        ("[]", "manifest"),
    ):
        (out / "manifest.json").write_text(text)
        with pytest.raises(BunrakuError, match=message):
            artifact.load(out, "take")


@pytest.mark.parametrize("cut", [0, 5, 40, 100])
def test_truncated_arrays_are_refused_by_name(tmp_path, cut):
    file = finished(tmp_path / "out") / artifact.ARRAYS
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(BunrakuError, match=r"arrays.safetensors: is corrupt"):
        artifact.load(tmp_path / "out", "take")


def test_a_size_declared_beyond_the_file_takes_no_memory(tmp_path):
    header = json.dumps({"x": {"dtype": "F64", "shape": [1 << 40], "data_offsets": [0, 1 << 43]}}).encode()
    (tmp_path / "big.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"0" * 64)
    with pytest.raises(BunrakuError, match="corrupt"):
        artifact.read_arrays(tmp_path / "big.safetensors")


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 0), (5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool, "<U7"])
def test_arrays_of_any_shape_and_type_round_trip(tmp_path, shape, dtype):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for kept in (array, np.asfortranarray(array), array[..., ::-1] if shape else array):
        artifact.write_array(tmp_path / "a.npy", kept)
        back = np.load(tmp_path / "a.npy", allow_pickle=False)
        np.testing.assert_array_equal(back, kept)
        assert back.dtype == kept.dtype


def test_mapped_arrays_round_trip_and_refuse_truncation_and_objects(tmp_path):
    file = tmp_path / "shard.npy"
    artifact.write_array(file, ARRAYS["values"])
    np.testing.assert_array_equal(artifact.map_array(file), ARRAYS["values"])
    whole = file.read_bytes()
    for broken in (whole[:-1], whole[:20], b"", b"not numpy at all"):
        file.write_bytes(broken)
        with pytest.raises(BunrakuError, match=r"shard.npy: is corrupt"):
            artifact.map_array(file)
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(BunrakuError, match=r"shard.npy"):
        artifact.map_array(file)
    with pytest.raises(BunrakuError, match="is missing"):
        artifact.map_array(tmp_path / "nowhere.npy")


def killed_while(folder: Path, statement: str) -> None:
    """Run a statement in a process that is killed where it would rename the finished temporary file."""
    program = (
        "import os, signal; from pathlib import Path; from bunraku.core import artifact\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n" + statement
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_a_kill_between_writing_and_renaming_leaves_the_old_file(tmp_path):
    out = finished(tmp_path / "out")
    before = (out / "manifest.json").read_bytes()
    killed_while(out, "import sys; artifact.write_json(Path(sys.argv[1]) / 'manifest.json', {'half': 1})")
    assert (out / "manifest.json").read_bytes() == before
    assert artifact.load(out, "take").manifest["result"] == {"error": 0.5}


def test_a_kill_during_the_first_write_does_not_bar_the_next_run(tmp_path):
    out = tmp_path / "out"
    killed_while(out, "import sys; artifact.open_output(Path(sys.argv[1]), 'take', {'smooth': 1})")
    assert [file.suffix for file in out.iterdir()] == [".tmp"]
    assert artifact.open_output(out, "take", {"smooth": 1}).state == "new"
    assert [file.name for file in out.iterdir()] == ["manifest.json"], "what the kill left is cleared away"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path, monkeypatch, size):
    file = tmp_path / "shard.npy"
    artifact.write_array(file, np.zeros(3))
    before = file.read_bytes()
    open_anywhere = Path.open

    def on_full_disk(self, mode="r", **more):
        return open_anywhere(Path("/dev/full") if mode == "wb" else self, mode, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", on_full_disk)
        for write in (
            lambda: artifact.write_array(file, np.zeros(size)),
            lambda: artifact.write_arrays(file, {"a": np.zeros(size)}),
            lambda: artifact.write_json(file, ["x" * size]),
        ):
            with pytest.raises(BunrakuError, match=r"shard.npy: no space left on the disk") as caught:
                write()
            assert "\n" not in str(caught.value)
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["shard.npy"]


def test_what_a_disk_says_becomes_a_mistake_that_names_the_path(tmp_path):
    with pytest.raises(BunrakuError, match="no space left"), artifact.disk_errors(tmp_path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    with pytest.raises(BunrakuError, match=r"nowhere/x.json: cannot be written \(No such file or directory\)"):
        artifact.write_json(tmp_path / "nowhere" / "x.json", {})


def test_hashes_tell_types_shapes_and_values_apart(tmp_path):
    a = np.arange(6.0)
    variants = [a, a.reshape(2, 3), a.astype(np.float32), a + 1e-16 + np.eye(1, 6)[0]]
    assert len({artifact.array_hash(v) for v in variants}) == 4
    assert artifact.array_hash(a[::2]) == artifact.array_hash(np.array([0.0, 2, 4]))
    (tmp_path / "f").write_bytes(b"abc")
    assert artifact.file_hash(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_single_number_is_no_list_of_one_after_a_round_trip(tmp_path):
    artifact.write_arrays(tmp_path / "a.safetensors", {"one": np.array(3), "list": np.array([3])})
    back = artifact.read_arrays(tmp_path / "a.safetensors")
    assert (back["one"].shape, back["list"].shape) == ((), (1,))
