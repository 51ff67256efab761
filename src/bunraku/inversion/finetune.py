"""An approximation made better where new samples of its rig lie, from its present weights.

What is linear in its weights (the constant, the linear part, products, the network's last layer) is corrected in
closed form on what is left to explain: new samples count more, those that it was fitted to hold it where it was. The
basis grows by what it cannot show, products by those that explain the rest. A network's own layers are trained on at
a low rate first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bunraku.compute.threads import one_thread
from bunraku.core.errors import BunrakuError
from bunraku.core.progress import Progress, silent
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.draw import SampleConfig, draw
from bunraku.inversion.fit import ACTIVE, sample_counts
from bunraku.inversion.linear_weights import Features, Left, network_output, ridge_regression
from bunraku.inversion.network import NetworkConfig, Task
from bunraku.inversion.polynomial import Counted, Term, select_terms

SHARES = (0.0, 0.3, 1.0)
"""Of the new products; what validates best is taken."""
FAVOURS = (1.0, 10.0, 100.0, 1000.0)
"""How many times more than a known sample one of the newest counts; what validates best is taken."""
RIDGES = (1e-9, 1e-6, 1e-3)
"""Share of a feature's squares that holds its weight where it is."""
SELECTION_ROWS, SELECTION_OUTPUTS = 3000, 48
MESH_BYTES = 256 * 2**20
ROUNDING = 1e-6
"""Share of the motion below which what a basis cannot show is rounding of single precision."""
ENOUGH = 0.05
"""The basis grows while it cannot show more than this share of what the approximation is wrong by."""


@dataclass(frozen=True)
class TuneConfig:
    """How an approximation is fine-tuned."""

    products: int = 150
    """At most so many more products of controls each time; 0 corrects those that are there."""
    degree: int = 6
    """The highest degree of such a product."""
    components: int = 32
    """At most so many more components of the basis each time."""
    forget: float = 2.0
    """Elsewhere the error may become so many times what it was."""
    epochs: int = 10
    """Passes in which the layers of a network, where there is one, learn on; 0 corrects only its last layer."""
    learning_rate: float = 2e-4
    """The highest in those."""
    rehearsal: int = 2000
    """Poses at which an approximation without its samples remembers its own answers, to be held there."""


@dataclass(frozen=True, eq=False)
class _Sides:
    """What is known and what is new, to learn from and to judge by."""

    known: Left
    known_held: Left
    new: Left
    new_held: Left
    bearable: float
    """The squares that may be left of `known_held`."""


def fine_tune(
    model: Approximation,
    known: SampleSet | None,
    new: Sequence[SampleSet],
    cfg: TuneConfig | None = None,
    *,
    counts: Sequence[float] | None = None,
    first: Approximation | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
) -> Approximation:
    """The approximation corrected where `new` samples lie; `known` are those it was fitted to.

    `counts` say how much the squares of each new set count (all alike without); `first` is the approximation that
    forgetting is measured from (this one without). Where the `known` samples are gone, its answers at drawn poses
    stand for them (pseudorehearsal, Robins 1995), which costs no evaluation. A tenth of the new samples judges how far
    the correction goes; then they are learnt too. Where nothing judges better the approximation comes back as it was.
    The same for a seed.

    Raises:
        BunrakuError: samples of another rig, or none that are usable.
    """
    cfg, first = cfg or TuneConfig(), first or model
    weighed = list(zip(new, counts if counts is not None else [1.0] * len(new), strict=True))
    with one_thread():
        progress("tune", 0, 3)
        model = _extended(model, weighed, cfg)
        sides = _sides(model, first, known, weighed, cfg, seed)
        if len(sides.new.u) == 0:
            raise BunrakuError(f"{new[0].path}: no usable sample to learn from among {sum(one.count for one in new)}")
        if model.layers and cfg.epochs:
            progress("tune", 1, 3, "network")
            model = _trained(model, sides, cfg, seed, device)
            sides = _sides(model, first, known, weighed, cfg, seed)
        progress("tune", 2, 3, "products")
        tuned = _corrected(model, sides, cfg, seed)
        progress("tune", 3, 3)
        return tuned


_Weighed = Sequence[tuple[SampleSet, float]]


