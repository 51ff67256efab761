"""From samples of a rig to its differentiable approximation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bunraku.core import artifact
from bunraku.core.progress import Progress, silent
from bunraku.inversion.approximation import LEAK, Activation, Approximation
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.polynomial import PolynomialFit, fit_polynomial, no_polynomial
from bunraku.inversion.reduction import Reduced, reduce_samples, unreduced

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]

CHECKPOINT = "checkpoint.safetensors"
_REDUCED = "reduced.safetensors"
ACTIVE = 0.02
"""Share of its range from which on a control is active."""
_CHECKPOINT_EVERY_S = 5.0
_PLATEAU_PATIENCE = 20
_WARM_UP = 0.15
"""Share of a one-cycle schedule in which the learning rate rises."""


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
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the network that learns what the linear part and the products leave."""
    activation: Activation = "silu"
    """silu is smooth; leaky_relu is as published."""
    standardise: bool = True
    """Scale controls and coordinates before the network sees them."""
    target: float = 0.01
    """Validation error, as a share of the motion (root of squares), that is good enough to stop at."""
    epochs: int = 120
    """At most so many passes over the training samples."""
    batch: int = 128
    """Samples in one step of the network's training."""
    learning_rate: float = 2e-3
    """The highest learning rate of the schedule."""
    schedule: Literal["one_cycle", "plateau"] = "one_cycle"
    """one_cycle rises and falls once over the epochs; plateau halves when the training loss stalls."""
    weight_decay: float = 1e-4
    """Of AdamW, on weights."""
    clip: float = 1.0
    """Largest norm of a gradient; 0 does not clip."""
    patience: int = 40
    """Stop after so many epochs without improvement."""
    improvement: float = 1e-3
    """A validation error counts as improved when it falls by at least this share."""
    seed: int = 0
    """Of initial weights, order and random projections."""


def published() -> FitConfig:
    """The published shape and recipe, on raw vertices (arXiv 2301.09567), with an epoch cap that it lacks."""
    return FitConfig(
        components=0,
        skip=False,
        products=0,
        hidden=(1024, 1024),
        activation="leaky_relu",
        standardise=False,
        target=0.0,
        epochs=2000,
        batch=32,
        learning_rate=1e-4,
        schedule="plateau",
        weight_decay=0.0,
        clip=0.0,
        patience=50,
        improvement=0.0,
    )


def quick() -> FitConfig:
    """A rougher approximation in a fraction of the time: for warm starts and for refinement on the true
    rig."""
    return replace(FitConfig(), products=200, degree=4, epochs=0)


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

    Basis first, then the linear part and the products in closed form, then a network for what they leave, if
    the validation error is not good enough yet; the best weights by validation are kept. `out`, an existing
    folder, holds checkpoints: the same call after an interruption goes on from there to the same weights.
    `weights` makes some vertices count more in the choice of the basis.
    """
    cfg = cfg or FitConfig()
    reduced = _reduced(samples, cfg, out, weights, progress)
    spec = samples.spec
    centre = spec.neutral if cfg.standardise else np.zeros(len(spec))
    spread = spec.range if cfg.standardise else np.ones(len(spec))
    u, v = (reduced.train_controls - centre) / spread, (reduced.validation_controls - centre) / spread
    if len(v) == 0:
        v, reduced = u, replace(reduced, validation_z=reduced.train_z)
    counts, held_counts = (_counts(side) if cfg.standardise else np.ones(len(side)) for side in (u, v))
    motion = float(np.sqrt(counts @ (reduced.train_z.astype(np.float64) ** 2).sum(axis=1) / counts.sum())) or 1.0
    closed = no_polynomial(u.shape[1], reduced.train_z.shape[1])
    if cfg.skip:
        held = (v, reduced.validation_z, held_counts)
        closed = fit_polynomial((u, reduced.train_z, counts), held, cfg.products, cfg.degree, cfg.seed)
    task = _Task(u, reduced.train_z - closed(u), counts, v, reduced.validation_z - closed(v), held_counts, motion)
    with _one_thread(cfg, device):
        layers = _train(task, cfg, out, device, progress) if cfg.hidden and cfg.epochs else ()
    return _assemble(samples, cfg, reduced, closed, layers, centre, spread, motion)


def _counts(u: Float[np.ndarray, "samples controls"]) -> Float[np.ndarray, "samples"]:
    """How much the squares of each sample count.

    What a model leaves grows with the number of controls that are active at once; without a balance the few
    densest samples decide everything (generalised least squares with a deviation in proportion to that number).
    """
    active = (np.abs(u) > ACTIVE).sum(axis=1)
    counts = 1.0 / np.maximum(active, max(float(active.mean()), 1.0)) ** 2
    return counts / counts.mean()


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
        activation=cfg.activation,
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """What the network learns: from scaled controls the coordinates that the closed form leaves."""

    u: np.ndarray
    z: np.ndarray
    counts: np.ndarray
    validation_u: np.ndarray
    validation_z: np.ndarray
    validation_counts: np.ndarray
    motion: float

    def error(self, residual: np.ndarray) -> float:
        """Root of the mean squared residual on the validation samples, as a share of the motion."""
        squares = (residual.astype(np.float64) ** 2).sum(axis=1)
        return float(np.sqrt(self.validation_counts @ squares / self.validation_counts.sum()) / self.motion)


@dataclass
class _State:
    """Where a training is; with the weights and the optimiser's moments all that decides how it goes on."""

    epoch: int = 0
    best: float = np.inf
    stall: int = 0
    rate: float = 0.0
    plateau_best: float = np.inf
    plateau_stall: int = 0


