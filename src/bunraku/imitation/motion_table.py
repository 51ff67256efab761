"""A clip as rows of numbers, finely sampled once, so that a batch of times is answered by two gathers and a blend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.clip import Clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import continuous_quats
from bunraku.imitation.anatomy import Anatomy
from bunraku.imitation.character import Built
from bunraku.imitation.flights import ballistic, flights
from bunraku.imitation.landmarks import Landmarks, landmarks
from bunraku.imitation.reference import ClipReference, clip_reference

_ROWS_HZ = 480.0
"""Between rows everything is blended linearly: at 20 rad/s a rotation is then off by less than 1e-4 rad."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A reference at one time per character, in the world."""

    qpos: Float[np.ndarray, "count nq"]
    qvel: Float[np.ndarray, "count nv"]
    landmarks: Landmarks


@dataclass(frozen=True, eq=False)
class MotionTable:
    """A clip on a character with a free root."""

    body: Anatomy
    duration_s: float
    """Time of the clip's last frame; where a loop is at its first again."""
    loops: bool
    _rows: Float[np.ndarray, "rows numbers"]
    _qvel: Float[np.ndarray, "segments nv"]
    _segment: Int[np.ndarray, "rows"]
    """The segment of the clip that each row begins in: velocities are constant there."""
    _begin: Float[np.ndarray, "rows nv"]
    """Velocities to begin with."""

    @cached_property
    def travel(self) -> Float[np.ndarray, "2"]:
        """How far a cycle takes the root, horizontally [m]."""
        return self._rows[-1, :2] - self._rows[0, :2]

    def at(self, times_s: Float[np.ndarray, "count"], origin_w: Float[np.ndarray, "count 2"]) -> Moment:
        """The reference at times ≥ 0: modulo the duration for a loop; else its last pose, at rest, after its end.

        `origin_w` is added to the clip's horizontal positions in the cycle that the time is in.
        """
        before, u = self._place(times_s)
        row = self._rows[before]
        row += u * (self._rows[before + 1] - row)
        nq = self._rows.shape[1] - Landmarks.size(self.body)
        qpos, quats = row[:, :nq], self.body.quat_q
        quat = qpos[:, quats]
        qpos[:, quats] = quat / np.sqrt(np.vecdot(quat, quat))[..., None]
        qvel = self._qvel[self._segment[before]]
        if not self.loops:
            qvel = qvel * (times_s < self.duration_s)[:, None]
        qpos[:, :2] += origin_w
        points = Landmarks.unpacked(self.body, row[:, nq:])
        points.centre_w[:, :2] += origin_w
        return Moment(qpos, qvel, points)

    def starts(self, times_s: Float[np.ndarray, "count"]) -> Moment:
        """The reference in its first cycle, as `at`, with the velocities to begin with.

        A segment's velocity is the clip's half way through it: between there and half way through the next it is
        blended, at the ends of the clip and before a seam constant. A clip of 16 frames a second in flight slows by
        .6 m/s from one segment to the next; begun with the mean of its segment, a body lands early or late. In flight
        the root has the velocities of a body that gets through it (`flights.ballistic`).
        """
        moment = self.at(times_s, np.zeros((len(times_s), 2)))
        before, u = self._place(times_s)
        qvel = self._begin[before] + u * (self._begin[before + 1] - self._begin[before])
        if not self.loops:
            qvel *= (times_s < self.duration_s)[:, None]
        return Moment(moment.qpos, qvel, moment.landmarks)

    def _place(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The row before each time, and how far it is to the next one, as a column."""
        last = len(self._rows) - 1
        share = times_s / self.duration_s
        share = share % 1.0 if self.loops else np.minimum(share, 1.0)
        place = share * last
        before = np.minimum(place.astype(np.int64), last - 1)
        return before, (place - before)[:, None]

    def poses(self) -> Float[np.ndarray, "rows nq"]:
        """All poses of one cycle, evenly spaced in time."""
        return self._rows[:, : self._rows.shape[1] - Landmarks.size(self.body)]

    def begin_velocities(self) -> Float[np.ndarray, "rows nv"]:
        """What characters that begin in each of these poses are given, as `starts`."""
        return self._begin

    def root_xy(self, times_s: Float[np.ndarray, "count"]) -> Float[np.ndarray, "count 2"]:
        """Horizontal position of the clip's root, within the first cycle."""
        before, u = self._place(times_s)
        xy = self._rows[:, :2]
        return xy[before] + u * (xy[before + 1] - xy[before])

    def cycle(self, times_s: Float[np.ndarray, "count"]) -> Int[np.ndarray, "count"]:
        """How many whole cycles are over."""
        return (times_s // self.duration_s).astype(np.int64) if self.loops else np.zeros(len(times_s), np.int64)


def motion_table(built: Built, clip: Clip, name: str = "clip") -> MotionTable:
    """A clip for a character with a free root.

    Raises:
        BunrakuError: the character has no free root, the clip names no part of it or lasts no time.
    """
    root = built.anatomy.bodies[1]
    if not root.joints or root.joints[0].name not in built.anatomy.rotations or len(built.anatomy.linear_q) < 3:
        raise BunrakuError(f"{built.character.name}: has no free joint at its root; a clip moves one through the world")
    reference = clip_reference(built, clip, name)
    if reference.duration_s <= 0:
        raise BunrakuError(f"{name}: has a single frame; to imitate a pose leave the clip out")
    count = max(2, int(np.ceil(reference.duration_s * _ROWS_HZ)) + 1)
    times = np.linspace(0, reference.duration_s, count)
    qpos = _blended(reference, times)
    rows = np.concatenate([_one_sign(built.anatomy, qpos), landmarks(built.anatomy, qpos).packed()], axis=1)
    segment = np.searchsorted(reference.times_s, times, side="right") - 1
    segment = np.clip(segment, 0, len(reference.qvel) - 1)
    middle_s = (reference.times_s[:-1] + reference.times_s[1:]) / 2
    begin = _blended_velocities(reference.qvel, middle_s, times)
    for flight in flights(built, qpos, times[1]):
        free = ballistic(built, qpos[flight], begin[flight], times[1])
        # The take-off is known to a frame: within the one before, what is missing is made up little by little.
        off = np.arange(np.flatnonzero(segment == max(segment[flight.start] - 1, 0))[0], flight.start)
        share = (np.arange(len(off)) + 1) / (len(off) + 1)
        begin[off, :6] += share[:, None] * (free[0] - begin[flight.start, :6])
        begin[flight, :6] = free
    return MotionTable(built.anatomy, reference.duration_s, reference.loops, rows, reference.qvel, segment, begin)


def _blended_velocities(
    qvel: Float[np.ndarray, "segments nv"], middle_s: Float[np.ndarray, "segments"], times_s: Float[np.ndarray, "rows"]
) -> Float[np.ndarray, "rows nv"]:
    """Blended between the middles of segments, constant before the first and after the last."""
    if len(qvel) == 1:
        return np.repeat(qvel, len(times_s), axis=0)
    left = np.clip(np.searchsorted(middle_s, times_s) - 1, 0, len(qvel) - 2)
    u = (times_s - middle_s[left]) / (middle_s[left + 1] - middle_s[left])
    return qvel[left] + np.clip(u, 0.0, 1.0)[:, None] * (qvel[left + 1] - qvel[left])


def _blended(reference: ClipReference, times_s: np.ndarray) -> np.ndarray:
    """Coordinates at times up to the end, which is not the beginning here."""
    held = ClipReference(reference.body, reference.times_s, reference.qpos, reference.qvel, loops=False)
    return held.at(times_s).qpos


def _one_sign(body: Anatomy, qpos: np.ndarray) -> np.ndarray:
    """Quaternions without jumps to the opposite sign, so that rows can be blended."""
    qpos = qpos.copy()
    qpos[:, body.quat_q] = continuous_quats(qpos[:, body.quat_q])
    return qpos