def _extended(model: Approximation, new: _Weighed, cfg: TuneConfig) -> Approximation:
    """The same function with further rows of its basis, of weight 0, for what it cannot show of the new meshes."""
    basis = model.wide.basis
    if basis is None or cfg.components == 0:
        return model
    room = max(1, MESH_BYTES // (4 * model.mean.size))
    outside: list[np.ndarray] = []
    wrong = motion = 0.0
    for samples, counts in reversed(new):  # the latest first: there may be no room for all
        for controls, vertices in samples.batches("train", 256):
            controls, vertices = controls[:room], vertices[:room]
            offset = vertices.reshape(len(vertices), -1) - model.wide.mean
            z = offset @ basis.T
            outside.append((np.sqrt(counts) * (offset - z @ basis)).astype(np.float32))
            motion += counts * float((offset**2).sum())
            wrong += counts * float(((z - model.coordinates(controls)) ** 2).sum())
            room -= len(controls)
    if not outside:
        return model
    rest = np.concatenate(outside)
    gram = rest.astype(np.float64) @ rest.T.astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    unseen = values.sum() - np.concatenate([[0.0], np.cumsum(values)])
    missing = int((unseen > ENOUGH**2 * (wrong + values.sum())).sum())
    most = min(cfg.components, missing, int((values > ROUNDING**2 * motion).sum()))
    if most == 0:
        return model
    more = (vectors[:, :most].T @ rest.astype(np.float64)) / np.sqrt(values[:most, None])
    for _ in range(2):  # once leaves what rounding mixed in again
        more = np.linalg.qr((more - (more @ basis.T) @ basis).T)[0].T
    whole = np.concatenate([basis, more])

    def padded(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.zeros((most, *array.shape[1:]), array.dtype)])

    layers = model.layers
    if layers:
        layers = (*layers[:-1], (padded(layers[-1][0]), padded(layers[-1][1])))
    skip = None if model.skip is None else padded(model.skip)
    narrow = whole.astype(np.float32)
    return replace(model, basis=narrow, skip=skip, products=padded(model.products), layers=layers)


def _sides(
    model: Approximation, first: Approximation, known: SampleSet | None, new: _Weighed, cfg: TuneConfig, seed: int
) -> _Sides:
    fresh = _joined([_left(model, samples, ("train",), counts) for samples, counts in new])
    judging = ("validation", "test") if any(len(samples.split("validation")) for samples, _ in new) else ("train",)
    held = _joined([_left(model, samples, judging, counts) for samples, counts in new])
    held = held if len(held.u) else fresh
    if known is None:
        before = _joined([_left(model, samples, judging, counts, first) for samples, counts in new])
        old, old_held = _rehearsed(model, first, cfg.rehearsal, seed)
        # What the first one remembers of itself is exact: there it may move as far as it was wrong about the new.
        bearable = before.squares / before.counts.sum() * len(old_held.u)
        return _Sides(old, old_held, fresh, held, cfg.forget**2 * float(bearable))
    side = ("validation",) if len(known.split("validation")) else ("train",)
    parts = _left(model, known, ("train",)), _left(model, known, side), _left(model, known, side, of=first)
    typical = float((np.abs(parts[0].u) > ACTIVE).sum(axis=1).mean())
    old, old_held, before = (replace(part, counts=sample_counts(part.u, typical)) for part in parts)
    return _Sides(old, old_held, fresh, held, cfg.forget**2 * before.squares)


def _left(
    model: Approximation,
    samples: SampleSet,
    splits: Sequence[str],
    counts: float = 1.0,
    of: Approximation | None = None,
) -> Left:
    """What the approximation (or another, `of`) leaves to explain of samples, in the approximation's coordinates."""
    u: list[np.ndarray] = [np.zeros((0, len(model.spec)))]
    left: list[np.ndarray] = [np.zeros((0, model.component_count), np.float32)]
    for split in splits:
        for controls, vertices in samples.batches(split, 256):
            u.append(_scaled(model, controls))
            shown = model.coordinates(controls) if of is None else model.project(of.evaluate(controls))
            left.append((model.project(vertices) - shown).astype(np.float32))
    scaled = np.concatenate(u)
    return Left(scaled, np.concatenate(left), np.full(len(scaled), counts))


def _joined(parts: Sequence[Left]) -> Left:
    u, left, counts = (np.concatenate([getattr(part, name) for part in parts]) for name in ("u", "left", "counts"))
    return Left(u, left, counts)


def _rehearsed(model: Approximation, first: Approximation, count: int, seed: int) -> tuple[Left, Left]:
    """To learn from and to judge by: what has been forgotten of the first approximation at poses drawn anew."""
    poses = draw(model.spec, SampleConfig(count, seed=seed), np.arange(count))
    parts = [poses[start : start + 256] for start in range(0, count, 256)]
    left = [(model.project(first.evaluate(part)) - model.coordinates(part)).astype(np.float32) for part in parts]
    data = Left(_scaled(model, poses), np.concatenate(left), np.ones(count))
    held = np.arange(count) % 10 == 0
    learning, judging = (Left(data.u[rows], data.left[rows], data.counts[rows]) for rows in (~held, held))
    return learning, judging


