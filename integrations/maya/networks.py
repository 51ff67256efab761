"""What the nodes compute: an exported policy or encoder, with numpy alone. Knows nothing of Maya.

Needs `player.py` (a copy of `bunraku/player.py`) in the same folder, or the package `bunraku` installed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

try:
    from bunraku.player import FORMAT, Player
except ImportError:
    from player import FORMAT, Player


class PolicyNetwork:
    """A policy from `bunraku mimic export RUN --to policy.npz`: observations in, settings of actuators out."""

    def __init__(self, path: str | Path) -> None:
        """Read it; ValueError where it is none, or one that follows a clip (a `player.Follower` plays those)."""
        self._player = Player(path)
        if "clip" in self._player.about:
            raise ValueError(f"{path}: its policy follows a clip, which takes more than one node's inputs")
        self.inputs = [
            slot["name"] if slot["size"] == 1 else f"{slot['name']}[{index}]"
            for slot in self._player.layout
            for index in range(slot["size"])
        ]
        """Names of the observation's numbers."""
        self.outputs = list(self._player.about["actuators"])
        """Names of the actuators, whose torques [N m] or target angles [rad] come out."""

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The actuators' settings for one observation; what is missing at its end counts as 0."""
        given = np.zeros(len(self.inputs))
        given[: len(observation)] = observation[: len(given)]
        return self._player.controls(given)


class EncoderNetwork:
    """An encoder from `bunraku rig export ENCODER --to encoder.npz`: a mesh in, controls out.

    controls = clip(neutral + range·(S·x + mlp(x))), x = B·(Y − mean)/unit, by the sigmoid-weighted unit.
    """

    def __init__(self, path: str | Path) -> None:
        """Read it; ValueError where it is none."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        needed = {"description", "mean", "unit", "skip", "lower", "upper", "neutral_controls"}
        if not needed <= arrays.keys():
            raise ValueError(f"{path}: is no encoder (lacks {', '.join(sorted(needed - arrays.keys()))})")
        about = json.loads(arrays["description"].tobytes())
        self.outputs, self.units = list(about["names"]), list(about["units"])
        """Names and units of the controls."""
        self.vertices = len(arrays["mean"]) // 3
        """How many points the mesh must have, in the order in which the rig was sampled."""
        self._layers = [(arrays[f"layer{i}.weight"], arrays[f"layer{i}.bias"]) for i in range(about["layers"])]
        self._mean, self._basis, self._unit = arrays["mean"], arrays.get("basis"), arrays["unit"]
        self._skip, self._neutral = arrays["skip"], arrays["neutral_controls"]
        self._lower, self._upper = arrays["lower"], arrays["upper"]

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """The controls (C,) of a mesh (V, 3), in the unit and space in which the rig was sampled."""
        if vertices.shape != (self.vertices, 3):
            raise ValueError(f"a mesh of shape {vertices.shape}; expected {(self.vertices, 3)}")
        away = vertices.reshape(-1) - self._mean
        x = (away if self._basis is None else self._basis @ away) / self._unit
        hidden = x
        for weight, bias in self._layers[:-1]:
            hidden = weight @ hidden + bias
            hidden = hidden * 0.5 * (1 + np.tanh(hidden / 2))
        weight, bias = self._layers[-1]
        share = self._skip @ x + weight @ hidden + bias
        return np.clip(self._neutral + share * (self._upper - self._lower), self._lower, self._upper)


def load_network(path: str | Path) -> PolicyNetwork | EncoderNetwork:
    """Whichever of the two a file holds; ValueError where it is neither."""
    with np.load(path, allow_pickle=False) as file:
        is_policy = "format" in file.files and str(file["format"]) == FORMAT
    return PolicyNetwork(path) if is_policy else EncoderNetwork(path)


class Remembered:
    """The network of the file that was asked for last; read again when the file changes."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._key, self._network = None, None

    def of(self, path: str) -> PolicyNetwork | EncoderNetwork:
        """The network of a file. OSError or ValueError where there is none."""
        key = (path, Path(path).stat().st_mtime_ns)
        if key != self._key:
            self._network, self._key = load_network(path), key
        return self._network
