"""Triangle meshes as surfaces: normals, open edges, and the point of a surface that is closest to another point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    from scipy.spatial import KDTree

PAIRS = 400_000  # point and triangle pairs that are looked at together
NEAREST = 4  # triangles (by their middles) whose distance bounds the search
ON_EDGE = 1e-9  # a barycentric weight below which a point is on the opposite edge


@dataclass(frozen=True, eq=False)
class Closest:
    """For each point, the closest one of a surface."""

    faces: Int[np.ndarray, "points"]
    weights: Float[np.ndarray, "points 3"]
    """Of the face's corners; none negative, their sum 1."""
    positions: Float[np.ndarray, "points 3"]
    distances: Float[np.ndarray, "points"]


@dataclass(frozen=True, eq=False)
class Topology:
    """What of a surface does not change when it moves. Build with `topology`."""

    faces: Int[np.ndarray, "triangles 3"]
    open_edges: Bool[np.ndarray, "triangles 3"]
    """Whether the edge opposite to each corner belongs to this triangle alone."""
    open_vertices: Bool[np.ndarray, "vertices"]
    """Whether a vertex is an end of such an edge."""
    welded: Int[np.ndarray, "vertices"]
    """A number for each place: vertices at one place (split for texture coordinates) have the same."""

    def at_border(self, closest: Closest) -> Bool[np.ndarray, "points"]:
        """Whether the closest points are on the rim of an open surface: what lies beyond it has no counterpart."""
        on_edge = (closest.weights < ON_EDGE) & self.open_edges[closest.faces]
        corner = self.faces[closest.faces, closest.weights.argmax(axis=1)]
        return on_edge.any(axis=1) | ((closest.weights.max(axis=1) > 1 - ON_EDGE) & self.open_vertices[corner])

    def vertex_normals(self, positions: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 3"]:
        """Unit normals, of the faces about each place weighted by area; 0 where there is none."""
        face_normals = np.cross(
            positions[self.faces[:, 1]] - positions[self.faces[:, 0]],
            positions[self.faces[:, 2]] - positions[self.faces[:, 0]],
        )
        place = self.welded[self.faces].ravel()
        count = int(self.welded.max()) + 1
        spread = np.repeat(face_normals, 3, axis=0)
        total = np.stack([np.bincount(place, spread[:, axis], count) for axis in range(3)], axis=1)
        return _unit(total)[self.welded]


def topology(faces: Int[np.ndarray, "triangles 3"], positions: Float[np.ndarray, "vertices 3"]) -> Topology:
    """The topology of a mesh, its vertices welded where these positions are equal (to 1e-7 of the mesh's size)."""
    size = float(np.ptp(positions, axis=0).max()) if len(positions) else 1.0
    grid = np.round(positions / max(1e-7 * size, 1e-300)).astype(np.int64)
    welded = np.unique(grid, axis=0, return_inverse=True)[1].reshape(-1)
    ends = np.stack([welded[faces[:, [1, 2]]], welded[faces[:, [2, 0]]], welded[faces[:, [0, 1]]]], axis=1)
    ends = np.sort(ends, axis=2).reshape(-1, 2)
    _, which, uses = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    alone = uses[which.reshape(-1)] == 1
    places = np.zeros(int(welded.max()) + 1, bool)
    places[ends[alone].ravel()] = True
    return Topology(faces, alone.reshape(-1, 3), places[welded], welded)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh to find closest points on."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "triangles 3"]

    @cached_property
    def corners(self) -> Float[np.ndarray, "triangles 3 3"]:
        """Corner positions of every triangle."""
        return np.asarray(self.vertices, np.float64)[self.faces]

    @cached_property
    def normals(self) -> Float[np.ndarray, "triangles 3"]:
        """Unit normals of the triangles, 0 where they have no area."""
        a, b, c = np.moveaxis(self.corners, 1, 0)
        return _unit(np.cross(b - a, c - a))

    def closest(self, points: Float[np.ndarray, "points 3"]) -> Closest:
        """The closest point of the surface to each point, exactly.

        A triangle whose corners lie within r of its middle c can only be closer than a distance d already reached if
        ‖p − c‖ < d + r. Triangles are sorted into trees by the size of r, so that a few large ones do not make the
        search among the small ones wide.
        """
        points = np.asarray(points, np.float64)
        reached = self._first(points)
        for start in range(0, len(points), 4096):
            part = slice(start, min(start + 4096, len(points)))
            for tree, members, radius in self._trees:
                self._improve(points, part, reached, tree, members, radius)
        face, weights = reached.face, reached.weights
        positions = np.einsum("pk,pkx->px", weights, self.corners[face])
        return Closest(face, weights, positions, reached.distance)

    @cached_property
    def _middles(self) -> tuple[np.ndarray, np.ndarray]:
        middles = self.corners.mean(axis=1)
        return middles, np.linalg.norm(self.corners - middles[:, None], axis=2).max(axis=1)

    @cached_property
    def _trees(self) -> list[tuple[KDTree, np.ndarray, float]]:
        """Triangles in classes of which each is at most twice as large as the one before: tree, members, largest r."""
        from scipy.spatial import KDTree

        middles, radii = self._middles
        size = np.floor(np.log2(np.maximum(radii, radii.max() * 2**-12 + 1e-300)))
        classes = [np.flatnonzero(size == value) for value in np.unique(size)]
        return [(KDTree(middles[members]), members, float(radii[members].max())) for members in classes]

    @cached_property
    def _all(self) -> KDTree:
        from scipy.spatial import KDTree

        return KDTree(self._middles[0])

    def _first(self, points: np.ndarray) -> _Reached:
        """The closest of the few triangles whose middles are nearest."""
        count = min(NEAREST, len(self.faces))
        _, near = self._all.query(points, k=count)
        near = np.asarray(near).reshape(len(points), count)
        reached = _Reached(np.zeros(len(points), np.int64), np.zeros((len(points), 3)), np.full(len(points), np.inf))
        for column in near.T:
            reached.offer(np.arange(len(points)), column, *_closest_on(points, self.corners[column]))
        return reached

    def _improve(
        self, points: np.ndarray, part: slice, reached: _Reached, tree: KDTree, members: np.ndarray, radius: float
    ) -> None:
        bound = reached.distance[part] + radius
        found = tree.query_ball_point(points[part], bound, return_sorted=False)
        counts = np.fromiter((len(listed) for listed in found), np.int64, len(found))
        index = np.arange(part.start, part.stop)
        ends = np.cumsum(counts)
        begin = 0
        while begin < len(index):
            before = ends[begin - 1] if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, before + PAIRS, side="right")))
            listed = [found[i] for i in range(begin, stop)]
            triangles = members[np.concatenate([np.asarray(one, np.int64) for one in listed])]
            self._try(points, np.repeat(index[begin:stop], counts[begin:stop]), triangles, reached)
            begin = stop

    def _try(self, points: np.ndarray, who: np.ndarray, triangles: np.ndarray, reached: _Reached) -> None:
        middles, radii = self._middles
        away = np.linalg.norm(points[who] - middles[triangles], axis=1)
        near = away - radii[triangles] < reached.distance[who]
        who, triangles = who[near], triangles[near]
        weights, distance = _closest_on(points[who], self.corners[triangles])
        # One triangle a point, the closest: sorted by point, then by distance.
        order = np.lexsort((distance, who))
        first = order[np.unique(who[order], return_index=True)[1]]
        reached.offer(who[first], triangles[first], weights[first], distance[first])


