"""Captures in other axes, units and places than the rig: noticed, said in one line, and mended.

Vertices correspond by index here, so that one best-fitting similarity tells nearly everything. A candidate is a
signed axis
permutation (24 turns and their 24 mirror images) with a scale and an offset. The identity wins unless another is ten
times better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
from jaxtyping import Float

from bunraku.core.mesh_sequence import MeshSequence
from bunraku.inversion.procrustes import motions

PROBES = 8  # frames that are looked at, spread over the shot
SOLVED = 4  # of them that candidates are solved on
EXACT = 1e-6  # a relative error below which nothing needs mending
BETTER = 10.0  # by which factor a change must improve on none
UNITS = (1.0, 10.0, 100.0, 1000.0, 2.54, 25.4, 30.48, 304.8, 12.0, 39.3700787, 3.2808399)
"""Lengths that programs use, in each other: mm, cm, m, inch, foot; and their inverses."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """From the capture's space to the rig's: y = scale · axes · x + offset."""

    axes: Float[np.ndarray, "3 3"]
    """A signed permutation."""
    scale: float
    offset: Float[np.ndarray, "3"]

    @property
    def is_identity(self) -> bool:
        """Nothing changes."""
        return bool(np.array_equal(self.axes, np.eye(3)) and self.scale == 1 and not self.offset.any())

    @property
    def matrix(self) -> Float[np.ndarray, "3 4"]:
        """[scale · axes | offset]."""
        return np.concatenate([self.scale * self.axes, self.offset[:, None]], axis=1)

    def apply(self, capture: MeshSequence) -> MeshSequence:
        """The capture in the rig's space."""
        return capture if self.is_identity else moved(capture, self.matrix)

    def __str__(self) -> str:
        """One line for people: what the rig's x, y and z are in the capture."""
        if self.is_identity:
            return "identity"
        signs = [
            ("-" if row[np.argmax(np.abs(row))] < 0 else "") + "xyz"[int(np.argmax(np.abs(row)))] for row in self.axes
        ]
        mirrored = " (mirrored)" if np.linalg.det(self.axes) < 0 else ""
        offset = f" + ({', '.join(f'{o:g}' for o in self.offset)})" if self.offset.any() else ""
        return f"{self.scale:g} * ({', '.join(signs)}){mirrored}{offset}"


def moved(capture: MeshSequence, transform: Float[np.ndarray, "3 4"] | Float[np.ndarray, "frames 3 4"]) -> MeshSequence:
    """A capture in another space, y = A·x + b with transform = [A | b], one for all frames or one for each.

    What is missing stays missing.
    """
    linear, offset = np.swapaxes(transform[..., :3], -1, -2), transform[..., None, :, 3]
    vertices = np.asarray(capture.vertices, np.float64) @ linear + offset
    if capture.valid is not None:
        vertices[~capture.valid] = 0.0
    return replace(capture, vertices=vertices)


IDENTITY = Alignment(np.eye(3), 1.0, np.zeros(3))


def align(
    capture: MeshSequence,
    neutral: Float[np.ndarray, "vertices 3"],
    solved_error: Callable[[MeshSequence], float],
    still: Float[np.ndarray, "vertices"] | None = None,
) -> Alignment:
    """How the capture lies in the rig's space.

    `still` says how far each vertex can be trusted to stand still (`inversion.still`), for a rig that cannot follow a
    motion of the whole: then nothing need be solved, and a head that drifts while it is captured deceives nobody.

    `solved_error` solves a few frames on the rig and returns their relative error: a candidate is right when the rig
    can follow the capture under it. Where the rig could follow either way (its root can turn), an exchanged up axis is
    told from the frames' best-fitting rotations: they lie ten times closer (in squared distance) to the exchange than
    to the identity.
    """
    probes = _probes(capture)
    if still is not None and still.any():
        return _by_still(probes, neutral, still)
    fits = [_similarity(frame, neutral) for frame in _valid_vertices(probes)]
    candidates = _candidates(probes, fits, neutral)
    few = _first(probes, SOLVED)
    for candidate in candidates:
        if candidate.scale == 1 and _exchanges_up(candidate, fits) and solved_error(candidate.apply(few)) <= EXACT:
            return candidate
    identity_error = solved_error(few)
    if identity_error <= EXACT:
        return IDENTITY
    errors = [solved_error(candidate.apply(few)) for candidate in candidates]
    best_error = min(errors, default=np.inf)
    if identity_error > BETTER * best_error:
        enough = max(EXACT, 1.1 * best_error)
        best = _simplest([c for c, error in zip(candidates, errors, strict=True) if error <= enough], fits)
        return _polished(best, few, solved_error) if best.scale not in _known_scales() else best
    for candidate, error in zip(candidates, errors, strict=True):
        if candidate.scale == 1 and _exchanges_up(candidate, fits) and error <= 1.1 * identity_error:
            return candidate
    return IDENTITY


