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
from jaxtyping import Float, Int

from bunraku.compute.threads import one_thread
from bunraku.core.progress import Progress, silent
from bunraku.inversion.approximation import Approximation, activate
from bunraku.inversion.dataset import SampleSet
from bunraku.inversion.draw import SampleConfig, draw
from bunraku.inversion.fit import ACTIVE, sample_counts
from bunraku.inversion.network import NetworkConfig, Task
from bunraku.inversion.polynomial import Counted, Polynomial, as_rows, select_terms

ROWS = 2048
SHARES = (0.0, 0.3, 1.0)
"""Of the new products; what validates best is taken."""
FAVOURS = (1.0, 10.0, 100.0, 1000.0)
"""How many times more than a known sample one of the newest counts; what validates best is taken."""
RIDGES = (1e-9, 1e-6, 1e-3)
"""Share of a feature's squares that holds its weight where it is."""
SELECTION_ROWS, SELECTION_OUTPUTS = 3000, 48
MESH_BYTES = 256 * 2**20
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
class _Data:
    """Scaled controls, what the approximation leaves to explain, and how much the squares of each sample count."""

    u: Float[np.ndarray, "samples controls"]
    left: Float[np.ndarray, "samples components"]
    counts: Float[np.ndarray, "samples"]

    @property
    def squares(self) -> float:
        return float(self.counts @ (self.left.astype(np.float64) ** 2).sum(axis=1))


@dataclass(frozen=True, eq=False)
class _Sides:
    """What is known and what is new, to learn from and to judge by."""

    known: _Data
    known_held: _Data
    new: _Data
    new_held: _Data
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
    wrong = 0.0
    for samples, counts in reversed(new):  # the latest first: there may be no room for all
        for controls, vertices in samples.batches("train", 256):
            controls, vertices = controls[:room], vertices[:room]
            offset = vertices.reshape(len(vertices), -1) - model.wide.mean
            z = offset @ basis.T
            outside.append((np.sqrt(counts) * (offset - z @ basis)).astype(np.float32))
            wrong += counts * float(((z - model.coordinates(controls)) ** 2).sum())
            room -= len(controls)
    rest = np.concatenate(outside)
    gram = rest.astype(np.float64) @ rest.T.astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    unseen = values.sum() - np.concatenate([[0.0], np.cumsum(values)])
    missing = int((unseen > ENOUGH**2 * (wrong + values.sum())).sum())
    most = min(cfg.components, missing, int((values > 1e-12 * max(values[0], 1e-300)).sum()))
    if most == 0:
        return model
    more = (vectors[:, :most].T @ rest.astype(np.float64)) / np.sqrt(values[:most, None])
    more -= (more @ basis.T) @ basis
    whole = np.concatenate([basis, np.linalg.qr(more.T)[0].T])

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
) -> _Data:
    """What the approximation (or another, `of`) leaves to explain of samples, in the approximation's coordinates."""
    u: list[np.ndarray] = [np.zeros((0, len(model.spec)))]
    left: list[np.ndarray] = [np.zeros((0, model.component_count), np.float32)]
    for split in splits:
        for controls, vertices in samples.batches(split, 256):
            u.append(_scaled(model, controls))
            shown = model.coordinates(controls) if of is None else model.project(of.evaluate(controls))
            left.append((model.project(vertices) - shown).astype(np.float32))
    scaled = np.concatenate(u)
    return _Data(scaled, np.concatenate(left), np.full(len(scaled), counts))


def _joined(parts: Sequence[_Data]) -> _Data:
    u, left, counts = (np.concatenate([getattr(part, name) for part in parts]) for name in ("u", "left", "counts"))
    return _Data(u, left, counts)


def _rehearsed(model: Approximation, first: Approximation, count: int, seed: int) -> tuple[_Data, _Data]:
    """To learn from and to judge by: what has been forgotten of the first approximation at poses drawn anew."""
    poses = draw(model.spec, SampleConfig(count, seed=seed), np.arange(count))
    parts = [poses[start : start + 256] for start in range(0, count, 256)]
    left = [(model.project(first.evaluate(part)) - model.coordinates(part)).astype(np.float32) for part in parts]
    data = _Data(_scaled(model, poses), np.concatenate(left), np.ones(count))
    held = np.arange(count) % 10 == 0
    learning, judging = (_Data(data.u[rows], data.left[rows], data.counts[rows]) for rows in (~held, held))
    return learning, judging


def _scaled(model: Approximation, controls: np.ndarray) -> np.ndarray:
    return (controls - model.wide.centre) / model.wide.spread


def _trained(model: Approximation, sides: _Sides, cfg: TuneConfig, seed: int, device: str) -> Approximation:
    """The network's layers trained on, at a low rate, new samples counting as much as all known ones together."""
    from bunraku.inversion.network_training import train

    def target(*parts: _Data) -> np.ndarray:
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


def network_output(model: Approximation, u: Float[np.ndarray, "poses controls"]) -> np.ndarray:
    """What the network adds to z / scale."""
    weight, bias = model.wide.layers[-1]
    return hidden_units(model, u) @ weight.T + bias