@dataclass(eq=False)
class _Reached:
    """The closest so far."""

    face: np.ndarray
    weights: np.ndarray
    distance: np.ndarray

    def offer(self, who: np.ndarray, face: np.ndarray, weights: np.ndarray, distance: np.ndarray) -> None:
        better = distance < self.distance[who]
        chosen = who[better]
        self.face[chosen], self.weights[chosen] = face[better], weights[better]
        self.distance[chosen] = distance[better]


def _closest_on(
    points: Float[np.ndarray, "pairs 3"], corners: Float[np.ndarray, "pairs 3 3"]
) -> tuple[Float[np.ndarray, "pairs 3"], Float[np.ndarray, "pairs"]]:
    """Barycentric weights and distance of the closest point of one triangle each.

    The foot of the perpendicular where it falls inside, else the closest of the three edges; that also serves
    triangles without area.
    """
    a, b, c = np.moveaxis(corners, 1, 0)
    normal = np.cross(b - a, c - a)
    squared = (normal**2).sum(axis=1)
    has_area = squared > 1e-24 * np.maximum(((b - a) ** 2).sum(axis=1), ((c - a) ** 2).sum(axis=1)) ** 2
    safe = np.where(has_area, squared, 1.0)
    # weights of corners 1 and 2 from the areas that they span with the point
    v = (np.cross(points - a, c - a) * normal).sum(axis=1) / safe
    w = (np.cross(b - a, points - a) * normal).sum(axis=1) / safe
    best = np.stack([1 - v - w, v, w], axis=1)
    inside = has_area & (best >= 0).all(axis=1)
    nearest = np.where(inside, _squared(points, corners, best), np.inf)
    best[~inside] = 0.0
    for first, second in ((0, 1), (1, 2), (2, 0)):
        edge = corners[:, second] - corners[:, first]
        length = (edge**2).sum(axis=1)
        along = ((points - corners[:, first]) * edge).sum(axis=1) / np.where(length > 0, length, 1.0)
        weights = np.zeros_like(best)
        weights[:, second] = np.clip(along, 0.0, 1.0)
        weights[:, first] = 1 - weights[:, second]
        distance = _squared(points, corners, weights)
        closer = ~inside & (distance < nearest)
        best[closer], nearest[closer] = weights[closer], distance[closer]
    return best, np.sqrt(nearest)


def _squared(points: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return ((np.einsum("pk,pkx->px", weights, corners) - points) ** 2).sum(axis=1)
