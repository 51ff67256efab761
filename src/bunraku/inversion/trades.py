"""Controls that can be traded for others without the mesh telling: near-null directions of JᵀJ, made readable."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.inversion.information import unit_diagonal

MEMBER = 0.01  # squared share of a control that lies in near-null directions, from which it belongs to a group
TIED = 0.1  # correlation inside those directions, from which two controls belong to one group
SMALL = 0.05  # of a trade's largest part; what is smaller is left out where the mesh hardly tells


@dataclass(frozen=True, eq=False)
class Trade:
    """One way to move controls together so that the mesh (nearly) stays."""

    controls: Int[np.ndarray, "members"]
    """Columns, the one that moves most for its range first."""
    step: Float[np.ndarray, "members"]
    """How far each moves, per range; the first is 1."""
    mesh_share: float
    """How far the mesh moves, as a share of what these controls would move it alone (root mean square over the poses
    that the trade is of)."""
    motion: float
    """How far the mesh moves on such a step, as √Σ‖Δvertex‖² in the rig's unit."""


@dataclass(frozen=True, eq=False)
class Group:
    """Controls that are tied by trades, and by no trade to any other."""

    controls: Int[np.ndarray, "members"]
    freedom: int
    """How many independent trades there are: so many of the controls could be locked and none be missed."""
    trades: tuple[Trade, ...]
    """That many, each as sparse as it can be read."""
    poses: Bool[np.ndarray, "poses"]
    """In which of the poses looked at these controls can be traded."""
    pose: int | None
    """None where the trades are the same at every pose; else the pose (of those looked at) whose trades are given."""

    def renumbered(self, columns: Int[np.ndarray, "controls"]) -> Group:
        """The same group, found among some of the controls, in the columns of all."""
        trades = tuple(replace(trade, controls=columns[trade.controls]) for trade in self.trades)
        return replace(self, controls=columns[self.controls], trades=trades)


def interchangeable_groups(normal: Float[np.ndarray, "poses controls controls"], traded: float) -> tuple[Group, ...]:
    """Groups of controls with directions along which the mesh moves at most `traded` of what they would move it alone.

    Every pose has its own near-null space; the controls fall into groups as the projectors onto these spaces fall into
    blocks, which depends on no choice of basis. Groups of most members come last.
    """
    unit, _ = unit_diagonal(normal)
    values, vectors = np.linalg.eigh(unit)
    live = np.diagonal(unit, axis1=1, axis2=2) > 0
    near = vectors * (values <= traded**2)[:, None, :]
    # Controls that move nothing have eigenvectors of their own; dead is another word than interchangeable.
    near = near * live[:, :, None]
    projector = near @ np.swapaxes(near, 1, 2)
    strength = np.abs(projector).mean(axis=0)
    found = [_group(normal, projector, members, traded) for members in _tied(strength)]
    return tuple(sorted((group for group in found if group is not None), key=lambda group: len(group.controls)))


def _tied(strength: Float[np.ndarray, "controls controls"]) -> list[Int[np.ndarray, "members"]]:
    """Connected sets of two or more controls."""
    from scipy.sparse.csgraph import connected_components

    own = np.diagonal(strength)
    inside = own > MEMBER
    tied = strength > TIED * np.sqrt(own[:, None] * own)
    count, label = connected_components(tied & inside[:, None] & inside, directed=False)
    sets = [np.flatnonzero((label == k) & inside) for k in range(count)]
    return [members for members in sets if len(members) > 1]


def _group(
    normal: Float[np.ndarray, "poses controls controls"],
    projector: Float[np.ndarray, "poses controls controls"],
    members: Int[np.ndarray, "members"],
    traded: float,
) -> Group | None:
    freedom = np.trace(projector[:, members[:, None], members], axis1=1, axis2=2)
    poses = freedom > 0.5
    if not poses.any():
        return None
    ways = max(1, round(float(np.median(freedom[poses]))))
    block = normal[:, members[:, None], members]
    together = block.mean(axis=0)
    same = _null_basis(together, traded)
    if same.shape[1] >= ways:
        return Group(members, same.shape[1], _trades(members, together, same, traded), poses, None)
    typical = np.flatnonzero(np.abs(freedom - ways) <= 0.5)
    candidates = typical if len(typical) else np.flatnonzero(poses)
    pose = int(candidates[len(candidates) // 2])
    basis = _null_basis(block[pose], traded)
    if basis.shape[1] == 0:
        return None
    return Group(members, basis.shape[1], _trades(members, block[pose], basis, traded), poses, pose)


def _null_basis(normal: Float[np.ndarray, "members members"], traded: float) -> Float[np.ndarray, "members ways"]:
    """Near-null directions in steps per range, one a column."""
    unit, length = unit_diagonal(normal)
    values, vectors = np.linalg.eigh(unit)
    live = length > 0
    near = vectors[:, values <= traded**2]
    near = near[:, (near[live] ** 2).sum(axis=0) > 0.5]
    return near * live[:, None] / np.where(live, length, 1.0)[:, None]


def _trades(
    members: Int[np.ndarray, "members"],
    normal: Float[np.ndarray, "members members"],
    basis: Float[np.ndarray, "members ways"],
    traded: float,
) -> tuple[Trade, ...]:
    """A basis as few controls at a time as row reduction gives: each pivot control is in one direction alone."""
    _, length = unit_diagonal(normal)
    scaled = basis * length[:, None]
    reduced = scaled @ np.linalg.inv(scaled[_pivots(scaled)])
    found: list[Trade] = []
    for column in reduced.T:
        few = np.where(np.abs(column) >= SMALL * np.abs(column).max(), column, 0.0)
        for direction in (few, column):
            trade = _trade(members, normal, direction, length)
            if trade.mesh_share <= 1.5 * traded:
                break
        found.append(trade)  # pyright: ignore[reportPossiblyUnboundVariable]
    return tuple(found)


def _pivots(basis: Float[np.ndarray, "members ways"]) -> Int[np.ndarray, "ways"]:
    """As many rows as there are columns, as far from dependent as a greedy choice finds them."""
    left, chosen = basis.copy(), np.empty(basis.shape[1], np.int64)
    for way in range(len(chosen)):
        size = np.linalg.norm(left, axis=1)
        chosen[way] = size.argmax()
        along = left[chosen[way]] / size[chosen[way]]
        left -= (left @ along)[:, None] * along
    return chosen


def _trade(
    members: Int[np.ndarray, "members"],
    normal: Float[np.ndarray, "members members"],
    scaled: Float[np.ndarray, "members"],
    length: Float[np.ndarray, "members"],
) -> Trade:
    step = scaled / np.where(length > 0, length, 1.0)
    inside = np.flatnonzero(step)
    order = inside[np.argsort(-np.abs(step[inside]), kind="stable")]
    step = step / step[order[0]]
    motion = float(np.sqrt(max(float(step @ normal @ step), 0.0)))
    alone = float(np.sqrt((step**2 * np.diagonal(normal)).sum()))
    return Trade(members[order], step[order], motion / alone, motion)
