"""What a stream finds out about its capture while it runs: how noisy it is, and how agile each control."""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import Float

FIRST_NOISE = 1e-3  # until two frames have shown it
FIRST_AGILITY = 5e-4  # standard deviation of an acceleration, in ranges per frame²
AGILITY = (1e-6, 0.1)  # its limits
STARTLED = 10.0


class Noise:
    """The noise's variance per coordinate, from residuals in any unit: half the mean squared change from one frame to
    the next. What stays is no noise, but what the rig cannot show.
    """

    def __init__(self, parameters: int, frames: int) -> None:
        """`parameters` are fitted to each frame; the last so many `frames` count."""
        self.variance = FIRST_NOISE**2
        self._parameters = parameters
        # Their median: a frame in which the solver had not arrived counts like any other, however far off it was.
        self._squares: deque[float] = deque(maxlen=frames)
        self._before: np.ndarray | None = None

    def forget(self) -> None:
        """The next residual has nothing to do with the last one."""
        self._before = None

    def learn(self, residual: Float[np.ndarray, "vertices 3"]) -> None:
        """One more frame's residual, NaN where there is none. A frame that repeats the one before tells nothing."""
        before, self._before = self._before, residual
        if before is None:
            return
        change = residual - before
        change = change[np.isfinite(change)]
        if change.size <= 2 * self._parameters or not change.any():
            return
        # The fit has taken a part of it away: one degree of freedom for each parameter.
        self._squares.append(0.5 * float((change**2).sum()) / (change.size - self._parameters))
        self.variance = float(np.median(self._squares))


class Agility:
    """The variance of each control's acceleration, from its corrections in standard deviations of what was expected.

    Where the filter is right they are white (Mehra 1970): of one sign they say that it lags, alternating that it
    follows the noise.
    """

    def __init__(self, controls: int, rate: float) -> None:
        self.variance = np.full(controls, FIRST_AGILITY**2)
        self._rate = rate
        self._before = np.zeros(controls)

    def startled(self) -> None:
        """The corrections were far beyond anything expected: a cut, or a filter much too slow. Where they stay so, a
        few frames make it fast enough; a cut costs little.
        """
        self.variance = np.minimum(self.variance * STARTLED, AGILITY[1] ** 2)
        self._before = np.zeros_like(self._before)

    def learn(self, score: Float[np.ndarray, "controls"]) -> None:
        """One more frame's corrections."""
        score, (low, high) = np.clip(score, -3.0, 3.0), AGILITY
        self.variance = np.clip(self.variance * np.exp(self._rate * score * self._before), low**2, high**2)
        self._before = score
