"""What the training loop knows of a learner, and the settings of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from bunraku.core.errors import BunrakuError
from bunraku.imitation.policy import PolicyConfig

if TYPE_CHECKING:
    from bunraku.compute.assistant import Assistant
    from bunraku.compute.task import Task
    from bunraku.imitation.actor import Actor
    from bunraku.imitation.rollout import Segment


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation."""

    discount: float = 0.95
    """γ: what a reward one step later is worth."""
    later_discount: float = 0.0
    """γ later in a long training, 0: the same. Rewards are scaled with 1 − γ, so that values keep their size."""
    later_from: int = 1_500_000
    """The discount begins to change after so many samples,"""
    later_by: int = 3_000_000
    """and is at `later_discount` after so many; a straight line between."""
    trace: float = 0.95
    """λ: how far advantages trust rewards rather than the critic."""
    clip: float = 0.2
    """ε: how far the policy's densities may change, as a share, before a change earns nothing more."""
    epochs: int = 4
    """Passes over a segment."""
    minibatch: int = 1024
    """Steps of experience in one gradient step."""
    rate: float = 1e-3
    """The policy's learning rate at the start."""
    target_kl: float = 0.01
    """The policy's learning rate is adapted so that an update moves it about so far [nat]; 0 keeps the rate."""
    adapt: Literal["step", "update"] = "step"
    """When: at every gradient step, by its minibatch, or once an update, by its last pass."""
    rate_factor: float = 1.5
    """By how much the learning rate changes at once."""
    least_rate: float = 1e-5
    """The policy's learning rate never falls below."""
    greatest_rate: float = 1e-2
    """The policy's learning rate never rises above."""
    critic_rate: float = 1e-3
    """The critic's learning rate."""
    entropy: float = 0.0
    """Weight of a bonus for keeping the policy's deviation large."""
    value_clip: float = 0.0
    """Values may change so far in an update before a change earns nothing more; 0 for no such bound."""
    greatest_gradient: float = 1.0
    """Longer gradients are shortened to this norm; 0 leaves them."""
    reward_scale: float = 0.1
    """Rewards are multiplied by it, so that the critic's targets are near 1."""


@dataclass(frozen=True)
class AWRConfig:
    """Advantage-weighted regression."""

    discount: float = 0.9
    """γ: what a reward one step later is worth."""
    epochs: int = 40
    """Passes over a session's samples, for each of the two networks."""
    minibatch: int = 64
    """Samples in one gradient step."""
    rate: float = 1e-3
    """Learning rate of both networks."""
    validation: float = 0.3
    """Share of the samples that the value network does not learn from but is judged by."""
    patience: int = 8
    """The value network stops after so many epochs without a better validation error, and goes back to its best."""


@dataclass(frozen=True)
class PrimerConfig:
    """What a policy that follows a clip begins with (primer.py)."""

    rounds: int = 0
    """Feedbacks that are fitted and tried, each by what was seen with those before; 0: policies begin with nothing."""
    count: int = 256
    """Characters side by side."""
    starts: int = 4
    """How often each begins in a round,"""
    steps: int = 30
    """and how many control steps it then makes."""
    jitter: float = 0.5
    """Standard deviation of what is added to the feedback's actions then."""
    lessons: int = 3
    """Rounds in which the network acts, or the feedback in the first, and learns what the feedback would have done."""
    lesson_steps: int = 100
    """Control steps of each character in a lesson."""
    passes: int = 8
    """Over all that was seen, after each of them; twice as many after the last."""
    minibatch: int = 256
    """Steps of experience in one gradient step."""
    rate: float = 1e-3
    """Learning rate of the network; a fifth of it in the last passes."""
    critic_updates: int = 12
    """So many updates then teach the critic alone, which knows nothing yet."""


@dataclass(frozen=True)
class TrainConfig:
    """A training. Samples are control steps of all characters together."""

    algorithm: Literal["ppo", "awr"] = "ppo"
    """ppo: clipped policy gradients; awr: advantage-weighted regression."""
    samples: int = 1_000_000
    """Stop after so many samples, at the end of the update that reaches them."""
    seed: int = 0
    """Same seed, same result on one machine."""
    count: int = 256
    """Characters side by side."""
    steps: int = 16
    """Control steps of each character between updates; 0 for a whole episode."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    awr: AWRConfig = field(default_factory=AWRConfig)
    mirror: bool = False
    """Let the policy and its critic treat mirror images alike, where a character and its task are their own."""
    shifts: int = 1
    """Groups of characters that take turns: with several threads one is simulated while another is looked at."""
    primer: PrimerConfig = field(default_factory=PrimerConfig)
    """What a policy that follows a clip, by ppo and with actions that are added to it, begins with."""


def check_settings(cfg: TrainConfig) -> None:
    """Refuse settings that cannot be.

    Raises:
        BunrakuError: one is not positive, not a share, or contradicts another.
    """
    shares = {
        "discount": cfg.ppo.discount,
        "later_discount": cfg.ppo.later_discount,
        "trace": cfg.ppo.trace,
        "awr discount": cfg.awr.discount,
    }
    for name, value in {"samples": cfg.samples, "count": cfg.count, "minibatch": cfg.ppo.minibatch}.items():
        if value < 1:
            raise BunrakuError(f"{name} = {value}: expected at least 1")
    if cfg.shifts < 1 or cfg.count % cfg.shifts:
        raise BunrakuError(f"shifts = {cfg.shifts}: expected a divisor of the count of characters, {cfg.count}")
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise BunrakuError(f"{name} = {value}: expected 0 to 1")
    if cfg.ppo.later_by <= cfg.ppo.later_from:
        raise BunrakuError(f"later_by = {cfg.ppo.later_by}: expected more than later_from, {cfg.ppo.later_from}")
    if not 0 < cfg.awr.validation < 1:
        raise BunrakuError(f"validation = {cfg.awr.validation}: expected a share between 0 and 1")
    if cfg.policy.deviation <= 0:
        raise BunrakuError(f"deviation = {cfg.policy.deviation}: expected more than 0")


@runtime_checkable
class Learner(Protocol):
    """Something that gets better from segments of experience."""

    @property
    def actor(self) -> Actor:
        """The policy that acts, and learns."""
        ...

    def learn(self, segment: Segment, rng: np.random.Generator) -> dict[str, float]:
        """Take what a segment teaches; losses and other numbers of the update, by name.

        Raises:
            BunrakuError: a loss is not finite.
        """
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Everything that decides how learning goes on, as a copy."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a state."""
        ...


@runtime_checkable
class Assisted(Protocol):
    """A learner of which another process can do a part."""

    assistant: Assistant | None

    def lend(self) -> Task:
        """What the assistant is to do."""
        ...


def check_loss(loss: float) -> None:
    """Refuse to go on from a loss that is not a finite number.

    Raises:
        BunrakuError: it is not.
    """
    if not math.isfinite(loss):
        raise BunrakuError("the loss is not a finite number; training stopped (a smaller learning rate may help)")
