"""Control curves as Blender's: rotation vectors in each bone's own rotation mode, and differences for a layer.

Every other control is a channel of Blender's already. Rotations are converted at the keys, in value and slope, on the
branch that is nearest to the frame before (Euler angles: of both triples and their whole turns; quaternions: of both
signs), and keys are added where the curve between them would stray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.keys import KeyedCurves, Keys, hermite, keys
from bunraku.core.rotations import geodesic_angle, quat_conjugate, quat_from_rotvec, quat_multiply
from bunraku.formats.euler import euler_from_quats, quats_from_euler

EULER = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
SMALL = 1e-4  # of a frame, for slopes
Curve = Callable[[np.ndarray], np.ndarray]
STEEP = 1.0  # rad per frame: near a pole angles fly, and axes turn over where there is no angle


@dataclass(frozen=True)
class Channel:
    """Where a control is in Blender."""

    control: str
    block: tuple[str, str]
    """OBJECT or KEY, and the object's name."""
    path: str
    """Of the animated property in its block."""
    index: int
    """Which of its numbers; of a rotation vector, which component."""
    mode: str
    """The bone's rotation mode where the control is a component of a rotation vector, else empty."""
    group: str
    base: tuple[float, ...]
    """The property where nothing moves it: all its numbers for a rotation, else the one."""

    @property
    def place(self) -> tuple[tuple[str, str], str]:
        """The property."""
        return self.block, self.path


@dataclass(frozen=True, eq=False)
class FCurve:
    """The keys of one number of a property."""

    block: tuple[str, str]
    path: str
    index: int
    group: str
    keys: Keys


def channels_of(names: Sequence[str], listed: Sequence[dict]) -> tuple[Channel, ...]:
    """What Blender says of its controls, in their order."""
    assert len(names) == len(listed)
    return tuple(
        Channel(
            name,
            (str(one["block"][0]), str(one["block"][1])),
            str(one["path"]),
            int(one["index"]),
            str(one["mode"]),
            str(one["group"]),
            tuple(float(value) for value in one["base"]),
        )
        for name, one in zip(names, listed, strict=True)
    )


def fcurves(channels: Sequence[Channel], keyed: KeyedCurves, turn: float) -> list[FCurve]:
    """Blender's curves for all controls that have keys, and for no others.

    Of a rotation all components are keyed where any is: they are one rotation in most modes. `turn` [rad]: how far a
    rotation may stray from the controls' on a frame between keys.

    Raises:
        BunrakuError: keys of a control that has no channel.
    """
    own = dict(zip(keyed.names, keyed.keys, strict=True))
    neutral = dict(zip(keyed.names, keyed.neutral.tolist(), strict=True))
    unknown = [name for name, found in own.items() if len(found) and name not in {c.control for c in channels}]
    if unknown:
        raise BunrakuError(f"keys of {unknown[0]!r}, which this rig has not")
    made: list[FCurve] = []
    for channel in channels:
        if not channel.mode and len(own.get(channel.control, ())):
            made.append(FCurve(*channel.place, channel.index, channel.group, own[channel.control]))
    for triple in _rotations(channels):
        three = [own.get(c.control) if c is not None else None for c in triple]
        if any(found is not None and len(found) for found in three):
            rest = [neutral.get(c.control, 0.0) if c is not None else 0.0 for c in triple]
            some = next(c for c in triple if c is not None)
            columns = _turned(three, rest, some.mode, keyed, turn)
            made += [FCurve(*some.place, i, some.group, column) for i, column in enumerate(columns)]
    return made


def _rotations(channels: Sequence[Channel]) -> list[list[Channel | None]]:
    """Components of rotation vectors by bone, None for those that are no control."""
    found: dict[tuple[tuple[str, str], str], list[Channel | None]] = {}
    for channel in channels:
        if channel.mode:
            found.setdefault(channel.place, [None, None, None])[channel.index] = channel
    return list(found.values())


def _turned(
    three: Sequence[Keys | None], rest: Sequence[float], mode: str, keyed: KeyedCurves, turn: float
) -> list[Keys]:
    there = [own for own in three if own is not None and len(own)]
    at = np.unique(np.concatenate([own.frames for own in there]))
    shot = keyed.start_frame + np.arange(keyed.frames, dtype=np.float64)

    def curve(frames: np.ndarray) -> np.ndarray:
        columns = [
            np.full(len(frames), value) if own is None or not len(own) else own.evaluate(frames)
            for own, value in zip(three, rest, strict=True)
        ]
        return np.stack(columns, axis=1)

    steps = [_held(there, frame) for frame in at]
    if any(steps) and not all(steps[:-1]):
        at = np.union1d(at, shot)
        steps = [_held(there, frame) for frame in at]
    ways = ["step" if held else "cubic" for held in steps]
    while True:
        dense = np.union1d(shot, at)
        values = running(curve(dense), mode)
        chosen = values[np.searchsorted(dense, at)]
        if any(steps) or len(at) == 1:
            slopes = np.zeros_like(chosen)
            return [keys(at, column, slope, slope, ways) for column, slope in zip(chosen.T, slopes.T, strict=True)]
        before, after = (_slopes(curve, chosen, at, side, mode) for side in (-1, 1))
        if mode == "AXIS_ANGLE" or max(np.abs(before).max(), np.abs(after).max()) > STEEP:
            at = np.union1d(at, shot)
            return [every(at, column) for column in running(curve(at), mode).T]
        wanted = values[np.searchsorted(dense, shot)]
        astray = geodesic_angle(quats(hermite(at, chosen, before, after, shot), mode), quats(wanted, mode))
        astray[np.isin(shot, at)] = 0.0
        if astray.max() <= turn:
            return [keys(at, *parts) for parts in zip(chosen.T, before.T, after.T, strict=True)]
        segment = np.searchsorted(at, shot)
        worst = [int(np.flatnonzero(segment == s)[astray[segment == s].argmax()]) for s in set(segment[astray > turn])]
        at = np.union1d(at, shot[worst])


