"""The last resort: a capture of another topology, without a frame in the rig's neutral pose.

Each round finds closest points both ways, from the rig's vertices to the captured surface and back, moves the rig's
vertices along the normals onto what they found, and solves for the controls (Besl and McKay 1992; distances to planes,
Chen and Medioni 1992). Pairs are left out that are far apart for the frame (by the median), whose normals disagree, or
that end on an open border. Rounds are a fixed-point iteration u ← G(u), and a slow one, since each solve holds the
vertices where they are along the surface too: Anderson's mixing (1965; Walker and Ni 2011) carries it along.

What it can do: follow a capture that lies in the rig's space (unit, axes, place) and is near the start, nearer than
its own features are to each other, or that gets there from frame to frame. What it cannot: see motion along a smooth
surface (a cheek that slides, a sphere that turns: the controls of such motion stay where they started), tell a
surface from another that lies in front of it, find a pose that is far from every neighbour's, or place a shot. A map,
markers or one neutral frame (`correspondence`) are better by orders of magnitude, and cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import DifferentiableRig, diagonal
from bunraku.inversion.attachment import attached
from bunraku.inversion.correspondence import by_map
from bunraku.inversion.guidance import Limits
from bunraku.inversion.solve import SolveConfig, solve
from bunraku.inversion.surface import Closest, Surface, Topology, topology

FLOOR = 1e-6  # of the diagonal: distances below are none
LEAST_SHARE = 0.05  # of a pair: a vertex that is told less than this has no target
LOST = 2.0  # a frame so many times further off than a neighbour starts again from it
WORSE = 1.05  # a mixed step that ends so many times further off is taken back
SETTLED = 1e-6  # of the range: rounds that change the controls by less are over
POSES_AT_ONCE = 64
LOOSE = 32.0  # times `reject` at first: where little of a mesh moves, what moves is far beyond the typical distance
NARROWING = 2**-0.5  # from round to round
STEPS = 3  # of the solver in a round


@dataclass(frozen=True)
class ClosestSurfaceConfig:
    """How closest points are searched and which are believed."""

    rounds: int = 30
    """At most so many rounds of closest points and a solve."""
    points: int = 2000
    """At most so many vertices of each side look for their closest points."""
    reject: float = 3.0
    """Pairs further apart than so many times the frame's typical distance are left out (many more in early rounds)."""
    angle_deg: float = 60.0
    """So are pairs whose normals differ by more."""
    memory: int = 4
    """Earlier rounds that a step is mixed from; 0 takes every step as it is solved."""
    rescues: int = 2
    """At most so many times lost frames start again from their neighbour's pose."""
    settle: int = 3
    """Rounds at the end in which the given solver settings (smoothness, priors) take part."""


@dataclass(frozen=True, eq=False)
class SurfaceSolution:
    """Controls, and how far the surfaces are apart."""

    controls: Float[np.ndarray, "frames controls"]
    distance: Float[np.ndarray, "frames"]
    """Mean distance from either surface's vertices to the other surface, in the rig's unit; borders left out."""
    believed: Float[np.ndarray, "frames"]
    """Share of the pairs that were not left out."""
    rounds: int
    """The most rounds that a frame took."""


def follow_surface(
    rig: DifferentiableRig,
    capture: MeshSequence,
    cfg: ClosestSurfaceConfig | None = None,
    *,
    solver: SolveConfig | None = None,
    start: Float[np.ndarray, "frames controls"] | None = None,
    limits: Limits | None = None,
    progress: Progress = silent,
) -> SurfaceSolution:
    """Controls whose surface is closest to the captured one. `start` is neutral where it is not given; `limits` (see
    `inversion.guidance`) replace the rig's own bounds.

    `solver`, where given, takes over for the last rounds, over the whole shot. A capture without faces is a cloud of
    points: only they look for the closest points of the rig, and normals cannot be compared. Of the capture's weights
    only 0 means something here: such a vertex does not look for the rig.

    Raises:
        BunrakuError: a rig without faces; a capture none of which is near the rig's surface.
    """
    cfg = cfg or ClosestSurfaceConfig()
    if len(rig.faces) == 0:
        raise BunrakuError("the rig has no faces: a capture of another topology can only be compared with a surface")
    search = _search(rig, capture, cfg, limits or Limits.of(rig.spec))
    controls = np.tile(rig.spec.neutral, (capture.frames, 1)) if start is None else start.copy()
    every = np.arange(capture.frames)
    controls = search.inside(every, controls)
    controls, distance, rounds = _rounds(search, every, controls, cfg.rounds, progress)
    for _ in range(cfg.rescues):
        source = _neighbours(distance, FLOOR * search.size)
        lost = np.flatnonzero(source >= 0)
        if len(lost) == 0:
            break
        tried, reached, more = _rounds(search, lost, controls[source[lost]], cfg.rounds, progress)
        better = reached < distance[lost]
        controls[lost[better]], distance[lost[better]] = tried[better], reached[better]
        rounds = max(rounds, more)
        if not better.any():
            break
    if solver is not None:
        for _ in range(cfg.settle):
            sequence = search.targets(every, controls).sequence
            controls = solve(search.seen, sequence, solver, start=controls, limits=search.limits).controls
    found = search.targets(every, controls)
    return SurfaceSolution(controls, found.distance, found.believed, rounds)