def _train(task: _Task, cfg: FitConfig, out: Path | None, device: str, progress: Progress) -> Layers:
    """The network's layers on unscaled inputs and outputs; none when it would improve nothing."""
    mean, deviation = np.zeros(task.u.shape[1]), np.ones(task.u.shape[1])
    unit = 1.0
    if cfg.standardise:
        mean, deviation = task.u.mean(axis=0), np.maximum(task.u.std(axis=0), 1e-6)
        unit = float(np.sqrt((task.z.astype(np.float64) ** 2).mean())) or 1.0
    start = task.error(task.validation_z) if cfg.skip else np.inf
    if start <= cfg.target:
        return ()

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(device)

    data = (tensor((task.u - mean) / deviation), tensor(task.z / unit), tensor(task.counts[:, None]))
    v, held_out = tensor((task.validation_u - mean) / deviation), tensor(task.validation_z / unit)
    net = _network(task.u.shape[1], task.z.shape[1], cfg).to(device)
    optimiser = torch.optim.AdamW(net.parameters(), cfg.learning_rate, weight_decay=cfg.weight_decay)
    state, best = _restore(net, optimiser, out, _State(best=start, rate=cfg.learning_rate))
    saved = time.monotonic()
    while state.epoch < cfg.epochs and state.stall <= cfg.patience and state.best > cfg.target:
        loss = _one_epoch(net, optimiser, data, state, cfg)
        with torch.no_grad():
            error = task.error((net(v) - held_out).cpu().numpy() * unit)
        best = _judge(net, error, loss, state, best, cfg)
        progress("network", state.epoch, cfg.epochs, f"validation error {100 * state.best:.3g} % of motion")
        if out is not None and time.monotonic() - saved > _CHECKPOINT_EVERY_S:
            _save(net, optimiser, out, state, best)
            saved = time.monotonic()
    if out is not None:
        _save(net, optimiser, out, state, best)
    return _unscaled(best, mean, deviation, unit)