def _held(three: Sequence[Keys], frame: float) -> bool:
    """Whether nothing of a rotation moves from this frame to the next key."""
    for own in three:
        left = int(np.clip(np.searchsorted(own.frames, frame, side="right") - 1, 0, len(own) - 1))
        if own.interpolation[left] != "step":
            return False
    return True


def _slopes(curve: Curve, values: np.ndarray, at: np.ndarray, side: int, mode: str) -> np.ndarray:
    """Slopes per frame just before (-1) or after (1) frames at which a rotation has these numbers.

    A rotation vector runs on smoothly beside a key: three points there give a slope of second order.
    """
    h = SMALL * side
    near, far = (nearest(curve(at + k * h), values, mode) for k in (1, 2))
    return (4 * near - far - 3 * values) / (2 * h)


def running(r: Float[np.ndarray, "frames 3"], mode: str) -> Float[np.ndarray, "frames numbers"]:
    """Rotation vectors as the numbers of a rotation mode, without jumps from frame to frame."""
    choices = _choices(r, mode)
    out = np.empty_like(choices[0])
    before = np.array([1.0, 0, 0, 0]) if mode == "QUATERNION" else np.zeros(out.shape[1])
    if mode == "AXIS_ANGLE":
        before = _first_axis(r)
    for frame in range(len(out)):
        before = out[frame] = _closest([one[frame] for one in choices], before, mode)
    return out


def nearest(
    r: Float[np.ndarray, "frames 3"], to: Float[np.ndarray, "frames numbers"], mode: str
) -> Float[np.ndarray, "frames numbers"]:
    """Rotation vectors as the numbers of a rotation mode, each on the branch that is nearest to given numbers."""
    choices = _choices(r, mode)
    return np.array([_closest([one[i] for one in choices], to[i], mode) for i in range(len(r))])


def quats(values: Float[np.ndarray, "frames numbers"], mode: str) -> Float[np.ndarray, "frames 4"]:
    """The rotations (wxyz) that numbers of a rotation mode stand for."""
    if mode == "QUATERNION":
        return values / np.linalg.norm(values, axis=1, keepdims=True)
    if mode == "AXIS_ANGLE":
        length = np.linalg.norm(values[:, 1:], axis=1, keepdims=True)
        return quat_from_rotvec(values[:, :1] * values[:, 1:] / np.where(length > 0, length, 1))
    order = mode[::-1]  # Blender names the axis first that turns first
    return quats_from_euler(values[:, ["XYZ".index(letter) for letter in order]], order)


def _choices(r: Float[np.ndarray, "frames 3"], mode: str) -> list[Float[np.ndarray, "frames numbers"]]:
    """The ways in which a mode writes these rotations, whole turns aside."""
    if mode == "QUATERNION":
        q = quat_from_rotvec(np.asarray(r, np.float64))
        return [q, -q]
    if mode == "AXIS_ANGLE":
        angle = np.linalg.norm(r, axis=1, keepdims=True)
        axis = np.where(angle > 1e-12, r / np.where(angle > 1e-12, angle, 1), np.nan)
        return [np.hstack([angle, axis]), np.hstack([-angle, -axis])]
    if mode not in EULER:
        raise BunrakuError(f"a bone in rotation mode {mode!r}; there are: QUATERNION, AXIS_ANGLE, {', '.join(EULER)}")
    order = mode[::-1]
    place = ["XYZ".index(letter) for letter in order]
    angles = euler_from_quats(quat_from_rotvec(np.asarray(r, np.float64)), order)
    out = np.empty_like(angles)
    other = out.copy()
    out[:, place] = angles
    other[:, place] = angles * [1, -1, 1] + np.pi
    return [out, other]


def _closest(choices: list[np.ndarray], before: np.ndarray, mode: str) -> np.ndarray:
    if mode == "AXIS_ANGLE":
        # Without an angle any axis will do: the one before.
        choices = [np.where(np.isnan(one), before, one) for one in choices]
        turns = [np.append(2 * np.pi * np.rint((one[0] - before[0]) / (2 * np.pi)), np.zeros(3)) for one in choices]
        choices = [one - turn for one, turn in zip(choices, turns, strict=True)]
    elif mode != "QUATERNION":
        choices = [one - 2 * np.pi * np.rint((one - before) / (2 * np.pi)) for one in choices]
    return min(choices, key=lambda one: float(np.abs(one - before).sum()))


