import numpy as np
import pytest

import toy_rigs
from bunraku.core.errors import BunrakuError
from bunraku.core.rig import Rig
from bunraku.core.samples import open_folder
from bunraku.inversion.sample import SampleConfig, sample
from bunraku.rigs.python import open_python_rig
from bunraku.rigs.recorded import open_recorded_rig


def test_a_sample_folder_answers_for_its_poses_in_any_order(tmp_path):
    sample(open_python_rig("python:toy_rigs:mesh"), SampleConfig(samples=30, shard=8), tmp_path / "s")
    rig = open_recorded_rig(tmp_path / "s")
    assert isinstance(rig, Rig)
    assert rig.spec.names == tuple(control["name"] for control in toy_rigs.controls)
    folder = open_folder(tmp_path / "s")
    poses = np.concatenate([folder.read(n).controls for n in range(4)])[[29, 3, 3, 17]]
    np.testing.assert_allclose(rig.evaluate(poses), toy_rigs.mesh(poses), atol=1e-5)


def test_the_neutral_can_be_asked_for_and_minus_zero_is_zero(tmp_path):
    sample(open_python_rig("python:toy_rigs:mesh"), SampleConfig(samples=5), tmp_path / "s")
    rig = open_recorded_rig(tmp_path / "s")
    np.testing.assert_array_equal(rig.evaluate(-np.zeros((1, 12)))[0], rig.neutral)


def test_another_pose_is_refused(tmp_path):
    sample(open_python_rig("python:toy_rigs:mesh"), SampleConfig(samples=5), tmp_path / "s")
    with pytest.raises(BunrakuError, match="cannot be evaluated anew; pose 1 is none of them"):
        open_recorded_rig(tmp_path / "s").evaluate(np.array([[0.0] * 12, [0.123] * 12]))


def test_a_pose_that_failed_is_not_recorded(tmp_path):
    sample(open_python_rig("python:toy_rigs:picky"), SampleConfig(samples=200, active=6), tmp_path / "s")
    shard = open_folder(tmp_path / "s").read(0)
    assert shard.failed
    with pytest.raises(BunrakuError, match="cannot be evaluated anew"):
        open_recorded_rig(tmp_path / "s").evaluate(shard.controls[[min(shard.failed)]])


def test_the_published_toys_files_are_a_rig(tmp_path):
    rng = np.random.default_rng(0)
    controls, vertices = rng.uniform(size=(20, 6)), rng.normal(size=(20, 8, 3))
    np.savez(tmp_path / "dataset.npz", controls, vertices)
    for path in (tmp_path, tmp_path / "dataset.npz"):
        rig = open_recorded_rig(path)
        np.testing.assert_array_equal(rig.evaluate(controls[[4, 2]]), vertices[[4, 2]])
        np.testing.assert_array_equal(rig.evaluate(rig.spec.neutral[None])[0], rig.neutral)
