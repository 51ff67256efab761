"""Which point of a capture is which of a rig: by index, by a map, by names and weights, by position, by surface.

All of them end in an `Attachment`. The last resort, for captures of another topology without any frame in the rig's
neutral pose, is not here but in `closest_surface`: it needs the rig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.rig import Rig, diagonal
from bunraku.inversion.attachment import Attachment, attachment
from bunraku.inversion.surface import Surface

NONE = -1  # stands in a map for a vertex of the capture that corresponds to nothing
TOLERANCE = 1e-4  # of the neutral's diagonal: positions closer than this are one place
WELDED = 1e-6  # the same among the rig's own vertices
FAR = 0.05  # of the diagonal: a point further from the surface was not meant to be on it


def by_index(captured: int, vertices: int) -> Attachment:
    """Vertex i of the capture is vertex i of the rig.

    Raises:
        BunrakuError: the counts differ.
    """
    if captured != vertices:
        raise BunrakuError(
            f"the capture has {captured} vertices, the rig {vertices}: by index they must correspond one to one; "
            "a map, an attachment or another topology must be said"
        )
    return attachment(np.arange(vertices)[:, None], np.ones((vertices, 1)), vertices)


def by_map(
    given: Int[np.ndarray, "..."], captured: int, vertices: int, *, one_to_one: bool = True, name: str = "map"
) -> Attachment:
    """A given map: an array with the rig's vertex for each of the capture's (−1: none), or pairs (capture, rig).

    Where it need not be one to one, several vertices of the capture may be at one of the rig (split for texture
    coordinates), and one of the capture at several of the rig (a welded seam), of which it is then the mean.

    Raises:
        BunrakuError: another shape or length, vertices that do not exist, nothing mapped, or, where it must be one to
            one, two vertices mapped to or from one: both are named.
    """
    pairs = _pairs(given, captured, name)
    for column, side, count in ((0, "capture", captured), (1, "rig", vertices)):
        wrong = np.flatnonzero((pairs[:, column] < 0) | (pairs[:, column] >= count))
        if len(wrong):
            there = f"the {side} has {count} (0 to {count - 1})"
            raise BunrakuError(f"{name}: names vertex {pairs[wrong[0], column]} of the {side}; {there}")
    if len(pairs) == 0:
        raise BunrakuError(f"{name}: maps no vertex of the capture to the rig")
    pairs = np.unique(pairs, axis=0)
    if one_to_one:
        _refuse_doubles(pairs, name)
    return _of_pairs(pairs, captured, vertices, name)


def _pairs(given: np.ndarray, captured: int, name: str) -> Int[np.ndarray, "pairs 2"]:
    if given.ndim == 1:
        if len(given) != captured:
            raise BunrakuError(f"{name}: has {len(given)} entries; the capture has {captured} vertices, one for each")
        pairs = np.stack([np.arange(captured), given], axis=1)
        return pairs[given != NONE]
    if given.ndim != 2 or given.shape[1] != 2:
        raise BunrakuError(
            f"{name}: has shape {given.shape}; expected a rig vertex for each vertex of the capture, or pairs (n, 2)"
        )
    return given


def _refuse_doubles(pairs: Int[np.ndarray, "pairs 2"], name: str) -> None:
    order = np.argsort(pairs[:, 1], kind="stable")
    twice = np.flatnonzero(np.diff(pairs[order, 1]) == 0)
    if len(twice):
        first, second = pairs[order[twice[0]]], pairs[order[twice[0] + 1]]
        raise BunrakuError(
            f"{name}: vertex {first[0]} of the capture and vertex {second[0]} both map to rig vertex {first[1]}"
        )
    twice = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
    if len(twice):
        first, second = pairs[twice[0]], pairs[twice[0] + 1]
        raise BunrakuError(
            f"{name}: vertex {first[0]} of the capture maps to rig vertex {first[1]} and to rig vertex {second[1]}"
        )


def _of_pairs(pairs: Int[np.ndarray, "pairs 2"], captured: int, vertices: int, name: str) -> Attachment:
    """From pairs sorted by the capture's vertex; several of one vertex are averaged."""
    taken, first, count = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    widest = int(count.max())
    column = np.minimum(np.arange(widest), count[:, None] - 1)
    corners = pairs[first[:, None] + column, 1]
    weights = np.where(np.arange(widest) < count[:, None], 1 / count[:, None], 0.0)
    return attachment(corners, weights, vertices, taken=taken, captured=captured, name=name)


