"""Fitting an approximation to samples."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.inversion import network_training
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.draw import SampleConfig, draw
from bunraku.inversion.fit import FitConfig, fit, forget_checkpoints, published, quick
from bunraku.inversion.network import NetworkConfig
from bunraku.rigs.cube import Cube
from bunraku.rigs.face import Face, animation
from made_samples import sample_set


class Wavy:
    """Three vertices that no polynomial of low degree follows."""

    spec = control_spec(["a", "b"], -1.0, 1.0, 0.0)
    faces = np.array([[0, 1, 2]], np.int32)
    neutral = np.zeros((3, 3))

    def evaluate(self, controls: np.ndarray) -> np.ndarray:
        a, b = 5 * controls.T
        flat = np.stack([np.sin(a), np.sin(b), np.sin(a + b), a, b, a, b, np.sin(2 * a), a], axis=1)
        return flat.reshape(-1, 3, 3)


NET = NetworkConfig(hidden=(32, 32), epochs=12, batch=32)


@pytest.fixture(scope="module")
def wavy() -> SampleSet:
    return sample_set(Wavy(), np.random.default_rng(0).uniform(-1, 1, (400, 2)))


def error(model: Approximation, rig, controls: np.ndarray) -> float:
    return float(np.linalg.norm(model.evaluate(controls) - rig.evaluate(controls), axis=-1).mean())


def weights_of(model: Approximation) -> list[np.ndarray]:
    return [array for layer in model.layers for array in layer]


def assert_same(a: Approximation, b: Approximation) -> None:
    for x, y in zip(weights_of(a), weights_of(b), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.basis, b.basis)
    np.testing.assert_array_equal(a.skip, b.skip)


def test_the_cube_is_learnt_to_a_thousandth_without_a_network():
    rng = np.random.default_rng(0)
    model = fit(sample_set(Cube(), rng.random((1000, 6))))
    assert model.layers == ()
    assert error(model, Cube(), rng.random((500, 6))) < 0.004


def test_the_face_is_learnt_to_half_a_millimetre_from_few_samples():
    rig = Face()
    poses = draw(rig.spec, SampleConfig(samples=1600, active=16.0), np.arange(1600))
    model = fit(sample_set(rig, poses))
    assert error(model, rig, animation(rig, 96, seed=3).values[::6]) < 0.5
    assert error(model, rig, rig.spec.neutral[None]) < 0.2


def test_quick_is_rougher_and_has_no_network():
    samples = sample_set(Cube(), np.random.default_rng(0).random((1000, 6)))
    poses = np.random.default_rng(1).random((500, 6))
    rough = fit(samples, quick())
    assert rough.layers == ()
    assert len(rough.terms) < len(fit(samples).terms)
    assert error(rough, Cube(), poses) < 0.06


def test_where_products_fail_a_network_learns_and_improves_on_them(wavy: SampleSet):
    poses = np.random.default_rng(1).uniform(-1, 1, (300, 2))
    cfg = FitConfig(degree=2, network=replace(NET, hidden=(64, 64), epochs=60))
    learnt = fit(wavy, cfg)
    closed = fit(wavy, replace(cfg, network=NetworkConfig(hidden=())))
    assert len(learnt.layers) == 3
    assert len(learnt.terms) == 0
    assert closed.layers == ()
    assert error(learnt, Wavy(), poses) < 0.8 * error(closed, Wavy(), poses)


def test_a_network_that_validates_worse_than_the_products_is_not_kept():
    samples = sample_set(Cube(), np.random.default_rng(0).random((300, 6)))
    model = fit(samples, FitConfig(enough=0.0, network=replace(NET, epochs=1)))
    assert model.layers == ()
    assert len(model.terms) > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(wavy: SampleSet):
    cfg = FitConfig(products=0, network=NET)
    first = fit(wavy, cfg)
    assert_same(first, fit(wavy, cfg))
    assert any(
        (x != y).any() for x, y in zip(weights_of(first), weights_of(fit(wavy, replace(cfg, seed=1))), strict=True)
    )


class KilledError(Exception):
    pass


def test_an_interrupted_fit_goes_on_to_the_same_weights(wavy: SampleSet, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(network_training, "CHECKPOINT_EVERY_S", 0.0)
    cfg = FitConfig(products=0, network=NET)
    whole = fit(wavy, cfg)

    def dies(stage: str, done: float, total: float, note: str = "") -> None:
        if stage == "network" and done == 5:
            raise KilledError

    with pytest.raises(KilledError):
        fit(wavy, cfg, out=tmp_path, progress=dies)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.safetensors", "reduced.safetensors"]
    resumed: list[float] = []

    def listens(stage: str, done: float, total: float, note: str = "") -> None:
        if stage == "network":
            resumed.append(done)

    assert_same(whole, fit(wavy, cfg, out=tmp_path, progress=listens))
    assert resumed[0] == 5  # epoch 5 itself was not saved yet when it died
    forget_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_plateau_schedule_resumes_to_the_same_weights(wavy: SampleSet, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(network_training, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(network_training, "_PLATEAU_PATIENCE", 0)
    cfg = FitConfig(products=0, network=replace(NET, schedule="plateau", learning_rate=0.05))
    fit(wavy, replace(cfg, network=replace(cfg.network, epochs=6)), out=tmp_path)
    assert_same(fit(wavy, cfg), fit(wavy, cfg, out=tmp_path))


def test_the_published_shape_is_learnt_on_raw_vertices(wavy: SampleSet):
    cfg = published()
    assert cfg.network.hidden == (1024, 1024)
    model = fit(wavy, replace(cfg, network=replace(cfg.network, hidden=(64, 64), epochs=40, learning_rate=2e-3)))
    assert model.basis is None
    assert model.skip is None
    assert model.activation == "leaky_relu"
    controls, vertices = wavy.in_memory("validation")
    spread = np.linalg.norm(vertices, axis=-1).mean()
    assert np.linalg.norm(model.evaluate(controls) - vertices, axis=-1).mean() < 0.5 * spread


def test_missing_validation_samples_are_made_do_without():
    model = fit(sample_set(Cube(), np.random.default_rng(0).random((3, 6))), FitConfig(network=NET))
    assert np.isfinite(model.evaluate(Cube().spec.neutral[None])).all()


def test_controls_that_move_nothing_have_no_derivative():
    class Deaf(Wavy):
        spec = control_spec(["a", "b", "dead", "fixed"], [-1, -1, 0, 2], [1, 1, 1, 2], [0, 0, 0, 2])

        def evaluate(self, controls: np.ndarray) -> np.ndarray:
            return super().evaluate(controls[:, :2] * 0.1)

    rng = np.random.default_rng(0)
    poses = np.concatenate([rng.uniform(-1, 1, (500, 2)), rng.random((500, 1)), np.full((500, 1), 2.0)], axis=1)
    rows = fit(sample_set(Deaf(), poses)).jacobian(poses[:5])
    assert np.abs(rows[:, 2:]).max() < 1e-3 * np.abs(rows).max()
    np.testing.assert_array_equal(rows[:, 3], 0)


def test_configuring_a_fit_needs_no_torch():
    code = "import sys, bunraku.inversion.fit as f; f.FitConfig(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
