"""Keyed control curves as keys on a skinned character's nodes.

Translations, scales and morphs are linear in the controls: their cubic keys are the controls' own, at the frames of all
components together. A rotation vector's cubic is not a cubic of quaternions: keys are added at the worst frames until
the rotation strays by at most `TURN` anywhere on a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from bunraku.core.animation import Animation, Channel, sample
from bunraku.core.animation import Path as Property
from bunraku.core.keys import KeyedCurves, Keys
from bunraku.core.rotations import geodesic_angle, left_jacobian, quat_from_rotvec, quat_multiply
from bunraku.rigs.skinned import SkinnedRig

TURN = 2e-4  # rad

Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Values, slopes before and slopes after (frames, width) at given frames; slopes per frame."""


def keyed_spline(rig: SkinnedRig, saved: KeyedCurves, name: str) -> Animation:
    """Keys of controls as an animation of the rig's nodes; only controls that have keys are in it.

    Channels whose keys are all steps become STEP; those that mix steps with curves get a LINEAR key at every frame. The
    shot's first frame is at start_frame / fps, or at 0 where that is negative.

    Raises:
        BunrakuError: keys of a control that the rig does not have.
    """
    joints = len(rig.character.skeleton)
    by_slot = {
        int(rig.slots[rig.spec.index(control)]): own for control, own in zip(saved.names, saved.keys, strict=True)
    }
    by_slot = {slot: own for slot, own in by_slot.items() if len(own)}
    channels: list[Channel] = []
    for node in range(joints):
        for kind, path in enumerate(("translation", "rotation", "scale")):
            first = 9 * node + 3 * kind
            own = [by_slot.get(first + axis) for axis in range(3)]
            if any(own_keys is not None for own_keys in own):
                rest = 1.0 if path == "scale" else 0.0
                channels.append(_channel(rig, saved, node, path, own, rest))
    morphs = [by_slot.get(9 * joints + morph) for morph in range(len(rig.character.morph_names))]
    if any(own is not None for own in morphs):
        channels.append(_morphs(rig, saved, morphs))
    return Animation(name, tuple(channels))


def _channel(
    rig: SkinnedRig, saved: KeyedCurves, node: int, path: Property, own: Sequence[Keys | None], rest: float
) -> Channel:
    bones = rig.character.skeleton
    curve = _together(own, [rest] * 3)
    if path == "translation":
        offset = bones.rest_translation[node]
        return _fit(saved, node, path, own, lambda at: _affine(curve(at), 1.0, offset))
    if path == "scale":
        factor = np.diagonal(bones.rest_stretch[node])
        return _fit(saved, node, path, own, lambda at: _affine(curve(at), factor, 0.0))
    return _fit(saved, node, path, own, lambda at: _turned(curve(at), bones.rest_quat[node]))


def _morphs(rig: SkinnedRig, saved: KeyedCurves, own: Sequence[Keys | None]) -> Channel:
    return _fit(saved, 0, "morphs", own, _together(own, rig.character.morph_rest.tolist()))


