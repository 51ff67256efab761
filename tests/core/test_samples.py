import numpy as np
import pytest

from bunraku.core import samples
from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.samples import Shard, read_recorded, read_shard, shard_files, write_shard


@pytest.fixture
def shard():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(4, 5, 3)).astype(np.float32)
    vertices[2] = np.nan
    return Shard(8, rng.normal(size=(4, 2)), vertices, {2: "it broke"})


def test_a_shard_reads_back_as_it_was_written(tmp_path, shard):
    write_shard(tmp_path, 3, shard)
    back = read_shard(tmp_path, 3, 8, (4, 5, 3), 2)
    np.testing.assert_array_equal(back.controls, shard.controls)
    np.testing.assert_array_equal(back.vertices, shard.vertices)
    assert (back.start, back.failed) == (8, {2: "it broke"})


@pytest.mark.parametrize("part", [0, 1])
def test_a_flipped_bit_in_a_shard_is_noticed(tmp_path, shard, part):
    write_shard(tmp_path, 0, shard)
    file = shard_files(tmp_path, 0)[part]
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(BunrakuError, match=f"{file.name}: is corrupt"):
        read_shard(tmp_path, 0, 8, (4, 5, 3), 2)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_shard_without_one_of_its_files_is_none(tmp_path, shard, part):
    write_shard(tmp_path, 0, shard)
    shard_files(tmp_path, 0)[part].unlink()
    with pytest.raises(BunrakuError, match=shard_files(tmp_path, 0)[part].name):
        read_shard(tmp_path, 0, 8, (4, 5, 3), 2)


@pytest.mark.parametrize("text", ["{}", "[]", '{"start": 8}', "no json"])
def test_a_description_of_another_form_is_refused(tmp_path, shard, text):
    write_shard(tmp_path, 0, shard)
    shard_files(tmp_path, 0)[2].write_text(text)
    with pytest.raises(BunrakuError):
        read_shard(tmp_path, 0, 8, (4, 5, 3), 2)


def test_a_spec_survives_json():
    spec = control_spec(["a,b", "ä"], [-1, 0.1], [0.3, 2], [0.1 + 0.2 - 0.1, 1], ["rad", "m"], [True, False])
    back = samples.spec_from_json(samples.spec_to_json(spec))
    assert (back.names, back.units) == (spec.names, spec.units)
    for field in ("lower", "upper", "neutral", "driven", "rotations"):
        np.testing.assert_array_equal(getattr(back, field), getattr(spec, field))


def test_the_published_toys_dataset_is_read_as_it_is(tmp_path):
    rng = np.random.default_rng(1)
    controls, vertices = rng.uniform(size=(50, 6)), rng.normal(size=(50, 8, 3))
    np.savez(tmp_path / "dataset.npz", list(controls), list(vertices))
    back = read_recorded(tmp_path / "dataset.npz")
    np.testing.assert_array_equal(back.controls, controls)
    np.testing.assert_array_equal(back.vertices, vertices)
    assert (back.spec.lower == 0).all()
    assert (back.spec.upper == 1).all()
    nearest = np.abs(controls - 0.5).sum(axis=1).argmin()
    np.testing.assert_array_equal(back.spec.neutral, controls[nearest])
    np.testing.assert_array_equal(back.neutral, vertices[nearest])


def test_what_a_file_says_about_its_controls_is_kept(tmp_path):
    controls = np.array([[0.0, 2.0], [1.0, -2.0], [0.5, 0.0]])
    vertices = np.arange(18.0).reshape(3, 2, 3)
    np.savez(
        tmp_path / "a.npz",
        controls=controls,
        vertices=vertices,
        control_names=np.array(["jaw", "brow"]),
        lower=[0, -3],
        upper=[1, 3],
        neutral=[0.5, 0],
        faces=np.array([[0, 1, 0]]),
    )
    back = read_recorded(tmp_path / "a.npz")
    assert back.spec.names == ("jaw", "brow")
    assert back.spec.lower.tolist() == [0, -3]
    assert back.spec.upper.tolist() == [1, 3]
    np.testing.assert_array_equal(back.neutral, vertices[2])
    assert back.faces.tolist() == [[0, 1, 0]]


def test_samples_that_are_not_finite_are_left_out(tmp_path):
    vertices = np.ones((3, 2, 3))
    vertices[1, 0, 0] = np.nan
    np.savez(tmp_path / "a.npz", controls=np.arange(3.0)[:, None], vertices=vertices)
    assert read_recorded(tmp_path / "a.npz").controls.tolist() == [[0], [2]]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"controls": np.zeros((3, 2))}, "no 'vertices'"),
        ({"controls": np.zeros((3, 2)), "vertices": np.zeros((4, 5, 3))}, "expected"),
        ({"controls": np.zeros((3, 2)), "vertices": np.zeros((3, 5))}, "expected"),
        ({"controls": np.zeros((1, 2)), "vertices": np.full((1, 5, 3), np.nan)}, "no sample"),
        ({"controls": np.zeros((1, 2)), "vertices": np.zeros((1, 5, 3)), "control_names": ["a"]}, "1 names for 2"),
        ({"controls": np.zeros((1, 2)), "vertices": np.zeros((1, 5, 3)), "lower": [2, 2]}, "lower 2 is above"),
        ({"controls": np.zeros((1, 2)), "vertices": np.zeros((1, 5, 3)), "neutral": [0, 9]}, "neutral 9 is outside"),
        ({"controls": np.zeros((1, 2)), "vertices": np.zeros((1, 5, 3)), "faces": [[0, 1, 5]]}, "names vertex 5"),
        ({"controls": np.zeros((1, 2)), "vertices": np.array(["a"])}, "expected numbers"),
    ],
)
def test_recorded_files_that_do_not_fit_are_refused_in_one_line(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BunrakuError, match=said) as caught:
        read_recorded(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