def _neighbours(distance: Float[np.ndarray, "frames"], floor: float) -> Int[np.ndarray, "frames"]:
    """For each lost frame the neighbour that is better off; −1 for the others."""
    padded = np.concatenate([[np.inf], distance, [np.inf]])
    before, after = padded[:-2], padded[2:]
    frames = np.arange(len(distance))
    lost = distance > LOST * np.minimum(before, after) + floor
    return np.where(lost, np.where(before <= after, frames - 1, frames + 1), -1)


def _rounds(
    search: _Search, frames: Int[np.ndarray, "chosen"], controls: np.ndarray, most: int, progress: Progress
) -> tuple[Float[np.ndarray, "chosen controls"], Float[np.ndarray, "chosen"], int]:
    """The best controls seen for each of the frames, with their distance."""
    spec, cfg = search.rig.spec, search.cfg
    mixing = _Mixing(cfg.memory, (controls - spec.neutral) / spec.range)
    loose = LOOSE
    found = search.targets(frames, controls, loose)
    best, least, limits = controls.copy(), found.distance.copy(), search.limits.at(frames)
    plain = SolveConfig(iterations=STEPS, rescues=0, smooth=0.0, robust="none")
    for step in range(1, most + 1):
        progress("closest surface", step, most, f"distance {found.distance.mean():.2g}")
        solved = solve(search.seen, found.sequence, plain, start=controls, limits=limits).controls
        mixed = mixing.step((solved - spec.neutral) / spec.range)
        controls = search.inside(frames, spec.neutral + mixed * spec.range)
        loose = max(1.0, loose * NARROWING)
        found = search.targets(frames, controls, loose)
        back = np.flatnonzero(found.distance > WORSE * least + FLOOR * search.size)
        if len(back):
            controls[back] = solved[back]
            found.put(back, search.targets(frames[back], controls[back], loose))
        mixing.took((controls - spec.neutral) / spec.range, back)
        better = found.distance < least
        best[better], least[better] = controls[better], found.distance[better]
        if mixing.last < SETTLED and loose == 1:
            return best, least, step
    return best, least, most


@dataclass(eq=False)
class _Targets:
    """Where the rig's chosen vertices should go, for some frames."""

    sequence: MeshSequence
    distance: Float[np.ndarray, "chosen"]
    believed: Float[np.ndarray, "chosen"]

    def put(self, where: np.ndarray, other: _Targets) -> None:
        assert self.sequence.valid is not None
        self.sequence.vertices[where], self.sequence.valid[where] = other.sequence.vertices, other.sequence.valid
        self.distance[where], self.believed[where] = other.distance, other.believed


