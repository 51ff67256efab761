"""The networks while they learn: a Gaussian policy and an estimate of returns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from bunraku.imitation.mirror import Mirror, Reflection
from bunraku.imitation.policy import Activation, Normaliser, Policy, PolicyConfig, normalised
from bunraku.imitation.slot import Slot

_ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU, "tanh": nn.Tanh}
Layers = tuple[tuple[np.ndarray, np.ndarray], ...]
"""(weight, bias) of each linear layer."""
_SMALL = 0.01
"""Gain of a policy's last layer: training starts from actions near zero."""


class Actor(nn.Module):
    """π(a|s) = N(μ(s), σ²), σ the same everywhere, s as the normaliser shows it.

    With a mirror M, μ(M·s) = M·μ(s): what was learnt in one state is learnt for its mirror image.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        cfg: PolicyConfig,
        rng: np.random.Generator,
        mirror: Mirror | None = None,
    ) -> None:
        super().__init__()
        self.mirror = mirror
        self.activation: Activation = cfg.activation
        self.normalise = cfg.normalise
        self.normaliser = Normaliser.nothing(observation_size)
        mean = network((observation_size, *cfg.hidden, action_size), cfg.activation, _SMALL, rng)
        self.mean = mean if mirror is None else Symmetric(mean, mirror.observation, mirror.action)
        start = torch.full((action_size,), float(np.log(cfg.deviation)))
        self.log_deviation = nn.Parameter(start, requires_grad=cfg.learn_deviation)

    def look(self, observation: Float[np.ndarray, "*steps observation"]) -> Tensor:
        """Observations as the networks see them."""
        return torch.from_numpy(normalised(observation, self.normaliser.mean, self.normaliser.deviation))

    def learn_to_look(self, observation: Float[np.ndarray, "*steps observation"]) -> None:
        """Take more observations into the normaliser."""
        if not self.normalise:
            return
        if self.mirror is not None:
            # So that the mirror image of what networks see is what they see of the mirror image.
            observation = np.stack([observation, self.mirror.observation.of(observation)])
        self.normaliser = self.normaliser.seen(observation)

    def jittered(
        self, observation: Float[np.ndarray, "count observation"], rng: np.random.Generator
    ) -> Float32[np.ndarray, "count action"]:
        """a = μ(s) + σ·ε, ε from N(0, 1)."""
        with torch.inference_mode():
            mean = self.mean(self.look(observation)).numpy()
            deviation = self.log_deviation.exp().numpy()
        return mean + deviation * rng.standard_normal(mean.shape, dtype=np.float32)

    def policy(self, layout: tuple[Slot, ...]) -> Policy:
        """As it is now, frozen."""
        return Policy(layers_of(self.mean), self.activation, self.normaliser.mean, self.normaliser.deviation, layout)


class Symmetric(nn.Module):
    """(f(s) + M'·f(M·s))/2 of a network f: what it gives for a mirror image is the mirror image of what it gives."""

    def __init__(self, net: nn.Sequential, seen: Reflection, given: Reflection) -> None:
        super().__init__()
        self.net, self.seen, self.given = net, seen, given
        # Not buffers, which are stored: these follow from the character.
        self._seen, self._given = _tensors(seen), _tensors(given)

    def forward(self, x: Tensor) -> Tensor:
        """Both in one batch."""
        own, other = self.net(torch.cat([x, _reflected(x, *self._seen)])).chunk(2)
        return (own + _reflected(other, *self._given)) / 2

    def layers(self) -> Layers:
        """The same as a plain network of twice the width: f beside M'·f(M·s), summed by the last layer."""
        own = layers_of(self.net)
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


def _tensors(reflection: Reflection) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(reflection.index), torch.from_numpy(reflection.sign.astype(np.float32))


def _reflected(x: Tensor, index: Tensor, sign: Tensor) -> Tensor:
    return x.index_select(-1, index) * sign


def critic(
    observation_size: int, cfg: PolicyConfig, rng: np.random.Generator, mirror: Mirror | None = None
) -> nn.Sequential | Symmetric:
    """V(s), an estimate of returns; with a mirror, V(M·s) = V(s)."""
    net = network((observation_size, *cfg.critic_hidden, 1), cfg.activation, 1.0, rng)
    same = Reflection(np.zeros(1, np.int64), np.ones(1))
    return net if mirror is None else Symmetric(net, mirror.observation, same)


def network(widths: Sequence[int], activation: Activation, last_gain: float, rng: np.random.Generator) -> nn.Sequential:
    """Linear layers with an activation between them, orthogonal weights (Saxe et al. 2014) and zero biases."""
    modules: list[nn.Module] = []
    for i, (wide, narrow) in enumerate(pairwise(widths)):
        # Made without values, so that torch's global generator is not asked.
        linear = nn.Linear(wide, narrow, device="meta").to_empty(device="cpu")
        gain = last_gain if i + 2 == len(widths) else 2.0**0.5
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(gain * _orthogonal(narrow, wide, rng)))
            linear.bias.zero_()
        modules += [linear, _ACTIVATIONS[activation]()]
    return nn.Sequential(*modules[:-1])


def _orthogonal(rows: int, columns: int, rng: np.random.Generator) -> Float32[np.ndarray, "rows columns"]:
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).astype(np.float32)


def layers_of(net: nn.Sequential | Symmetric) -> Layers:
    """A copy of the weights and biases of its linear layers."""
    if isinstance(net, Symmetric):
        return net.layers()
    arrays = [parameter.detach().numpy().copy() for parameter in net.parameters()]
    return tuple(zip(arrays[::2], arrays[1::2], strict=True))


def parameters_of(module: nn.Module, optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, np.ndarray]:
    """A copy of a module's parameters and of what Adam remembers of each, by name; plain arrays for a checkpoint."""
    arrays: dict[str, np.ndarray] = {}
    for name, parameter in module.named_parameters():
        arrays[f"{prefix}{name}"] = parameter.detach().numpy().copy()
        for key, value in optimiser.state.get(parameter, {}).items():
            arrays[f"{prefix}{name}:{key}"] = np.atleast_1d(value.numpy()).copy()
    return arrays


def set_parameters(
    module: nn.Module, optimiser: torch.optim.Optimizer, prefix: str, arrays: Mapping[str, np.ndarray]
) -> None:
    """The opposite of `parameters_of`."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(arrays[f"{prefix}{name}"]))
        if f"{prefix}{name}:step" in arrays:
            moments = {
                key: torch.from_numpy(arrays[f"{prefix}{name}:{key}"].copy()) for key in ("exp_avg", "exp_avg_sq")
            }
            step = torch.tensor(float(arrays[f"{prefix}{name}:step"][0]))
            optimiser.state[parameter] = {"step": step, **moments}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A second torch thread slows nets of this size down on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
