"""Plays an exported policy: needs numpy and nothing else, so that this one file can be copied next to the policy.

    player = Player("policy.npz")
    controls = player.controls(observation)   # what the character's actuators are set to, 1/control_hz long

`player.layout` says what the observation's numbers are, `player.about` what the policy was trained for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FORMAT = "bunraku policy 1"


class Player:
    """A policy from the file that `bunraku mimic export RUN --to policy.npz` writes."""

    def __init__(self, path: str | Path) -> None:
        """Read it. Raises ValueError where the file is not such a policy."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if str(arrays.get("format", "")) != FORMAT:
            raise ValueError(f"{path}: is not a policy that this player reads ({FORMAT})")
        self.about = json.loads(str(arrays["about"]))
        self.layout = self.about["layout"]
        self.activation = self.about["activation"]
        self.mean, self.deviation = arrays["mean"], arrays["deviation"]
        self.layers = [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(self.about["layers"])]
        self.reference, self.scale = arrays["reference_control"], arrays["action_scale"]
        self.lowest, self.highest = arrays["lowest_control"], arrays["highest_control"]

    def act(self, observation: np.ndarray | Sequence[float]) -> np.ndarray:
        """The action for an observation (numbers as `layout` lists them) or for rows of them."""
        observation = np.asarray(observation, np.float32)
        if observation.shape[-1] != len(self.mean):
            raise ValueError(f"the observation has {observation.shape[-1]} numbers; expected {len(self.mean)}")
        limit = self.about["limit"]
        x = np.clip((observation - self.mean) / self.deviation, -limit, limit).astype(np.float32)
        for weight, bias in self.layers[:-1]:
            x = _activated(x @ weight.T + bias, self.activation)
        weight, bias = self.layers[-1]
        return x @ weight.T + bias

    def controls(self, observation: np.ndarray | Sequence[float]) -> np.ndarray:
        """What the actuators are set to: reference + scale · action, within the actuators' limits."""
        return np.clip(self.reference + self.scale * self.act(observation), self.lowest, self.highest)


def _activated(x: np.ndarray, activation: str) -> np.ndarray:
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "tanh":
        return np.tanh(x)
    if activation == "elu":
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    return x * (np.float32(0.5) * (1 + np.tanh(x / 2)))
