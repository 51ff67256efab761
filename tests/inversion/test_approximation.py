"""The learned approximation as a value: evaluation, derivatives, coordinates, storage."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bunraku.core import artifact
from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.reduced import project, unproject
from bunraku.core.rig import DifferentiableRig
from bunraku.inversion.approximation import Approximation, activate, load_model, save_model
from bunraku.inversion.polynomial import as_rows

CONTROLS, VERTICES, COMPONENTS = 5, 7, 6


def made(kind: str) -> Approximation:
    """A random approximation of each shape that there is."""
    rng = np.random.default_rng(0)
    spec = control_spec([f"c{i}" for i in range(CONTROLS)], -1.0, 3.0, 0.5)
    raw = kind == "published"
    width = 3 * VERTICES if raw else COMPONENTS
    basis = None if raw else np.linalg.qr(rng.standard_normal((3 * VERTICES, width)))[0].T
    terms = as_rows([] if raw or kind == "network" else [(0, 1), (2, 2, 2), (1, 3, 4)], CONTROLS)
    sizes = {"products": [], "network": [8, 9], "published": [16, 16]}[kind]
    widths = [CONTROLS, *sizes, width] if sizes else []
    return Approximation(
        spec=spec,
        faces=np.array([[0, 1, 2]], np.int32),
        neutral=rng.standard_normal((VERTICES, 3)),
        centre=np.zeros(CONTROLS) if raw else spec.neutral,
        spread=np.ones(CONTROLS) if raw else spec.range,
        mean=np.zeros(3 * VERTICES) if raw else rng.standard_normal(3 * VERTICES),
        basis=None if basis is None else basis.astype(np.float32),
        scale=1.7,
        skip=None if raw else rng.standard_normal((width, CONTROLS)).astype(np.float32),
        terms=terms,
        products=rng.standard_normal((width, len(terms))).astype(np.float32),
        layers=tuple(
            (rng.standard_normal((o, i)).astype(np.float32), rng.standard_normal(o).astype(np.float32))
            for i, o in pairwise(widths)
        ),
        activation="leaky_relu" if raw else "silu",
    )


KINDS = pytest.mark.parametrize("kind", ["products", "network", "published"])


@KINDS
def test_it_is_a_differentiable_rig(kind: str):
    assert isinstance(made(kind), DifferentiableRig)


@KINDS
def test_jacobians_match_finite_differences(kind: str):
    model, rng = made(kind), np.random.default_rng(1)
    poses, tangents, step = rng.uniform(-1, 3, (4, CONTROLS)), rng.standard_normal((4, CONTROLS)), 1e-6
    moved = (model.evaluate(poses + step * tangents) - model.evaluate(poses - step * tangents)) / (2 * step)
    np.testing.assert_allclose(model.jvp(poses, tangents), moved, rtol=2e-5, atol=2e-5)
    reduced = model.reduce()
    z, rows = reduced.linearize(poses)
    np.testing.assert_allclose(z, reduced.evaluate(poses))
    each = [(reduced.evaluate(poses + step * e) - reduced.evaluate(poses - step * e)) / (2 * step) for e in np.eye(5)]
    np.testing.assert_allclose(rows, np.stack(each, axis=1), rtol=2e-5, atol=2e-5)


@KINDS
def test_transposed_products_are_adjoint_to_products(kind: str):
    model, rng = made(kind), np.random.default_rng(2)
    poses, tangents = rng.uniform(-1, 3, (4, CONTROLS)), rng.standard_normal((4, CONTROLS))
    cotangents = rng.standard_normal((4, VERTICES, 3))
    left = (model.jvp(poses, tangents) * cotangents).sum(axis=(1, 2))
    right = (tangents * model.vjp(poses, cotangents)).sum(axis=1)
    np.testing.assert_allclose(left, right, rtol=1e-4)


@KINDS
def test_coordinates_and_meshes_say_the_same(kind: str):
    model = made(kind)
    poses = np.random.default_rng(3).uniform(-1, 3, (4, CONTROLS))
    reduced, meshes = model.reduce(), model.evaluate(poses)
    np.testing.assert_allclose(unproject(reduced, reduced.evaluate(poses)), meshes, atol=1e-12)
    np.testing.assert_allclose(project(reduced, meshes), reduced.evaluate(poses), atol=1e-5)
    np.testing.assert_allclose(model.project(meshes), project(reduced, meshes), atol=1e-12)


def test_a_model_made_by_hand_evaluates_as_the_hand_does():
    spec = control_spec(["a", "b"], 0.0, 2.0, 1.0)
    model = Approximation(
        spec=spec, faces=np.zeros((0, 3), np.int32), neutral=np.zeros((1, 3)), centre=spec.neutral, spread=spec.range,
        mean=np.array([1.0, 2.0, 3.0]), basis=np.array([[0.0, 1.0, 0.0]], np.float32), scale=10.0,
        skip=np.array([[1.0, 0.0]], np.float32), terms=as_rows([(0, 1)], 2), products=np.array([[4.0]], np.float32),
        layers=((np.array([[2.0, 0.0]], np.float32), np.array([0.5], np.float32)),),
    )  # fmt: skip
    # u = (½, −½): linear ½, product 4·(−¼) = −1, a network of one layer 2·½ + ½ = 1½; z = 10·1.
    np.testing.assert_allclose(model.evaluate(np.array([[2.0, 0.0]])), [[[1.0, 12.0, 3.0]]])


@pytest.mark.parametrize("activation", ["silu", "leaky_relu"])
def test_activations_and_their_slopes_agree_and_do_not_overflow(activation: str):
    x, step = np.array([-2.0, -0.3, 0.4, 5.0]), 1e-6
    value, slope = activate(x, activation)
    moved = (activate(x + step, activation)[0] - activate(x - step, activation)[0]) / (2 * step)
    np.testing.assert_allclose(slope, moved, rtol=1e-6)
    with np.errstate(over="raise"):
        assert np.isfinite(activate(np.array([-1e6, 1e6]), activation)).all()
    assert value[3] == pytest.approx(5.0 if activation == "leaky_relu" else 5.0 / (1 + np.exp(-5.0)))


@KINDS
def test_a_model_comes_back_from_disk_as_it_was(kind: str, tmp_path: Path):
    model = made(kind)
    artifact.open_output(tmp_path / "m", "model", {"kind": kind})
    save_model(tmp_path / "m", model, {"error": 0.1})
    back = load_model(tmp_path / "m")
    poses = np.random.default_rng(4).uniform(-1, 3, (4, CONTROLS))
    np.testing.assert_array_equal(back.evaluate(poses), model.evaluate(poses))
    np.testing.assert_array_equal(back.jacobian(poses), model.jacobian(poses))
    assert back.spec.names == model.spec.names
    np.testing.assert_array_equal(back.neutral, model.neutral)
    np.testing.assert_array_equal(back.faces, model.faces)


def test_a_folder_of_another_kind_is_refused_by_name(tmp_path: Path):
    artifact.open_output(tmp_path / "t", "take", {})
    with pytest.raises(BunrakuError, match="is a take; expected a model"):
        load_model(tmp_path / "t")
