"""The published recipe for inverting the toy rig, in our own words, to compare with.

Source: M. Marquis Bolduc, H. N. Phan, "Rig Inversion by Training a Differentiable Rig Function", SIGGRAPH Asia 2022
Technical Communications (arXiv 2301.09567), and its released toy, electronicarts/rig-inversion (BSD-3; see NOTICE).
Sizes, rates, stopping rules and losses are the published ones, oddities included; what is added is a cap on CPU time,
a seed, and one thread (on which nets of this size are fastest).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

Evaluate = Callable[[np.ndarray], np.ndarray]
"""The real rig: controls (N, C) to vertices (N, V, 3)."""

BATCH = 32
HELD_OUT = 100
"""The last samples, kept for validation."""
PATIENCE = 50
HALVING_PATIENCE = 20


@dataclass(frozen=True)
class Trained:
    """A network and what its training took."""

    net: nn.Sequential
    cpu_seconds: float
    epochs: int
    capped: bool
    """True where the cap on CPU time ended it, not its own rule."""


@dataclass(frozen=True)
class Inverted:
    """What the recipe does on one animation, measured on the real rig (mean Euclidean vertex distance)."""

    approximation_error: float
    inversion_error: float
    neutral_error: float
    """Of the encoder's answer to the neutral mesh."""
    controls: np.ndarray
    cpu_seconds: float
    approximation: Trained
    encoder: Trained


def train_published_approximation(
    controls: np.ndarray, vertices: np.ndarray, cap_cpu_s: float = 250.0, seed: int = 0
) -> Trained:
    """Controls to flattened vertices: 1024 × 1024 leaky ReLU, Adam 1e-4, batches of 32, no scaling of either side.

    The rate halves when the *training* loss has not fallen for 20 epochs, training ends when the validation loss
    has not fallen for 50. The last weights stay in the net; the best are what the published program reloads.
    """
    inputs, targets = _tensor(controls), _tensor(vertices.reshape(len(vertices), -1))
    train, held = slice(None, -HELD_OUT), slice(-HELD_OUT, None)
    net = _net(seed, (inputs.shape[1], 1024, 1024, targets.shape[1]))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)
    best: dict[str, Tensor] = {}

    def epoch(order: Tensor) -> tuple[float, float]:
        sums = [
            _step(optimiser, lambda rows=rows: nn.functional.mse_loss(net(inputs[train][rows]), targets[train][rows]))
            for rows in order.split(BATCH)
        ]
        with torch.no_grad():
            parts = zip(inputs[held].split(BATCH), targets[held].split(BATCH), strict=True)
            validation = sum(float(nn.functional.mse_loss(net(x), y)) for x, y in parts)
        # Published as they are: losses summed per batch, divided by the number of samples.
        return sum(sums) / len(order), validation / HELD_OUT

    def keep() -> None:
        best.update({name: value.clone() for name, value in net.state_dict().items()})

    trained = _until_stall(net, optimiser, len(controls) - HELD_OUT, epoch, keep, cap_cpu_s, seed, least_fall=1e-9)
    net.load_state_dict(best)
    return trained


def train_published_encoder(
    approximation: nn.Sequential,
    capture: np.ndarray,
    neutral: np.ndarray,
    control_count: int,
    cap_cpu_s: float = 50.0,
    seed: int = 0,
) -> Trained:
    """Flattened vertices to controls through the approximation, on the frames of one capture: 512 leaky ReLU, sigmoid.

    Adam 1e-5, batches of 32; from the second epoch on, a step per batch pushes the mean output at the neutral mesh
    towards 0, whatever the rig's neutral is. Ends when the training loss has not fallen for 50 epochs; the last
    weights are what is used.
    """
    frames, rest = _tensor(capture.reshape(len(capture), -1)), _tensor(neutral.reshape(1, -1))
    net = _net(seed, (frames.shape[1], 512, control_count), nn.Sigmoid())
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-5)
    count = 0

    def epoch(order: Tensor) -> tuple[float, float]:
        nonlocal count
        total = 0.0
        for rows in order.split(BATCH):
            meshes = frames[rows]
            total += _step(optimiser, lambda m=meshes: nn.functional.mse_loss(approximation(net(m)), m))
            if count > 0:
                _step(optimiser, lambda: net(rest).mean())
        count += 1
        return total / len(order), total / len(order)

    return _until_stall(net, optimiser, len(frames), epoch, lambda: None, cap_cpu_s, seed, least_fall=1e-6)


def run_published(
    evaluate: Evaluate,
    neutral: np.ndarray,
    controls: np.ndarray,
    animation: np.ndarray,
    *,
    cap_approximation_s: float = 250.0,
    cap_encoder_s: float = 50.0,
    seed: int = 0,
    approximation: Trained | None = None,
) -> Inverted:
    """The whole recipe: sampled controls (N, C) and one animation (F, C) to invert, known only by its meshes.

    `approximation` passes one that was trained before, where several animations are inverted with it.
    """
    if approximation is None:
        approximation = train_published_approximation(controls, evaluate(controls), cap_approximation_s, seed)
    capture = evaluate(animation)
    encoder = train_published_encoder(approximation.net, capture, neutral, controls.shape[1], cap_encoder_s, seed)
    with torch.no_grad():
        found = encoder.net(_tensor(capture.reshape(len(capture), -1))).numpy().astype(np.float64)
        at_rest = encoder.net(_tensor(neutral.reshape(1, -1))).numpy().astype(np.float64)
        approximate = approximation.net(_tensor(animation)).numpy().reshape(capture.shape)
    return Inverted(
        approximation_error=_distance(approximate, capture),
        inversion_error=_distance(evaluate(found), capture),
        neutral_error=_distance(evaluate(at_rest), neutral[None]),
        controls=found,
        cpu_seconds=approximation.cpu_seconds + encoder.cpu_seconds,
        approximation=approximation,
        encoder=encoder,
    )


def _until_stall(
    net: nn.Sequential,
    optimiser: torch.optim.Optimizer,
    count: int,
    epoch: Callable[[Tensor], tuple[float, float]],
    keep: Callable[[], None],
    cap_cpu_s: float,
    seed: int,
    least_fall: float,
) -> Trained:
    """Epochs until the watched loss has not fallen for PATIENCE + 1 of them, or the CPU time is spent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    halving = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=HALVING_PATIENCE, eps=least_fall
    )
    started, best, stall, epochs, capped = time.process_time(), np.inf, 0, 0, False
    try:
        while stall <= PATIENCE and not capped:
            training, watched = epoch(torch.randperm(count, generator=generator))
            epochs += 1
            stall = 0 if watched < best else stall + 1
            if watched < best:
                best = watched
                keep()
            halving.step(training)
            capped = time.process_time() - started >= cap_cpu_s
    finally:
        torch.set_num_threads(threads)
    return Trained(net, time.process_time() - started, epochs, capped and stall <= PATIENCE)


def _net(seed: int, widths: tuple[int, ...], last: nn.Module | None = None) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            modules += [nn.Linear(wide, narrow), nn.LeakyReLU()]
    modules = modules[:-1]
    return nn.Sequential(*modules) if last is None else nn.Sequential(*modules, last)


def _step(optimiser: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> float:
    optimiser.zero_grad()
    value = loss()
    value.backward()
    optimiser.step()
    return float(value.detach())


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())
