"""The blend shapes of USD meshes, in-betweens included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.core.errors import BunrakuError
from bunraku.core.skinning import Ramps
from bunraku.formats.gltf_scene import unique_names
from bunraku.formats.usd_skin import Skin
from bunraku.formats.usd_stage import UsdFile

_MOST_NUMBERS = 2 * 10**8


@dataclass(frozen=True, eq=False)
class Shapes:
    """Morphs of all meshes. Meshes on one skeleton share what they call the same: one weight drives both."""

    names: tuple[str, ...]
    """mesh.shape, the mesh being the first that has it."""
    owners: tuple[tuple[str, str], ...]
    """Per morph: the path of the skeleton, and the name by which animations set it."""
    deltas: Float[np.ndarray, "shapes vertices 3"]
    ramps: Ramps | None


def read_shapes(file: UsdFile, skins: Sequence[Skin]) -> Shapes:
    """All blend shapes; offsets go through the meshes' geomBindTransform.

    Raises:
        BunrakuError: a target that is none, points that do not exist, offsets that do not fit, in-betweens without a
            weight of their own, more numbers than this reader takes.
    """
    starts = np.cumsum([0, *(len(skin.points) for skin in skins)])
    owners: dict[tuple[str, str], str] = {}
    placed: dict[tuple[tuple[str, str], float], list[tuple[int, np.ndarray]]] = {}
    for skin, start in zip(skins, starts, strict=False):
        for token, target in _targets(file, skin):
            owner = (str(skin.part.prim.GetPath()), token)
            owners.setdefault(owner, f"{skin.prim.GetName()}.{token}")
            for weight, delta in _shapes(file, skin, target):
                placed.setdefault((owner, weight), []).append((int(start), delta))
    if len(placed) * 3 * starts[-1] > _MOST_NUMBERS:
        raise BunrakuError(f"{file.path}: {len(placed)} shapes of {starts[-1]} points are more than this reader takes")
    order = list(owners)
    keys = sorted(placed, key=lambda key: (order.index(key[0]), key[1] != 1.0, key[1]))
    deltas = np.zeros((len(keys), int(starts[-1]), 3))
    for row, key in enumerate(keys):
        for start, delta in placed[key]:
            deltas[row, start : start + len(delta)] += delta
    ramps = None
    if len(keys) > len(order):
        ramps = Ramps(np.array([order.index(owner) for owner, _ in keys]), np.array([weight for _, weight in keys]))
    return Shapes(unique_names(list(owners.values())), tuple(order), deltas, ramps)


def _targets(file: UsdFile, skin: Skin) -> list[tuple[str, Any]]:
    from pxr import UsdSkel

    if not skin.query.HasBlendShapes():
        return []
    tokens = [str(token) for token in skin.query.GetBlendShapeOrder() or []]
    paths = skin.query.GetBlendShapeTargetsRel().GetTargets()
    if len(tokens) != len(paths):
        raise BunrakuError(
            f"{file.path}: {skin.prim.GetPath()} names {len(tokens)} blend shapes for {len(paths)} targets"
        )
    found: list[tuple[str, Any]] = []
    for token, path in zip(tokens, paths, strict=True):
        prim = file.stage.GetPrimAtPath(path)
        if not prim or not prim.IsA(UsdSkel.BlendShape):
            raise BunrakuError(f"{file.path}: {skin.prim.GetPath()} has the blend shape {path}, which is none")
        found.append((token, UsdSkel.BlendShape(prim)))
    return found


def _shapes(file: UsdFile, skin: Skin, target: Any) -> list[tuple[float, np.ndarray]]:
    """Weight and offsets of the shape itself and of its in-betweens."""
    name = f"{file.path}: {target.GetPath()}"
    given = target.GetPointIndicesAttr().Get()
    indices = np.arange(len(skin.points)) if given is None or len(given) == 0 else np.array(given, np.int64)
    if indices.size and not 0 <= indices.min() <= indices.max() < len(skin.points):
        culprit = indices.min() if indices.min() < 0 else indices.max()
        raise BunrakuError(f"{name}: moves point {culprit}; there are {len(skin.points)}")
    found = [(1.0, _delta(skin, indices, target.GetOffsetsAttr().Get(), name))]
    for between in target.GetInbetweens():
        weight = between.GetWeight()
        label = f"{name}: in-between {between.GetAttr().GetName()}"
        if weight is None or not np.isfinite(weight) or weight in (0.0, 1.0):
            raise BunrakuError(f"{label}: has the weight {weight}; expected a number other than 0 and 1")
        if float(weight) in (known for known, _ in found):
            raise BunrakuError(f"{label}: has the weight {weight:g}, as another one has")
        found.append((float(weight), _delta(skin, indices, between.GetOffsets(), label)))
    return found


def _delta(skin: Skin, indices: np.ndarray, offsets: Any, name: str) -> np.ndarray:
    delta = np.zeros_like(skin.points)
    if offsets is None or len(offsets) == 0:
        return delta
    array = np.array(offsets, np.float64).reshape(-1, 3)
    if len(array) != len(indices):
        raise BunrakuError(f"{name}: has {len(array)} offsets for {len(indices)} points")
    if not np.isfinite(array).all():
        raise BunrakuError(f"{name}: an offset is not finite")
    np.add.at(delta, indices, array @ skin.bind.T)
    return delta
