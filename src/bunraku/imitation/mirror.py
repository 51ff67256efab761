"""A character's mirror image, as far as learning knows of it: what it does to observations and to actions.

Needs numpy alone; `symmetry` finds it in a compiled model.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Reflection:
    """A signed permutation of numbers; doing it twice changes nothing."""

    index: Int[np.ndarray, "size"]
    """Which number each one becomes."""
    sign: Float[np.ndarray, "size"]
    """By what it is multiplied: 1 or −1."""

    def of(self, array: Float[np.ndarray, "*rows size"]) -> Float[np.ndarray, "*rows size"]:
        """The mirror image of every row, in the array's own precision."""
        return array[..., self.index] * self.sign.astype(array.dtype)

    @property
    def nothing(self) -> bool:
        """It leaves every number as it is."""
        return bool((self.index == np.arange(len(self.index))).all() and (self.sign == 1).all())


@dataclass(frozen=True, eq=False)
class Mirror:
    """If an action leads from one state to another, then the mirrored action leads between their mirror images, for
    the same reward.
    """

    observation: Reflection
    action: Reflection


Label = tuple[Hashable, tuple[int, ...]]
"""What a number of an observation is: its kind (the same for mirror twins), and the degrees of freedom (places in
qvel) with which it changes sign; one that they leave as it is, such as a cosine, names each of them twice."""


def reflection(labels: Sequence[Label], dofs: Reflection) -> Reflection | None:
    """The reflection of labelled numbers that follows from the degrees of freedom's; none where a twin is missing."""
    places = {label: i for i, label in enumerate(labels)}
    twins = [places.get((kind, tuple(int(dofs.index[v]) for v in own))) for kind, own in labels]
    if any(twin is None for twin in twins):
        return None
    sign = np.array([np.prod(dofs.sign[list(own)]) for _, own in labels])
    return Reflection(np.array(twins, np.int64), sign)
