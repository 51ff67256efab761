"""What of a rig its controls leave where it is: what the motion of a head can be told from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.reduced import MeshBasis
from bunraku.core.rig import DifferentiableRig, Rig, diagonal
from bunraku.inversion.draw import SampleConfig, draw
from bunraku.inversion.information import in_coordinates, tangents, unit_diagonal
from bunraku.inversion.procrustes import LINE, Motions, motions
from bunraku.inversion.refine import FiniteDifferences, difference_step

DRAWN = 128  # poses that typical motion is told from
FEIGNED = 32  # of them that rigid motions are fitted to
BATCH_BYTES = 64 * 2**20  # of meshes held at once
FLOOR = 1e-3  # of the diagonal: vertices that move less than this are trusted alike
APART = 0.01  # a rig is told apart from rigid motions of which its controls leave at least this share (squared)
RIDGE = 1e-9  # on a normal matrix of unit diagonal: controls that can be traded for each other
NARROW = 0.02  # of the diagonal: still vertices that extend less in their second direction tell no rotation


@dataclass(frozen=True, eq=False)
class Still:
    """How far each vertex of a rig can be trusted to stand still, and what that is worth."""

    kind: Literal["still", "calm", "given", "none"]
    """Vertices that no control moves; none such, but controls that cannot imitate a rigid motion of the whole; a
    user's choice; nothing to go by."""
    weights: Float[np.ndarray, "vertices"]
    """Inverse variance of each vertex's own motion, at most 1; 0 for those that do not serve."""
    moving: float
    """Share of the vertices that some control moves by more than the limit."""
    limit: float
    """That limit, in the rig's unit."""
    feigned: float
    """The rigid motion that the rig's own poses look like on these vertices (95th percentile, root mean square over
    the mesh), in its unit: less cannot be told from them."""
    apart: float
    """Which share of the rigid motion that the controls imitate best they leave (squared): 0 where they can follow."""

    def __str__(self) -> str:
        """One line for people."""
        if self.kind == "given":
            return f"{int((self.weights > 0).sum())} vertices that were named"
        if self.kind == "still":
            return f"{int((self.weights > 0).sum())} vertices that no control moves"
        if self.kind == "calm":
            return "all vertices, by how little the controls move them"
        share = f"{100 * self.moving:.0f} % of its vertices move by more than {self.limit:.3g}"
        return f"nothing stands still on this rig: {share}; its own controls can follow a drift"


