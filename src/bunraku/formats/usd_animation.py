"""USD's skeletons and what SkelAnimations make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bunraku.core.animation import Animation, Channel, Interpolation
from bunraku.core.animation import Path as Property
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_from_matrix
from bunraku.core.skeleton import Skeleton
from bunraku.formats.gltf_scene import split_matrix, unique_names
from bunraku.formats.usd_mesh import affine
from bunraku.formats.usd_stage import UsdFile

if TYPE_CHECKING:
    from bunraku.formats.usd_shapes import Shapes

_PATHS: dict[str, Property] = {"translations": "translation", "rotations": "rotation", "scales": "scale"}


class Part:
    """One Skeleton prim: node `first` is the prim itself, its joints follow."""

    def __init__(self, prim: Any, query: Any, first: int) -> None:
        self.prim, self.query, self.first = prim, query, first

    @cached_property
    def joints(self) -> list[str]:
        """The joints' paths."""
        return [str(joint) for joint in self.query.GetJointOrder() or []]

    @property
    def names(self) -> list[str]:
        """The last parts of the joints' paths."""
        return [joint.rpartition("/")[2] for joint in self.joints]

    @property
    def parents(self) -> list[int]:
        """Per joint its parent among the joints, −1 for roots."""
        topology = self.query.GetTopology()
        return [int(topology.GetParent(i)) for i in range(len(self.joints))]

    def rest(self, file: UsdFile) -> list[np.ndarray]:
        """Local rest transforms (3, 4); from the bind pose where the file has none."""
        from pxr import UsdSkel

        given = UsdSkel.Skeleton(self.prim).GetRestTransformsAttr().Get()
        if given is not None and len(given) == len(self.joints):
            return [affine(matrix) for matrix in given]
        if given is not None and len(given):
            raise self._wrong(file, "restTransforms", len(given))
        world = [np.linalg.inv(matrix) for matrix in self.inverse_binds(file)]
        above = [world[p] if p >= 0 else np.eye(4) for p in self.parents]
        return [(np.linalg.inv(a) @ w)[:3] for a, w in zip(above, world, strict=True)]

    def inverse_binds(self, file: UsdFile) -> list[np.ndarray]:
        """Inverse bind matrices (4, 4) of the joints."""
        from pxr import UsdSkel

        given = UsdSkel.Skeleton(self.prim).GetBindTransformsAttr().Get()
        if given is None or len(given) != len(self.joints):
            if not self.joints:
                return []
            raise self._wrong(file, "bindTransforms", 0 if given is None else len(given))
        matrices = np.array([np.array(matrix, np.float64).reshape(4, 4).T for matrix in given])
        if not np.isfinite(matrices).all() or (np.abs(np.linalg.det(matrices)) < 1e-30).any():
            raise BunrakuError(f"{file.path}: {self.prim.GetPath()} has a bind transform that has no inverse")
        return list(np.linalg.inv(matrices))

    def _wrong(self, file: UsdFile, what: str, count: int) -> BunrakuError:
        return BunrakuError(f"{file.path}: {self.prim.GetPath()} has {count} {what} for {len(self.joints)} joints")


def read_animations(file: UsdFile, parts: Sequence[Part], shapes: Shapes, bones: Skeleton) -> tuple[Animation, ...]:
    """What the stage plays (one animation, named by its SkelAnimation where there is one only, else by the file), then
    SkelAnimations that no skeleton is bound to and whose joints one skeleton has. Time 0 is the stage's start; of an
    animation that the stage does not play, its own first sample.

    Raises:
        BunrakuError: values that do not fit the joints, are not finite, or move a sheared rest transform.
    """
    from pxr import UsdSkel

    bound = [(part, query.GetPrim()) for part in parts if (query := part.query.GetAnimQuery())]
    played = [channel for part, prim in bound for channel in _channels(file, prim, part, shapes, bones)]
    played += [channel for part in parts for channel in _placed(file, part, bones)]
    found: list[tuple[str, list[Channel]]] = []
    if played:
        found.append((bound[0][1].GetName() if len(bound) == 1 else file.path.stem, played))
    for prim in file.stage.Traverse():
        if prim.IsA(UsdSkel.Animation) and prim not in [own for _, own in bound]:
            joints = {str(joint) for joint in UsdSkel.Animation(prim).GetJointsAttr().Get() or []}
            fits = [part for part in parts if joints and joints <= set(part.joints)]
            channels = _from_zero(_channels(file, prim, fits[0], shapes, bones)) if len(fits) == 1 else []
            found += [(prim.GetName(), channels)] if channels else []
    names = unique_names([name for name, _ in found])
    return tuple(Animation(name, tuple(channels)) for name, (_, channels) in zip(names, found, strict=True))


def _from_zero(channels: list[Channel]) -> list[Channel]:
    """The same with its first key at time 0; what has one key only holds from there."""
    start = min((float(channel.times_s[0]) for channel in channels if len(channel.times_s) > 1), default=0.0)
    single = np.zeros(1)
    return [replace(c, times_s=c.times_s - start if len(c.times_s) > 1 else single) for c in channels]


