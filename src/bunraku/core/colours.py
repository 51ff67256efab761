"""Colours for amounts, that colour-blind people and printers can read: the more, the darker."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

RAMP = np.array([[226, 232, 238], [247, 208, 96], [229, 121, 45], [160, 36, 70], [62, 8, 74]], np.float64)
"""From nothing to much; lightness falls evenly."""
MISSING = (150, 150, 155)
"""Where there is no amount."""
CAPTURED, SOLVED, APPROXIMATED = (86, 160, 211), (198, 203, 209), (230, 159, 0)


def shades(amounts: Float[np.ndarray, "*shape"], top: float) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours of amounts between 0 and `top`; beyond it they stay as at it; NaN is `MISSING`."""
    known = np.isfinite(amounts)
    place = np.clip(np.where(known, amounts, 0.0) / max(top, 1e-30), 0.0, 1.0) * (len(RAMP) - 1)
    before = np.minimum(place.astype(np.int64), len(RAMP) - 2)
    u = (place - before)[..., None]
    colours = RAMP[before] * (1 - u) + RAMP[before + 1] * u
    return np.where(known[..., None], np.round(colours), np.array(MISSING)).astype(np.uint8)


def round_top(value: float) -> float:
    """The next of 1, 2, 5, 10, … at or above a value, so that a scale ends with a number that can be read."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value * (1 - 1e-9)))
