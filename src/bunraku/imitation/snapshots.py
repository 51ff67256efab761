"""What environments keep so that they can go on bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from bunraku.core.errors import BunrakuError

_BYTES = 256


def packed(generator: np.random.Generator) -> UInt8[np.ndarray, "bytes"]:
    """A generator's state as bytes; always as many, since checkpoints are checked by their shapes."""
    # JSON ignores the spaces at its end.
    state = json.dumps(generator.bit_generator.state).encode().ljust(_BYTES)
    return np.frombuffer(state, np.uint8).copy()


def unpacked(state: UInt8[np.ndarray, "bytes"]) -> np.random.Generator:
    """The opposite of `packed`."""
    generator = np.random.default_rng(0)
    generator.bit_generator.state = json.loads(bytes(state))
    return generator


def check_fits(snapshot: Mapping[str, np.ndarray], mine: Mapping[str, np.ndarray], owner: str) -> None:
    """Refuse a snapshot that lacks an array of `mine` or has it in another shape.

    Raises:
        BunrakuError: it does.
    """
    for name, array in mine.items():
        other = snapshot.get(name)
        if other is None or other.shape != array.shape:
            raise BunrakuError(f"a snapshot of another environment: {name} does not fit {owner}")