@dataclass(frozen=True, eq=False)
class _Search:
    """What stays the same from round to round."""

    rig: DifferentiableRig
    seen: DifferentiableRig
    """The rig, of the chosen vertices."""
    capture: MeshSequence
    cfg: ClosestSurfaceConfig
    limits: Limits
    size: float
    chosen: Int[np.ndarray, "points"]
    """Vertices of the rig that look for the capture, and get targets."""
    asked: Int[np.ndarray, "asked"]
    """Vertices of the capture that look for the rig."""
    rig_topology: Topology
    capture_topology: Topology | None

    def inside(
        self, frames: Int[np.ndarray, "chosen"], controls: Float[np.ndarray, "chosen controls"]
    ) -> Float[np.ndarray, "chosen controls"]:
        """The nearest controls within the bounds."""
        own = self.limits.at(frames)
        return np.clip(controls, own.lower, own.upper)

    def targets(
        self, frames: Int[np.ndarray, "chosen"], controls: Float[np.ndarray, "chosen controls"], loose: float = 1.0
    ) -> _Targets:
        """Closest points at given controls, both ways, as targets of the chosen vertices."""
        vertices = np.empty((len(frames), len(self.chosen), 3))
        valid = np.zeros(vertices.shape[:2], bool)
        distance, believed = np.zeros(len(frames)), np.zeros(len(frames))
        for start in range(0, len(frames), POSES_AT_ONCE):
            meshes = self.rig.evaluate(controls[start : start + POSES_AT_ONCE])
            for row, mesh in enumerate(meshes, start):
                vertices[row], valid[row], distance[row], believed[row] = self._frame(int(frames[row]), mesh, loose)
        if not valid.any():
            raise BunrakuError(
                "nothing of the capture lies near the rig's surface with its normals; "
                "it must be in the rig's unit, axes and place"
            )
        none = np.zeros((0, 3), np.int32)
        given = self.capture
        sequence = MeshSequence(vertices, none, given.fps, given.start_frame, None, valid, given.confidence)
        return _Targets(sequence, distance, believed)

    def _frame(
        self, frame: int, mesh: Float[np.ndarray, "vertices 3"], loose: float
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        pairs = [self._from_capture(frame, mesh), *self._from_rig(frame, mesh)]
        usable = np.concatenate([pair.usable for pair in pairs])
        apart = np.concatenate([pair.apart for pair in pairs])
        total, weight = np.zeros_like(mesh), np.zeros(len(mesh))
        if not usable.any():
            return mesh[self.chosen], np.zeros(len(self.chosen), bool), float(self.size), 0.0
        limit = loose * self.cfg.reject * max(1.4826 * float(np.median(apart[usable])), FLOOR * self.size)
        kept = 0
        for pair in pairs:
            good = pair.usable & (pair.apart <= limit)
            kept += int(good.sum())
            # Each side has the same say, however many vertices it has.
            share = pair.weights[good] * (len(self.chosen) / max(1, len(pair.usable)))
            np.add.at(weight, pair.corners[good], share)
            np.add.at(total, pair.corners[good], share[..., None] * pair.moves[good][:, None])
        told = weight[self.chosen] > LEAST_SHARE
        moves = total[self.chosen] / np.maximum(weight[self.chosen], LEAST_SHARE)[:, None]
        return mesh[self.chosen] + moves, told, float(apart[usable].mean()), kept / len(usable)

    def _from_rig(self, frame: int, mesh: Float[np.ndarray, "vertices 3"]) -> list[_Pairs]:
        """From the rig's vertices to the captured surface."""
        faces = self.capture.faces
        valid = None if self.capture.valid is None else self.capture.valid[frame]
        there = np.arange(len(faces)) if valid is None else np.flatnonzero(valid[faces].all(axis=1))
        if self.capture_topology is None or len(there) == 0:
            return []
        surface = Surface(self.capture.vertices[frame], faces[there])
        found = surface.closest(mesh[self.chosen])
        normals = surface.normals[found.faces]
        own = self.rig_topology.vertex_normals(mesh)[self.chosen]
        whole = replace(found, faces=there[found.faces])
        border = self.capture_topology.at_border(whole) | self._beside_missing(found, surface.faces, valid)
        usable = self._agree(own, normals) & ~border
        moves = normals * ((found.positions - mesh[self.chosen]) * normals).sum(axis=1, keepdims=True)
        return [_Pairs(self.chosen[:, None], np.ones((len(self.chosen), 1)), moves, found.distances, usable)]

    def _beside_missing(
        self, found: Closest, faces: np.ndarray, valid: Bool[np.ndarray, "vertices"] | None
    ) -> Bool[np.ndarray, "points"]:
        """Whether a closest point is on the rim of a hole that missing vertices have left."""
        if valid is None or valid.all():
            return np.zeros(len(found.faces), bool)
        torn = np.zeros(len(valid), bool)
        torn[self.capture.faces[~valid[self.capture.faces].all(axis=1)]] = True
        corners = torn[faces[found.faces]]
        return np.asarray((corners | (found.weights < FLOOR)).all(axis=1))

    def _from_capture(self, frame: int, mesh: Float[np.ndarray, "vertices 3"]) -> _Pairs:
        """From the captured vertices to the rig's surface."""
        asked = self.asked if self.capture.valid is None else self.asked[self.capture.valid[frame, self.asked]]
        surface = Surface(mesh, self.rig.faces)
        points = np.asarray(self.capture.vertices[frame], np.float64)
        if len(asked) == 0:
            nothing = np.zeros((0, 3))
            return _Pairs(np.zeros((0, 3), np.int64), nothing, nothing, np.zeros(0), np.zeros(0, bool))
        found = surface.closest(points[asked])
        normals = surface.normals[found.faces]
        usable = ~self.rig_topology.at_border(found)
        if self.capture_topology is not None:
            usable &= self._agree(self.capture_topology.vertex_normals(points)[asked], normals)
        moves = normals * ((points[asked] - found.positions) * normals).sum(axis=1, keepdims=True)
        corners = np.asarray(self.rig.faces, np.int64)[found.faces]
        return _Pairs(corners, found.weights, moves, found.distances, usable)

    def _agree(self, one: np.ndarray, other: np.ndarray) -> Bool[np.ndarray, "points"]:
        """Normals within the angle; a vertex without one (of no face) agrees with all."""
        without = ~one.any(axis=1)
        return without | ((one * other).sum(axis=1) >= np.cos(np.deg2rad(self.cfg.angle_deg)))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Closest points of one direction, as moves of the rig's vertices."""

    corners: Int[np.ndarray, "pairs corners"]
    weights: Float[np.ndarray, "pairs corners"]
    moves: Float[np.ndarray, "pairs 3"]
    apart: Float[np.ndarray, "pairs"]
    usable: Bool[np.ndarray, "pairs"]


def _search(rig: DifferentiableRig, capture: MeshSequence, cfg: ClosestSurfaceConfig, limits: Limits) -> _Search:
    neutral = np.asarray(rig.neutral, np.float64)
    faces = np.asarray(rig.faces, np.int64)
    chosen = _spread(np.unique(faces), cfg.points)
    seen = attached(rig, by_map(np.stack([np.arange(len(chosen)), chosen], axis=1), len(chosen), len(neutral)))
    assert isinstance(seen, DifferentiableRig)
    counted = np.ones(capture.vertex_count, bool) if capture.weights is None else capture.weights > 0
    full = 0 if capture.valid is None else int(capture.valid.sum(axis=1).argmax())
    shape = None
    if len(capture.faces):
        shape = topology(np.asarray(capture.faces, np.int64), np.asarray(capture.vertices[full], np.float64))
    asked = _spread(np.flatnonzero(counted), cfg.points)
    return _Search(rig, seen, capture, cfg, limits, diagonal(neutral), chosen, asked, topology(faces, neutral), shape)


def _spread(items: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, evenly over their order."""
    return items[np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(np.int64))]


class _Mixing:
    """Anderson's mixing, each frame for itself: the step from the last few that would have left the least change."""

    def __init__(self, memory: int, u: Float[np.ndarray, "frames controls"]) -> None:
        self.memory, self.u = memory, u
        self.last = np.inf
        self._changes: list[tuple[np.ndarray, np.ndarray]] = []
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def step(self, solved: Float[np.ndarray, "frames controls"]) -> Float[np.ndarray, "frames controls"]:
        """What to try next, given G(u)."""
        change = solved - self.u
        self.last = float(np.abs(change).max())
        if self._before is not None:
            self._changes.append((self.u - self._before[0], change - self._before[1]))
            self._changes = self._changes[-self.memory :] if self.memory else []
        self._before = (self.u, change)
        if not self._changes:
            return solved
        moved, changed = (np.stack([pair[i] for pair in self._changes], axis=2) for i in (0, 1))
        gram = np.swapaxes(changed, 1, 2) @ changed
        index = np.arange(gram.shape[1])
        gram[:, index, index] += 1e-8 * np.trace(gram, axis1=1, axis2=2)[:, None] + 1e-300
        mix = np.linalg.solve(gram, np.swapaxes(changed, 1, 2) @ change[..., None])
        return solved - ((moved + changed) @ mix)[..., 0]

    def took(self, u: Float[np.ndarray, "frames controls"], reset: Int[np.ndarray, "reset"]) -> None:
        """What was tried in the end; frames that are reset forget their past."""
        self.u = u
        for moved, changed in self._changes:
            moved[reset] = changed[reset] = 0.0