def stable_vertices(rig: Rig, share: float = 0.01, *, seed: int = 0) -> Still:
    """Which vertices no control moves by more than `share` of the diagonal, alone or in drawn poses.

    Motion is measured, not linearised: controls alone at both bounds and half way (a turn by a whole round is back
    where it began), and together in `DRAWN` poses. Costs 4 evaluations per control, the poses, and three Jacobians.

    Raises:
        BunrakuError: a share that is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise BunrakuError(f"share {share:g}: expected between 0 and 1, of the neutral mesh's diagonal")
    size = diagonal(rig.neutral)
    limit = share * size
    drawn = _drawn(rig.spec, seed)
    most, _ = _moved(rig, _swings(rig.spec), enough=limit)
    apart = told_apart(rig, drawn[:2])
    if apart < APART and (most > limit).all():
        return Still("none", np.zeros(len(most)), 1.0, limit, 0.0, apart)
    together, typical = _moved(rig, drawn)
    still = np.maximum(most, together) <= limit
    trust = 1 / (1 + (typical / (FLOOR * size)) ** 2)
    moving = float(1 - still.mean())
    if _extended(rig.neutral[still], NARROW * size):
        kind, weights = "still", np.where(still, trust, 0.0)
    elif apart >= APART:
        kind, weights = "calm", trust
    else:
        return Still("none", np.zeros(len(still)), moving, limit, 0.0, apart)
    return Still(kind, weights, moving, limit, _feigned(rig, drawn, weights), apart)


def chosen_vertices(rig: Rig, chosen: np.ndarray, *, name: str = "stable vertices") -> Still:
    """A user's choice: indices of vertices (integers), or a weight for each (numbers or booleans).

    Raises:
        BunrakuError: an index that the rig does not have or that is named twice; weights of another number, negative,
            not finite; fewer than three vertices, or all on a line.
    """
    count = len(rig.neutral)
    chosen = np.asarray(chosen)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iufb":
        raise BunrakuError(f"{name}: shape {chosen.shape} of {chosen.dtype}; expected indices or ({count},) weights")
    if chosen.dtype.kind in "iu":
        weights = _of_indices(chosen.astype(np.int64), count, name)
    else:
        weights = chosen.astype(np.float64)
    if len(weights) != count:
        raise BunrakuError(f"{name}: {len(weights)} weights; the rig has {count} vertices")
    if not np.isfinite(weights).all() or (weights < 0).any():
        worst = int(np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[0])
        raise BunrakuError(f"{name}: vertex {worst} has weight {weights[worst]:g}; expected finite and not negative")
    if not _extended(rig.neutral[weights > 0], LINE * diagonal(rig.neutral)):
        there = int((weights > 0).sum())
        raise BunrakuError(f"{name}: {there} vertices that count; expected three or more that are not on one line")
    weights = weights / weights.max()
    return Still("given", weights, float((weights == 0).mean()), 0.0, 0.0, 1.0)


def _of_indices(indices: np.ndarray, count: int, name: str) -> Float[np.ndarray, "vertices"]:
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        worst = int(indices.min() if indices.min() < 0 else indices.max())
        raise BunrakuError(f"{name}: names vertex {worst}; the rig has {count} (0 to {count - 1})")
    times = np.bincount(indices, minlength=count)
    if times.max(initial=0) > 1:
        raise BunrakuError(f"{name}: names vertex {int(times.argmax())} {int(times.max())} times")
    return times.astype(np.float64)


def _extended(points: Float[np.ndarray, "points 3"], least: float) -> bool:
    """Three points or more that are not on one line: their second extent is at least `least`."""
    if len(points) < 3:
        return False
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(values[1] > max(least * np.sqrt(len(points)) / 4, 0.0))


def _swings(spec: ControlSpec) -> Float[np.ndarray, "poses controls"]:
    """Every free control alone, half way and all the way to each bound."""
    free = np.flatnonzero(~spec.driven & (spec.upper > spec.lower))
    poses = np.tile(spec.neutral, (4 * len(free), 1))
    goals = [(bound, part) for bound in (spec.lower, spec.upper) for part in (0.5, 1.0)]
    for index, (bound, part) in enumerate(goals):
        rows = np.arange(index * len(free), (index + 1) * len(free))
        poses[rows, free] += part * (bound - spec.neutral)[free]
    return poses


def _drawn(spec: ControlSpec, seed: int) -> Float[np.ndarray, "poses controls"]:
    if not (~spec.driven & (spec.upper > spec.lower)).any():
        return np.tile(spec.neutral, (1, 1))
    return draw(spec, SampleConfig(seed=seed), np.arange(DRAWN))


def _meshes(rig: Rig, poses: np.ndarray) -> Iterator[np.ndarray]:
    size = max(1, BATCH_BYTES // (24 * len(rig.neutral)))
    for start in range(0, len(poses), size):
        yield np.asarray(rig.evaluate(poses[start : start + size]), np.float64)


def _moved(
    rig: Rig, poses: Float[np.ndarray, "poses controls"], enough: float = np.inf
) -> tuple[Float[np.ndarray, "vertices"], Float[np.ndarray, "vertices"]]:
    """How far each vertex comes away from neutral, at most and on average (root mean square).

    Ends early when all vertices came farther than `enough`: then none stands still.
    """
    most, squares = np.zeros(len(rig.neutral)), np.zeros(len(rig.neutral))
    for meshes in _meshes(rig, poses):
        # Where a rig has no answer, a vertex is not one to rely on.
        distance = np.nan_to_num(np.linalg.norm(meshes - rig.neutral, axis=2), nan=np.inf)
        most = np.maximum(most, distance.max(axis=0))
        squares += (distance**2).sum(axis=0)
        if (most > enough).all():
            break
    return most, np.sqrt(squares / max(len(poses), 1))


def _feigned(rig: Rig, drawn: np.ndarray, weights: Float[np.ndarray, "vertices"]) -> float:
    poses = mesh_sequence(np.concatenate(list(_meshes(rig, drawn[:FEIGNED]))), name="the rig's drawn poses")
    return float(np.percentile(displacement(motions(rig.neutral, poses, weights), rig.neutral), 95))


def displacement(found: Motions, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "frames"]:
    """How far a motion carries points, root mean square.

    mean ‖(sR − I)·n + t‖² = tr((sR − I)·C·(sR − I)ᵀ) + ‖(sR − I)·n̄ + t‖², C their covariance and n̄ their mean.
    """
    linear = found.scale[:, None, None] * found.rotation - np.eye(3)
    middle = points.mean(axis=0)
    covariance = (points - middle).T @ (points - middle) / len(points)
    shifted = linear @ middle + found.translation
    return np.sqrt(((linear @ covariance) * linear).sum(axis=(1, 2)) + (shifted**2).sum(axis=1))


def rigid_modes(meshes: Float[np.ndarray, "poses vertices 3"]) -> Float[np.ndarray, "poses 6 vertices 3"]:
    """How vertices move in the six rigid motions about each mesh's mean: three shifts, three turns (e × y)."""
    away = meshes - meshes.mean(axis=1, keepdims=True)
    out = np.zeros((len(meshes), 6, *meshes.shape[1:]))
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        out[:, axis, :, axis] = 1.0
        out[:, 3 + axis, :, after], out[:, 3 + axis, :, last] = -away[..., last], away[..., after]
    return out


