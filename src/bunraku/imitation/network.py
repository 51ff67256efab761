"""Small fully connected networks, their gradients by hand, and Adam.

Nets of this size spend half of a gradient step on the bookkeeping of automatic differentiation; and all that is needed
of it is the chain rule through one kind of layer. Parameters are one vector, so that a step is a few operations on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32

from bunraku.imitation.mirror import Reflection
from bunraku.imitation.policy import Activation, activated

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]
"""(weight, bias) of each linear layer."""
_BLOCK = 256
Pull = Callable[[Float[np.ndarray, "rows out"], Float[np.ndarray, "parameters"]], None]
"""Writes what a loss' gradient with respect to outputs is with respect to the parameters, into its second argument."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Linear layers with an activation between them."""

    widths: tuple[int, ...]
    """Inputs, hidden layers, outputs."""
    activation: Activation
    parameters: Float[np.ndarray, "parameters"]
    """Weights (row by row) and biases, layer by layer; changed in place."""

    @property
    def layers(self) -> Layers:
        """Views of the parameters."""
        return _layers(self.widths, self.parameters)

    def __call__(self, x: Float[np.ndarray, "rows into"]) -> Float[np.ndarray, "rows out"]:
        """What it gives for rows of inputs."""
        layers = self.layers
        y = np.empty((len(x), self.widths[-1]), x.dtype)
        # In blocks, so that what lies between layers stays in the processor's cache.
        for first in range(0, len(x), _BLOCK):
            inner = x[first : first + _BLOCK]
            for weight, bias in layers[:-1]:
                inner = activated(inner @ weight.T + bias, self.activation)
            weight, bias = layers[-1]
            y[first : first + _BLOCK] = inner @ weight.T + bias
        return y

    def traced(self, x: Float[np.ndarray, "rows into"]) -> tuple[Float[np.ndarray, "rows out"], Pull]:
        """The same, and how gradients come back through it."""
        layers, inputs, sums = self.layers, [x], list[np.ndarray]()
        for weight, bias in layers[:-1]:
            sums.append(inputs[-1] @ weight.T)
            sums[-1] += bias
            inputs.append(activated(sums[-1], self.activation))
        weight, bias = layers[-1]

        def pull(gradient: np.ndarray, out: np.ndarray) -> None:
            places = _layers(self.widths, out)
            for k in reversed(range(len(layers))):
                # y = W·x + b: dL/dW = dL/dy·xᵀ, dL/db = dL/dy, dL/dx = Wᵀ·dL/dy
                np.matmul(gradient.T, inputs[k], out=places[k][0])
                gradient.sum(axis=0, out=places[k][1])
                if k:
                    gradient = gradient @ layers[k][0]
                    gradient *= slope(sums[k - 1], inputs[k], self.activation)

        return inputs[-1] @ weight.T + bias, pull


@dataclass(frozen=True, eq=False)
class Symmetric:
    """(f(s) + M'·f(M·s))/2 of a network f: what it gives for a mirror image is the mirror image of what it gives."""

    net: Dense
    seen: Reflection
    given: Reflection

    @property
    def parameters(self) -> Float[np.ndarray, "parameters"]:
        """Of f; changed in place."""
        return self.net.parameters

    def __call__(self, x: Float[np.ndarray, "rows into"]) -> Float[np.ndarray, "rows out"]:
        """What it gives for rows of inputs."""
        return self._both(self.net(self._beside(x)))

    def traced(self, x: Float[np.ndarray, "rows into"]) -> tuple[Float[np.ndarray, "rows out"], Pull]:
        """The same, and how gradients come back through it."""
        y, pull = self.net.traced(self._beside(x))

        def back(gradient: np.ndarray, out: np.ndarray) -> None:
            # A reflection is its own transpose.
            pull(np.concatenate([gradient, self.given.of(gradient)]) / 2, out)

        return self._both(y), back

    def _beside(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, self.seen.of(x)])

    def _both(self, y: np.ndarray) -> np.ndarray:
        own, other = np.split(y, 2)
        return (own + self.given.of(other)) / 2

    @property
    def layers(self) -> Layers:
        """The same as a plain network of twice the width: f beside M'·f(M·s), summed by the last layer."""
        own = self.net.layers
        image = [*own]
        # A reflection is its own inverse, so that W·M has the columns of W as M has a row's numbers.
        image[0] = (self.seen.of(image[0][0]), image[0][1])
        image[-1] = (self.given.of(image[-1][0].T).T, self.given.of(image[-1][1]))
        made: list[tuple[np.ndarray, np.ndarray]] = []
        for k, ((weight, bias), (other, offset)) in enumerate(zip(own, image, strict=True)):
            (rows, columns), nothing = weight.shape, np.zeros_like(weight)
            wide, both = np.block([[weight, nothing], [nothing, other]]), np.concatenate([bias, offset])
            if k == 0:
                wide = wide[:, :columns] + wide[:, columns:]
            if k + 1 == len(own):
                wide, both = (wide[:rows] + wide[rows:]) / 2, (both[:rows] + both[rows:]) / 2
            made.append((wide, both))
        return tuple(made)


