"""Controls that only know a few values: switches, spaces, shapes that are on or off.

Every combination of their values is solved with those controls frozen; then the path through the combinations is
found that is most likely, by Viterbi's algorithm: each frame's cost over the noise, and a price for every switch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import DifferentiableRig
from bunraku.inversion.guidance import Limits
from bunraku.inversion.solve import SolveConfig, solve

MOST = 256  # combinations that are tried
SWITCH_NATS = 12.0  # what a switch costs, in logarithms of likelihood: less evidence than that is noise
LEAST_NOISE = 1e-6  # of the diagonal, so that a clean capture has a likelihood


@dataclass(frozen=True, eq=False)
class Switched:
    """The values that were found."""

    columns: Int[np.ndarray, "switches"]
    values: Float[np.ndarray, "frames switches"]

    def limits(self, own: Limits) -> Limits:
        """Bounds with them decided."""
        frames, count = len(self.values), own.lower.shape[1]
        where, values = np.zeros((frames, count), bool), np.zeros((frames, count))
        where[:, self.columns], values[:, self.columns] = True, self.values
        return own.narrowed(where, values)


def switched(
    rig: DifferentiableRig,
    capture: MeshSequence,
    switches: Mapping[str, Sequence[float]],
    cfg: SolveConfig,
    limits: Limits,
    *,
    progress: Progress = silent,
) -> Switched:
    """The likeliest values of discrete controls in every frame.

    Raises:
        BunrakuError: an unknown control, fewer than two values, one outside its bounds or that an instruction rules
            out, or more combinations than are tried.
    """
    columns = np.array([rig.spec.index(name) for name in switches], np.int64)
    combinations = _combinations(rig.spec, switches, limits)
    plain = replace(cfg, smooth=0.0, sparse=0.0, robust="none", iterations=min(cfg.iterations, 25))
    costs, start = np.empty((capture.frames, len(combinations))), None
    for k, values in enumerate(combinations):
        progress("switches", k, len(combinations))
        frozen = Switched(columns, np.tile(values, (capture.frames, 1))).limits(limits)
        found = solve(rig, capture, plain, start=start, limits=frozen)
        start, costs[:, k] = found.controls, found.relative_rms**2
    progress("switches", len(combinations), len(combinations))
    # Squared relative errors in units of twice the noise's variance are logarithms of likelihood.
    seen = capture.vertex_count if capture.valid is None else capture.valid.sum(axis=1).mean()
    best = float(np.median(costs.min(axis=1)))
    variance = max(best / 3, LEAST_NOISE**2) / max(float(seen), 1.0)
    changes = (combinations[:, None] != combinations[None]).sum(axis=2)
    path = viterbi(costs / (2 * variance), SWITCH_NATS * changes)
    return Switched(columns, combinations[path])


def viterbi(
    costs: Float[np.ndarray, "frames states"], changing: Float[np.ndarray, "states states"]
) -> Int[np.ndarray, "frames"]:
    """The path of least sum of its frames' costs and of what its changes cost (Viterbi 1967)."""
    reached, origin = costs[0].astype(np.float64), np.zeros(costs.shape, np.int64)
    for t in range(1, len(costs)):
        ways = reached[:, None] + changing
        origin[t] = ways.argmin(axis=0)
        reached = ways.min(axis=0) + costs[t]
    path = np.empty(len(costs), np.int64)
    path[-1] = reached.argmin()
    for t in range(len(costs) - 1, 0, -1):
        path[t - 1] = origin[t, path[t]]
    return path


def _combinations(
    spec: ControlSpec, switches: Mapping[str, Sequence[float]], limits: Limits
) -> Float[np.ndarray, "combinations switches"]:
    for name, values in switches.items():
        column = spec.index(name)
        if len(set(values)) < 2:
            raise BunrakuError(f"switch {name!r}: needs two values or more, has {len(set(values))}")
        low, high = float(limits.lower[:, column].max()), float(limits.upper[:, column].min())
        outside = [value for value in values if not low <= value <= high]
        if outside:
            raise BunrakuError(f"switch {name!r}: {outside[0]:g} is outside its bounds {low:g} … {high:g}")
    count = int(np.prod([len(values) for values in switches.values()]))
    if count > MOST:
        raise BunrakuError(f"the switches have {count} combinations; at most {MOST} are tried")
    return np.array(list(product(*switches.values())), np.float64).reshape(count, -1)