def _by_still(
    probes: MeshSequence, neutral: Float[np.ndarray, "vertices 3"], still: Float[np.ndarray, "vertices"]
) -> Alignment:
    """Axes, unit and place of what stands still on the rig; turns and shifts that differ between frames are left."""
    twins = (np.eye(3), np.diag([-1.0, 1.0, 1.0]))
    fits = [motions(neutral @ twin, probes, still, "similarity") for twin in twins]
    known = fits[0].known & fits[1].known
    if not known.any():
        return IDENTITY
    left = [float(np.median(fit.sigma[known])) for fit in fits]
    mirrored = left[0] ** 2 > BETTER * left[1] ** 2
    twin, fit = twins[mirrored], fits[mirrored]
    # x = s·R·M·n: the rig's axes in the capture are those of (R·M)ᵀ.
    turns = [
        _Similarity((rotation @ twin).T, 1 / scale) for rotation, scale in zip(fit.rotation, fit.scale, strict=True)
    ]
    turns = [turn for turn, there in zip(turns, known, strict=True) if there]
    axes = _exchanged(turns, mirrored)
    estimate = _median_scale(turns)
    scale = min(_likely_scales(estimate), key=lambda known: abs(np.log(known / estimate)))
    plain = Alignment(axes, 1.0 if 0.6 < estimate < 1 / 0.6 else scale, np.zeros(3))
    where = [rotation @ twin @ fit_middle for rotation, fit_middle in zip(fit.rotation, fit.centre @ twin, strict=True)]
    places = fit.scale[:, None] * np.array(where) + fit.translation
    off = (fit.centre @ twin - plain.scale * places @ plain.axes.T)[known]
    offset = np.median(off, axis=0)
    needed = (off**2).sum() > BETTER * ((off - offset) ** 2).sum() + (EXACT * float(np.ptp(neutral))) ** 2
    return replace(plain, offset=offset) if needed else (IDENTITY if plain.is_identity else plain)


def _exchanged(turns: list[_Similarity], mirrored: bool) -> Float[np.ndarray, "3 3"]:
    """The signed permutation that four frames in five lie ten times closer to than to none; a mirrored one at once."""
    sign = -1.0 if mirrored else 1.0
    able = [matrix for matrix in _signed_permutations() if np.linalg.det(matrix) * sign > 0]
    best = max(able, key=lambda matrix: sum(float((turn.matrix * matrix).sum()) for turn in turns))
    near = [BETTER * (6 - 2 * (t.matrix * best).sum()) < 6 - 2 * np.trace(t.matrix) for t in turns]
    return best if mirrored or float(np.mean(near)) >= 0.8 else np.eye(3)


def _simplest(tied: list[Alignment], fits: list[_Similarity]) -> Alignment:
    """Of candidates that the rig follows equally well (its root can turn and shift, or scale): the unit conversion
    nearest to the estimate; an exchanged up axis where the frames lie that way, else the axes as they are; and no
    offset where none is needed.
    """
    estimate = _median_scale(fits)

    def oddity(c: Alignment) -> tuple[bool, float, bool, bool, bool]:
        other_axes = not np.array_equal(c.axes, np.eye(3))
        unit = c.scale in _known_scales()
        off = round(abs(float(np.log(c.scale / estimate))), 6)
        return (not unit, off, not _exchanges_up(c, fits), other_axes, bool(c.offset.any()))

    return min(tied, key=oddity)


def _median_scale(fits: list[_Similarity]) -> float:
    return float(np.median([fit.scale for fit in fits]))


def _first(probes: MeshSequence, count: int) -> MeshSequence:
    valid = None if probes.valid is None else probes.valid[:count]
    return replace(probes, vertices=probes.vertices[:count], valid=valid)


def _probes(capture: MeshSequence) -> MeshSequence:
    chosen = np.unique(np.linspace(0, capture.frames - 1, PROBES).round().astype(int))
    if capture.valid is not None:
        seen = capture.valid.sum(axis=1)
        usable = np.flatnonzero(seen >= 0.5 * seen.max())
        chosen = usable[np.unique(np.linspace(0, len(usable) - 1, PROBES).round().astype(int))]
    valid = None if capture.valid is None else capture.valid[chosen]
    vertices = np.asarray(capture.vertices[chosen], np.float64)
    return replace(capture, vertices=vertices, valid=valid, confidence=None)


def _valid_vertices(probes: MeshSequence) -> list[tuple[np.ndarray, np.ndarray]]:
    everything = np.ones(probes.vertices.shape[:2], bool) if probes.valid is None else probes.valid
    return list(zip(probes.vertices, everything, strict=True))


