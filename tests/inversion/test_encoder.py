"""Encoders: meshes straight to controls."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.inversion import encoder_training
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.encoder import Encoder, EncoderConfig, load_encoder, save_encoder, train_encoder
from bunraku.inversion.fit import FitConfig, fit
from bunraku.inversion.network import NetworkConfig
from bunraku.rigs.cube import Cube, animation
from made_samples import sample_set

SMALL = EncoderConfig(hidden=(64, 64), samples=600, epochs=8, batch=64)
RIG = Cube()


@pytest.fixture(scope="module")
def model() -> Approximation:
    return fit(sample_set(RIG, np.random.default_rng(0).random((1000, 6))))


@pytest.fixture(scope="module")
def capture() -> MeshSequence:
    return mesh_sequence(RIG.evaluate(animation(48, seed=1).values))


@pytest.fixture(scope="module")
def encoder(model: Approximation, capture: MeshSequence) -> Encoder:
    return train_encoder(model, capture, replace(SMALL, epochs=25))


def error(controls: np.ndarray, vertices: np.ndarray) -> float:
    return float(np.linalg.norm(RIG.evaluate(controls) - vertices, axis=-1).mean())


def same(a: Encoder, b: Encoder) -> bool:
    return all(
        bool((x == y).all()) for one, two in zip(a.layers, b.layers, strict=True) for x, y in zip(one, two, strict=True)
    )


def test_it_inverts_its_capture_better_than_its_linear_start(
    model: Approximation, capture: MeshSequence, encoder: Encoder
):
    linear = train_encoder(model, capture, replace(SMALL, epochs=0))
    reached = error(encoder.encode(capture.vertices), capture.vertices)
    assert reached < 0.06
    assert reached < 0.3 * error(linear.encode(capture.vertices), capture.vertices)


def test_it_serves_another_shot_too(encoder: Encoder):
    other = RIG.evaluate(animation(48, seed=9).values)
    assert error(encoder.encode(other), other) < 0.2


def test_the_neutral_mesh_gives_the_neutral_controls(encoder: Encoder):
    np.testing.assert_allclose(encoder.encode(RIG.neutral[None])[0], RIG.spec.neutral, atol=1e-9)


def test_controls_stay_in_range_and_reach_their_bounds_exactly(encoder: Encoder):
    controls = encoder.encode(RIG.neutral[None] * np.array([4.0, -3.0])[:, None, None])
    assert ((controls >= RIG.spec.lower) & (controls <= RIG.spec.upper)).all()
    assert (controls == RIG.spec.upper).any()
    assert (controls == RIG.spec.lower).any()


def test_missing_vertices_are_filled_in_by_the_rest(encoder: Encoder, capture: MeshSequence):
    weights = np.ones((1, 8))
    weights[0, [2, 5]] = 0
    dirty = capture.vertices.copy()
    dirty[:, [2, 5]] = np.nan
    np.testing.assert_allclose(encoder.encode(dirty, weights), encoder.encode(capture.vertices), atol=1e-3)


def test_a_capture_with_holes_trains_like_the_whole_one(model: Approximation, capture: MeshSequence):
    dirty = capture.vertices.copy()
    dirty[::2, 3] = np.nan
    whole, holes = (train_encoder(model, shot, SMALL) for shot in (capture, mesh_sequence(dirty)))
    np.testing.assert_allclose(holes.encode(capture.vertices), whole.encode(capture.vertices), atol=0.02)


def test_it_can_be_trained_without_a_capture(model: Approximation):
    alone = train_encoder(model, None, SMALL)
    np.testing.assert_allclose(alone.encode(RIG.neutral[None])[0], RIG.spec.neutral, atol=1e-9)


def test_the_decoder_in_torch_is_the_approximation(model: Approximation):
    import torch

    network = fit(
        sample_set(RIG, np.random.default_rng(0).random((300, 6))),
        FitConfig(products=0, network=NetworkConfig(hidden=(16, 16), epochs=3)),
    )
    poses = np.random.default_rng(2).random((5, 6))
    relative = torch.from_numpy(((poses - RIG.spec.neutral) / RIG.spec.range).astype(np.float32))
    for approximation in (model, network):
        decoded = encoder_training._Decoder(approximation, "cpu")(relative).numpy() * approximation.scale
        np.testing.assert_allclose(decoded, approximation.coordinates(poses), atol=1e-4)


class KilledError(Exception):
    pass


def test_an_interrupted_training_goes_on_to_the_same_weights(
    model: Approximation, capture: MeshSequence, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(encoder_training, "CHECKPOINT_EVERY_S", 0.0)

    def dies(stage: str, done: float, total: float, note: str = "") -> None:
        if done == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_encoder(model, capture, SMALL, out=tmp_path, progress=dies)
    whole = train_encoder(model, capture, SMALL)
    assert same(train_encoder(model, capture, SMALL, out=tmp_path), whole)
    assert not same(train_encoder(model, capture, replace(SMALL, seed=1)), whole)


def test_an_encoder_comes_back_from_disk_as_it_was(encoder: Encoder, capture: MeshSequence, tmp_path: Path):
    artifact.open_output(tmp_path / "e", "encoder", {})
    save_encoder(tmp_path / "e", encoder, {"error": 0.01})
    back = load_encoder(tmp_path / "e")
    np.testing.assert_array_equal(back.encode(capture.vertices), encoder.encode(capture.vertices))
    assert back.spec.names == RIG.spec.names


def test_a_model_is_not_taken_for_an_encoder(tmp_path: Path):
    artifact.open_output(tmp_path / "m", "model", {})
    with pytest.raises(BunrakuError, match=r"is a model; expected an? encoder"):
        load_encoder(tmp_path / "m")
