"""How the figure moves by itself: a wave with linear keys, a walk of cubic splines; keys at irregular times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from bunraku.core.animation import Animation, Channel
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import Skeleton

Motion = Callable[[np.ndarray], np.ndarray]
"""Of times (keys,): rotation vectors or offsets (keys, 3), or morph weights (keys, morphs)."""

WAVE_S = 2.4
WALK_S = 2.2
_STRIDE = 2 * np.pi / 1.1  # [rad/s] two strides in the clip


def wave(bones: Skeleton) -> Animation:
    """The left hand greets, the head tilts, the chest breathes; 2.4 s, LINEAR."""
    up = _pulse(0.1, 0.75, 1.7, 2.3)

    def swing(t: np.ndarray) -> np.ndarray:
        return up(t) * np.sin(2 * np.pi * (t - 0.55) / 0.55)

    channels = [
        _linear(bones, "left_clavicle", 9, lambda t: _turns(t, z=0.25 * up(t))),
        _linear(bones, "left_arm", 23, lambda t: _turns(t, y=0.35 * up(t), z=1.15 * up(t))),
        _linear(bones, "left_forearm", 31, lambda t: _turns(t, z=0.95 * up(t) + 0.45 * swing(t))),
        _linear(bones, "left_hand", 31, lambda t: _turns(t, z=0.3 * swing(t - 0.08))),
        _linear(bones, "right_arm", 9, lambda t: _turns(t, x=-0.1 * up(t), z=0.15 * up(t) + 0.45)),
        _linear(bones, "right_forearm", 9, lambda t: _turns(t, x=-0.35 - 0.2 * up(t))),
        _linear(bones, "spine", 13, lambda t: _turns(t, y=0.1 * up(t), z=-0.08 * up(t))),
        _linear(bones, "chest", 13, lambda t: _turns(t, z=-0.08 * up(t))),
        _linear(bones, "neck", 11, lambda t: _turns(t, z=0.1 * up(t))),
        _linear(bones, "head", 17, lambda t: _turns(t, x=0.08 * np.sin(4 * t), y=0.25 * up(t), z=0.12 * up(t))),
    ]
    times = _times(15, WAVE_S)
    breath, smile = 0.5 - 0.5 * np.cos(2 * np.pi * times / 1.2), up(times)
    weights = np.stack([breath, 0.3 * breath, smile], axis=1)
    channels.append(Channel(0, "morphs", "LINEAR", times, weights[:, None]))
    return Animation("wave", tuple(channels))


def walk(bones: Skeleton) -> Animation:
    """Two strides forward; 2.2 s, CUBICSPLINE."""
    s = _STRIDE
    channels = [
        _spline_offset(
            bones,
            "pelvis",
            lambda t: np.stack([0.012 * np.sin(s * t), 0.012 * np.cos(2 * s * t) - 0.03, 0.62 * t], axis=1),
        ),
        _spline(bones, "pelvis", lambda t: _turns(t, y=0.1 * np.sin(s * t), z=0.04 * np.cos(s * t))),
        _spline(bones, "spine", lambda t: _turns(t, x=0.05 + 0.02 * np.cos(2 * s * t), y=-0.09 * np.sin(s * t))),
        _spline(bones, "chest", lambda t: _turns(t, y=-0.12 * np.sin(s * t), z=-0.04 * np.cos(s * t))),
        _spline(bones, "head", lambda t: _turns(t, x=-0.04 * np.cos(2 * s * t), y=0.08 * np.sin(s * t))),
    ]
    for side, phase, sign in (("left", 0.0, 1.0), ("right", np.pi, -1.0)):
        channels += _leg(bones, side, phase) + _swinging_arm(bones, side, phase, sign)
    times = _times(9, WALK_S)
    belly = 0.5 + 0.5 * np.cos(2 * s * times)
    weights = np.stack([0.3 + 0.2 * belly, 0.4 * belly, np.full(len(times), 0.2)], axis=1)
    channels.append(Channel(0, "morphs", "LINEAR", times, weights[:, None]))
    return Animation("walk", tuple(channels))


def _leg(bones: Skeleton, side: str, phase: float) -> list[Channel]:
    def bend(t: np.ndarray) -> np.ndarray:
        return 0.12 + 0.85 * np.maximum(0.5 + 0.5 * np.cos(_STRIDE * t + phase), 0.0) ** 2

    def swing(t: np.ndarray) -> np.ndarray:
        return np.sin(_STRIDE * t + phase)

    # Turning about +X carries what hangs down (−Y) backwards: a knee bends by +X, a thigh lifts by −X.
    return [
        _spline(bones, f"{side}_thigh", lambda t: _turns(t, x=-0.42 * swing(t) - 0.12)),
        _spline(bones, f"{side}_shin", lambda t: _turns(t, x=bend(t))),
        _spline(bones, f"{side}_foot", lambda t: _turns(t, x=0.25 * swing(t + 0.2))),
        _spline(bones, f"{side}_toes", lambda t: _turns(t, x=-0.3 * np.maximum(-swing(t + 0.1), 0) ** 2)),
    ]


def _swinging_arm(bones: Skeleton, side: str, phase: float, sign: float) -> list[Channel]:
    def swing(t: np.ndarray) -> np.ndarray:
        return np.sin(_STRIDE * t + phase)

    def arm(t: np.ndarray) -> np.ndarray:
        # First hang down (in the arm's own axes), then swing about the world's X.
        hang = quat_from_rotvec(_turns(t, z=np.full_like(t, -0.62 * sign)))
        return quat_multiply(hang, quat_from_rotvec(_turns(t, x=0.5 * swing(t))))

    return [
        _keyed(bones, f"{side}_arm", arm),
        _spline(bones, f"{side}_forearm", lambda t: _turns(t, x=-0.4 + 0.2 * swing(t))),
        _spline(bones, f"{side}_hand", lambda t: _turns(t, x=0.1 * swing(t), z=0.1 * sign * swing(t + 0.1))),
    ]


def _turns(
    t: np.ndarray, *, x: np.ndarray | float = 0.0, y: np.ndarray | float = 0.0, z: np.ndarray | float = 0.0
) -> Float[np.ndarray, "keys 3"]:
    return np.stack([np.broadcast_to(value, t.shape) for value in (x, y, z)], axis=1).astype(np.float64)


def _pulse(rise: float, full: float, fall: float, end: float) -> Motion:
    """0, then smoothly 1, then 0 again."""

    def pulse(t: np.ndarray) -> np.ndarray:
        up, down = np.clip((t - rise) / (full - rise), 0, 1), np.clip((t - fall) / (end - fall), 0, 1)
        return up * up * (3 - 2 * up) - down * down * (3 - 2 * down)

    return pulse


def _times(count: int, duration_s: float) -> Float[np.ndarray, "keys"]:
    """Key times of uneven distance, as an artist sets them; the first is 0, the last the end."""
    t = np.linspace(0.0, 1.0, count)
    return duration_s * (t + 0.06 * np.sin(2 * np.pi * t) * np.cos(5 * t))


def _local(bones: Skeleton, joint: int, turn: np.ndarray) -> Float[np.ndarray, "keys 4"]:
    """R_rest · turn, as files hold it."""
    return quat_multiply(np.broadcast_to(bones.rest_quat[joint], turn.shape), turn)


def _linear(bones: Skeleton, name: str, count: int, motion: Motion) -> Channel:
    joint, times = bones.names.index(name), _times(count, WAVE_S)
    values = _local(bones, joint, quat_from_rotvec(motion(times)))
    return Channel(joint, "rotation", "LINEAR", times, values[:, None])


def _spline(bones: Skeleton, name: str, motion: Motion) -> Channel:
    return _keyed(bones, name, lambda t: quat_from_rotvec(motion(t)))


def _keyed(bones: Skeleton, name: str, turn: Motion) -> Channel:
    joint = bones.names.index(name)
    return _hermite(joint, "rotation", lambda t: _local(bones, joint, turn(t)))


def _spline_offset(bones: Skeleton, name: str, motion: Motion) -> Channel:
    joint = bones.names.index(name)
    return _hermite(joint, "translation", lambda t: bones.rest_translation[joint] + motion(t))


def _hermite(joint: int, path: str, values: Motion) -> Channel:
    times, h = _times(14, WALK_S), 1e-4
    tangent = (values(times + h) - values(times - h)) / (2 * h)
    slots = np.stack([tangent, values(times), tangent], axis=1)
    assert path in ("rotation", "translation")
    return Channel(joint, "rotation" if path == "rotation" else "translation", "CUBICSPLINE", times, slots)
