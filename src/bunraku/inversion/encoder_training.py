"""The training of an encoder through a frozen approximation (see `encoder`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bunraku.core.progress import Progress
from bunraku.inversion.approximation import LEAK, Approximation
from bunraku.inversion.network import Layers
from bunraku.inversion.network_training import CHECKPOINT_EVERY_S, State, one_cycle, one_torch_thread, restore, save

if TYPE_CHECKING:
    from bunraku.inversion.encoder import EncoderConfig

_OVERSHOOT = 0.1
"""Weight in the loss of controls beyond their bounds: clipping alone would never call them back."""


@dataclass(frozen=True, eq=False)
class EncoderTask:
    """What an encoder learns from. Coordinates are divided by `unit`, controls are relative to neutral and range."""

    model: Approximation
    x: np.ndarray
    relative: np.ndarray
    shot: np.ndarray
    unit: np.ndarray
    neutral_x: np.ndarray
    skip: np.ndarray


class _Decoder:
    """The approximation's coordinates from relative controls, frozen, as shares of its scale."""

    def __init__(self, model: Approximation, device: str) -> None:
        spec = model.spec
        skip = np.zeros((model.component_count, len(spec))) if model.skip is None else model.skip
        self.start = _tensor((spec.neutral - model.centre) / model.spread, device)
        self.factor = _tensor(spec.range / model.spread, device)
        self.skip, self.products = _tensor(skip.T, device), _tensor(model.products.T, device)
        self.terms = torch.from_numpy(np.ascontiguousarray(model.terms.T)).to(device)
        self.layers = [(_tensor(weight, device), _tensor(bias, device)) for weight, bias in model.layers]
        self.leaky = model.activation == "leaky_relu"

    def __call__(self, relative: Tensor) -> Tensor:
        u = self.start + relative * self.factor
        z = u @ self.skip
        if len(self.products):
            factors = torch.cat([u, torch.ones_like(u[:, :1])], dim=1)
            value = factors[:, self.terms[0]]
            for column in self.terms[1:]:
                value = value * factors[:, column]
            z = z + value @ self.products
        for i, (weight, bias) in enumerate(self.layers):
            u = nn.functional.linear(u, weight, bias)
            if i + 1 < len(self.layers):
                u = nn.functional.leaky_relu(u, LEAK) if self.leaky else nn.functional.silu(u)
        return z + u if self.layers else z


class _Inverse:
    """Relative controls, not clipped; exactly 0 for the neutral mesh: a constraint, not a weighted loss."""

    def __init__(self, task: EncoderTask, hidden: tuple[int, ...], seed: int, device: str) -> None:
        widths = [task.x.shape[1], *hidden, task.relative.shape[1]]
        modules: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for wide, narrow in pairwise(widths):
                modules += [nn.Linear(wide, narrow), nn.SiLU()]
        self.net = nn.Sequential(*modules[:-1]).to(device)
        # The last layer starts as nothing: training begins at the linear inverse.
        nn.init.zeros_(self.net[-1].weight)  # pyright: ignore[reportArgumentType]
        self.skip, self.neutral = _tensor(task.skip.T, device), _tensor(task.neutral_x[None], device)

    def __call__(self, x: Tensor) -> Tensor:
        both = self.net(torch.cat([self.neutral, x]))
        return (x - self.neutral) @ self.skip + both[1:] - both[:1]


def _tensor(array: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)


def train(task: EncoderTask, cfg: EncoderConfig, out: Path | None, device: str, progress: Progress) -> Layers:
    """The layers of the best encoder, its last bias holding the constraint at neutral."""
    with one_torch_thread(cfg.hidden, device):
        return _Training(task, cfg, out, device).run(progress)


