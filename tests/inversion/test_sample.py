import errno
import json
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import toy_rigs
from bunraku.compute.workers import Workers
from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import restrict
from bunraku.core.samples import open_folder
from bunraku.inversion.sample import SampleConfig, rig_task, sample
from bunraku.rigs.python import open_python_rig

CFG = SampleConfig(samples=70, shard=16, seed=4)


def rig_of(name):
    return open_python_rig(f"python:toy_rigs:{name}")


def task_of(name, columns=range(12)):
    return rig_task("bunraku.rigs.python:open_python_rig", f"python:toy_rigs:{name}", columns)


def files_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name != artifact.MANIFEST}


def everything(path):
    folder = open_folder(path)
    shards = [folder.read(number) for number in range(folder.shards)]
    return np.concatenate([s.controls for s in shards]), np.concatenate([s.vertices for s in shards])


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_sample_set_holds_the_poses_and_what_the_rig_makes_of_them(tmp_path):
    result = sample(rig_of("mesh"), CFG, tmp_path / "s", source={"rig": "toy"})
    assert (result.samples, result.failed, result.shards) == (70, 0, 5)
    controls, vertices = everything(tmp_path / "s")
    assert controls.shape == (70, 12)
    np.testing.assert_allclose(vertices, rig_of("mesh").evaluate(controls), atol=1e-5)
    folder = open_folder(tmp_path / "s")
    np.testing.assert_array_equal(folder.neutral, rig_of("mesh").neutral)
    assert folder.source == {"rig": "toy"}
    assert result.bytes == sum(len(data) for data in files_of(tmp_path / "s").values())


@pytest.mark.parametrize("workers", [1, 2])
def test_where_it_was_evaluated_makes_no_difference(tmp_path, workers):
    sample(rig_of("one"), CFG, tmp_path / "here")
    sample(rig_of("one"), CFG, tmp_path / "there", engine=Workers(workers), task=task_of("one"))
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_the_size_of_shards_makes_no_difference_to_samples(tmp_path):
    sets = []
    for shard in (5, 7, 70):
        sample(rig_of("one"), SampleConfig(samples=70, shard=shard), tmp_path / str(shard))
        sets.append(everything(tmp_path / str(shard)))
    for controls, vertices in sets[1:]:
        np.testing.assert_array_equal(controls, sets[0][0])
        np.testing.assert_array_equal(vertices, sets[0][1])


@pytest.mark.parametrize("workers", [0, 2])
def test_after_a_kill_the_set_is_resumed_to_the_identical_one(tmp_path, workers):
    script = textwrap.dedent(f"""
        from pathlib import Path
        from bunraku.compute.workers import Workers
        from bunraku.inversion.sample import SampleConfig, rig_task, sample
        from bunraku.rigs.python import open_python_rig
        engine = Workers({workers}) if {workers} else None
        task = rig_task("bunraku.rigs.python:open_python_rig", "python:toy_rigs:witness", range(12))
        cfg = SampleConfig(samples=160, shard=8)
        sample(open_python_rig("python:toy_rigs:witness"), cfg, Path({str(tmp_path / "s")!r}), engine=engine, task=task)
    """)
    witnesses = tmp_path / "witnesses"
    witnesses.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "WITNESS": str(witnesses)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    wait_until(lambda: len(list((tmp_path / "s").glob("shard_*"))) >= 3)
    process.kill()
    process.wait()
    done = len(list((tmp_path / "s").glob("shard_*")))
    assert 3 <= done < 20
    wait_until(lambda: not any(os.path.exists(f"/proc/{file.name}") for file in witnesses.iterdir()))
    with pytest.raises(BunrakuError, match="not finished"):
        open_folder(tmp_path / "s")
    cfg = SampleConfig(samples=160, shard=8)
    (tmp_path / "s" / ".vertices_000009.npy.0a1b2c3d.tmp").write_bytes(b"half")
    sample(rig_of("one"), cfg, tmp_path / "s")
    sample(rig_of("one"), cfg, tmp_path / "whole")
    assert files_of(tmp_path / "s") == files_of(tmp_path / "whole")


