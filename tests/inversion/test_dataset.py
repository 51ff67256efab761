import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.samples import Shard, spec_to_json, write_shard
from bunraku.inversion.dataset import SPLITS, SampleSet, load_samples

SPEC = control_spec(["a", "b"])


def folder_of(path, count, rows, failed=()):
    """Sample i has the controls (i, −i) and all of its vertices at i."""
    artifact.open_output(path, "samples", {})
    artifact.write_array(path / "neutral.npy", np.zeros((3, 3)))
    artifact.write_array(path / "faces.npy", np.array([[0, 1, 2]], np.int32))
    for number, start in enumerate(range(0, count, rows)):
        index = np.arange(start, min(start + rows, count))
        vertices = np.broadcast_to(index[:, None, None], (len(index), 3, 3)).astype(np.float32)
        why = {int(i - start): "no" for i in index if i in failed}
        vertices[list(why)] = np.nan
        write_shard(path, number, Shard(start, np.stack([index, -index], axis=1) * 1.0, vertices, why))
    about = {"spec": spec_to_json(SPEC), "source": {"rig": "toy"}, "count": count, "shard_rows": rows}
    artifact.finish_output(path, {}, about, {})
    return path


@pytest.mark.parametrize("count", [3, 10, 41, 1000])
def test_splits_are_disjoint_and_together_everything(tmp_path, count):
    samples = load_samples(folder_of(tmp_path / "s", count, 400))
    parts = [samples.split(split) for split in SPLITS]
    assert all(len(part) > 0 for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))


def test_a_twentieth_is_for_validation_and_another_for_testing(tmp_path):
    samples = load_samples(folder_of(tmp_path / "s", 1000, 400))
    assert [len(samples.split(split)) for split in SPLITS] == [900, 50, 50]
    assert samples.split("validation")[:2].tolist() == [10, 30]
    assert samples.split("test")[:2].tolist() == [19, 39]


@pytest.mark.parametrize(("rows", "shard"), [(1, 10), (7, 4), (7, 64), (16, 16), (500, 10)])
def test_batches_pass_over_every_usable_sample_once_in_order(tmp_path, rows, shard):
    samples = load_samples(folder_of(tmp_path / "s", 130, shard, failed={0, 5, 129}))
    batches = list(samples.batches("train", rows))
    assert {len(controls) for controls, _ in batches[:-1]} <= {rows}
    seen = np.concatenate([controls[:, 0] for controls, _ in batches])
    assert seen.tolist() == [i for i in samples.split("train") if i not in (0, 5, 129)]
    for controls, vertices in batches:
        np.testing.assert_array_equal(vertices[:, 1, 2], controls[:, 0])


def test_batches_in_random_order_are_the_same_samples(tmp_path):
    samples = load_samples(folder_of(tmp_path / "s", 130, 16, failed={5}))
    ordered, mixed, again, other = (
        [int(x) for controls, _ in samples.batches("train", 8, seed=seed) for x in controls[:, 0]]
        for seed in (None, 1, 1, 2)
    )
    assert mixed == again != other
    assert sorted(mixed) == ordered != mixed


def test_a_split_in_memory_is_the_batches_in_one(tmp_path):
    samples = load_samples(folder_of(tmp_path / "s", 130, 16, failed={10}))
    controls, vertices = samples.in_memory("validation")
    assert controls[:, 0].tolist() == [30, 50, 70, 90, 110]
    np.testing.assert_array_equal(vertices[:, 0, 0], controls[:, 0])


def test_a_split_without_a_usable_sample_is_refused(tmp_path):
    samples = load_samples(folder_of(tmp_path / "s", 3, 16, failed={1}))
    with pytest.raises(BunrakuError, match="no usable sample for validation among 3"):
        samples.in_memory("validation")


def test_a_corrupt_shard_is_named_when_it_is_read(tmp_path):
    path = folder_of(tmp_path / "s", 130, 16)
    samples = load_samples(path)
    file = path / "vertices_000003.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert len(next(samples.batches("train", 8))[0]) == 8
    with pytest.raises(BunrakuError, match=r"vertices_000003\.npy.*only that shard is redone"):
        list(samples.batches("train", 8))


def test_the_published_toys_files_are_sample_sets(tmp_path):
    rng = np.random.default_rng(0)
    controls, vertices = rng.uniform(size=(100, 6)), rng.normal(size=(100, 8, 3))
    np.savez(tmp_path / "dataset.npz", controls, vertices)
    for path in (tmp_path, tmp_path / "dataset.npz"):
        samples = load_samples(path)
        assert isinstance(samples, SampleSet)
        assert (samples.count, len(samples.spec), samples.neutral.shape) == (100, 6, (8, 3))
        got, meshes = samples.in_memory("train")
        np.testing.assert_array_equal(got, controls[samples.split("train")])
        np.testing.assert_array_equal(meshes, vertices[samples.split("train")].astype(np.float32))


def test_what_is_no_sample_set_is_refused_by_name(tmp_path):
    with pytest.raises(BunrakuError, match="nowhere: no such file or folder"):
        load_samples(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BunrakuError, match=r"a\.txt: is not a sample set"):
        load_samples(tmp_path / "a.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BunrakuError, match="empty: no manifest"):
        load_samples(tmp_path / "empty")
    artifact.open_output(tmp_path / "take", "take", {})
    with pytest.raises(BunrakuError, match="is a take; expected a samples"):
        load_samples(tmp_path / "take")