def _first_axis(r: np.ndarray) -> np.ndarray:
    moved = np.linalg.norm(r, axis=1)
    turned = np.flatnonzero(moved > 1e-12)
    return np.append(0.0, r[turned[0]] / moved[turned[0]] if len(turned) else [0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Layered:
    """One property of which a layer changes something: what it shall be in the end, frame by frame."""

    channel: Channel
    indices: tuple[int, ...]
    """Which of its numbers."""
    wanted: Float[np.ndarray, "frames numbers"]
    """Their values; of a rotation the rotation vector."""


def wanted(channels: Sequence[Channel], names: Sequence[str], values: Float[np.ndarray, "frames controls"],
           neutral: Sequence[float]) -> list[Layered]:  # fmt: skip
    """The properties that named controls set, with their values."""
    column = {name: i for i, name in enumerate(names)}
    made = [
        Layered(c, (c.index,), values[:, [column[c.control]]]) for c in channels if not c.mode and c.control in column
    ]
    rest = dict(zip((c.control for c in channels), neutral, strict=True))
    for triple in _rotations(channels):
        if not any(c is not None and c.control in column for c in triple):
            continue
        parts = [
            np.zeros(len(values)) if c is None
            else values[:, column[c.control]] if c.control in column
            else np.full(len(values), rest[c.control])
            for c in triple
        ]  # fmt: skip
        some = next(c for c in triple if c is not None)
        made.append(Layered(some, tuple(range(len(some.base))), np.stack(parts, axis=1)))
    return made


def unchanging(layered: Sequence[Layered], start: int) -> list[FCurve]:
    """Curves of a layer that changes nothing."""
    made: list[FCurve] = []
    for one in layered:
        c = one.channel
        for i, index in enumerate(one.indices):
            made.append(FCurve(*c.place, index, c.group, keys([start], [c.base[i]])))
    return made


def differences(layered: Sequence[Layered], beneath: Float[np.ndarray, "frames curves"], start: int) -> list[FCurve]:
    """Curves of a layer that Blender combines with what is beneath it, as `unchanging` lists them.

    Blender adds location, Euler angles, axes and angles, properties and shape keys to what is beneath (less their own
    values at rest), multiplies scale, and turns by quaternions after what is beneath.

    Raises:
        BunrakuError: a scale of 0 beneath, which no factor changes.
    """
    made: list[FCurve] = []
    first = 0
    for one in layered:
        c, count = one.channel, len(one.indices)
        below = beneath[:, first : first + count]
        first += count
        values = _difference(one, below)
        frames = start + np.arange(len(values), dtype=np.float64)
        made += [FCurve(*c.place, index, c.group, every(frames, values[:, i])) for i, index in enumerate(one.indices)]
    return _without_idle(made, layered)


def _difference(one: Layered, below: np.ndarray) -> np.ndarray:
    c, base = one.channel, np.array(one.channel.base)
    if c.mode == "QUATERNION":
        lower = below / np.linalg.norm(below, axis=1, keepdims=True)
        change = quat_multiply(quat_conjugate(lower), quat_from_rotvec(one.wanted))
        signs = np.cumprod(np.where(np.append(change[0, 0], (change[1:] * change[:-1]).sum(axis=1)) < 0, -1.0, 1.0))
        return change * signs[:, None]
    if c.path.endswith(".scale"):
        if (np.abs(below) < 1e-9).any():
            raise BunrakuError(f"{c.control}: its scale beneath is 0, which no layer above can change")
        return base * one.wanted / below
    if not c.mode:
        return one.wanted - below + base
    choices = _choices(one.wanted, c.mode)
    out, before = np.empty_like(below), base * 0
    for frame in range(len(out)):
        near = below[frame] + before
        out[frame] = _closest([each[frame] for each in choices], near, c.mode) - below[frame]
        before = out[frame]
    return out + base


def every(frames: Float[np.ndarray, "frames"], values: Float[np.ndarray, "frames"]) -> Keys:
    """A key at every frame; one where nothing changes."""
    if np.ptp(values) <= 1e-7 * max(1.0, float(np.abs(values).max())):
        return keys(frames[:1], values[:1])
    slopes = np.gradient(values, frames)
    return keys(frames, values, slopes, slopes)


def _without_idle(made: list[FCurve], layered: Sequence[Layered]) -> list[FCurve]:
    """Without properties of which the layer changes nothing."""
    kept: list[FCurve] = []
    first = 0
    for one in layered:
        own = made[first : first + len(one.indices)]
        first += len(one.indices)
        base = one.channel.base
        idle = all(len(f.keys) == 1 and abs(f.keys.values[0] - base[i]) < 1e-6 for i, f in enumerate(own))
        kept += [] if idle else own
    return kept