def test_a_finished_set_is_not_evaluated_again(tmp_path):
    first = sample(rig_of("mesh"), CFG, tmp_path / "s")
    assert sample(rig_of("hopeless"), CFG, tmp_path / "s") == first


@pytest.mark.parametrize("part", ["controls_000002.npy", "vertices_000002.npy", "shard_000002.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_corrupt_shard_is_named_and_redone(tmp_path, part, damage):
    sample(rig_of("mesh"), CFG, tmp_path / "s", source={"rig": "python:toy_rigs:mesh"})
    whole = files_of(tmp_path / "s")
    file = tmp_path / "s" / part
    if damage == "remove":
        file.unlink()
    else:
        raw = whole[part]
        file.write_bytes(raw[:-5] if damage == "cut" else raw[:-9] + bytes([raw[-9] ^ 16]) + raw[-8:])
    with pytest.raises(BunrakuError, match=r"_000002\..*run the `bunraku rig sample python:toy_rigs:mesh --out"):
        open_folder(tmp_path / "s").read(2)
    manifest = (tmp_path / "s" / artifact.MANIFEST).read_bytes()
    sample(rig_of("mesh"), CFG, tmp_path / "s", source={"rig": "python:toy_rigs:mesh"})
    assert files_of(tmp_path / "s") == whole
    assert (tmp_path / "s" / artifact.MANIFEST).read_bytes() == manifest


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_that_the_rig_fails_at_are_recorded_and_the_work_goes_on(tmp_path, workers):
    cfg = SampleConfig(samples=200, shard=64, active=6)
    engine = Workers(workers) if workers else None
    result = sample(rig_of("picky"), cfg, tmp_path / "s", engine=engine, task=task_of("picky"))
    controls, vertices = everything(tmp_path / "s")
    raised, empty, cut = controls[:, 0] > 0.9, controls[:, 0] < -0.9, controls[:, 1] > 0.9
    assert raised.any()
    assert empty.any()
    assert cut.any()
    np.testing.assert_array_equal(np.isnan(vertices).all(axis=(1, 2)), raised | empty | cut)
    np.testing.assert_array_equal(np.isnan(vertices).any(axis=(1, 2)), raised | empty | cut)
    assert result.failed == (raised | empty | cut).sum()
    folder = open_folder(tmp_path / "s")
    said = {64 * n + row: why for n in range(folder.shards) for row, why in folder.read(n).failed.items()}
    assert sorted(said) == np.flatnonzero(raised | empty | cut).tolist()
    assert all("ValueError: too far (toy_rigs.py line" in said[i] for i in np.flatnonzero(raised))
    assert all("NaN" in said[i] for i in np.flatnonzero(empty))
    assert all("(7, 3)" in said[i] for i in np.flatnonzero(cut & ~raised & ~empty))


def test_a_pose_that_kills_its_process_costs_that_sample_alone(tmp_path):
    cfg = SampleConfig(samples=30, shard=10, active=6, seed=3)
    sample(rig_of("suicidal"), cfg, tmp_path / "s", engine=Workers(2), task=task_of("suicidal"))
    controls, vertices = everything(tmp_path / "s")
    deadly = controls[:, 0] > 0.9
    assert deadly.sum() == 2
    np.testing.assert_array_equal(np.isnan(vertices).any(axis=(1, 2)), deadly)
    folder = open_folder(tmp_path / "s")
    (said, *_) = [why for n in range(3) for why in folder.read(n).failed.values()]
    assert said == "the worker process died (exit status 5), 3 times"


def test_a_rig_that_fails_everywhere_is_given_up_with_its_first_words(tmp_path):
    with pytest.raises(BunrakuError, match="first 32 samples: python:toy_rigs:hopeless: RuntimeError: licence expired"):
        sample(rig_of("hopeless"), SampleConfig(samples=1000, shard=32), tmp_path / "s")
    with pytest.raises(BunrakuError, match="first 5 samples"):
        sample(rig_of("hopeless"), SampleConfig(samples=5), tmp_path / "t")


def test_a_rig_that_crashes_everywhere_is_given_up(tmp_path):
    cfg = SampleConfig(samples=1)
    with pytest.raises(BunrakuError, match="first 1 samples: the worker process died"):
        sample(rig_of("crashing"), cfg, tmp_path / "s", engine=Workers(1), task=task_of("crashing"))


def test_a_set_of_other_settings_is_not_touched(tmp_path):
    sample(rig_of("mesh"), CFG, tmp_path / "s")
    before = files_of(tmp_path / "s")
    with pytest.raises(BunrakuError, match="made with seed = 4, now 5"):
        sample(rig_of("mesh"), SampleConfig(samples=70, shard=16, seed=5), tmp_path / "s")
    assert files_of(tmp_path / "s") == before
    sample(rig_of("mesh"), SampleConfig(samples=70, shard=16, seed=5), tmp_path / "s", overwrite=True)
    assert files_of(tmp_path / "s") != before


def test_a_rig_that_has_changed_since_is_noticed(tmp_path, monkeypatch):
    sample(rig_of("mesh"), CFG, tmp_path / "s")
    manifest = json.loads((tmp_path / "s" / artifact.MANIFEST).read_text())
    (tmp_path / "s" / artifact.MANIFEST).write_text(json.dumps({**manifest, "state": "unfinished"}))
    monkeypatch.setattr(toy_rigs, "mesh", lambda values: np.ones((len(values), 40, 3)))
    with pytest.raises(BunrakuError, match="neutral mesh was another"):
        sample(rig_of("mesh"), CFG, tmp_path / "s")


def test_a_full_disk_is_said_in_one_line_and_what_is_done_is_kept(tmp_path, monkeypatch):
    real, written = os.fsync, []

    def full(descriptor):
        written.append(descriptor)
        if len(written) > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BunrakuError, match="no space left on the disk") as caught:
        sample(rig_of("mesh"), CFG, tmp_path / "s")
    assert "\n" not in str(caught.value)
    kept = {name: data for name, data in files_of(tmp_path / "s").items() if "_00000" in name}
    assert len(kept) >= 6
    assert not list((tmp_path / "s").glob("*.tmp"))
    monkeypatch.undo()
    sample(rig_of("mesh"), CFG, tmp_path / "s")
    assert kept.items() <= files_of(tmp_path / "s").items()


def test_only_chosen_controls_move_in_workers_too(tmp_path):
    narrow = restrict(rig_of("one"), ("c3", "c1*"))
    columns = rig_of("one").spec.select(("c3", "c1*"))
    sample(narrow, CFG, tmp_path / "here")
    sample(narrow, CFG, tmp_path / "there", engine=Workers(1), task=task_of("one", columns))
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")
    assert open_folder(tmp_path / "here").spec.names == ("c1", "c3", "c10", "c11")


def test_samples_around_curves_know_which_curves(tmp_path):
    cfg = SampleConfig(samples=30, sampler="curves", spread=0.0)
    around = curves(["c2", "not of this rig"], np.array([[0.2, 5], [0.4, 6]]))
    sample(rig_of("mesh"), cfg, tmp_path / "s", curves=around)
    controls, _ = everything(tmp_path / "s")
    assert ((controls[:, 2] >= 0.2) & (controls[:, 2] <= 0.4)).all()
    assert (np.delete(controls, 2, axis=1) == 0).all()
    with pytest.raises(BunrakuError, match="made with curves"):
        sample(rig_of("mesh"), cfg, tmp_path / "s", curves=curves(["c2"], np.ones((2, 1))))


def test_progress_ends_at_all_samples(tmp_path):
    heard = []
    sample(rig_of("mesh"), CFG, tmp_path / "s", progress=lambda *about: heard.append(about[:3]))
    assert heard[-1] == ("sampling", 70, 70)
    assert [done for _, done, _ in heard] == [16, 32, 48, 64, 70]