@dataclass(frozen=True, eq=False)
class _Similarity:
    """The orthogonal matrix and scale that carry a frame best to the neutral mesh."""

    matrix: Float[np.ndarray, "3 3"]
    scale: float


def _similarity(frame: tuple[np.ndarray, np.ndarray], neutral: np.ndarray) -> _Similarity:
    vertices, valid = frame
    source, target = vertices[valid] - vertices[valid].mean(axis=0), neutral[valid] - neutral[valid].mean(axis=0)
    left, values, right = np.linalg.svd(target.T @ source)
    # A nearly flat mesh cannot tell its mirror image: then the proper rotation is meant.
    if values[2] < 1e-3 * values[0] and np.linalg.det(left @ right) < 0:
        left[:, 2] *= -1
    spread = float((source**2).sum())
    return _Similarity(left @ right, float(values.sum()) / spread if spread > 0 else 1.0)


def _candidates(probes: MeshSequence, fits: list[_Similarity], neutral: np.ndarray) -> list[Alignment]:
    signed = _signed_permutations()
    overlap = np.array([[float((fit.matrix * matrix).sum()) for matrix in signed] for fit in fits])
    likely = {int(row.argmax()) for row in overlap}
    scales = _likely_scales(_median_scale(fits))
    found: list[Alignment] = []
    for index in sorted(likely | {_index_of_identity(signed)}):
        for scale in sorted(scales):
            plain = Alignment(signed[index], scale, np.zeros(3))
            found += [plain, replace(plain, offset=_offset(plain, probes, fits, neutral))]
    return [candidate for candidate in found if not candidate.is_identity]


def _offset(alignment: Alignment, probes: MeshSequence, fits: list[_Similarity], neutral: np.ndarray) -> np.ndarray:
    """What carries the mean of the probe nearest to neutral onto the neutral's."""
    turned = [frame[valid] @ (alignment.scale * alignment.axes.T) for frame, valid in _valid_vertices(probes)]
    means = [
        neutral[valid].mean(axis=0) - m.mean(axis=0)
        for m, (_, valid) in zip(turned, _valid_vertices(probes), strict=True)
    ]
    left = [
        float(np.linalg.norm(m + mean - neutral[valid]))
        for m, mean, (_, valid) in zip(turned, means, _valid_vertices(probes), strict=True)
    ]
    return means[int(np.argmin(left))]


def _signed_permutations() -> list[np.ndarray]:
    eye = np.eye(3)
    return [
        eye[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]


def _index_of_identity(signed: list[np.ndarray]) -> int:
    return next(i for i, matrix in enumerate(signed) if np.array_equal(matrix, np.eye(3)))


def _known_scales() -> list[float]:
    return sorted({*UNITS, *(1 / unit for unit in UNITS)})


def _likely_scales(estimate: float) -> set[float]:
    """Scales worth trying: none; the unit conversion within 15 % of an estimate that poses have blurred; where there is
    none, the estimate itself and the powers of ten beside it, since a rig that scales itself blurs it most.
    """
    if 0.6 < estimate < 1 / 0.6:
        return {1.0}
    known = np.array(_known_scales())
    nearest = float(known[np.argmin(np.abs(np.log(known / estimate)))])
    if abs(np.log(nearest / estimate)) < 0.15:
        return {1.0, nearest}
    decade = np.floor(np.log10(estimate))
    return {1.0, estimate, float(10.0**decade), float(10.0 ** (decade + 1))}


def _exchanges_up(candidate: Alignment, fits: list[_Similarity]) -> bool:
    """The candidate turns y into z or back without mirroring, and four frames in five lie that way."""
    if candidate.offset.any() or np.linalg.det(candidate.axes) < 0 or candidate.axes[1, 1] != 0:
        return False
    # ‖R − P‖² = 6 − 2⟨R, P⟩ for rotations
    near = [BETTER * (6 - 2 * (fit.matrix * candidate.axes).sum()) < 6 - 2 * np.trace(fit.matrix) for fit in fits]
    return float(np.mean(near)) >= 0.8


def _polished(found: Alignment, probes: MeshSequence, solved_error: Callable[[MeshSequence], float]) -> Alignment:
    """A scale that is no unit conversion, narrowed by golden sections of the solved error."""
    golden = (np.sqrt(5) - 1) / 2
    low, high = found.scale * 0.85, found.scale / 0.85
    for _ in range(24):
        a, b = high - golden * (high - low), low + golden * (high - low)
        errors = [solved_error(replace(found, scale=s).apply(probes)) for s in (a, b)]
        low, high = (low, b) if errors[0] < errors[1] else (a, high)
    return replace(found, scale=(low + high) / 2)
