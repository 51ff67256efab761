"""Approximations made better where new samples lie."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.finetune import TuneConfig, fine_tune
from bunraku.inversion.fit import FitConfig, fit
from bunraku.inversion.network import NetworkConfig
from bunraku.rigs.cube import Cube
from made_samples import sample_set


class Wavy:
    """Three vertices that no polynomial of low degree follows."""

    spec = control_spec(["a", "b"], -1.0, 1.0, 0.0)
    faces = np.array([[0, 1, 2]], np.int32)
    neutral = np.zeros((3, 3)) + np.eye(3)

    def evaluate(self, controls: np.ndarray) -> np.ndarray:
        a, b = 5 * controls.T
        flat = np.stack([np.sin(a), np.sin(b), np.sin(a + b), a, b, a, b, np.sin(2 * a), a], axis=1)
        return self.neutral + flat.reshape(-1, 3, 3)


RNG = np.random.default_rng(3)
LOCAL = 0.5 + 0.05 * RNG.uniform(-1, 1, (100, 6))
LOCAL_TESTS = 0.5 + 0.05 * RNG.uniform(-1, 1, (100, 6))
FAR = RNG.random((200, 6))
FEW = TuneConfig(products=30, rehearsal=300)


@pytest.fixture(scope="module")
def known() -> SampleSet:
    return sample_set(Cube(), np.random.default_rng(0).random((400, 6)))


@pytest.fixture(scope="module")
def rough(known: SampleSet) -> Approximation:
    return fit(known, FitConfig(products=25, degree=2, network=NetworkConfig(hidden=())))


def error(model: Approximation, rig, controls: np.ndarray) -> float:
    return float(np.linalg.norm(model.evaluate(controls) - rig.evaluate(controls), axis=-1).mean())


def assert_same(one: Approximation, other: Approximation) -> None:
    for name in ("mean", "basis", "skip", "terms", "products"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for layer, second in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(layer[0], second[0])


def test_new_samples_are_learnt_and_the_rest_is_not_forgotten(rough: Approximation, known: SampleSet):
    before, elsewhere = error(rough, Cube(), LOCAL_TESTS), error(rough, Cube(), FAR)
    tuned = fine_tune(rough, known, [sample_set(Cube(), LOCAL)], FEW)
    assert error(tuned, Cube(), LOCAL_TESTS) < 0.05 * before
    assert error(tuned, Cube(), FAR) < 1.5 * FEW.forget * elsewhere


def test_without_its_samples_it_is_held_to_its_own_answers(rough: Approximation):
    before, elsewhere = error(rough, Cube(), LOCAL_TESTS), error(rough, Cube(), FAR)
    tuned = fine_tune(rough, None, [sample_set(Cube(), LOCAL)], FEW)
    assert error(tuned, Cube(), LOCAL_TESTS) < 0.2 * before
    assert error(tuned, Cube(), FAR) < 2 * elsewhere


def test_a_smaller_allowance_forgets_less(rough: Approximation, known: SampleSet):
    new = [sample_set(Cube(), LOCAL)]
    strict = fine_tune(rough, known, new, replace(FEW, forget=1.0, products=0))
    free = fine_tune(rough, known, new, replace(FEW, forget=1e6, products=0))
    assert error(strict, Cube(), FAR) <= error(free, Cube(), FAR)
    assert error(free, Cube(), LOCAL_TESTS) <= error(strict, Cube(), LOCAL_TESTS)


def test_the_closed_form_is_weighted_least_squares_by_hand():
    """One control, one vertex: z = a + b·u, known to be 2u; new samples say 3u − 1 and outweigh it."""

    class Line:
        spec = control_spec(["x"], 0.0, 1.0, 0.0)
        faces = np.zeros((0, 3), np.int32)
        neutral = np.array([[0.0, 0, 0], [1, 1, 1]])
        slope, offset = 2.0, 0.0

        def evaluate(self, controls: np.ndarray) -> np.ndarray:
            mesh = np.repeat(self.neutral[None], len(controls), axis=0)
            mesh[:, 0, 0] = self.offset + self.slope * controls[:, 0]
            return mesh

    class Changed(Line):
        slope, offset = 3.0, -1.0

    x = np.linspace(0, 1, 200)[:, None]
    model = fit(sample_set(Line(), x), FitConfig(products=0, network=NetworkConfig(hidden=())))
    nothing_held = TuneConfig(products=0, forget=1e9)
    tuned = fine_tune(model, sample_set(Line(), x[:3]), [sample_set(Changed(), x)], nothing_held)
    np.testing.assert_allclose(tuned.evaluate(x)[:, 0, 0], 3 * x[:, 0] - 1, atol=2e-4)


def test_a_basis_grows_by_what_it_cannot_show(known: SampleSet):
    class Bulging(Cube):
        def evaluate(self, controls: np.ndarray) -> np.ndarray:
            mesh = super().evaluate(controls)
            mesh[:, 0, 1] += 10 * np.maximum(0.1 - np.abs(controls[:, 0] - 0.5), 0)
            return mesh

    model = fit(known, FitConfig(products=200, network=NetworkConfig(hidden=())))
    tuned = fine_tune(model, known, [sample_set(Bulging(), LOCAL)], replace(FEW, forget=1e6))
    assert tuned.component_count > model.component_count
    np.testing.assert_allclose(tuned.wide.basis @ tuned.wide.basis.T, np.eye(tuned.component_count), atol=1e-5)
    assert error(tuned, Bulging(), LOCAL_TESTS) < 0.5 * error(model, Bulging(), LOCAL_TESTS)
    held = fine_tune(model, known, [sample_set(Bulging(), LOCAL)], replace(FEW, components=0))
    assert held.component_count == model.component_count


def test_a_network_learns_on_from_its_weights():
    rng = np.random.default_rng(0)
    known = sample_set(Wavy(), rng.uniform(-1, 1, (200, 2)))
    plain = fit(known, FitConfig(products=0, network=NetworkConfig(hidden=())))
    units, components = 24, plain.component_count
    hidden = (4 * rng.standard_normal((units, 2)).astype(np.float32), rng.standard_normal(units).astype(np.float32))
    model = replace(
        plain, layers=(hidden, (np.zeros((components, units), np.float32), np.zeros(components, np.float32)))
    )
    near, tests = (0.4 + 0.1 * rng.uniform(-1, 1, (100, 2)) for _ in range(2))
    free = TuneConfig(products=0, epochs=0, forget=1e3)
    closed = fine_tune(model, known, [sample_set(Wavy(), near)], free)
    trained = fine_tune(model, known, [sample_set(Wavy(), near)], replace(free, epochs=3, learning_rate=1e-3))
    for tuned in (closed, trained):
        assert error(tuned, Wavy(), tests) < 0.1 * error(model, Wavy(), tests)
    np.testing.assert_array_equal(closed.layers[0][0], hidden[0])
    assert (trained.layers[0][0] != hidden[0]).any()
    assert np.abs(trained.layers[0][0] - hidden[0]).max() < 0.5


def test_where_nothing_is_wrong_it_comes_back_as_it_was(known: SampleSet, rough: Approximation):
    class Itself:
        spec, faces, neutral = rough.spec, rough.faces, rough.neutral
        evaluate = staticmethod(lambda controls: rough.evaluate(controls).astype(np.float32))

    tuned = fine_tune(rough, None, [sample_set(Itself(), LOCAL)], FEW)
    np.testing.assert_allclose(tuned.evaluate(FAR), rough.evaluate(FAR), atol=1e-5)


def test_it_is_the_same_for_a_seed(rough: Approximation, known: SampleSet):
    new = [sample_set(Cube(), LOCAL[:40]), sample_set(Cube(), LOCAL[40:80])]
    one, other = (fine_tune(rough, known, new, FEW, counts=[0.1, 1.0], seed=2) for _ in range(2))
    assert_same(one, other)