def by_markers(
    labels: Sequence[str],
    markers: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    vertices: int,
    *,
    name: str = "markers",
) -> Attachment:
    """Markers by their names: each on the rig's vertices given for it, with their weights.

    Captured markers that are not named here correspond to nothing.

    Raises:
        BunrakuError: a name that was not captured, or twice; no marker at all; wrong vertices or weights.
    """
    unknown = next((marker for marker in markers if marker not in labels), None)
    if unknown is not None:
        raise unknown_name("marker", unknown, labels, f"{name}: the capture has")
    twice = next((marker for marker in markers if list(labels).count(marker) > 1), None)
    if twice is not None:
        raise BunrakuError(f"{name}: marker {twice!r} was captured twice; names must be unique")
    used = [(index, *markers[label]) for index, label in enumerate(labels) if label in markers]
    if not used:
        raise BunrakuError(f"{name}: attaches no marker; the capture has: {', '.join(labels[:20])}")
    widest = max(len(corners) for _, corners, _ in used)
    corners = np.array([[*own, *[own[0]] * (widest - len(own))] for _, own, _ in used], np.int64)
    weights = np.array([[*own, *[0.0] * (widest - len(own))] for _, _, own in used])
    _name_wrong(labels, [index for index, _, _ in used], corners, weights, vertices, name)
    taken = np.array([index for index, _, _ in used])
    return attachment(corners, weights, vertices, taken=taken, captured=len(labels), name=name)


def _name_wrong(
    labels: Sequence[str], used: list[int], corners: np.ndarray, weights: np.ndarray, vertices: int, name: str
) -> None:
    """What `attachment` would say by number, said by the marker's name."""
    for index, own, share in zip(used, corners, weights, strict=True):
        if own.min() < 0 or own.max() >= vertices:
            worst = own.min() if own.min() < 0 else own.max()
            raise BunrakuError(f"{name}: marker {labels[index]!r} is on rig vertex {worst}; the rig has {vertices}")
        if not np.isfinite(share).all() or (share < 0).any() or abs(share.sum() - 1) > 1e-6:
            listed = ", ".join(f"{w:g}" for w in share)
            raise BunrakuError(
                f"{name}: marker {labels[index]!r} has weights {listed}; expected none negative, with the sum 1"
            )


def by_position(
    reference: Float[np.ndarray, "captured 3"],
    neutral: Float[np.ndarray, "vertices 3"],
    *,
    tolerance: float = TOLERANCE,
    poses: Float[np.ndarray, "poses vertices 3"] | None = None,
    partial: bool = False,
    name: str = "capture",
) -> Attachment:
    """Vertices that are at the same place when the capture shows the rig's neutral pose (`reference`, in its space).

    Exporters split vertices for texture coordinates and weld seams: several of the capture may be at one of the rig,
    and one at several of the rig that share a place, of which it is then the mean. With `poses` (the rig's meshes in
    some poses) only vertices that also stay together are taken for one; lips that merely touch at rest are told by
    nothing, and left out. NaN in `reference` is a vertex that was not captured.

    Raises:
        BunrakuError: vertices without a counterpart within `tolerance` (a share of the neutral's diagonal), by their
            count and the worst of them; with `partial` those are left out, and only finding none at all is refused.
    """
    from scipy.spatial import KDTree

    size = diagonal(neutral)
    known = np.flatnonzero(np.isfinite(reference).all(axis=1))
    if len(known) == 0:
        raise BunrakuError(f"{name}: every vertex of the reference frame is missing")
    distance, nearest = KDTree(neutral).query(reference[known])
    near = np.asarray(distance) <= tolerance * size
    if not near.any() or not (near.all() or partial):
        _refuse_far(known, np.asarray(distance), np.asarray(nearest), near, tolerance, size, name)
    place, together = _places(neutral, WELDED * size), None
    if poses is not None:
        together = _places(
            np.concatenate([neutral[None], poses]).swapaxes(0, 1).reshape(len(neutral), -1), WELDED * size
        )
    pairs = _all_at(place, together, known[near], np.asarray(nearest)[near], name)
    return _of_pairs(pairs, len(reference), len(neutral), name)


