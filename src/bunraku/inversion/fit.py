"""From samples of a rig to its differentiable approximation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.compute.threads import one_thread
from bunraku.core import artifact
from bunraku.core.progress import Progress, silent
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.network import CHECKPOINT, Layers, NetworkConfig, Task
from bunraku.inversion.polynomial import Counted, PolynomialFit, fit_polynomial, no_polynomial
from bunraku.inversion.reduction import Reduced, reduce_samples, unreduced

_REDUCED = "reduced.safetensors"
ACTIVE = 0.02
"""Share of its range from which on a control is active."""


@dataclass(frozen=True)
class FitConfig:
    """How a rig is approximated."""

    components: int = 256
    """At most so many principal components of the mesh; 0 learns the vertices themselves."""
    explained: float = 2e-3
    """As few components are kept as leave this share of the motion (root of squares)."""
    skip: bool = True
    """A linear part beside the rest."""
    products: int = 500
    """At most so many products of controls, chosen by what they explain; 0 for none."""
    degree: int = 6
    """The highest degree of such a product."""
    enough: float = 0.02
    """Where linear part and products leave at most this share of the motion (root of squares, on the validation
    samples), no network is trained."""
    standardise: bool = True
    """Scale controls and coordinates before the network sees them."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network that learns, otherwise, what the linear part alone leaves."""
    seed: int = 0
    """Of initial weights, order and random projections."""


def published() -> FitConfig:
    """The published shape and recipe, on raw vertices (arXiv 2301.09567), with an epoch cap that it lacks."""
    network = NetworkConfig(
        hidden=(1024, 1024),
        activation="leaky_relu",
        epochs=2000,
        batch=32,
        learning_rate=1e-4,
        schedule="plateau",
        weight_decay=0.0,
        clip=0.0,
        patience=50,
        improvement=0.0,
    )
    return FitConfig(components=0, skip=False, products=0, standardise=False, network=network)


def quick() -> FitConfig:
    """A rougher approximation in a fraction of the time, without a network: for what is refined on the true rig."""
    return FitConfig(products=200, degree=4, network=NetworkConfig(hidden=()))


def fit(
    samples: SampleSet,
    cfg: FitConfig | None = None,
    *,
    out: Path | None = None,
    device: str = "cpu",
    weights: Float[np.ndarray, "vertices"] | None = None,
    progress: Progress = silent,
) -> Approximation:
    """The approximation of a sampled rig.

    Basis first, then linear part and products in closed form; where those are not good enough, a network beside the
    linear part alone, of which the best weights by validation are kept. `out`, an existing folder, holds checkpoints:
    the same call after an interruption goes on from there to the same weights. `weights` makes some vertices count
    more in the choice of the basis.
    """
    with one_thread():
        return _fit(samples, cfg or FitConfig(), out, device, weights, progress)


def _fit(
    samples: SampleSet, cfg: FitConfig, out: Path | None, device: str, weights: np.ndarray | None, progress: Progress
) -> Approximation:
    reduced = _reduced(samples, cfg, out, weights, progress)
    spec = samples.spec
    centre = spec.neutral if cfg.standardise else np.zeros(len(spec))
    spread = spec.range if cfg.standardise else np.ones(len(spec))
    train, validation = _sides(reduced, centre, spread, cfg)
    squares = (train.z**2).sum(axis=1, dtype=np.float64)
    motion = float(np.sqrt(train.counts @ squares / train.counts.sum())) or 1.0
    task = Task(train, validation, motion, from_zero=cfg.skip, standardise=cfg.standardise, seed=cfg.seed)
    closed, layers = _learn(task, cfg, out, device, progress)
    return _assemble(samples, cfg, reduced, closed, layers, centre, spread, motion)


