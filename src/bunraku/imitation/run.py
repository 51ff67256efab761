"""What a training leaves behind, and how it is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError
from bunraku.imitation.policy import Policy, policy_of

KIND = "run"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.safetensors"
CURVE = "learning_curve.svg"
EVENTS = "tensorboard"


@dataclass(frozen=True)
class Subject:
    """Who is trained, in which physics, to do what: what a policy is bound to."""

    name: str
    """The character's name, or its file."""
    hash: str
    """Of the character's compiled description."""
    physics_hz: float
    """Physics steps per simulated second."""
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else decides what is learnt (rewards, reference and its hash), JSON-able."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training."""

    path: Path
    subject: Subject
    best: Policy
    """The policy whose jittered episodes had the highest mean return while training."""
    last: Policy
    """The policy after the last update."""
    result: Mapping[str, Any]
    """What the command prints."""
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def control_hz(self) -> float:
        """Actions per simulated second."""
        return float(self.settings["control_hz"])


def settings_of(subject: Subject) -> dict[str, Any]:
    """What an artifact stores of its subject, and what has to be equal for two to be of the same."""
    return {
        "character": subject.name,
        "physics_hz": float(subject.physics_hz),
        "character_hash": subject.hash,
        "task": dict(subject.task),
    }


def load_run(path: Path, subject: Subject | None = None) -> Run:
    """A finished training; of `subject`'s character and physics rate where one is given.

    Raises:
        BunrakuError: nothing there, not a run, unfinished, corrupt, or of another character or physics rate.
    """
    stored = artifact.load(path, KIND)
    settings, description = stored.manifest["settings"], stored.manifest["description"]
    missing = [key for key in ("character", "character_hash", "physics_hz", "control_hz") if key not in settings]
    missing += [key for key in ("activation", "layout") if key not in description]
    if missing:
        raise BunrakuError(f"{path / artifact.MANIFEST}: lacks {', '.join(missing)}")
    if subject is not None:
        _check(path, settings, subject)
    trained = Subject(
        settings["character"], settings["character_hash"], settings["physics_hz"], settings.get("task", {})
    )
    owner = str(path / artifact.ARRAYS)
    best, last = (policy_of(stored.arrays, f"{which}.", description, owner) for which in ("best", "last"))
    return Run(path, trained, best, last, stored.manifest["result"], settings, stored.manifest["provenance"])


def load_policy(path: Path, subject: Subject | None = None, *, which: Literal["best", "last"] = "last") -> Policy:
    """A finished training's policy.

    Raises:
        BunrakuError: as `load_run`.
    """
    run = load_run(path, subject)
    return run.best if which == "best" else run.last


def _check(path: Path, settings: Mapping[str, Any], subject: Subject) -> None:
    if settings["character"] != subject.name:
        raise BunrakuError(f"{path}: was trained with the character {settings['character']!r}, not {subject.name!r}")
    if settings["physics_hz"] != subject.physics_hz:
        raise BunrakuError(
            f"{path}: was trained with physics at {settings['physics_hz']:g} Hz, not {subject.physics_hz:g} Hz; "
            "a policy is bound to its rate"
        )
    if settings["character_hash"] != subject.hash:
        raise BunrakuError(f"{path}: the character {subject.name!r} has changed since it was trained")


def history(path: Path) -> list[dict[str, Any]]:
    """The metrics of every update so far, in order; a last line that was cut off is left out.

    Raises:
        BunrakuError: the file cannot be read, or is not lines of JSON.
    """
    file = path / METRICS
    try:
        lines = file.read_text("utf-8").split("\n")[:-1] if file.exists() else []
        return [json.loads(line) for line in lines]
    except (OSError, ValueError):
        raise BunrakuError(f"{file}: is not lines of JSON") from None


def pack(state: Mapping[str, Any]) -> np.ndarray:
    """JSON as bytes in an array, so that it is in one file with the arrays it belongs to."""
    return np.frombuffer(json.dumps(state).encode(), np.uint8)


def unpack(array: np.ndarray) -> dict[str, Any]:
    """The opposite of `pack`."""
    return json.loads(array.tobytes())