def _scaled(model: Approximation, controls: np.ndarray) -> np.ndarray:
    return (controls - model.wide.centre) / model.wide.spread


def _trained(model: Approximation, sides: _Sides, cfg: TuneConfig, seed: int, device: str) -> Approximation:
    """The network's layers trained on, at a low rate, new samples counting as much as all known ones together."""
    from bunraku.inversion.network_training import train

    def target(*parts: Left) -> np.ndarray:
        u = np.concatenate([part.u for part in parts])
        return np.concatenate([part.left for part in parts]) / model.scale + network_output(model, u)

    favour = max(1.0, len(sides.known.u) / float(sides.new.counts.sum()))
    counts = np.concatenate([sides.known.counts, favour * sides.new.counts])
    u = np.concatenate([sides.known.u, sides.new.u])
    learnt = Counted(u, target(sides.known, sides.new).astype(np.float32), counts / counts.mean())
    held = Counted(sides.new_held.u, target(sides.new_held).astype(np.float32), sides.new_held.counts)
    hidden = tuple(len(bias) for _, bias in model.layers[:-1])
    shape = NetworkConfig(hidden=hidden, activation=model.activation, epochs=cfg.epochs, weight_decay=0.0)
    shape = replace(shape, learning_rate=cfg.learning_rate)
    task = Task(learnt, held, 1.0, from_zero=False, standardise=True, seed=seed)
    layers, _ = train(task, shape, None, device, silent, begin=model.layers)
    narrow = tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in layers)
    tried = replace(model, layers=narrow)
    kept = sides.known_held
    moved = network_output(tried, kept.u) - network_output(model, kept.u)
    forgotten = replace(kept, left=kept.left - model.scale * moved)
    return tried if forgotten.squares <= sides.bearable else model


def _corrected(model: Approximation, sides: _Sides, cfg: TuneConfig, seed: int) -> Approximation:
    """Constant, linear part, products and last layer moved by weighted ridge regression on what is left."""
    extra = _more_terms(model, sides, cfg, seed)
    features = Features(model, extra)
    known, new, held = (features.normal_equations(part) for part in (sides.known, sides.new, sides.new_held))
    known_held, new_held = features(sides.known_held.u), features(sides.new_held.u)
    best, least = None, sides.new_held.squares
    for size, favour, ridge in _choices(len(features.fixed), len(extra)):
        kept = np.concatenate([np.arange(len(features.fixed)), len(features.fixed) + np.arange(size)])
        weights = ridge_regression(known, new, favour, ridge, kept)
        left = _after(sides.new_held, new_held[:, kept], weights)
        if left < least and _after(sides.known_held, known_held[:, kept], weights) <= sides.bearable:
            best, least = (kept, favour, ridge), left
    if best is None:
        return model
    kept, favour, ridge = best
    whole = (new[0] + held[0], new[1] + held[1]) if sides.new_held is not sides.new else new
    return features.applied(ridge_regression(known, whole, favour, ridge, kept), kept)


def _choices(fixed: int, extra: int) -> list[tuple[int, float, float]]:
    sizes = dict.fromkeys(round(share * extra) for share in SHARES)
    return [(size, favour, ridge) for size in sizes for favour in FAVOURS for ridge in RIDGES]


def _more_terms(model: Approximation, sides: _Sides, cfg: TuneConfig, seed: int) -> list[Term]:
    """Products that explain what is left, which the approximation does not have yet."""
    known, new = sides.known, sides.new
    most = min(cfg.products, len(new.u) // 2)
    if most == 0:
        return []
    rng = np.random.default_rng([seed, 5])
    few = min(len(known.u), max(0, SELECTION_ROWS - len(new.u)))
    old = np.sort(rng.choice(len(known.u), few, replace=False))
    fresh = np.sort(rng.choice(len(new.u), min(len(new.u), SELECTION_ROWS), replace=False))
    u = np.concatenate([known.u[old], new.u[fresh]])
    left = np.concatenate([known.left[old], new.left[fresh]])
    if left.shape[1] > SELECTION_OUTPUTS:
        left = left @ rng.standard_normal((left.shape[1], SELECTION_OUTPUTS)).astype(np.float32)
    favour = max(1.0, 10 * few / float(new.counts[fresh].sum()))
    counts = np.concatenate([known.counts[old], favour * new.counts[fresh]])
    there = {tuple(int(i) for i in row if i < len(model.spec)) for row in np.sort(model.terms, axis=1)}
    found = select_terms(u, left, counts, most, cfg.degree)
    return [term for term in found if term not in there]


def _after(data: Left, features: np.ndarray, weights: np.ndarray) -> float:
    return float(data.counts @ ((data.left - features @ weights) ** 2).sum(axis=1))
