"""The animations of a glTF file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from bunraku.core.animation import Animation, Channel, Interpolation, Path
from bunraku.formats.gltf_accessors import read_floats
from bunraku.formats.gltf_container import Document
from bunraku.formats.gltf_json import Entry
from bunraku.formats.gltf_mesh import MorphGroup
from bunraku.formats.gltf_scene import unique_names

# What each path of the file is called in core, and the type of its output accessor.
_PATHS: dict[str, tuple[Path, str]] = {
    "translation": ("translation", "VEC3"),
    "rotation": ("rotation", "VEC4"),
    "scale": ("scale", "VEC3"),
    "weights": ("morphs", "SCALAR"),
}


def read_animations(document: Document, groups: tuple[MorphGroup, ...]) -> tuple[Animation, ...]:
    """All animations; unnamed ones are called "animation", repeated names get "#2".

    Values are what the file holds: local, absolute (a scale is not a factor on rest), quaternions wxyz. Channels that
    move nothing (without a node, with a path of an extension's, weights of a node without morph targets) are left out.

    Raises:
        BunrakuError: keys whose times do not increase, another number of values than keys, an unknown interpolation,
            rotations of length 0.
    """
    names = unique_names([animation.text("name") or "animation" for animation in document.animations])
    by_node = {group.node: group for group in groups}
    shared = _Shared({}, {})
    return tuple(
        Animation(name, _read_channels(document, animation, by_node, shared))
        for name, animation in zip(names, document.animations, strict=True)
    )


@dataclass(frozen=True, eq=False)
class _Shared:
    """Arrays that were read already: any number of samplers may name one accessor, and memory is taken for it once."""

    times: dict[int, np.ndarray]
    values: dict[tuple[int, Path, Interpolation, tuple[int, int, int]], np.ndarray]


def _read_channels(
    document: Document, animation: Entry, groups: dict[int, MorphGroup], shared: _Shared
) -> tuple[Channel, ...]:
    samplers = animation.entries("samplers")
    channels: list[Channel] = []
    for entry in animation.entries("channels"):
        target = entry.entry("target")
        name = target and target.text("path")
        if target is None or "node" not in target.data or name not in _PATHS:
            continue
        node = target.index("node", document.nodes, "nodes")
        sampler = samplers[entry.index("sampler", samplers, "samplers")]
        path, kind = _PATHS[name]
        group = groups.get(node)
        if path == "morphs" and group is None:
            continue
        width = len(group.names) if path == "morphs" and group else int(kind[-1])
        source, output = (sampler.index(key, document.accessors, "accessors") for key in ("input", "output"))
        if source not in shared.times:
            shared.times[source] = _read_times(document, source)
        times, interpolation = shared.times[source], _interpolation(sampler)
        key = (output, path, interpolation, (len(times), 3 if interpolation == "CUBICSPLINE" else 1, width))
        if key not in shared.values:
            values = _read_values(document, sampler, output, kind, key[-1])
            shared.values[key] = _wxyz(sampler, values, interpolation) if path == "rotation" else values
        column = group.first if path == "morphs" and group else node
        channels.append(Channel(column, path, interpolation, times, shared.values[key]))
    return tuple(channels)


def _interpolation(sampler: Entry) -> Interpolation:
    value = sampler.data.get("interpolation", "LINEAR")
    if value not in get_args(Interpolation):
        raise sampler.wrong(f"has the interpolation {value!r}; expected one of {', '.join(get_args(Interpolation))}")
    return value


def _read_times(document: Document, index: int) -> np.ndarray:
    times = read_floats(document, index, "SCALAR")[:, 0]
    if (np.diff(times) <= 0).any():
        key = int(np.argmax(np.diff(times) <= 0)) + 1
        raise document.accessors[index].wrong(
            f"holds key times that do not increase: {times[key]:g} s at key {key} after {times[key - 1]:g} s"
        )
    return times


def _read_values(document: Document, sampler: Entry, index: int, kind: str, shape: tuple[int, int, int]) -> np.ndarray:
    values = read_floats(document, index, kind)
    if values.size != np.prod(shape):
        keys, slots, width = shape
        elements = keys * slots * (width if kind == "SCALAR" else 1)
        raise sampler.wrong(f"has {len(values)} output elements; expected {elements} for its {keys} keys")
    return values.reshape(shape)


def _wxyz(sampler: Entry, xyzw: np.ndarray, interpolation: Interpolation) -> np.ndarray:
    quat = xyzw[..., [3, 0, 1, 2]]
    keyed = quat[:, quat.shape[1] // 2]
    length = np.linalg.norm(keyed, axis=-1, keepdims=True)
    if (length < 1e-6).any():
        raise sampler.wrong(f"holds a rotation of length 0 at key {int(np.argmin(length))}")
    # Tangents belong to the keys as they are written: splines are made of unit length after interpolation instead.
    return quat if interpolation == "CUBICSPLINE" else quat / length[:, None]