def _refuse_far(
    known: np.ndarray,
    distance: np.ndarray,
    nearest: np.ndarray,
    near: np.ndarray,
    tolerance: float,
    size: float,
    name: str,
) -> None:
    worst = int(np.argmax(distance))
    share = f"{tolerance * size:g} ({tolerance:g} of the diagonal)"
    raise BunrakuError(
        f"{name}: {int((~near).sum())} of {len(near)} vertices have no rig vertex within {share}, among them "
        f"vertex {known[worst]}, {distance[worst]:g} from rig vertex {nearest[worst]}; "
        "the reference frame must show the rig's neutral pose, in the rig's unit and axes"
    )


def _places(positions: Float[np.ndarray, "vertices coordinates"], within: float) -> Int[np.ndarray, "vertices"]:
    """A number for each place; vertices that are linked by neighbours within the distance share it."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    pairs = KDTree(positions).query_pairs(within, output_type="ndarray")
    count = len(positions)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _all_at(
    place: Int[np.ndarray, "vertices"],
    together: Int[np.ndarray, "vertices"] | None,
    captured: Int[np.ndarray, "found"],
    nearest: Int[np.ndarray, "found"],
    name: str,
) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of each of the capture's vertices with every rig vertex at its place."""
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(int(place.max()) + 2))
    if together is not None:
        groups = np.unique(np.stack([place, together], axis=1), axis=0)[:, 0]
        torn = np.bincount(groups, minlength=int(place.max()) + 1) > 1
        kept = ~torn[place[nearest]]
        captured, nearest = captured[kept], nearest[kept]
        if len(captured) == 0:
            raise BunrakuError(f"{name}: at every place that corresponds, vertices of the rig part when it moves")
    own = place[nearest]
    count = starts[own + 1] - starts[own]
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    members = order[np.repeat(starts[own], count) + within]
    return np.stack([np.repeat(captured, count), members], axis=1)


def by_surface(
    points: Float[np.ndarray, "captured 3"],
    rig: Rig,
    *,
    keep_offset: bool = True,
    within: float = FAR,
    partial: bool = False,
    name: str = "capture",
) -> Attachment:
    """Each point at the closest point of the rig's neutral surface, given where it is when the rig is neutral.

    For markers, and for meshes of another topology that show the neutral pose in one frame. With `keep_offset` a point
    off the surface keeps its distance from it as a constant vector, which is right until the surface turns. NaN is a
    point that was not captured then, and corresponds to nothing.

    Raises:
        BunrakuError: a rig without faces; points further than `within` (a share of the neutral's diagonal), by their
            count and the worst of them; with `partial` those are left out, and only finding none at all is refused.
    """
    neutral = np.asarray(rig.neutral, np.float64)
    if len(rig.faces) == 0:
        raise BunrakuError(f"{name}: the rig has no faces to attach points to; attach them by position or by a map")
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(known) == 0:
        raise BunrakuError(f"{name}: every point of the reference frame is missing")
    found = Surface(neutral, rig.faces).closest(points[known])
    size = diagonal(neutral)
    near = found.distances <= within * size
    if not near.any() or not (near.all() or partial):
        worst = int(np.argmax(found.distances))
        raise BunrakuError(
            f"{name}: {int((~near).sum())} of {len(near)} points are further than {within * size:g} ({within:g} of the "
            f"diagonal) from the rig's surface, among them point {known[worst]} by {found.distances[worst]:g}; "
            "the reference frame must show the rig's neutral pose, in the rig's unit and axes"
        )
    taken = known[near]
    offset = points[taken] - found.positions[near] if keep_offset else None
    return attachment(
        np.asarray(rig.faces, np.int64)[found.faces[near]],
        found.weights[near],
        len(neutral),
        taken=taken,
        captured=len(points),
        offset=offset,
        name=name,
    )