def hidden_units(model: Approximation, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses units"]:
    """The activations that the network's last layer takes; none where there is no network."""
    if not model.layers:
        return np.zeros((len(u), 0))
    for weight, bias in model.wide.layers[:-1]:
        u = activate(u @ weight.T + bias, model.activation)[0]
    return u


def _corrected(model: Approximation, sides: _Sides, cfg: TuneConfig, seed: int) -> Approximation:
    """Constant, linear part, products and last layer moved by weighted ridge regression on what is left."""
    extra = _more_terms(model, sides, cfg, seed)
    features = _Features(model, extra)
    known, new, held = (features.normal_equations(part) for part in (sides.known, sides.new, sides.new_held))
    known_held, new_held = features(sides.known_held.u), features(sides.new_held.u)
    best, least = None, sides.new_held.squares
    for size, favour, ridge in _choices(len(features.fixed), len(extra)):
        kept = np.concatenate([np.arange(len(features.fixed)), len(features.fixed) + np.arange(size)])
        weights = _ridge(known, new, favour, ridge, kept)
        left = _after(sides.new_held, new_held[:, kept], weights)
        if left < least and _after(sides.known_held, known_held[:, kept], weights) <= sides.bearable:
            best, least = (kept, favour, ridge), left
    if best is None:
        return model
    kept, favour, ridge = best
    whole = (new[0] + held[0], new[1] + held[1]) if sides.new_held is not sides.new else new
    return features.applied(_ridge(known, whole, favour, ridge, kept), kept)


def _choices(fixed: int, extra: int) -> list[tuple[int, float, float]]:
    sizes = dict.fromkeys(round(share * extra) for share in SHARES)
    return [(size, favour, ridge) for size in sizes for favour in FAVOURS for ridge in RIDGES]


def _more_terms(model: Approximation, sides: _Sides, cfg: TuneConfig, seed: int) -> list[tuple[int, ...]]:
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


class _Features:
    """1, the controls, all products and the last hidden units: what the approximation is linear in."""

    def __init__(self, model: Approximation, extra: list[tuple[int, ...]]) -> None:
        self.model = model
        controls = len(model.spec)
        present = [tuple(int(i) for i in row if i < controls) for row in model.terms]
        self.present = present
        self.extra = extra
        self.products = Polynomial(as_rows([(), *((i,) for i in range(controls)), *present], controls), controls)
        self.more = Polynomial(as_rows(extra, controls), controls)
        units = len(model.layers[-1][0].T) if model.layers else 0
        self.fixed: Int[np.ndarray, "features"] = np.arange(1 + controls + len(present) + units)

    def __call__(self, u: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses features"]:
        return np.concatenate([self.products.evaluate(u), hidden_units(self.model, u), self.more.evaluate(u)], axis=1)

    def normal_equations(self, data: _Data) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.fixed) + len(self.extra)
        gram, moment = np.zeros((size, size)), np.zeros((size, data.left.shape[1]))
        for start in range(0, len(data.u), ROWS):
            rows = slice(start, start + ROWS)
            part = self(data.u[rows])
            counted = part.T * data.counts[rows]
            gram += counted @ part
            moment += counted @ data.left[rows]
        return gram, moment

    def applied(self, weights: Float[np.ndarray, "kept components"], kept: Int[np.ndarray, "kept"]) -> Approximation:
        """The approximation with these weights added to its own."""
        model, controls = self.model, len(self.model.spec)
        constant, linear, rest = weights[0], weights[1 : 1 + controls].T, weights[1 + controls :].T / model.scale
        shift = constant if model.basis is None else constant @ model.wide.basis
        skip = linear / model.scale + (0.0 if model.skip is None else model.skip)
        products, rest = rest[:, : len(self.present)] + model.products, rest[:, len(self.present) :]
        layers = model.layers
        if layers:
            units = len(self.fixed) - 1 - controls - len(self.present)
            weight, bias = layers[-1]
            layers = (*layers[:-1], ((weight + rest[:, :units]).astype(np.float32), bias))
            rest = rest[:, units:]
        terms = as_rows([*self.present, *self.extra[: len(kept) - len(self.fixed)]], controls)
        products = np.concatenate([products, rest], axis=1).astype(np.float32)
        return replace(
            model, mean=model.mean + shift, skip=skip.astype(np.float32), terms=terms, products=products, layers=layers
        )


def _ridge(
    known: tuple[np.ndarray, np.ndarray],
    new: tuple[np.ndarray, np.ndarray],
    favour: float,
    ridge: float,
    kept: Int[np.ndarray, "kept"],
) -> Float[np.ndarray, "kept components"]:
    gram = (known[0] + favour * new[0])[np.ix_(kept, kept)]
    moment = (known[1] + favour * new[1])[kept]
    size = np.sqrt(np.diag(gram))
    unit = np.where(size > 0, 1 / np.where(size > 0, size, 1), 0)
    scaled = gram * unit[:, None] * unit + ridge * np.eye(len(gram))
    return np.linalg.solve(scaled, moment * unit[:, None]) * unit[:, None]


def _after(data: _Data, features: np.ndarray, weights: np.ndarray) -> float:
    return float(data.counts @ ((data.left - features @ weights) ** 2).sum(axis=1))
