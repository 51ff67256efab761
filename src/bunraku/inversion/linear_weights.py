"""An approximation as a linear function of some of its weights, and how they are corrected by least squares."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from bunraku.inversion.approximation import Approximation, activate
from bunraku.inversion.polynomial import Polynomial, Term, as_rows

ROWS = 2048


@dataclass(frozen=True, eq=False)
class Left:
    """Scaled controls, what the approximation leaves to explain, and how much the squares of each sample count."""

    u: Float[np.ndarray, "samples controls"]
    left: Float[np.ndarray, "samples components"]
    counts: Float[np.ndarray, "samples"]

    @property
    def squares(self) -> float:
        """In all, counted."""
        return float(self.counts @ (self.left.astype(np.float64) ** 2).sum(axis=1))


def network_output(model: Approximation, u: Float[np.ndarray, "poses controls"]) -> np.ndarray:
    """What the network adds to z / scale."""
    weight, bias = model.wide.layers[-1]
    return hidden_units(model, u) @ weight.T + bias


def hidden_units(model: Approximation, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses units"]:
    """The activations that the network's last layer takes; none where there is no network."""
    if not model.layers:
        return np.zeros((len(u), 0))
    for weight, bias in model.wide.layers[:-1]:
        u = activate(u @ weight.T + bias, model.activation)[0]
    return u


class Features:
    """1, the controls, all products and the last hidden units: what the approximation is linear in."""

    def __init__(self, model: Approximation, extra: list[Term]) -> None:
        self.model = model
        controls = len(model.spec)
        present = [tuple(int(i) for i in row if i < controls) for row in model.terms]
        self.present = present
        self.extra = extra
        self.products = Polynomial(as_rows([(), *((i,) for i in range(controls)), *present], controls), controls)
        self.more = Polynomial(as_rows(extra, controls), controls)
        units = len(model.layers[-1][0].T) if model.layers else 0
        self.fixed: Int[np.ndarray, "features"] = np.arange(1 + controls + len(present) + units)

    def __call__(self, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses features"]:
        """The features of scaled controls; new products come last."""
        return np.concatenate([self.products.evaluate(u), hidden_units(self.model, u), self.more.evaluate(u)], axis=1)

    def normal_equations(self, data: Left) -> tuple[np.ndarray, np.ndarray]:
        """FᵀWF (features, features) and FᵀW·left (features, components), W the counts."""
        size = len(self.fixed) + len(self.extra)
        gram, moment = np.zeros((size, size)), np.zeros((size, data.left.shape[1]))
        for start in range(0, len(data.u), ROWS):
            rows = slice(start, start + ROWS)
            part = self(data.u[rows])
            counted = part.T * data.counts[rows]
            gram += counted @ part
            moment += counted @ data.left[rows]
        return gram, moment

    def applied(self, weights: Float[np.ndarray, "kept components"], kept: Int[np.ndarray, "kept"]) -> Approximation:
        """The approximation with these weights added to its own."""
        model, controls = self.model, len(self.model.spec)
        constant, linear, rest = weights[0], weights[1 : 1 + controls].T, weights[1 + controls :].T / model.scale
        shift = constant if model.basis is None else constant @ model.wide.basis
        skip = linear / model.scale + (0.0 if model.skip is None else model.skip)
        products, rest = rest[:, : len(self.present)] + model.products, rest[:, len(self.present) :]
        layers = model.layers
        if layers:
            units = len(self.fixed) - 1 - controls - len(self.present)
            weight, bias = layers[-1]
            layers = (*layers[:-1], ((weight + rest[:, :units]).astype(np.float32), bias))
            rest = rest[:, units:]
        terms = as_rows([*self.present, *self.extra[: len(kept) - len(self.fixed)]], controls)
        products = np.concatenate([products, rest], axis=1).astype(np.float32)
        return replace(
            model, mean=model.mean + shift, skip=skip.astype(np.float32), terms=terms, products=products, layers=layers
        )


def ridge_regression(
    known: tuple[np.ndarray, np.ndarray],
    new: tuple[np.ndarray, np.ndarray],
    favour: float,
    ridge: float,
    kept: Int[np.ndarray, "kept"],
) -> Float[np.ndarray, "kept components"]:
    """What to add to the weights of the `kept` features, from the normal equations of known and new samples.

    Squares of new samples count `favour` times more. `ridge` is a share of each feature's squares that holds its
    weight where it is; a feature that is always 0 gets nothing.
    """
    gram = (known[0] + favour * new[0])[np.ix_(kept, kept)]
    moment = (known[1] + favour * new[1])[kept]
    size = np.sqrt(np.diag(gram))
    unit = np.where(size > 0, 1 / np.where(size > 0, size, 1), 0)
    scaled = gram * unit[:, None] * unit + ridge * np.eye(len(gram))
    return np.linalg.solve(scaled, moment * unit[:, None]) * unit[:, None]
