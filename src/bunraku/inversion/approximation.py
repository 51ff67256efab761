"""A rig as a differentiable function: a basis of meshes, a sparse polynomial, and a small network for what
is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from bunraku.core import artifact
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.inversion.polynomial import Polynomial

KIND = "model"
_FRAMES = 64
"""Poses whose Jacobian is worked out at a time: what it takes between is several times its size."""
LEAK = 0.01
"""Slope of the leaky ReLU below 0, as published."""

Activation = Literal["silu", "leaky_relu"]


@dataclass(frozen=True, eq=False)
class Approximation:
    """mesh(c) = mean + Bᵀ·z(u),  z(u) = scale·(S·u + P·φ(u) + mlp(u)),  u = (c − centre) / spread.

    B is an orthonormal basis of mesh offsets (the identity where it is None), S a linear skip, φ a few
    monomials of u, mlp a fully connected network. Weights are stored in float32; meshes and coordinates
    are evaluated in float64 with them, Jacobians by float32 products.
    """

    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]
    """The rig's own mesh at `spec.neutral`, which the approximation only comes near to."""
    centre: Float[np.ndarray, "controls"]
    spread: Float[np.ndarray, "controls"]
    mean: Float[np.ndarray, "coordinates3"]
    """The mesh at z = 0, vertices flattened."""
    basis: Float[np.ndarray, "components coordinates3"] | None
    scale: float
    skip: Float[np.ndarray, "components controls"] | None
    terms: Int[np.ndarray, "terms degree"]
    """Each row lists the controls whose product is the monomial; the number of controls stands for 1."""
    products: Float[np.ndarray, "components terms"]
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """(weight (out, in), bias (out)) of every layer; none where no network is needed."""
    activation: Activation = "silu"

    @property
    def component_count(self) -> int:
        """How many coordinates a mesh has here."""
        return len(self.mean) if self.basis is None else len(self.basis)

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The approximate mesh of every pose, float64."""
        return self.expand(self.coordinates(controls)).reshape(len(controls), -1, 3)

    def expand(self, z: Float[np.ndarray, "poses components"]) -> Float[np.ndarray, "poses coordinates3"]:
        """Flattened meshes from their coordinates."""
        return self.wide.mean + (z if self.wide.basis is None else z @ self.wide.basis)

    def project(self, vertices: Float[np.ndarray, "poses vertices 3"]) -> Float[np.ndarray, "poses components"]:
        """The coordinates of any meshes, z = B·(Y − mean)."""
        offset = vertices.reshape(len(vertices), -1) - self.wide.mean
        return offset if self.wide.basis is None else offset @ self.wide.basis.T

    def coordinates(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses components"]:
        """z of every pose, float64."""
        w, u = self.wide, self._inputs(controls)
        z = w.polynomial.evaluate(u) @ w.products.T
        if w.skip is not None:
            z += u @ w.skip.T
        if w.layers:
            z += self._forward(u)[0]
        return w.scale * z

    def jacobian(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses controls components"]:
        """∂z/∂c of every pose, transposed (a row per control), float32."""
        u = self._inputs(controls)
        rows = np.empty((*u.shape, self.component_count), np.float32)
        for start in range(0, len(u), _FRAMES):
            rows[start : start + _FRAMES] = self._rows(u[start : start + _FRAMES])
        return rows

    def _rows(self, u: np.ndarray) -> np.ndarray:
        """Forward mode with the controls as rows: every layer is one large product over (poses · controls, width)."""
        w = self.narrow
        rows = np.zeros((*u.shape, self.component_count), np.float32)
        if w.layers:
            rows += self._network_rows(u)
        if len(w.terms):
            rows += w.polynomial.derivative(u).astype(np.float32) @ w.products.T
        if w.skip is not None:
            rows += w.skip.T
        rows *= (w.scale / w.spread)[:, None]
        return rows

    def jvp(
        self, controls: Float[np.ndarray, "poses controls"], tangents: Float[np.ndarray, "poses controls"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """Jacobian times tangents."""
        dz = np.einsum("nck,nc->nk", self.jacobian(controls), tangents)
        return (dz if self.wide.basis is None else dz @ self.wide.basis).reshape(len(dz), -1, 3)

    def vjp(
        self, controls: Float[np.ndarray, "poses controls"], cotangents: Float[np.ndarray, "poses vertices 3"]
    ) -> Float[np.ndarray, "poses controls"]:
        """Transposed Jacobian times cotangents."""
        flat = cotangents.reshape(len(cotangents), -1)
        dz = flat if self.wide.basis is None else flat @ self.wide.basis.T
        return np.einsum("nck,nk->nc", self.jacobian(controls), dz)

    def reduce(self) -> Coordinates:
        """The rig in the coordinates z."""
        return Coordinates(self)

    def _inputs(self, controls: np.ndarray) -> np.ndarray:
        return (np.asarray(controls, np.float64) - self.wide.centre) / self.wide.spread

    def _forward(self, u: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """The network's output and the derivative of every hidden unit's activation."""
        slopes: list[np.ndarray] = []
        for i, (weight, bias) in enumerate(self.wide.layers):
            u = u @ weight.T + bias
            if i + 1 < len(self.layers):
                u, slope = activate(u, self.activation)
                slopes.append(slope)
        return u, slopes

    def _network_rows(self, u: np.ndarray) -> np.ndarray:
        _, slopes = self._forward(u)
        layers = self.narrow.layers
        if len(layers) == 1:
            return layers[0][0].T
        rows = layers[0][0].T * slopes[0].astype(np.float32)[:, None, :]
        for i, (weight, _) in enumerate(layers[1:], 1):
            rows = rows @ weight.T
            if i < len(slopes):
                rows *= slopes[i].astype(np.float32)[:, None, :]
        return rows

    @cached_property
    def wide(self) -> Weights:
        """The weights in float64."""
        return _weights(self, np.float64)

    @cached_property
    def narrow(self) -> Weights:
        """The weights in float32."""
        return _weights(self, np.float32)


@dataclass(frozen=True, eq=False)
class Coordinates:
    """An `Approximation` as a `ReducedRig`: its coordinates are z."""

    model: Approximation
    axes: int = 1

    @property
    def concurrent(self) -> bool:
        """Nothing is kept between calls."""
        return True

    @property
    def basis(self) -> Float[np.ndarray, "components rows"] | None:
        """B; None for a model on raw vertices."""
        return self.model.wide.basis

    @property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh at z = 0."""
        return self.model.mean.reshape(-1, 3)

    def evaluate(self, controls: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames coordinates"]:
        """z at given controls, float64."""
        return self.model.coordinates(controls)

    def linearize(
        self, controls: Float[np.ndarray, "frames controls"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames controls coordinates"]]:
        """z at given controls (float64), and its transposed Jacobian (float32)."""
        return self.model.coordinates(controls), self.model.jacobian(controls)


@dataclass(frozen=True, eq=False)
class Weights:
    """The same weights in one precision."""

    centre: np.ndarray
    spread: np.ndarray
    mean: np.ndarray
    basis: np.ndarray | None
    scale: float
    skip: np.ndarray | None
    terms: np.ndarray
    polynomial: Polynomial
    products: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]


def _weights(model: Approximation, dtype: type[np.floating]) -> Weights:
    def cast(array: np.ndarray) -> np.ndarray:
        return array.astype(dtype)

    return Weights(
        cast(model.centre),
        cast(model.spread),
        cast(model.mean),
        None if model.basis is None else cast(model.basis),
        model.scale,
        None if model.skip is None else cast(model.skip),
        model.terms,
        Polynomial(model.terms, len(model.spec)),
        cast(model.products),
        tuple((cast(weight), cast(bias)) for weight, bias in model.layers),
    )


def activate(x: np.ndarray, activation: Activation) -> tuple[np.ndarray, np.ndarray]:
    """The activation of hidden units, and its derivative: x·σ(x), or x for x > 0 and LEAK·x below."""
    if activation == "leaky_relu":
        slope = np.where(x > 0, 1.0, LEAK)
        return x * slope, slope
    gate = 0.5 * (1.0 + np.tanh(0.5 * x))  # σ(x) without overflow
    return x * gate, gate * (1.0 + x * (1.0 - gate))


def save_model(path: Path, model: Approximation, result: Mapping[str, Any]) -> None:
    """Finish the output folder `path` (opened with `artifact.open_output` as kind "model") with a model.

    `result` is what the command prints, JSON-able.
    """
    spec = model.spec
    arrays: dict[str, np.ndarray] = {
        "lower": spec.lower,
        "upper": spec.upper,
        "neutral_controls": spec.neutral,
        "driven": spec.driven,
        "rotations": spec.rotations,
        "faces": model.faces,
        "neutral": model.neutral,
        "centre": model.centre,
        "spread": model.spread,
        "mean": model.mean,
        "terms": model.terms,
        "products": model.products,
    }
    if model.basis is not None:
        arrays["basis"] = model.basis
    if model.skip is not None:
        arrays["skip"] = model.skip
    for i, (weight, bias) in enumerate(model.layers):
        arrays |= {f"layer{i}.weight": weight, f"layer{i}.bias": bias}
    description = {
        "names": list(spec.names),
        "units": list(spec.units),
        "scale": model.scale,
        "activation": model.activation,
        "layers": len(model.layers),
    }
    artifact.finish_output(path, arrays, description, result)


def load_model(path: Path) -> Approximation:
    """Read a model.

    Raises:
        BunrakuError: no model there, an unfinished one, a newer schema, corrupt arrays.
    """
    stored = artifact.load(path, KIND)
    about, arrays = stored.manifest["description"], stored.arrays
    spec = control_spec(
        about["names"],
        arrays["lower"],
        arrays["upper"],
        arrays["neutral_controls"],
        about["units"],
        arrays["driven"],
        arrays["rotations"],
    )
    return Approximation(
        spec=spec,
        faces=arrays["faces"],
        neutral=arrays["neutral"],
        centre=arrays["centre"],
        spread=arrays["spread"],
        mean=arrays["mean"],
        basis=arrays.get("basis"),
        scale=about["scale"],
        skip=arrays.get("skip"),
        terms=arrays["terms"],
        products=arrays["products"],
        layers=tuple((arrays[f"layer{i}.weight"], arrays[f"layer{i}.bias"]) for i in range(about["layers"])),
        activation=about["activation"],
    )
