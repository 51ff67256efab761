"""The player in a Python that has numpy and nothing else."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bunraku.player
from bunraku.imitation.policy import Policy
from bunraku.imitation.slot import Slot
from bunraku.player import FORMAT, Player

SOURCE = Path(bunraku.player.__file__)


def written(file, activation="elu", **changed):
    """A policy's file, and the policy."""
    rng = np.random.default_rng(0)
    layers = tuple(
        (rng.normal(size=s).astype(np.float32), rng.normal(size=s[0]).astype(np.float32)) for s in [(6, 3), (2, 6)]
    )
    policy = Policy(layers, activation, rng.normal(size=3), rng.uniform(0.5, 2, 3), (Slot("all", 3, "1"),))
    about = {"layout": [{"name": "all", "size": 3, "unit": "1"}], "activation": activation, "layers": 2, "limit": 10.0}
    controls = {
        "reference_control": np.array([1.0, 0.0]),
        "action_scale": np.array([2.0, 0.5]),
        "lowest_control": np.array([-1.0, -np.inf]),
        "highest_control": np.array([2.0, np.inf]),
    }
    texts = {"format": np.array(FORMAT), "about": np.array(json.dumps(about))}
    np.savez(file, **{**policy.arrays(""), **controls, **texts, **changed})
    return policy


@pytest.mark.parametrize("activation", ["relu", "elu", "silu", "tanh"])
def test_it_acts_as_the_policy_does(activation, tmp_path):
    policy = written(tmp_path / "p.npz", activation)
    player = Player(tmp_path / "p.npz")
    for shape in [(3,), (5, 3)]:
        seen = np.random.default_rng(1).normal(0, 20, shape).astype(np.float32)
        np.testing.assert_array_equal(player.act(seen), policy.act(seen))


def test_controls_are_reference_plus_scaled_action_within_limits(tmp_path):
    written(tmp_path / "p.npz")
    player = Player(tmp_path / "p.npz")
    seen = np.random.default_rng(1).normal(0, 20, (50, 3))
    raw = np.array([1.0, 0.0]) + np.array([2.0, 0.5]) * player.act(seen)
    controls = player.controls(seen)
    assert controls[:, 0].min() == -1
    assert controls[:, 0].max() == 2
    inside = (controls[:, 0] > -1) & (controls[:, 0] < 2)
    np.testing.assert_allclose(controls[inside], raw[inside])
    np.testing.assert_allclose(controls[:, 1], raw[:, 1])


PROGRAM = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("bunraku", "torch", "onnx", "mujoco", "scipy", "safetensors", "jaxtyping"):
            raise ImportError(name)
sys.meta_path.insert(0, Wall())
from player import Player
player = Player("p.npz")
print(*(repr(float(x)) for x in player.act([0.5, -1.0, 2.0])))
"""


def test_its_one_file_runs_without_the_package(tmp_path):
    policy = written(tmp_path / "p.npz")
    shutil.copy(SOURCE, tmp_path / "player.py")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    expected = policy.act(np.array([0.5, -1.0, 2.0], np.float32))
    np.testing.assert_allclose([float(x) for x in done.stdout.split()], expected, rtol=1e-6)


def test_its_syntax_is_that_of_python_3_9():
    ast.parse(SOURCE.read_text("utf-8"), feature_version=(3, 9))


def test_what_it_cannot_play_it_says(tmp_path):
    written(tmp_path / "p.npz", format=np.array("other"))
    with pytest.raises(ValueError, match="is not a policy that this player reads"):
        Player(tmp_path / "p.npz")
    written(tmp_path / "p.npz")
    with pytest.raises(ValueError, match="the observation has 2 numbers; expected 3"):
        Player(tmp_path / "p.npz").act([1.0, 2.0])
    written(tmp_path / "p.npz", mean=np.array([object()] * 3))
    with pytest.raises(ValueError, match="allow_pickle"):
        Player(tmp_path / "p.npz")