def _together(own: Sequence[Keys | None], rest: Sequence[float]) -> Curve:
    def curve(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        columns = [
            (np.full(len(at), value), np.zeros(len(at)), np.zeros(len(at)))
            if keys is None
            else (keys.evaluate(at), *slopes(keys, at))
            for keys, value in zip(own, rest, strict=True)
        ]
        values, before, after = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
        return values, before, after

    return curve


def slopes(keys: Keys, at: Float[np.ndarray, "frames"]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes per frame just before and just after given frames; 0 where the curve holds."""
    if len(keys) == 1:
        return np.zeros(len(at)), np.zeros(len(at))
    out: list[np.ndarray] = []
    for side in ("left", "right"):
        left = np.clip(np.searchsorted(keys.frames, at, side=side) - 1, 0, len(keys) - 2)
        h = keys.frames[left + 1] - keys.frames[left]
        s = np.clip((at - keys.frames[left]) / h, 0, 1)
        rise = (keys.values[left + 1] - keys.values[left]) / h
        # d/dx of the cubic Hermite form.
        slope = 6 * s * (1 - s) * rise + (3 * s * s - 4 * s + 1) * keys.slope_out[left]
        slope += (3 * s * s - 2 * s) * keys.slope_in[left + 1]
        beyond = at <= keys.frames[0] if side == "left" else at >= keys.frames[-1]
        outside = beyond | (at < keys.frames[0]) | (at > keys.frames[-1])
        stepped = np.array([way == "step" for way in keys.interpolation])[left]
        out.append(np.where(outside | stepped, 0.0, slope))
    return out[0], out[1]


def _affine(
    parts: tuple[np.ndarray, ...], factor: np.ndarray | float, offset: np.ndarray | float
) -> tuple[np.ndarray, ...]:
    values, before, after = parts
    return values * factor + offset, before * factor, after * factor


def _turned(parts: tuple[np.ndarray, ...], rest: np.ndarray) -> tuple[np.ndarray, ...]:
    """Quaternions rest·exp(r) and their slopes ½·rest·(0, J(r)·ṙ)·exp(r)."""
    r, before, after = parts
    turn = quat_from_rotvec(r)
    base = np.broadcast_to(rest, turn.shape)
    jacobian = left_jacobian(r)

    def slope(rate: np.ndarray) -> np.ndarray:
        omega = np.einsum("nij,nj->ni", jacobian, rate)
        pure = np.concatenate([np.zeros((len(omega), 1)), omega], axis=1)
        return 0.5 * quat_multiply(base, quat_multiply(pure, turn))

    return quat_multiply(base, turn), slope(before), slope(after)


def _fit(
    saved: KeyedCurves,
    target: int,
    path: Property,
    own: Sequence[Keys | None],
    curve: Callable[..., tuple[np.ndarray, ...]],
) -> Channel:
    """A channel with keys where the controls have some, and for rotations where else they are needed."""
    there = [keys for keys in own if keys is not None]
    stepped = [way == "step" for keys in there for way in keys.interpolation[:-1]]
    every = saved.start_frame + np.arange(saved.frames, dtype=np.float64)
    if any(stepped):
        if all(stepped):
            frames = np.unique(np.concatenate([keys.frames for keys in there]))
            return Channel(target, path, "STEP", _seconds(saved, frames), curve(frames)[0][:, None])
        return Channel(target, path, "LINEAR", _seconds(saved, every), curve(every)[0][:, None])
    frames = np.unique(np.concatenate([keys.frames for keys in there]))
    channel = _cubic(saved, target, path, frames, curve)
    while path == "rotation":
        astray = geodesic_angle(sample(channel, _seconds(saved, every)), curve(every)[0])
        astray[np.isin(every, frames)] = 0.0
        if astray.max() <= TURN:
            break
        segment = np.searchsorted(frames, every)
        worst = [
            int(np.flatnonzero(segment == s)[astray[segment == s].argmax()]) for s in np.unique(segment[astray > TURN])
        ]
        frames = np.union1d(frames, every[worst])
        channel = _cubic(saved, target, path, frames, curve)
    return channel


def _cubic(
    saved: KeyedCurves, target: int, path: Property, frames: np.ndarray, curve: Callable[..., tuple[np.ndarray, ...]]
) -> Channel:
    values, before, after = curve(frames)
    # exp(r) is continuous where r is: a quaternion and its opposite, one rotation but two splines, never mix.
    rate = float(saved.fps)
    return Channel(
        target, path, "CUBICSPLINE", _seconds(saved, frames), np.stack([rate * before, values, rate * after], axis=1)
    )


def _seconds(saved: KeyedCurves, frames: np.ndarray) -> np.ndarray:
    return (frames - saved.start_frame + max(saved.start_frame, 0)) / float(saved.fps)