Network = Dense | Symmetric


def slope(
    x: Float[np.ndarray, "rows width"], y: Float[np.ndarray, "rows width"], activation: Activation
) -> Float[np.ndarray, "rows width"]:
    """dy/dx of an activation y(x)."""
    if activation == "relu":
        return (x > 0).astype(x.dtype)
    if activation == "tanh":
        return 1 - y * y
    if activation == "elu":
        # eˣ = y + 1 below 0.
        dy = np.minimum(y, 0)
        dy += 1
        return dy
    # silu: with s = sigmoid(x), s + x·s·(1 − s) = s + y·(1 − s).
    sigmoid = 0.5 * (1 + np.tanh(x / 2))
    return sigmoid + y * (1 - sigmoid)


def size(widths: Sequence[int]) -> int:
    """How many parameters a network has."""
    return sum((wide + 1) * narrow for wide, narrow in pairwise(widths))


def orthogonal(widths: Sequence[int], last_gain: float, rng: np.random.Generator) -> Float32[np.ndarray, "parameters"]:
    """Parameters to start from: orthogonal weights (Saxe et al. 2014, arXiv 1312.6120) and zero biases."""
    parameters = np.zeros(size(widths), np.float32)
    layers = _layers(widths, parameters)
    for i, (weight, _) in enumerate(layers):
        gain = last_gain if i + 1 == len(layers) else 2.0**0.5
        rows, columns = weight.shape
        weight[:] = gain * _orthogonal(rows, columns, rng)
    return parameters


def _orthogonal(rows: int, columns: int, rng: np.random.Generator) -> Float32[np.ndarray, "rows columns"]:
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).astype(np.float32)


def _layers(widths: Sequence[int], parameters: np.ndarray) -> Layers:
    made: list[tuple[np.ndarray, np.ndarray]] = []
    at = 0
    for wide, narrow in pairwise(widths):
        end = at + wide * narrow
        made.append((parameters[at:end].reshape(narrow, wide), parameters[end : end + narrow]))
        at = end + narrow
    return tuple(made)


class Adam:
    """Kingma & Ba 2015 (arXiv 1412.6980), in place on one vector."""

    def __init__(self, parameters: Float32[np.ndarray, "parameters"]) -> None:
        self.parameters, self.steps = parameters, 0
        self.moment, self.square = np.zeros_like(parameters), np.zeros_like(parameters)
        self._spare = np.empty_like(parameters)

    def descend(self, gradient: Float32[np.ndarray, "parameters"], rate: float, greatest: float = 0.0) -> None:
        """One step; a gradient longer than `greatest` is shortened to it (0: never). `gradient` is overwritten."""
        first, second, least = 0.9, 0.999, 1e-8
        if greatest > 0:
            length = float(np.sqrt(gradient @ gradient))
            # Not a number here must stay one, so that the loss shows it.
            if not length <= greatest:
                gradient *= greatest / length
        self.steps += 1
        # m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g²                       (algorithm 1)
        spare = np.multiply(gradient, 1 - first, out=self._spare)
        self.moment *= first
        self.moment += spare
        gradient *= gradient
        gradient *= 1 - second
        self.square *= second
        self.square += gradient
        # θ ← θ − α·m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ): with c = √(1 − β₂ᵗ), √v̂ + ε = (√v + ε·c)/c
        correction = (1 - second**self.steps) ** 0.5
        np.sqrt(self.square, out=gradient)
        gradient += least * correction
        np.divide(self.moment, gradient, out=gradient)
        gradient *= rate * correction / (1 - first**self.steps)
        self.parameters -= gradient

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """A copy of the parameters and of what it remembers, by name."""
        arrays = {"": self.parameters, ":moment": self.moment, ":square": self.square, ":steps": np.array([self.steps])}
        return {f"{prefix}{name}": array.copy() for name, array in arrays.items()}

    def restore(self, state: Mapping[str, np.ndarray], prefix: str) -> None:
        """The opposite of `state`."""
        self.parameters[:] = state[prefix]
        self.moment[:], self.square[:] = state[f"{prefix}:moment"], state[f"{prefix}:square"]
        self.steps = int(state[f"{prefix}:steps"][0])
