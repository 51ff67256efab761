"""The published recipe, as far as seconds can show."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from bunraku.rigs.cube import Cube, animation


@pytest.fixture(scope="module")
def recipe():
    file = Path(__file__).parents[2] / "benchmarks" / "published_recipe.py"
    spec = importlib.util.spec_from_file_location("published_recipe", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["published_recipe"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["published_recipe"]


def test_it_learns_within_its_caps_and_says_that_they_cut_it(recipe):
    rig = Cube(published_vertices=True)
    shot = animation(64, seed=0, straight=True).values
    controls = np.random.default_rng(0).random((1000, 6))
    done = recipe.run_published(rig.evaluate, rig.neutral, controls, shot, cap_approximation_s=2.0, cap_encoder_s=1.0)
    assert done.approximation.capped
    assert done.encoder.capped
    assert done.approximation.epochs > 0
    assert done.approximation_error < 0.9
    assert done.controls.shape == shot.shape
    assert (done.controls > 0).all()  # a sigmoid never reaches its bounds
    assert (done.controls < 1).all()


def test_it_stops_by_its_own_rule_when_nothing_falls_any_more(recipe, monkeypatch):
    monkeypatch.setattr(recipe, "PATIENCE", 1)
    controls = np.random.default_rng(0).random((140, 6))
    still = recipe.train_published_approximation(controls, np.zeros((140, 2, 3)), cap_cpu_s=20.0)
    assert not still.capped


def test_the_same_seed_trains_the_same_network(recipe):
    rig, controls = Cube(), np.random.default_rng(0).random((132, 6))
    first, second = (
        recipe.train_published_approximation(controls, rig.evaluate(controls), 0.0, seed=4) for _ in range(2)
    )
    assert first.epochs == second.epochs == 1
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert (a == b).all()
