"""A network from meshes straight to controls, trained through a rig's approximation: the published method put right.

Training an inverse-rig model through a forward model may be covered by US 12,586,281 B2; the direct solver (`solve`)
is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.compute.threads import one_thread
from bunraku.core import artifact
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.reduced import observe
from bunraku.inversion.approximation import Approximation, activate
from bunraku.inversion.draw import SampleConfig, draw
from bunraku.inversion.network import Layers

KIND = "encoder"


@dataclass(frozen=True)
class EncoderConfig:
    """How an encoder is trained."""

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the network that corrects the linear inverse."""
    samples: int = 4000
    """Poses drawn from the approximation beside the capture's frames, so that the encoder serves other shots too."""
    active: float = 16.0
    """Mean number of controls that are active at once in those poses."""
    controls: float = 0.1
    """Weight of the drawn poses' own controls in the loss, beside the mesh that is what counts."""
    epochs: int = 40
    """At most so many passes over the drawn poses."""
    batch: int = 128
    """Poses, and as many frames of the capture, in one step."""
    learning_rate: float = 4e-3
    """The highest learning rate of the one-cycle schedule."""
    patience: int = 15
    """Stop after so many epochs without improvement."""
    improvement: float = 1e-3
    """The error on the capture counts as improved when it falls by at least this share."""
    seed: int = 0
    """Of drawn poses, initial weights and order."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """controls(Y) = clip(neutral + range·(S·x + mlp(x))), x = B·(Y − mean) / unit.

    It is linear at its end, so that bounds are reached exactly, and its last bias is such that the neutral mesh
    gives the neutral controls. Also a `core.reduced.MeshBasis`.
    """

    spec: ControlSpec
    mean: Float[np.ndarray, "coordinates3"]
    basis: Float[np.ndarray, "components coordinates3"] | None
    unit: Float[np.ndarray, "components"]
    skip: Float[np.ndarray, "controls components"]
    layers: Layers
    axes: int = 1

    @property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh whose coordinates are 0."""
        return self.mean.reshape(-1, 3)

    def encode(
        self,
        vertices: Float[np.ndarray, "frames vertices 3"],
        weights: Float[np.ndarray, "#frames vertices"] | None = None,
    ) -> Float[np.ndarray, "frames controls"]:
        """Controls of every frame, within their bounds.

        Vertices of weight 0 are missing: the coordinates are then those of the weighted least-squares fit of
        the rest, so that what is missing is filled in by the basis.
        """
        return self.from_coordinates(observe(self, vertices, weights).target)

    def from_coordinates(self, z: Float[np.ndarray, "frames components"]) -> Float[np.ndarray, "frames controls"]:
        """Controls from the coordinates B·(Y − mean)."""
        x = z / self.unit
        hidden = x
        for weight, bias in self.layers[:-1]:
            hidden = activate(hidden @ weight.T + bias, "silu")[0]
        weight, bias = self.layers[-1]
        relative = x @ self.skip.T + hidden @ weight.T + bias
        return np.clip(self.spec.neutral + relative * self.spec.range, self.spec.lower, self.spec.upper)


def train_encoder(
    model: Approximation,
    capture: MeshSequence | None,
    cfg: EncoderConfig | None = None,
    *,
    out: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Encoder:
    """An encoder for a capture (and, by the poses drawn beside it, for other shots of the rig).

    The loss is the distance between meshes that go in and the frozen approximation's meshes of the controls
    that come out, in its coordinates; of the weights those with the least error on the capture are kept.
    Without a capture it is trained on drawn poses alone. `out`, an existing folder, holds checkpoints.
    """
    with one_thread():
        return _train(model, capture, cfg or EncoderConfig(), out, device, progress)


def _train(
    model: Approximation,
    capture: MeshSequence | None,
    cfg: EncoderConfig,
    out: Path | None,
    device: str,
    progress: Progress,
) -> Encoder:
    from bunraku.inversion.encoder_training import EncoderTask, train

    spec = model.spec
    poses = draw(spec, SampleConfig(samples=cfg.samples, active=cfg.active, seed=cfg.seed), np.arange(cfg.samples))
    z = model.coordinates(poses)
    shot = z[:0] if capture is None else observe(model.reduce(), capture.vertices, _weights(capture)).target
    unit = np.maximum(z.std(axis=0), 1e-3 * z.std(axis=0).max())
    relative = (poses - spec.neutral) / spec.range
    skip = _linear_inverse(z / unit, relative)
    neutral_x = model.project(model.neutral[None])[0] / unit
    task = EncoderTask(model, z / unit, relative, shot / unit, unit, neutral_x, skip)
    layers = train(task, cfg, out, device, progress)
    basis = None if model.basis is None else model.basis.astype(np.float64)
    return Encoder(spec, model.mean, basis, unit, skip, layers)


def _weights(capture: MeshSequence) -> np.ndarray | None:
    if capture.valid is None and capture.weights is None:
        return None
    weights = np.ones((1, capture.vertex_count)) if capture.weights is None else capture.weights[None].astype(float)
    return weights if capture.valid is None else weights * capture.valid


def _linear_inverse(x: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """Ridge regression from coordinates to controls."""
    x = x - x.mean(axis=0)
    gram = x.T @ x
    ridge = 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram + ridge, x.T @ (relative - relative.mean(axis=0))).T


def save_encoder(path: Path, encoder: Encoder, result: Mapping[str, Any]) -> None:
    """Finish the output folder `path` (opened with `artifact.open_output` as kind "encoder") with an encoder."""
    spec = encoder.spec
    arrays = {
        "lower": spec.lower,
        "upper": spec.upper,
        "neutral_controls": spec.neutral,
        "driven": spec.driven,
        "rotations": spec.rotations,
        "mean": encoder.mean,
        "unit": encoder.unit,
        "skip": encoder.skip,
    }
    if encoder.basis is not None:
        arrays["basis"] = encoder.basis
    for i, (weight, bias) in enumerate(encoder.layers):
        arrays |= {f"layer{i}.weight": weight, f"layer{i}.bias": bias}
    description = {"names": list(spec.names), "units": list(spec.units), "layers": len(encoder.layers)}
    artifact.finish_output(path, arrays, description, result)


def load_encoder(path: Path) -> Encoder:
    """Read an encoder.

    Raises:
        BunrakuError: no encoder there, an unfinished one, a newer schema, corrupt arrays.
    """
    stored = artifact.load(path, KIND)
    about, arrays = stored.manifest["description"], stored.arrays
    lower, upper, neutral = (arrays[name] for name in ("lower", "upper", "neutral_controls"))
    spec = control_spec(about["names"], lower, upper, neutral, about["units"], arrays["driven"], arrays["rotations"])
    layers = tuple((arrays[f"layer{i}.weight"], arrays[f"layer{i}.bias"]) for i in range(about["layers"]))
    return Encoder(spec, arrays["mean"], arrays.get("basis"), arrays["unit"], arrays["skip"], layers)
