"""The surface of the figure: closed parts swept along its bones, and which joints carry them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bunraku.core.skeleton import Skeleton

TRUNK = {
    "pelvis": ("", (0.0, 0.80, 0.0)),
    "spine": ("pelvis", (0.0, 0.90, 0.0)),
    "chest": ("spine", (0.0, 1.04, 0.0)),
    "neck": ("chest", (0.0, 1.21, -0.01)),
    "head": ("neck", (0.0, 1.29, 0.0)),
}
LIMBS = {
    "clavicle": ("chest", (0.03, 1.17, 0.0)),
    "arm": ("clavicle", (0.145, 1.16, 0.0)),
    "forearm": ("arm", (0.325, 1.008, 0.0)),
    "hand": ("forearm", (0.486, 0.872, 0.0)),
    "thigh": ("pelvis", (0.08, 0.76, 0.0)),
    "shin": ("thigh", (0.09, 0.42, 0.01)),
    "foot": ("shin", (0.095, 0.085, -0.01)),
    "toes": ("foot", (0.10, 0.03, 0.085)),
}
"""Of the left side: parent and place. The right side is its mirror image."""


@dataclass(frozen=True, eq=False)
class Part:
    """A closed surface and which joints carry it."""

    name: str
    positions: Float[np.ndarray, "vertices 3"]
    faces: np.ndarray
    weights: Float[np.ndarray, "vertices joints"]


Station = tuple[tuple[float, float, float], float, float]
"""A cross-section on the way along a part: its centre, half its width, half its depth."""


def _swept(stations: Sequence[Station], rings: int, around: int, across: tuple[float, float, float]) -> np.ndarray:
    """Rings of elliptic cross-sections through the stations, and a pole at either end, (rings·around + 2, 3).

    `across` is the direction of the width; the depth is at right angles to it and to the path.
    """
    from scipy.interpolate import PchipInterpolator

    table = np.array([[*centre, width, depth] for centre, width, depth in stations])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(table[:, :3], axis=0), axis=1))])
    # Poles are ends of radius 0 whose cap is round: rings crowd there as cosines do.
    share = 0.5 - 0.5 * np.cos(np.pi * (np.arange(rings) + 0.5) / rings)
    share = 0.6 * share + 0.4 * (np.arange(rings) + 0.5) / rings
    at = along[-1] * share
    path = PchipInterpolator(along, table)
    section = path(at)
    tangent = path.derivative()(at)[:, :3]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    depth = np.cross(tangent, np.array(across))
    depth /= np.linalg.norm(depth, axis=1, keepdims=True)
    width = np.cross(depth, tangent)
    reach = np.minimum(section[:, 3], section[:, 4])
    cap = _round(at / np.maximum(reach, 1e-9)) * _round((along[-1] - at) / np.maximum(reach, 1e-9))
    angle = 2 * np.pi * np.arange(around) / around
    ring = np.cos(angle)[:, None] * (width * (section[:, 3] * cap)[:, None])[:, None]
    ring += np.sin(angle)[:, None] * (depth * (section[:, 4] * cap)[:, None])[:, None]
    body = (section[:, None, :3] + ring).reshape(-1, 3)
    return np.concatenate([body, table[[0, -1], :3]])


def _round(x: np.ndarray) -> np.ndarray:
    """The half-width of a hemisphere at a share x of its depth, 1 beyond it."""
    return np.sqrt(np.clip(1 - (1 - np.minimum(x, 1.0)) ** 2, 0.0, 1.0))


def _tube_faces(rings: int, around: int) -> np.ndarray:
    """Triangles of `_swept`, counter-clockwise seen from outside."""
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    a, b = i * around + j, i * around + (j + 1) % around
    c, d = a + around, b + around
    sides = np.stack([a, b, d, a, d, c], axis=-1).reshape(-1, 3)
    k = np.arange(around)
    first, last = rings * around, rings * around + 1
    start = np.stack([np.full(around, first), (k + 1) % around, k], axis=1)
    top = (rings - 1) * around
    end = np.stack([np.full(around, last), top + k, top + (k + 1) % around], axis=1)
    return np.concatenate([sides, start, end])


def _step(x: np.ndarray, start: float, end: float) -> np.ndarray:
    """From 0 to 1 smoothly, with level ends."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def parts(bones: Skeleton) -> list[Part]:
    """All parts of the figure, the right side as the mirror image of the left."""
    out = [_torso(bones), _neck(bones), *_head(bones)]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out += [_mirrored(part, sign) for part in (*_arm(bones, side), *_leg(bones, side))]
    return out


