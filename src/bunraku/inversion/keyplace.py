"""Where keys go: as many as a budget of error per frame demands, then without those that it does not need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.keys import hermite
from bunraku.inversion.keyfit import Fit, Pins, Shape, fit

REACH = 3  # keys on either side that give way when one is taken out


def place(
    shape: Shape, budget: Float[np.ndarray, "frames"], start: Int[np.ndarray, "keys"], *, prune: bool = True
) -> Fit:
    """Keys whose curves stay within the budget: from those given (first and last frame among them), segments are
    split at their worst frames, all that exceed at once; then keys are taken out that are not needed.
    """
    found = fit(shape, start)
    while True:
        worst = _worst_frames(shape, found, budget)
        if len(worst) == 0:
            break
        found = fit(shape, np.union1d(found.frames, worst))
    return pruned(shape, found, budget) if prune else found


def _worst_frames(shape: Shape, found: Fit, budget: Float[np.ndarray, "frames"]) -> Int[np.ndarray, "split"]:
    """The worst frame of each segment that exceeds the budget and can be split; a key that is off by itself (others
    pull at it) splits its longer side.
    """
    share = shape.error(found.fitted) / budget
    keys = found.frames
    split: list[int] = []
    largest = np.maximum.reduceat(share, keys[:-1])
    largest[-1] = max(largest[-1], share[-1])
    for k in np.flatnonzero(largest > 1):
        first, last = int(keys[k]), int(keys[k + 1])
        if last - first > 1:
            inside = share[first + 1 : last]
            middle = abs(np.arange(len(inside)) - (len(inside) - 1) / 2) / len(inside)
            # Near its ends a segment is split in vain: of about equally bad frames the middle one.
            split.append(first + 1 + int(np.argmax(inside - 0.3 * inside.max() * middle)))
        elif k > 0 and first - int(keys[k - 1]) > 1:
            split.append(first - 1)
        elif k + 2 < len(keys) and int(keys[k + 2]) - last > 1:
            split.append(last + 1)
    return np.array(split, np.int64)


def pruned(shape: Shape, found: Fit, budget: Float[np.ndarray, "frames"]) -> Fit:
    """Without the keys that the budget does not need, those that matter least first. Each is tried by a fit of its
    neighbourhood alone, so that the cost grows with the number of keys and not with its square.
    """
    work, jump = _Work(shape, found, budget), shape.jump
    inner = range(1, len(found.frames) - 1)
    cost = np.array([work.without(k).share for k in inner])
    for place in np.argsort(cost, kind="stable"):
        if cost[place] > 4:
            break  # its neighbours' going does not make it less needed
        if jump[found.frames[place + 1]]:
            continue  # a segment across a jump would ring between its frames, whatever it does at them
        trial = work.without(int(place) + 1)
        if trial.share <= 1:
            work.accept(int(place) + 1, trial)
    left = work.result()
    whole = fit(shape, left.frames)
    return whole if (shape.error(whole.fitted) <= budget).all() else left


@dataclass(frozen=True, eq=False)
class _Trial:
    share: float
    """Largest error as a share of its budget."""
    kept: Int[np.ndarray, "near"]
    """Places of the keys in the neighbourhood."""
    part: Fit


class _Work:
    """Keys of which some have gone; changes in place, since a shot may have many."""

    def __init__(self, shape: Shape, found: Fit, budget: Float[np.ndarray, "frames"]) -> None:
        self.shape, self.budget, self.frames = shape, budget, found.frames
        self.values, self.slope_in, self.slope_out = (
            column.copy() for column in (found.values, found.slope_in, found.slope_out)
        )
        count = len(found.frames)
        self.before, self.after = np.arange(count) - 1, np.arange(count) + 1
        self.alive = np.ones(count, bool)

    def without(self, k: int) -> _Trial:
        """The neighbourhood of a key fitted again without it."""
        left, right = [int(self.before[k])], [int(self.after[k])]
        while len(left) < REACH and self.before[left[-1]] >= 0:
            left.append(int(self.before[left[-1]]))
        while len(right) < REACH and self.after[right[-1]] < len(self.frames):
            right.append(int(self.after[right[-1]]))
        kept = np.array([*left[::-1], *right])
        first, last = int(self.frames[kept[0]]), int(self.frames[kept[-1]])
        joins_first, joins_last = kept[0] > 0, kept[-1] < len(self.frames) - 1
        pins = Pins(
            (self.values[kept[0]], self.slope_out[kept[0]]) if joins_first else None,
            (self.values[kept[-1]], self.slope_in[kept[-1]]) if joins_last else None,
        )
        part = self.shape.between(first, last)
        tried = fit(part, self.frames[kept] - first, pins)
        share = float((part.error(tried.fitted) / self.budget[first : last + 1]).max())
        return _Trial(share, kept, tried)

    def accept(self, k: int, trial: _Trial) -> None:
        """Take a key out."""
        self.alive[k] = False
        self.after[self.before[k]], self.before[self.after[k]] = self.after[k], self.before[k]
        kept, part = trial.kept, trial.part
        self.values[kept] = part.values
        self.slope_out[kept[:-1]], self.slope_in[kept[1:]] = part.slope_out[:-1], part.slope_in[1:]

    def result(self) -> Fit:
        """What is left."""
        on = self.alive
        frames, values, slope_in, slope_out = self.frames[on], self.values[on], self.slope_in[on], self.slope_out[on]
        # Neighbourhoods join on to what is around them but for rounding: that must not look like a corner.
        slope_out = np.where(np.isclose(slope_in, slope_out, rtol=1e-3, atol=0), slope_in, slope_out)
        at = np.arange(len(self.shape.values), dtype=np.float64)
        return Fit(
            frames, values, slope_in, slope_out, hermite(frames.astype(np.float64), values, slope_in, slope_out, at)
        )
