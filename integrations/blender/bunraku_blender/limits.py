# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a control goes: by its Limit constraints, else as far as the file's actions take it, else sensibly."""

import math

import numpy as np

from bunraku_blender.channels import EULER, rotation_vector

TURN = 2 * math.pi / 3
"""[rad], where nothing says how far a bone turns."""
STRETCH = (0.5, 2.0)
SHIFT = 0.25
"""Of the mesh's diagonal."""
BEYOND = 0.5
"""How far beyond its actions a control goes, as a share of the range they use."""
AT_LEAST = {"rotation": 0.2, "location": 0.02, "scale": 0.1}
"""Each way, where actions hardly move it: rad, share of the diagonal, factor."""
_LIMITS = {"location": "LIMIT_LOCATION", "rotation": "LIMIT_ROTATION", "scale": "LIMIT_SCALE"}


class Ranges:
    """Looks ranges up."""

    def __init__(self, mesh, animated):
        corners = np.array(mesh.bound_box) @ np.array(mesh.matrix_world)[:3, :3].T
        self.diagonal = float(np.linalg.norm(corners.max(axis=0) - corners.min(axis=0)))
        self.animated = animated
        self._turned = {}

    def channel(self, rig, bone, attribute, axis):
        """The range of one axis of a bone's location or scale; a bone that actions move in other ways has little."""
        limited = _limited(bone, attribute, axis)
        shift = self.diagonal / max(rig.matrix_world.median_scale, 1e-9)
        sensible = STRETCH if attribute == "scale" else (-SHIFT * shift, SHIFT * shift)
        if None not in limited:
            return limited
        curves = self.animated.get((f"{bone.path_from_id()}.{attribute}", axis), ())
        values = [point.co[1] for curve in curves for point in curve.keyframe_points]
        least = AT_LEAST[attribute] * (1.0 if attribute == "scale" else shift)
        rest = 1.0 if attribute == "scale" else 0.0
        if self._moved(bone) and not values:
            values = [rest]
        return _first(limited, _around(values, rest, least) or sensible)

    def _moved(self, bone):
        """Whether any action of the file moves the bone."""
        place = bone.path_from_id() + "."
        return any(path.startswith(place) for path, _ in self.animated)

    def rotation(self, rig, bone, axis, euler):
        """The range of one axis of a bone's rotation."""
        limited = _limited(bone, "rotation", axis)
        if None not in limited:
            return limited
        if bone.name not in self._turned:
            self._turned[bone.name] = self._rotations(bone)
        turned = self._turned[bone.name]
        values = [vector[axis] for vector in turned]
        return _first(limited, _around(values, 0.0, AT_LEAST["rotation"]) or (-TURN, TURN))

    def _rotations(self, bone):
        """The bone's rotation vectors at the keys of the file's actions."""
        mode = bone.rotation_mode
        name, size = ("rotation_euler", 3) if mode in EULER else (f"rotation_{mode.lower()}", 4)
        place = f"{bone.path_from_id()}.{name}"
        by_axis = [self.animated.get((place, index), []) for index in range(size)]
        found = []
        for curves in zip(*by_axis, strict=False):
            frames = sorted({point.co[0] for curve in curves for point in curve.keyframe_points})
            found += [rotation_vector(mode, [curve.evaluate(frame) for curve in curves]) for frame in frames]
        return found

    def custom(self, owner, name, place):
        """Lower, upper and neutral of a custom property: neutral as stored, or its default where actions move it."""
        about = owner.id_properties_ui(name).as_dict()
        value = owner[name]
        lower, upper = (about.get(f"soft_{side}", about.get(side, math.nan)) for side in ("min", "max"))
        if (place, 0) in self.animated:
            value = about.get("default", value)
        if not _finite(lower) or not _finite(upper) or lower >= upper:
            values = [p.co[1] for curve in self.animated.get((place, 0), ()) for p in curve.keyframe_points]
            lower, upper = _around(values, value, 0.1) or (min(0.0, value), max(1.0, value))
        return lower, upper, value


def _finite(value):
    return math.isfinite(value) and abs(value) < 1e6


def _limited(bone, attribute, axis):
    """What Limit constraints in the bone's own space say; None for a side that they leave open."""
    sides = [None, None]
    for one in bone.constraints:
        if one.type != _LIMITS[attribute] or one.mute or one.influence < 1 or one.owner_space != "LOCAL":
            continue
        letter = "xyz"[axis]
        for side, word in enumerate(("min", "max")):
            used = getattr(one, f"use_limit_{letter}", False) or getattr(one, f"use_{word}_{letter}", False)
            if used:
                sides[side] = float(getattr(one, f"{word}_{letter}"))
    return tuple(sides)


def _around(values, rest, least):
    if not values:
        return None
    low, high = min(*values, rest), max(*values, rest)
    more = BEYOND * (high - low)
    return min(low - more, rest - least), max(high + more, rest + least)


def _first(limited, otherwise):
    return tuple(b if a is None else a for a, b in zip(limited, otherwise, strict=False))