def _learn(
    task: Task, cfg: FitConfig, out: Path | None, device: str, progress: Progress
) -> tuple[PolynomialFit, Layers]:
    """Products where they are good enough; else a network on the linear part, unless it validates worse."""
    train, held = task.train, task.validation
    closed, left = no_polynomial(train.u.shape[1], train.z.shape[1]), np.inf
    if cfg.skip and cfg.products:
        closed = fit_polynomial(train, held, cfg.products, cfg.degree, cfg.seed)
        left = task.error(held.z - closed(held.u))
        progress("products", 1, 1, f"validation error {100 * left:.3g} % of motion")
    if left <= cfg.enough or not (cfg.network.hidden and cfg.network.epochs):
        return closed, ()
    from bunraku.inversion.network_training import train as train_network

    linear = fit_polynomial(train, held, 0, 1, cfg.seed) if cfg.skip else closed
    rest = replace(
        task, train=replace(train, z=train.z - linear(train.u)), validation=replace(held, z=held.z - linear(held.u))
    )
    layers, error = train_network(rest, cfg.network, out, device, progress)
    return (linear, layers) if error < left else (closed, ())


def _sides(reduced: Reduced, centre: np.ndarray, spread: np.ndarray, cfg: FitConfig) -> tuple[Counted, Counted]:
    """Scaled controls and coordinates to learn from and to validate on; the same where nothing was held out."""
    u, v = (reduced.train_controls - centre) / spread, (reduced.validation_controls - centre) / spread
    typical = float((np.abs(u) > ACTIVE).sum(axis=1).mean()) if cfg.standardise else np.inf
    train = Counted(u, reduced.train_z, sample_counts(u, typical))
    return train, Counted(v, reduced.validation_z, sample_counts(v, typical)) if len(v) else train


def sample_counts(u: Float[np.ndarray, "samples controls"], typical: float) -> Float[np.ndarray, "samples"]:
    """How much the squares of each sample count: as (typical / active)² where more controls than usual are active.

    What a model leaves grows with the number of controls that are active at once; without a balance the few
    densest samples decide everything (generalised least squares with a deviation in proportion to that number).
    """
    active = (np.abs(u) > ACTIVE).sum(axis=1)
    return np.minimum(1.0, typical / np.maximum(active, 1)) ** 2


def _reduced(
    samples: SampleSet, cfg: FitConfig, out: Path | None, weights: np.ndarray | None, progress: Progress
) -> Reduced:
    file = None if out is None else out / _REDUCED
    if file is not None and file.is_file():
        stored = artifact.read_arrays(file)
        return Reduced(stored.pop("mean"), stored.pop("basis", None), float(stored.pop("left")[0]), **stored)
    if cfg.components == 0:
        return unreduced(samples)
    reduced = reduce_samples(samples, cfg.components, cfg.explained, cfg.seed, weights, progress)
    if file is not None:
        arrays = {**vars(reduced), "left": np.array([reduced.left])}
        artifact.write_arrays(file, arrays)
    return reduced


def forget_checkpoints(out: Path) -> None:
    """Remove what `fit` keeps in a folder to resume from."""
    for name in (CHECKPOINT, _REDUCED):
        (out / name).unlink(missing_ok=True)


def _assemble(
    samples: SampleSet,
    cfg: FitConfig,
    reduced: Reduced,
    closed: PolynomialFit,
    layers: Layers,
    centre: np.ndarray,
    spread: np.ndarray,
    motion: float,
) -> Approximation:
    # The closed form's constant moves into the mean: coordinates are relative to it anyway.
    constant = closed.constant if reduced.basis is None else closed.constant @ reduced.basis
    scaled = [*layers[:-1], (layers[-1][0] / motion, layers[-1][1] / motion)] if layers else []
    narrow = np.float32
    return Approximation(
        spec=samples.spec,
        faces=samples.faces,
        neutral=samples.neutral,
        centre=centre,
        spread=spread,
        mean=reduced.mean + constant,
        basis=None if reduced.basis is None else reduced.basis.astype(narrow),
        scale=motion,
        skip=(closed.skip / motion).astype(narrow) if cfg.skip else None,
        terms=closed.terms,
        products=(closed.products / motion).astype(narrow),
        layers=tuple((w.astype(narrow), b.astype(narrow)) for w, b in scaled),
        activation=cfg.network.activation,
    )