def told_apart(rig: Rig, poses: Float[np.ndarray, "poses controls"]) -> float:
    """The least share (squared) of a rigid motion that the rig's tangent leaves, on average over neutral and poses."""
    on = rig if isinstance(rig, DifferentiableRig) else FiniteDifferences(rig, difference_step(rig))
    reduced = on.reduce()
    controls = np.concatenate([rig.spec.neutral[None], poses])
    left: list[float] = []
    for tangent in tangents(on, controls):
        modes = rigid_modes(np.asarray(rig.evaluate(controls[tangent.poses]), np.float64))
        for index, own in enumerate(modes):
            whole = np.einsum("avx,bvx->ab", own, own)
            free = ~rig.spec.driven
            kept = whole - imitated(reduced, tangent.jacobian[index], tangent.normal[index], own, free)[0]
            root = np.linalg.cholesky(whole + 1e-12 * np.trace(whole) * np.eye(6))
            inside = np.linalg.solve(root, np.linalg.solve(root, kept).T)
            left.append(max(0.0, float(np.linalg.eigvalsh((inside + inside.T) / 2)[0])))
    return float(np.mean(left))


def imitated(
    reduced: MeshBasis,
    jacobian: Float[np.ndarray, "controls coordinates"],
    normal: Float[np.ndarray, "controls controls"],
    fields: Float[np.ndarray, "fields vertices 3"],
    free: Bool[np.ndarray, "controls"],
) -> tuple[Float[np.ndarray, "fields fields"], Float[np.ndarray, "controls fields"]]:
    """F·Jᵀ(JJᵀ)⁻¹J·Fᵀ, what free controls can imitate of (weighted) fields of motion, and the controls that do it."""
    cross = (jacobian @ in_coordinates(reduced, fields).T)[free]
    unit, length = unit_diagonal(normal[np.ix_(free, free)])
    shown = length > 0
    out = np.zeros((len(normal), len(fields)))
    if not shown.any():
        return np.zeros((len(fields), len(fields))), out
    scaled = cross[shown] / length[shown, None]
    solved = np.linalg.solve(unit[np.ix_(shown, shown)] + RIDGE * np.eye(int(shown.sum())), scaled)
    out[np.flatnonzero(free)[shown]] = solved / length[shown, None]
    return scaled.T @ solved, out
