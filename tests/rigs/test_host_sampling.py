"""Samples of rigs in other processes: several workers, poison poses, and a parent that is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import small_host
from bunraku import api
from bunraku.core.errors import BunrakuError
from bunraku.core.samples import open_folder
from bunraku.inversion.draw import SampleConfig

HOST = Path(small_host.__file__)
CFG = SampleConfig(samples=96, shard=8)


def rig(how: str) -> str:
    return f"host:{sys.executable} '{HOST}' {how}"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix == ".npy" or "shard_" in file.name}


def test_two_workers_make_the_set_that_one_makes(tmp_path):
    api.sample(rig("well"), tmp_path / "one", CFG)
    api.sample(rig("well"), tmp_path / "two", CFG, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_poses_that_kill_the_host_are_recorded_and_no_others(tmp_path):
    api.sample(rig("dies at extremes"), tmp_path / "set", CFG)
    folder = open_folder(tmp_path / "set")
    failed = 0
    for number in range(folder.shards):
        shard = folder.read(number)
        extreme = np.flatnonzero(shard.controls[:, 0] == 1.0)
        assert sorted(shard.failed) == extreme.tolist()
        assert all("died of SIGKILL" in why for why in shard.failed.values())
        failed += len(extreme)
    assert failed > 0


def test_a_parent_that_is_killed_resumes_to_the_identical_set(tmp_path):
    source, out = rig("slowly"), tmp_path / "set"
    words = ["-m", "bunraku.cli.main", "rig", "sample", source, "--out", str(out), "--samples", "96", "--shard", "8"]
    parent = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob("shard_*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert 3 <= len(list(out.glob("shard_*.json"))) < 12
    api.sample(source, out, CFG)
    api.sample(rig("well"), tmp_path / "whole", CFG)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_take_does_not_start_a_host_that_is_not_named_again(tmp_path):
    from bunraku.api.doors import rig_source

    with pytest.raises(BunrakuError, match="runs code; name it again with --rig"):
        rig_source({"rig": {"source": rig("well")}}, None, tmp_path)
