"""Which poses are sampled. Sample i depends on the seed and on i alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from bunraku.core.controls import ControlSpec
from bunraku.core.curves import Curves
from bunraku.core.errors import BunrakuError

Sampler = Literal["sparse", "sobol", "curves"]

SINGLES, PAIRS, DENSE = 0.15, 0.15, 0.10
"""Shares of sparse samples with one active control, with two, and with any number up to all of them."""
AT_BOUND = 0.10
"""Share of active values that lie exactly on a bound."""
_CHUNK = 4096


@dataclass(frozen=True)
class SampleConfig:
    """Which poses to sample, and how many."""

    samples: int = 4000
    """How many poses."""
    sampler: Sampler = "sparse"
    """sparse: few controls active at once; sobol: evenly over all ranges; curves: around given curves."""
    seed: int = 0
    """Another seed draws other poses."""
    active: float = 12.0
    """Mean number of controls that are active at once (sparse, and what is varied by curves)."""
    spread: float = 0.1
    """How far the sampler "curves" strays from its curves: a standard deviation, as a share of each range."""
    shard: int = 0
    """Samples in one file; 0 chooses files of about 8 MB, of at most 256 samples."""


def check(spec: ControlSpec, cfg: SampleConfig, curves: Curves | None) -> None:
    """Refuse settings that make no sense.

    Raises:
        BunrakuError: a number out of range, no control to move, curves missing or of no control of the rig.
    """
    limits = {
        "samples": (cfg.samples, 1),
        "active": (cfg.active, 1),
        "spread": (cfg.spread, 0),
        "shard": (cfg.shard, 0),
    }
    for name, (value, least) in limits.items():
        if not np.isfinite(value) or value < least:
            raise BunrakuError(f"--{name} {value}: must be at least {least}")
    if cfg.sampler not in ("sparse", "sobol", "curves"):
        raise BunrakuError(f"--sampler {cfg.sampler}: expected sparse, sobol or curves")
    if len(free_controls(spec)) == 0:
        raise BunrakuError("no control can be sampled: each is driven or has lower = upper")
    if cfg.sampler == "curves" and curves is None:
        raise BunrakuError("--sampler curves: needs curves to sample around")
    if cfg.sampler == "curves" and curves is not None and not set(curves.names) & set(spec.names):
        raise BunrakuError(f"no curve names a control of the rig; curves: {', '.join(curves.names[:20])}")


def draw(
    spec: ControlSpec,
    cfg: SampleConfig,
    indices: Int[np.ndarray, "samples"],
    around: Float[np.ndarray, "frames controls"] | None = None,
) -> Float[np.ndarray, "samples controls"]:
    """The poses of given sample numbers, inside the bounds; driven controls stay exactly at neutral.

    `around` are the curves of the sampler "curves", in the rig's order.
    """
    poses = np.tile(spec.neutral, (len(indices), 1))
    free = free_controls(spec)
    for start in range(0, len(indices), _CHUNK):
        rows = np.asarray(indices[start : start + _CHUNK], np.int64)
        if cfg.sampler == "sobol":
            values = _sobol(spec.take(free), cfg, rows)
        elif cfg.sampler == "sparse":
            values = _sparse(spec.take(free), cfg, rows)
        else:
            assert around is not None, "the sampler 'curves' needs curves"
            values = _near_curves(spec.take(free), cfg, rows, around[:, free])
        poses[start : start + len(rows), free] = values
    return poses


def free_controls(spec: ControlSpec) -> Int[np.ndarray, "free"]:
    """The columns that can be sampled: those that are not driven and have a range."""
    return np.flatnonzero(~spec.driven & (spec.upper > spec.lower))


def _sparse(spec: ControlSpec, cfg: SampleConfig, rows: np.ndarray) -> np.ndarray:
    count = len(spec)
    wanted, kind, size, calm = uniform(cfg.seed, rows, 0, 4).T
    mean = (cfg.active - SINGLES - 2 * PAIRS - DENSE * (count + 1) / 2) / (1 - SINGLES - PAIRS - DENSE)
    few = 1 + np.floor(wanted * (2 * max(mean, 1.0) - 1))  # 1 … 2·mean − 1, whose mean is what is left for them
    any_number = 1 + np.floor(size * count)
    dense = kind >= 1 - DENSE
    active = np.select([kind < SINGLES, kind < SINGLES + PAIRS, dense], [1.0, 2.0, any_number], few)
    moved = choose(cfg.seed, rows, count, np.minimum(active, count))
    values = _values(spec, cfg.seed, rows)
    # Many controls at full swing make meshes that no shot shows: dense poses are calmer.
    swing = np.where(dense, 0.25 + 0.75 * calm, 1.0)[:, None]
    values = np.where(swing < 1, spec.neutral + swing * (values - spec.neutral), values)
    return np.where(moved, np.clip(values, spec.lower, spec.upper), spec.neutral)


def choose(
    seed: int, rows: Int[np.ndarray, "samples"], count: int, active: Float[np.ndarray, "samples"]
) -> Bool[np.ndarray, "samples controls"]:
    """`active` of the controls, at random: those with the smallest of as many random numbers."""
    ticket = uniform(seed, rows, 1, count)
    last = np.sort(ticket, axis=1)[np.arange(len(rows)), active.astype(np.int64) - 1]
    return ticket <= last[:, None]


def _values(spec: ControlSpec, seed: int, rows: np.ndarray) -> np.ndarray:
    """Uniform between the bounds; now and then exactly on one that is not the neutral."""
    values = spec.lower + uniform(seed, rows, 2, len(spec)) * (spec.upper - spec.lower)
    extreme = uniform(seed, rows, 3, len(spec))
    upper = ((extreme < AT_BOUND / 2) | (spec.lower == spec.neutral)) & (spec.upper != spec.neutral)
    values = np.where(extreme < AT_BOUND, np.where(upper, spec.upper, spec.lower), values)
    return np.clip(values, spec.lower, spec.upper)


def _near_curves(spec: ControlSpec, cfg: SampleConfig, rows: np.ndarray, around: np.ndarray) -> np.ndarray:
    """A point on the curves, also between frames, from which a few controls stray."""
    when, size = uniform(cfg.seed, rows, 4, 2).T
    place = when * (len(around) - 1)
    left = np.minimum(place.astype(np.int64), max(len(around) - 2, 0))
    right = np.minimum(left + 1, len(around) - 1)
    t = (place - left)[:, None]
    base = (1 - t) * around[left] + t * around[right]
    active = np.clip(1 + np.floor(size * (2 * cfg.active - 1)), 1, len(spec))
    moved = choose(cfg.seed, rows, len(spec), active)
    strayed = base + np.where(moved, normal(cfg.seed, rows, 5, len(spec)) * cfg.spread * (spec.upper - spec.lower), 0.0)
    return np.clip(strayed, spec.lower, spec.upper)


def _sobol(spec: ControlSpec, cfg: SampleConfig, rows: np.ndarray) -> np.ndarray:
    """Points of the Sobol sequence under a random digital shift, which keeps it evenly spread."""
    import warnings

    from scipy.stats import qmc

    bits = 30
    start = int(rows.min())
    sequence = qmc.Sobol(len(spec), scramble=False, bits=bits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "balanced only in powers of two": any prefix will do here
        if start > 0:
            sequence.fast_forward(start)
        points = sequence.random(int(rows.max()) + 1 - start)[rows - start]
    digits = np.round(points * 2**bits).astype(np.int64)
    shift = (uniform(cfg.seed, np.zeros(1, np.int64), 7, len(spec)) * 2**bits).astype(np.int64)
    unit = ((digits ^ shift) + 0.5) / 2**bits
    return np.clip(spec.lower + unit * (spec.upper - spec.lower), spec.lower, spec.upper)


def uniform(
    seed: int, rows: Int[np.ndarray, "samples"], stream: int, count: int
) -> Float[np.ndarray, "samples numbers"]:
    """Random numbers in [0, 1) that depend on (seed, row, stream, column) alone: SplitMix64 of a counter.

    Not numpy's generators: one each per sample would be slow, and their streams may change between versions.
    """
    key = _mix(_mix(np.array([seed % 2**64], np.uint64)) + np.uint64(stream + 1))
    row = _mix(key + (rows.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    bits = _mix(row[:, None] + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * _GOLDEN)
    return (bits >> np.uint64(11)) * 2.0**-53


def normal(
    seed: int, rows: Int[np.ndarray, "samples"], stream: int, count: int
) -> Float[np.ndarray, "samples numbers"]:
    """Normal random numbers from the streams `stream` and `stream` + 1 (Box and Muller 1958)."""
    radius = np.sqrt(-2 * np.log1p(-uniform(seed, rows, stream, count)))
    return radius * np.cos(2 * np.pi * uniform(seed, rows, stream + 1, count))


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, fig. 15)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
