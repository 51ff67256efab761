"""Training the network of an approximation: resumable, and the same for a seed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bunraku.core import artifact
from bunraku.core.progress import Progress
from bunraku.inversion.approximation import LEAK
from bunraku.inversion.network import CHECKPOINT, Layers, NetworkConfig, Task

CHECKPOINT_EVERY_S = 5.0
_PLATEAU_PATIENCE = 20
_WARM_UP = 0.15
"""Share of a one-cycle schedule in which the learning rate rises."""


@dataclass
class State:
    """Where a training is; with the weights and the optimiser's moments all that decides how it goes on."""

    epoch: int = 0
    best: float = np.inf
    stall: int = 0
    rate: float = 0.0
    plateau_best: float = np.inf
    plateau_stall: int = 0


def train(
    task: Task, cfg: NetworkConfig, out: Path | None, device: str, progress: Progress, begin: Layers = ()
) -> tuple[Layers, float]:
    """The network's layers on unscaled inputs and outputs, and its validation error.

    `out`, an existing folder, holds the checkpoint: the same call goes on from there to the same weights. `begin` are
    layers to start from (of the shape that `cfg.hidden` says), which are given back where nothing validates better.
    """
    with one_torch_thread(cfg.hidden, device):
        return _train(task, cfg, out, device, progress, begin)


def _train(
    task: Task, cfg: NetworkConfig, out: Path | None, device: str, progress: Progress, begin: Layers
) -> tuple[Layers, float]:
    mean, deviation, unit = np.zeros(task.train.u.shape[1]), np.ones(task.train.u.shape[1]), 1.0
    if task.standardise:
        mean, deviation = task.train.u.mean(axis=0), task.train.u.std(axis=0)
        deviation[deviation < 1e-6] = 1.0
        unit = float(np.sqrt((task.train.z**2).mean(dtype=np.float64))) or 1.0
    start = task.error(task.validation.z) if task.from_zero else np.inf

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32, copy=False)).to(device)

    data = (
        tensor((task.train.u - mean) / deviation),
        tensor(task.train.z / np.float32(unit)),
        tensor(task.train.counts[:, None]),
    )
    v, held_out = tensor((task.validation.u - mean) / deviation), tensor(task.validation.z / unit)
    net = _network(task, cfg).to(device)
    if begin:
        _set(net, _scaled(begin, mean, deviation, unit))
        with torch.no_grad():
            start = task.error((net(v) - held_out).cpu().numpy() * unit)
    optimiser = torch.optim.AdamW(net.parameters(), cfg.learning_rate, weight_decay=cfg.weight_decay)
    state, best = restore(net, optimiser, out, State(best=start, rate=cfg.learning_rate))
    saved = time.monotonic()
    while state.epoch < cfg.epochs and state.stall <= cfg.patience:
        loss = _one_epoch(net, optimiser, data, state, cfg, task.seed)
        with torch.no_grad():
            error = task.error((net(v) - held_out).cpu().numpy() * unit)
        best = _judge(net, error, loss, state, best, cfg)
        progress("network", state.epoch, cfg.epochs, f"validation error {100 * state.best:.3g} % of motion")
        if out is not None and time.monotonic() - saved > CHECKPOINT_EVERY_S:
            save(net, optimiser, out, state, best)
            saved = time.monotonic()
    if out is not None:
        save(net, optimiser, out, state, best)
    return (_unscaled(best, mean, deviation, unit) or begin), state.best


def _network(task: Task, cfg: NetworkConfig) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        widths = [task.train.u.shape[1], *cfg.hidden, task.train.z.shape[1]]
        modules: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            modules += [nn.Linear(wide, narrow), nn.SiLU() if cfg.activation == "silu" else nn.LeakyReLU(LEAK)]
        net = nn.Sequential(*modules[:-1])
        if task.from_zero:
            nn.init.zeros_(net[-1].weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(net[-1].bias)  # pyright: ignore[reportArgumentType]
    return net


def _one_epoch(
    net: nn.Sequential,
    optimiser: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor, Tensor],
    state: State,
    cfg: NetworkConfig,
    seed: int,
) -> float:
    """One pass in an order that depends on seed and epoch alone; the mean loss."""
    u, z, counts = data
    order = torch.from_numpy(np.random.default_rng([seed, 2, state.epoch]).permutation(len(u)))
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


def _rate(done: float, state: State, cfg: NetworkConfig) -> float:
    """The learning rate at a share of the epochs."""
    if cfg.schedule == "plateau":
        return state.rate
    return one_cycle(done, cfg.learning_rate)


def one_cycle(done: float, highest: float) -> float:
    """The learning rate at a share of the epochs: a linear rise, then half a cosine down to nearly nothing."""
    if done < _WARM_UP:
        return highest * (0.1 + 0.9 * done / _WARM_UP)
    return highest * (0.5 + 0.5 * float(np.cos(np.pi * (done - _WARM_UP) / (1 - _WARM_UP)))) + 1e-7


def _judge(
    net: nn.Sequential, error: float, loss: float, state: State, best: list[Tensor], cfg: NetworkConfig
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


def _scaled(layers: Layers, mean: np.ndarray, deviation: np.ndarray, unit: float) -> Layers:
    """Layers that take standardised inputs and give scaled outputs: `_unscaled` undone."""
    scaled = [(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in layers]
    weight, bias = scaled[0]
    scaled[0] = (weight * deviation, bias + weight @ mean)
    weight, bias = scaled[-1]
    scaled[-1] = (weight / unit, bias / unit)
    return tuple(scaled)


def _set(net: nn.Sequential, layers: Layers) -> None:
    arrays = [array for layer in layers for array in layer]
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array))


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


def save(net: nn.Sequential, optimiser: torch.optim.Optimizer, out: Path, state: State, best: list[Tensor]) -> None:
    """Write a checkpoint: one file, replaced at once, so that numbers and weights are always of the same epoch."""
    arrays = {"state": np.array(list(vars(state).values()), np.float64)}
    for i, parameter in enumerate(net.parameters()):
        arrays[f"weight{i}"] = parameter.detach().cpu().numpy()
        for name, value in optimiser.state.get(parameter, {}).items():
            arrays[f"{name}{i}"] = np.atleast_1d(value.cpu().numpy())
    arrays |= {f"best{i}": value.cpu().numpy() for i, value in enumerate(best)}
    artifact.write_arrays(out / CHECKPOINT, arrays)


def restore(
    net: nn.Sequential, optimiser: torch.optim.Optimizer, out: Path | None, state: State
) -> tuple[State, list[Tensor]]:
    """The checkpoint's state and best weights, the net and optimiser set to it; without one, `state` and nothing."""
    if out is None or not (out / CHECKPOINT).is_file():
        return state, []
    stored = artifact.read_arrays(out / CHECKPOINT)
    epoch, best, stall, rate, plateau_best, plateau_stall = stored["state"]
    state = State(int(epoch), float(best), int(stall), float(rate), float(plateau_best), int(plateau_stall))
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
def one_torch_thread(widths: tuple[int, ...], device: str) -> Iterator[None]:
    """A second thread slows nets of this size down on a busy machine."""
    before = torch.get_num_threads()
    if device == "cpu" and max(widths, default=0) <= 1024:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
