"""What is written as ONNX computes what torch and numpy do."""

import json

import numpy as np
import onnxruntime
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.formats import onnx as formats_onnx
from bunraku.formats.onnx import approximation_graph, encoder_graph, policy_graph, save_onnx
from bunraku.imitation.actor import Actor
from bunraku.imitation.policy import LIMIT, PolicyConfig
from bunraku.imitation.slot import Slot
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.encoder import Encoder


def run(file, **inputs):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {name: value.astype(np.float32) for name, value in inputs.items()})
    return result, session.get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("activation", ["relu", "elu", "silu", "tanh"])
def test_a_policy_acts_as_its_network_does(activation, tmp_path):
    rng = np.random.default_rng(0)
    actor = Actor(5, 3, PolicyConfig((16, 8), (8,), activation), rng)
    actor.parameters[:] = rng.normal(size=actor.parameters.shape)
    actor.learn_to_look(rng.normal(2.0, 3.0, (100, 5)))
    policy = actor.policy((Slot("all", 5, "1"),))
    graph = policy_graph(policy.layers, activation, policy.mean, policy.deviation, LIMIT)
    save_onnx(tmp_path / "p.onnx", graph, {"control_hz": "24"})
    for count in (1, 7):
        # Some numbers are so far off that they are cut.
        seen = rng.normal(2.0, 30.0, (count, 5)).astype(np.float32)
        action, metadata = run(tmp_path / "p.onnx", observation=seen)
        expected = actor.mean(actor.look(seen))
        np.testing.assert_allclose(action, expected, atol=2e-5, rtol=1e-5)
        assert metadata == {"control_hz": "24"}


def approximation(rng, *, basis=True, skip=True, terms=True, layers=True, activation="silu"):
    controls, components, coordinates = 4, 5 if basis else 12, 12
    wide = [(8, controls), (components, 8)]
    spec = control_spec([f"c{i}" for i in range(controls)], -np.ones(controls), np.ones(controls), np.zeros(controls))
    # Number 4, one more than the last control, stands for 1.
    rows = np.array([[0, 1, 4], [2, 2, 3], [3, 4, 4]]) if terms else np.zeros((0, 1), np.int64)
    return Approximation(
        spec=spec,
        faces=np.zeros((0, 3), np.int64),
        neutral=rng.normal(size=(4, 3)),
        centre=rng.normal(size=controls),
        spread=rng.uniform(0.5, 2, controls),
        mean=rng.normal(size=coordinates),
        basis=np.linalg.qr(rng.normal(size=(coordinates, components)))[0].T if basis else None,
        scale=1.7,
        skip=rng.normal(size=(components, controls)) if skip else None,
        terms=rows,
        products=rng.normal(size=(components, len(rows))),
        layers=tuple((rng.normal(size=s), rng.normal(size=s[0])) for s in wide) if layers else (),
        activation=activation,
    )


PARTS = [
    {},
    {"basis": False},
    {"skip": False, "activation": "leaky_relu"},
    {"terms": False, "layers": False},
    {"skip": False, "terms": False, "layers": False},
]


@pytest.mark.parametrize("parts", PARTS, ids=["all", "no basis", "leaky", "linear", "constant"])
def test_an_approximation_gives_the_meshes_that_numpy_gives(parts, tmp_path):
    rng = np.random.default_rng(1)
    model = approximation(rng, **parts)
    names = [*("centre", "spread", "scale", "skip", "terms"), *("products", "layers", "activation", "mean", "basis")]
    save_onnx(tmp_path / "m.onnx", approximation_graph(**{name: getattr(model, name) for name in names}), {})
    for count in (1, 6):
        controls = rng.normal(size=(count, 4))
        vertices, _ = run(tmp_path / "m.onnx", controls=controls)
        expected = model.evaluate(controls.astype(np.float32).astype(np.float64))
        np.testing.assert_allclose(vertices, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("with_basis", [True, False])
def test_an_encoder_gives_the_controls_that_numpy_gives_within_their_bounds(with_basis, tmp_path):
    rng = np.random.default_rng(2)
    lower, upper, neutral = np.array([0.0, -1.0, 0.5]), np.array([1.0, 2.0, 0.5]), np.array([0.2, 0.0, 0.5])
    basis = np.linalg.qr(rng.normal(size=(12, 5)))[0].T if with_basis else None
    components = 5 if with_basis else 12
    layers = tuple((rng.normal(size=s), rng.normal(size=s[0])) for s in [(8, components), (3, 8)])
    encoder = Encoder(
        control_spec(["a", "b", "c"], lower, upper, neutral),
        rng.normal(size=12),
        basis,
        rng.uniform(0.5, 2, components),
        rng.normal(size=(3, components)),
        layers,
    )
    spec = encoder.spec
    graph = encoder_graph(
        mean=encoder.mean, basis=basis, unit=encoder.unit, skip=encoder.skip, layers=layers,
        neutral=spec.neutral, span=spec.range, lower=lower, upper=upper,
    )  # fmt: skip
    save_onnx(tmp_path / "e.onnx", graph, {"controls": json.dumps(list(spec.names))})
    vertices = rng.normal(size=(40, 4, 3)).astype(np.float32).astype(np.float64)
    controls, metadata = run(tmp_path / "e.onnx", vertices=vertices)
    np.testing.assert_allclose(controls, encoder.encode(vertices), atol=1e-5)
    assert (controls[:, 0] == 0).any()
    assert (controls[:, 0] == 1).any()
    assert json.loads(metadata["controls"]) == ["a", "b", "c"]


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BunrakuError, match=r"needs the package onnx; install bunraku\[onnx\]"):
        formats_onnx.require_onnx(tmp_path / "x.onnx")
