"""Values on their way into a glTF file: accessors with their bytes, and animations made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bunraku.core.animation import Animation, Channel
from bunraku.core.errors import BunrakuError
from bunraku.formats.gltf_accessors import COMPONENTS, WIDTHS
from bunraku.formats.gltf_mesh import MorphGroup

_CODES = {dtype: code for code, dtype in COMPONENTS.items()}
_KINDS = {width: kind for kind, width in WIDTHS.items()}
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963


class Packer:
    """Adds accessors to a glTF root and gathers their bytes, which belong at `base` of buffer `buffer`."""

    def __init__(self, root: dict[str, Any], buffer: int, base: int = 0) -> None:
        self.root = root
        self.data = bytearray()
        self._buffer = buffer
        self._base = base

    def add(self, values: np.ndarray, *, target: int | None = None, bounds: bool = False) -> int:
        """The index of a new accessor for an array (count, width) of a component type that glTF has."""
        values = np.ascontiguousarray(values)
        self.data += b"\0" * (-(self._base + len(self.data)) % 4)
        view: dict[str, Any] = {"buffer": self._buffer, "byteOffset": self._base + len(self.data)}
        view["byteLength"] = values.nbytes
        if target is not None:
            view["target"] = target
        count, width = values.shape
        accessor: dict[str, Any] = {"bufferView": self._append("bufferViews", view)}
        accessor |= {"componentType": _CODES[values.dtype.newbyteorder("<")], "count": count, "type": _KINDS[width]}
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.data += values.tobytes()
        return self._append("accessors", accessor)

    def _append(self, key: str, entry: dict[str, Any]) -> int:
        entries = self.root.setdefault(key, [])
        entries.append(entry)
        return len(entries) - 1


def pack_animation(packer: Packer, animation: Animation, nodes: int, groups: Sequence[MorphGroup]) -> dict[str, Any]:
    """The JSON of an animation of that many nodes, its numbers packed as float32.

    Raises:
        BunrakuError: no channels, a node or morph that does not exist, keys closer than float32 can tell apart, values
            that are not finite, morph channels of one node with different keys.
    """
    if not animation.channels:
        raise BunrakuError(f"animation {animation.name!r}: has no channels; a glTF file cannot hold it")
    inputs: dict[bytes, int] = {}
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for node, path, channel in _by_node(animation, nodes, groups):
        times = _float32(animation, channel.times_s)
        if (np.diff(times) <= 0).any():
            raise BunrakuError(f"animation {animation.name!r}: has keys closer in time than float32 can tell apart")
        key = times.tobytes()
        if key not in inputs:
            inputs[key] = packer.add(times[:, None], bounds=True)
        values = channel.values[..., [1, 2, 3, 0]] if path == "rotation" else channel.values
        output = packer.add(_float32(animation, values).reshape(-1, 1 if path == "weights" else values.shape[-1]))
        samplers.append({"input": inputs[key], "interpolation": channel.interpolation, "output": output})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})
    return {"name": animation.name, "channels": channels, "samplers": samplers}


def _float32(animation: Animation, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = np.asarray(values, "<f4")
    if not np.isfinite(single).all():
        raise BunrakuError(f"animation {animation.name!r}: holds a value that is not finite")
    return single


def _by_node(animation: Animation, nodes: int, groups: Sequence[MorphGroup]) -> list[tuple[int, str, Channel]]:
    """Every channel with the node and path that the file calls it by; morph channels are cut where nodes meet."""
    out: list[tuple[int, str, Channel]] = []
    morphs: list[Channel] = []
    for channel in animation.channels:
        if channel.path == "morphs":
            morphs.append(channel)
        elif 0 <= channel.target < nodes:
            out.append((channel.target, channel.path, channel))
        else:
            raise BunrakuError(f"animation {animation.name!r}: moves node {channel.target}; there are {nodes}")
    count = sum(len(group.names) for group in groups)
    for channel in morphs:
        if channel.target + channel.values.shape[-1] > count:
            raise BunrakuError(f"animation {animation.name!r}: sets more morphs than there are, {count}")
    for group in groups:
        overlapping = [channel for channel in morphs if _overlap(channel, group)[0].size]
        if overlapping:
            out.append((group.node, "weights", _group_channel(animation, group, overlapping)))
    return out


def _overlap(channel: Channel, group: MorphGroup) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the channel that lie in the group: counted in the channel, and in the group."""
    column = np.arange(channel.values.shape[-1])
    inside = channel.target + column - group.first
    kept = (inside >= 0) & (inside < len(group.names))
    return column[kept], inside[kept]


def _group_channel(animation: Animation, group: MorphGroup, channels: list[Channel]) -> Channel:
    """One channel for all of a node's morphs, as glTF wants it; those that no channel sets rest."""
    first = channels[0]
    keys, slots, _ = first.values.shape
    values = np.zeros((keys, slots, len(group.names)))
    values[:, slots // 2] = group.rest
    for channel in channels:
        if channel.interpolation != first.interpolation or not np.array_equal(channel.times_s, first.times_s):
            raise BunrakuError(
                f"animation {animation.name!r}: keys the morphs of node {group.node} differently; glTF has one set"
            )
        source, here = _overlap(channel, group)
        values[..., here] = channel.values[..., source]
    return Channel(group.first, "morphs", first.interpolation, first.times_s, values)