def _mirrored(part: Part, sign: float) -> Part:
    faces = part.faces if sign > 0 else part.faces[:, ::-1]
    return Part(part.name, part.positions * [sign, 1.0, 1.0], faces, part.weights)


Carry = Callable[[Float[np.ndarray, "vertices 3"]], dict[str, np.ndarray]]


def _part(
    bones: Skeleton, name: str, stations: Sequence[Station], size: tuple[int, int], across: tuple[float, ...], by: Carry
) -> Part:
    positions = _swept(stations, *size, (across[0], across[1], across[2]))
    weights = np.zeros((len(positions), len(bones)))
    for joint, weight in by(positions).items():
        weights[:, bones.names.index(joint)] += weight
    return Part(name, positions, _tube_faces(*size), weights)


def _whole(joint: str) -> Carry:
    return lambda p: {joint: np.ones(len(p))}


def _torso(bones: Skeleton) -> Part:
    stations: list[Station] = [
        ((0.0, 0.69, 0.0), 0.07, 0.07),
        ((0.0, 0.74, 0.0), 0.125, 0.095),
        ((0.0, 0.81, 0.0), 0.135, 0.10),
        ((0.0, 0.92, 0.005), 0.105, 0.082),
        ((0.0, 1.03, 0.005), 0.125, 0.092),
        ((0.0, 1.12, 0.0), 0.15, 0.10),
        ((0.0, 1.18, -0.005), 0.135, 0.085),
        ((0.0, 1.225, -0.01), 0.07, 0.055),
        ((0.0, 1.25, -0.01), 0.045, 0.045),
    ]

    def carried(p: np.ndarray) -> dict[str, np.ndarray]:
        y, x = p[:, 1], p[:, 0]
        waist, ribs = _step(y, 0.83, 0.95), _step(y, 0.96, 1.10)
        out = {"pelvis": 1 - waist, "spine": waist * (1 - ribs), "chest": waist * ribs}
        for side, sign in (("left", 1.0), ("right", -1.0)):
            shoulder = 0.6 * _step(sign * x, 0.05, 0.13) * _step(y, 1.06, 1.17)
            hip = 0.45 * _step(sign * x, 0.02, 0.11) * (1 - _step(y, 0.70, 0.82))
            out[f"{side}_clavicle"], out[f"{side}_thigh"] = shoulder * out["chest"], hip * out["pelvis"]
        for of, limb in (("chest", "clavicle"), ("pelvis", "thigh")):
            out[of] = out[of] - out[f"left_{limb}"] - out[f"right_{limb}"]
        return out

    return _part(bones, "torso", stations, (28, 28), (1.0, 0.0, 0.0), carried)


def _neck(bones: Skeleton) -> Part:
    stations: list[Station] = [
        ((0.0, 1.17, -0.01), 0.05, 0.05),
        ((0.0, 1.25, -0.01), 0.042, 0.042),
        ((0.0, 1.36, 0.0), 0.04, 0.04),
    ]

    def carried(p: np.ndarray) -> dict[str, np.ndarray]:
        low, high = _step(p[:, 1], 1.18, 1.24), _step(p[:, 1], 1.25, 1.32)
        return {"chest": 1 - low, "neck": low * (1 - high), "head": low * high}

    return _part(bones, "neck", stations, (8, 16), (1.0, 0.0, 0.0), carried)


def _head(bones: Skeleton) -> list[Part]:
    skull: list[Station] = [
        ((0.0, 1.275, 0.025), 0.05, 0.055),
        ((0.0, 1.33, 0.02), 0.088, 0.098),
        ((0.0, 1.43, 0.01), 0.112, 0.122),
        ((0.0, 1.51, 0.0), 0.102, 0.112),
        ((0.0, 1.575, -0.005), 0.07, 0.075),
    ]
    nose: list[Station] = [
        ((0.0, 1.43, 0.115), 0.008, 0.012),
        ((0.0, 1.395, 0.135), 0.014, 0.018),
        ((0.0, 1.375, 0.125), 0.016, 0.016),
    ]
    knot: list[Station] = [
        ((0.0, 1.56, -0.045), 0.03, 0.03),
        ((0.0, 1.60, -0.06), 0.042, 0.042),
        ((0.0, 1.645, -0.07), 0.035, 0.035),
    ]
    parts = [
        _part(bones, "head", skull, (18, 24), (1.0, 0.0, 0.0), _whole("head")),
        _part(bones, "nose", nose, (6, 8), (1.0, 0.0, 0.0), _whole("head")),
        _part(bones, "knot", knot, (9, 12), (1.0, 0.0, 0.0), _whole("head")),
    ]
    for sign in (1.0, -1.0):
        eye: list[Station] = [
            ((sign * 0.043, 1.405, 0.123), 0.014, 0.008),
            ((sign * 0.043, 1.425, 0.125), 0.016, 0.01),
            ((sign * 0.043, 1.445, 0.121), 0.014, 0.008),
        ]
        parts.append(_part(bones, "eye", eye, (6, 8), (1.0, 0.0, 0.0), _whole("head")))
    return parts