def _network(inputs: int, outputs: int, cfg: FitConfig) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        widths = [inputs, *cfg.hidden, outputs]
        modules: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            modules += [nn.Linear(wide, narrow), nn.SiLU() if cfg.activation == "silu" else nn.LeakyReLU(LEAK)]
        net = nn.Sequential(*modules[:-1])
        if cfg.skip:
            # It starts as nothing, so that training can only improve on the closed form.
            nn.init.zeros_(net[-1].weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(net[-1].bias)  # pyright: ignore[reportArgumentType]
    return net


def _one_epoch(
    net: nn.Sequential,
    optimiser: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor, Tensor],
    state: _State,
    cfg: FitConfig,
) -> float:
    """One pass in an order that depends on seed and epoch alone; the mean loss."""
    u, z, counts = data
    order = torch.from_numpy(np.random.default_rng([cfg.seed, 2, state.epoch]).permutation(len(u)))
    total = 0.0
    steps = -(-len(u) // cfg.batch)
    for step, rows in enumerate(order.split(cfg.batch)):
        optimiser.param_groups[0]["lr"] = _rate((state.epoch + step / steps) / cfg.epochs, state, cfg)
        optimiser.zero_grad()
        rows = rows.to(u.device)
        loss = (counts[rows] * (net(u[rows]) - z[rows]) ** 2).mean()
        loss.backward()
        if cfg.clip:
            nn.utils.clip_grad_norm_(net.parameters(), cfg.clip)
        optimiser.step()
        total += float(loss.detach()) * len(rows)
    return total / len(u)


def _rate(done: float, state: _State, cfg: FitConfig) -> float:
    """The learning rate at a share of the epochs: linear rise and half a cosine, or the plateau's."""
    if cfg.schedule == "plateau":
        return state.rate
    if done < _WARM_UP:
        return cfg.learning_rate * (0.1 + 0.9 * done / _WARM_UP)
    return cfg.learning_rate * (0.5 + 0.5 * np.cos(np.pi * (done - _WARM_UP) / (1 - _WARM_UP))) + 1e-7


def _judge(
    net: nn.Sequential, error: float, loss: float, state: _State, best: list[Tensor], cfg: FitConfig
) -> list[Tensor]:
    """Count the epoch, keep the best weights, halve a plateau's rate."""
    state.epoch += 1
    state.stall = 0 if error < state.best * (1 - cfg.improvement) else state.stall + 1
    if error < state.best:
        state.best = error
        best = [parameter.detach().clone() for parameter in net.parameters()]
    if loss < state.plateau_best * (1 - 1e-4):
        state.plateau_best, state.plateau_stall = loss, 0
    else:
        state.plateau_stall += 1
    if state.plateau_stall > _PLATEAU_PATIENCE:
        state.rate, state.plateau_stall = state.rate / 2, 0
    return best


def _unscaled(best: list[Tensor], mean: np.ndarray, deviation: np.ndarray, unit: float) -> Layers:
    """Layers that take unstandardised inputs and give unscaled outputs."""
    arrays = [parameter.cpu().numpy().astype(np.float64) for parameter in best]
    layers = list(zip(arrays[::2], arrays[1::2], strict=True))
    if not layers:
        return ()
    weight, bias = layers[0]
    layers[0] = (weight / deviation, bias - weight @ (mean / deviation))
    weight, bias = layers[-1]
    layers[-1] = (weight * unit, bias * unit)
    return tuple(layers)


def _save(net: nn.Sequential, optimiser: torch.optim.Optimizer, out: Path, state: _State, best: list[Tensor]) -> None:
    # One file, replaced at once, so that numbers and weights are always of the same epoch.
    arrays = {"state": np.array(list(vars(state).values()), np.float64)}
    for i, parameter in enumerate(net.parameters()):
        arrays[f"weight{i}"] = parameter.detach().cpu().numpy()
        for name, value in optimiser.state.get(parameter, {}).items():
            arrays[f"{name}{i}"] = np.atleast_1d(value.cpu().numpy())
    arrays |= {f"best{i}": value.cpu().numpy() for i, value in enumerate(best)}
    artifact.write_arrays(out / CHECKPOINT, arrays)


def _restore(
    net: nn.Sequential, optimiser: torch.optim.Optimizer, out: Path | None, state: _State
) -> tuple[_State, list[Tensor]]:
    if out is None or not (out / CHECKPOINT).is_file():
        return state, []
    stored = artifact.read_arrays(out / CHECKPOINT)
    epoch, best, stall, rate, plateau_best, plateau_stall = stored["state"]
    state = _State(int(epoch), float(best), int(stall), float(rate), float(plateau_best), int(plateau_stall))
    kept: list[Tensor] = []
    for i, parameter in enumerate(net.parameters()):
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(stored[f"weight{i}"]))
        optimiser.state[parameter] = {
            "step": torch.tensor(float(stored[f"step{i}"][0])),
            **{name: torch.from_numpy(stored[f"{name}{i}"]).to(parameter) for name in ("exp_avg", "exp_avg_sq")},
        }
        if f"best{i}" in stored:
            kept.append(torch.from_numpy(stored[f"best{i}"]).to(parameter))
    return state, kept


@contextlib.contextmanager
def _one_thread(cfg: FitConfig, device: str) -> Iterator[None]:
    """A second thread slows nets of this size down on a busy machine."""
    before = torch.get_num_threads()
    if device == "cpu" and max(cfg.hidden, default=0) <= 1024:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
