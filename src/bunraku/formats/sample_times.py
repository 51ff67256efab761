"""Sample times of a cache as frames of a shot."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import frame_rate

_SLACK = 0.02
"""Of a frame: how far a time may lie from its frame's."""
_MOST_GAPS = 10


def frames_of(times_s: Float[np.ndarray, "samples"], name: str) -> tuple[Fraction, Int[np.ndarray, "samples"]]:
    """The frame rate, and the frame number (time × rate) of each sample; one sample is a frame at rate 24.

    The smallest distance between samples is a frame; larger ones are gaps, in which frames are missing.

    Raises:
        BunrakuError: times that do not grow or are not finite, that fit no rate, or are mostly gaps.
    """
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise BunrakuError(f"{name}: its sample times do not grow from sample to sample")
    if len(times_s) == 1:
        return Fraction(24), np.rint(times_s * 24).astype(np.int64)
    steps = np.diff(times_s)
    shortest = steps[steps < 1.5 * steps.min()].mean()
    if not 1e-6 < shortest < 1e6:
        raise BunrakuError(f"{name}: its samples are {shortest:g} s apart, which is no frame rate")
    rate = frame_rate(float(1 / shortest), name)
    if times_s[-1] - times_s[0] > _MOST_GAPS * len(times_s) / float(rate):
        raise BunrakuError(f"{name}: {len(times_s)} samples at {float(rate):g} frames/s leave most of its time empty")
    place = times_s * float(rate)
    # Shots whose first frame lies between two numbers keep their distances.
    offset = place[0] - np.rint(place[0])
    numbers = np.rint(place - offset)
    if np.abs(place - offset - numbers).max() > _SLACK:
        culprit = int(np.abs(place - offset - numbers).argmax())
        raise BunrakuError(
            f"{name}: sample {culprit} at {times_s[culprit]:g} s is not on a grid of {float(rate):g} frames/s"
        )
    return rate, numbers.astype(np.int64)