def _arm(bones: Skeleton, side: str) -> list[Part]:
    """Built on the left, whichever side it is for."""
    shoulder, elbow, wrist = (np.array(LIMBS[name][1]) for name in ("arm", "forearm", "hand"))
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)

    def on(start: np.ndarray, distance: float) -> tuple[float, float, float]:
        x, y, z = start + distance * along
        return float(x), float(y), float(z)

    limb: list[Station] = [
        (on(shoulder, -0.055), 0.04, 0.045),
        (on(shoulder, 0.0), 0.054, 0.054),
        (on(shoulder, 0.10), 0.046, 0.045),
        (on(elbow, 0.0), 0.037, 0.037),
        (on(elbow, 0.07), 0.038, 0.036),
        (on(wrist, -0.01), 0.024, 0.021),
        (on(wrist, 0.05), 0.042, 0.022),
        (on(wrist, 0.12), 0.030, 0.016),
    ]

    def carried(p: np.ndarray) -> dict[str, np.ndarray]:
        reach = (p - shoulder) @ along
        upper, fore, lower = _ramps(reach, [(0.0, 0.05), (0.236, 0.05), (0.447, 0.03)])
        return {
            f"{side}_clavicle": 1 - upper,
            f"{side}_arm": upper * (1 - fore),
            f"{side}_forearm": upper * fore * (1 - lower),
            f"{side}_hand": upper * fore * lower,
        }

    base = np.array(on(wrist, 0.025))
    thumb = [(base + d * np.array([0.25, -0.45, 0.86]), r) for d, r in ((0.0, 0.014), (0.04, 0.014), (0.075, 0.011))]
    stations: list[Station] = [((float(c[0]), float(c[1]), float(c[2])), r, r) for c, r in thumb]
    return [
        _part(bones, "arm", limb, (30, 14), (0.0, 0.0, 1.0), carried),
        _part(bones, "thumb", stations, (7, 8), (1.0, 0.0, 0.0), _whole(f"{side}_hand")),
    ]


def _ramps(x: np.ndarray, bends: Sequence[tuple[float, float]]) -> list[np.ndarray]:
    return [_step(x, place - half, place + half) for place, half in bends]


def _leg(bones: Skeleton, side: str) -> list[Part]:
    """Built on the left, whichever side it is for."""
    limb: list[Station] = [
        ((0.07, 0.82, 0.0), 0.05, 0.06),
        ((0.078, 0.74, 0.0), 0.078, 0.085),
        ((0.084, 0.60, 0.005), 0.066, 0.072),
        ((0.09, 0.42, 0.01), 0.048, 0.05),
        ((0.091, 0.33, 0.0), 0.05, 0.054),
        ((0.094, 0.12, -0.01), 0.03, 0.033),
        ((0.095, 0.05, -0.01), 0.034, 0.038),
    ]
    foot: list[Station] = [
        ((0.095, 0.038, -0.065), 0.030, 0.028),
        ((0.096, 0.045, -0.02), 0.038, 0.042),
        ((0.098, 0.036, 0.05), 0.044, 0.032),
        ((0.101, 0.028, 0.10), 0.046, 0.024),
        ((0.102, 0.022, 0.155), 0.032, 0.018),
    ]

    def leg(p: np.ndarray) -> dict[str, np.ndarray]:
        upper, lower, ankle = _ramps(-p[:, 1], [(-0.77, 0.05), (-0.42, 0.06), (-0.085, 0.03)])
        return {
            "pelvis": 1 - upper,
            f"{side}_thigh": upper * (1 - lower),
            f"{side}_shin": upper * lower * (1 - ankle),
            f"{side}_foot": upper * lower * ankle,
        }

    def sole(p: np.ndarray) -> dict[str, np.ndarray]:
        front = _step(p[:, 2], 0.065, 0.105)
        return {f"{side}_foot": 1 - front, f"{side}_toes": front}

    return [
        _part(bones, "leg", limb, (26, 16), (1.0, 0.0, 0.0), leg),
        _part(bones, "foot", foot, (14, 14), (1.0, 0.0, 0.0), sole),
    ]