class _Training:
    def __init__(self, task: EncoderTask, cfg: EncoderConfig, out: Path | None, device: str) -> None:
        def tensor(array: np.ndarray) -> Tensor:
            return _tensor(array, device)

        spec = task.model.spec
        self.task, self.cfg, self.out = task, cfg, out
        self.x, self.relative = tensor(task.x), tensor(task.relative)
        self.shot = tensor(task.shot if len(task.shot) else task.x)
        # Mesh errors are shares of the approximation's scale, so that the controls' weight means the same on any rig.
        self.unit = tensor(task.unit / task.model.scale)
        self.lower = tensor((spec.lower - spec.neutral) / spec.range)
        self.upper = tensor((spec.upper - spec.neutral) / spec.range)
        self.decoder = _Decoder(task.model, device)
        self.encoder = _Inverse(task, cfg.hidden, cfg.seed, device)
        self.optimiser = torch.optim.AdamW(self.encoder.net.parameters(), cfg.learning_rate, weight_decay=1e-4)

    def run(self, progress: Progress) -> Layers:
        cfg = self.cfg
        start = State(best=self._error())
        state, best = restore(self.encoder.net, self.optimiser, self.out, start)
        best = best or [parameter.detach().clone() for parameter in self.encoder.net.parameters()]
        saved = time.monotonic()
        while state.epoch < cfg.epochs and state.stall <= cfg.patience:
            self._one_epoch(state.epoch)
            error = self._error()
            state.epoch += 1
            state.stall = 0 if error < state.best * (1 - cfg.improvement) else state.stall + 1
            if error < state.best:
                state.best = error
                best = [parameter.detach().clone() for parameter in self.encoder.net.parameters()]
            progress("encoder", state.epoch, cfg.epochs, f"error {100 * state.best:.3g} % of motion")
            if self.out is not None and time.monotonic() - saved > CHECKPOINT_EVERY_S:
                save(self.encoder.net, self.optimiser, self.out, state, best)
                saved = time.monotonic()
        return self._layers(best)

    def _one_epoch(self, epoch: int) -> None:
        cfg, rng = self.cfg, np.random.default_rng([self.cfg.seed, 5, epoch])
        order = torch.from_numpy(rng.permutation(len(self.x))).split(cfg.batch)
        frames = torch.from_numpy(rng.integers(len(self.shot), size=(len(order), cfg.batch)))
        for step, rows in enumerate(order):
            done = (epoch + step / len(order)) / cfg.epochs
            self.optimiser.param_groups[0]["lr"] = one_cycle(done, cfg.learning_rate)
            self.optimiser.zero_grad()
            x = torch.cat([self.x[rows], self.shot[frames[step]]])
            relative = self.encoder(x)
            clipped = torch.clamp(relative, self.lower, self.upper)
            # Straight through the clip: a control at its bound still feels which way the mesh wants it.
            mesh = self._squares(relative + (clipped - relative).detach(), x)
            known = ((relative[: len(rows)] - self.relative[rows]) ** 2).sum(dim=1).mean()
            beyond = ((relative - clipped) ** 2).sum(dim=1).mean()
            (mesh.mean() + cfg.controls * known + _OVERSHOOT * beyond).backward()
            nn.utils.clip_grad_norm_(self.encoder.net.parameters(), 1.0)
            self.optimiser.step()

    def _squares(self, relative: Tensor, x: Tensor) -> Tensor:
        return ((self.decoder(relative) - x * self.unit) ** 2).sum(dim=1)

    @torch.no_grad()
    def _error(self) -> float:
        """Root of the mean square on the capture, as a share of the approximation's scale."""
        relative = torch.clamp(self.encoder(self.shot), self.lower, self.upper)
        return float(self._squares(relative, self.shot).mean().sqrt())

    def _layers(self, best: list[Tensor]) -> Layers:
        with torch.no_grad():
            for parameter, value in zip(self.encoder.net.parameters(), best, strict=True):
                parameter.copy_(value)
        arrays = [value.cpu().numpy().astype(np.float64) for value in best]
        layers = list(zip(arrays[::2], arrays[1::2], strict=True))
        hidden = self.task.neutral_x
        for weight, bias in layers[:-1]:
            hidden = hidden @ weight.T + bias
            hidden = hidden / (1.0 + np.exp(-hidden))
        # The neutral mesh must give 0 in float64 too.
        weight, _ = layers[-1]
        layers[-1] = (weight, -(weight @ hidden) - self.task.skip @ self.task.neutral_x)
        return tuple(layers)