def _channels(file: UsdFile, prim: Any, part: Part, shapes: Shapes, bones: Skeleton) -> list[Channel]:
    from pxr import UsdSkel

    source = UsdSkel.Animation(prim)
    joints = [str(joint) for joint in source.GetJointsAttr().Get() or []]
    place = {joint: part.first + 1 + i for i, joint in enumerate(part.joints)}
    attributes = (source.GetTranslationsAttr(), source.GetRotationsAttr(), source.GetScalesAttr())
    out: list[Channel] = []
    for (what, path), attribute in zip(_PATHS.items(), attributes, strict=True):
        width = 4 if path == "rotation" else 3
        times, values = _samples(file, attribute, len(joints) * width, f"{prim.GetPath()}.{what}")
        values = values.reshape(len(times), len(joints), width)
        if path == "rotation":
            values = _unit(values, file, f"{prim.GetPath()}.{what}")
        for column, joint in enumerate(joints if len(times) else []):
            if joint in place:
                _refuse_sheared(file, bones, place[joint])
                out.append(Channel(place[joint], path, _interpolation(file), times, values[:, column, None]))
    tokens = [str(token) for token in source.GetBlendShapesAttr().Get() or []]
    times, values = _samples(
        file, source.GetBlendShapeWeightsAttr(), len(tokens), f"{prim.GetPath()}.blendShapeWeights"
    )
    owner = str(part.prim.GetPath())
    for column, token in enumerate(tokens if len(times) else []):
        if (owner, token) in shapes.owners:
            morph = shapes.owners.index((owner, token))
            out.append(Channel(morph, "morphs", _interpolation(file), times, values[:, column, None, None]))
    return out


def _samples(file: UsdFile, attribute: Any, width: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and values (keys, width) of an attribute; its default counts as one key at time 0."""
    from pxr import Usd

    codes = list(attribute.GetTimeSamples()) if attribute else []
    values = [attribute.Get(code) for code in codes]
    if not codes and attribute and attribute.HasAuthoredValue():
        codes, values = [file.start], [attribute.Get(Usd.TimeCode.Default())]
    kept = [(code, np.array(value, np.float64).ravel()) for code, value in zip(codes, values, strict=True) if value]
    for code, value in kept:
        if value.size != width:
            raise BunrakuError(f"{file.path}: {name} has {value.size} numbers at time code {code:g}; expected {width}")
        if not np.isfinite(value).all():
            raise BunrakuError(f"{file.path}: {name} is not finite at time code {code:g}")
    times = (np.array([code for code, _ in kept], np.float64) - file.start) / float(file.codes_per_s)
    return times, np.array([value for _, value in kept]).reshape(len(kept), width)


def _unit(xyzw: np.ndarray, file: UsdFile, name: str) -> np.ndarray:
    quat = xyzw[..., [3, 0, 1, 2]]
    length = np.linalg.norm(quat, axis=-1, keepdims=True)
    if length.size and length.min() < 1e-6:
        raise BunrakuError(f"{file.path}: {name} holds a rotation of length 0")
    return quat / length


def _interpolation(file: UsdFile) -> Interpolation:
    from pxr import Usd

    return "STEP" if file.stage.GetInterpolationType() == Usd.InterpolationTypeHeld else "LINEAR"


def _refuse_sheared(file: UsdFile, bones: Skeleton, joint: int) -> None:
    stretch = bones.rest_stretch[joint]
    if np.abs(stretch - np.diag(np.diagonal(stretch))).max() > 1e-5 * max(np.abs(stretch).max(), 1e-30):
        raise BunrakuError(
            f"{file.path}: joint {bones.names[joint]!r} is sheared at rest, which an animation cannot move"
        )


def _placed(file: UsdFile, part: Part, bones: Skeleton) -> list[Channel]:
    """Channels of the Skeleton prim's own place in the world, where that moves."""
    from pxr import Usd, UsdGeom

    codes: set[float] = set()
    above = part.prim
    while above and not above.IsPseudoRoot():
        if above.IsA(UsdGeom.Xformable):
            codes |= set(UsdGeom.Xformable(above).GetTimeSamples())
        above = above.GetParent()
    if len(codes) < 2:
        return []
    ordered = sorted(codes)
    caches = (UsdGeom.XformCache(Usd.TimeCode(code)) for code in ordered)
    world = np.array([affine(cache.GetLocalToWorldTransform(part.prim)) for cache in caches])
    if not np.isfinite(world).all():
        raise BunrakuError(f"{file.path}: {part.prim.GetPath()} has a transform that is not finite")
    _refuse_sheared(file, bones, part.first)
    split = [split_matrix(matrix[:, :3]) for matrix in world]
    times = (np.array(ordered) - file.start) / float(file.codes_per_s)
    values = {
        "translation": world[:, :, 3],
        "rotation": quat_from_matrix(np.array([rotation for rotation, _ in split])),
        "scale": np.array([np.diagonal(stretch) for _, stretch in split]),
    }
    way = _interpolation(file)
    return [Channel(part.first, path, way, times, values[path][:, None]) for path in _PATHS.values()]
