"""USD characters (UsdSkel): meshes on skeletons with blend shapes, and their animations, as core values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from bunraku.core.animation import Animation
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.skeleton import Skeleton, skeleton
from bunraku.core.skinning import SkinnedCharacter
from bunraku.formats.gltf_scene import split_matrix, unique_names
from bunraku.formats.usd_animation import Part, read_animations
from bunraku.formats.usd_mesh import affine
from bunraku.formats.usd_shapes import Shapes, read_shapes
from bunraku.formats.usd_skin import Skin, read_skin
from bunraku.formats.usd_stage import UsdFile, open_stage


@dataclass(frozen=True, eq=False)
class UsdCharacter:
    """What a USD file says about meshes that skeletons move."""

    path: Path
    character: SkinnedCharacter
    """World space, in the file's axes and unit. Vertices are the points of the bound meshes, mesh by mesh."""
    animations: tuple[Animation, ...]
    """Time 0 is the stage's startTimeCode."""
    skin_joints: Int[np.ndarray, "joints"]
    about: Mapping[str, Any]
    """unit_m, up_axis and fps, as the file says them."""


def read_usd(path: Path, prim: str | None = None) -> UsdCharacter:
    """Read the characters of a USD file: all meshes bound to skeletons, at or below `prim` where one is named.

    Each joint of a skeleton is a joint, below one for the Skeleton prim itself, which carries its place in the world.
    Rest is the skeletons' restTransforms. Meshes without joints follow their own prim.

    Raises:
        BunrakuError: one line that names the file and what in it is missing, contradictory, outside its folder or not
            supported; no bound mesh (the message lists what is there).
    """
    file = open_stage(path)
    parts, skins = bindings(file, prim)
    bones = _skeleton(file, parts, skins)
    shapes = read_shapes(file, skins)
    return UsdCharacter(
        path,
        _character(bones, parts, skins, shapes, file),
        read_animations(file, parts, shapes, bones),
        np.concatenate([np.arange(part.first + 1, part.first + 1 + len(part.joints)) for part in parts]).astype(
            np.int64
        )
        if parts
        else np.zeros(0, np.int64),
        file.about(),
    )


def bindings(file: UsdFile, prim: str | None) -> tuple[list[Part], list[Skin]]:
    """Skeletons with their places in the list of all nodes, and the meshes that follow them."""
    from pxr import Usd, UsdGeom, UsdSkel

    wanted = _wanted(file, prim)
    cache = UsdSkel.Cache()
    inside = Usd.TraverseInstanceProxies()
    parts: list[Part] = []
    skins: list[Skin] = []
    bound: list[tuple[Part, Any]] = []
    node = 0
    for root in Usd.PrimRange.Stage(file.stage, inside):
        if not root.IsA(UsdSkel.Root) or not cache.Populate(UsdSkel.Root(root), inside):
            continue
        for binding in cache.ComputeSkelBindings(UsdSkel.Root(root), inside):
            targets = [target for target in binding.GetSkinningTargets() if _is_wanted(target.GetPrim(), wanted)]
            targets = [target for target in targets if target.GetPrim().IsA(UsdGeom.Mesh)]
            query = cache.GetSkelQuery(binding.GetSkeleton())
            if targets and query:
                known = next((part for part in parts if part.prim == binding.GetSkeleton().GetPrim()), None)
                part = known or Part(binding.GetSkeleton().GetPrim(), query, node)
                if known is None:
                    parts.append(part)
                    node += 1 + len(part.joints)
                bound += [(part, target) for target in targets]
    for part, target in bound:
        own = None if target.HasJointInfluences() else node
        node += own is not None
        skins.append(read_skin(file, part, target, own))
    if not skins:
        there = [str(p.GetPath()) for p in Usd.PrimRange.Stage(file.stage, inside) if p.IsA(UsdGeom.Mesh)]
        raise unknown_name("mesh bound to a skeleton", prim or "/", there, f"{file.path} has the meshes")
    return parts, skins


def _wanted(file: UsdFile, prim: str | None) -> Any:
    from pxr import Sdf

    if prim is None:
        return None
    if not Sdf.Path.IsValidPathString(prim) or not file.stage.GetPrimAtPath(prim):
        there = [str(p.GetPath()) for p in file.stage.Traverse()]
        raise unknown_name("prim", prim, there, f"{file.path} has")
    return Sdf.Path(prim)


def _is_wanted(prim: Any, wanted: Any) -> bool:
    return wanted is None or prim.GetPath().HasPrefix(wanted)


def _skeleton(file: UsdFile, parts: Sequence[Part], skins: Sequence[Skin]) -> Skeleton:
    from pxr import Usd, UsdGeom

    world = UsdGeom.XformCache(Usd.TimeCode(file.start))
    names: list[str] = []
    parents: list[int] = []
    matrices: list[np.ndarray] = []
    for part in parts:
        names += [part.prim.GetName(), *part.names]
        parents += [-1, *(part.first + 1 + above for above in part.parents)]
        matrices += [affine(world.GetLocalToWorldTransform(part.prim)), *part.rest(file)]
    for skin in skins:
        if skin.node is not None:
            names.append(skin.prim.GetName())
            parents.append(-1)
            matrices.append(affine(world.GetLocalToWorldTransform(skin.prim)))
    whole = np.array(matrices).reshape(-1, 3, 4)
    if not np.isfinite(whole).all():
        culprit = names[int(np.argwhere(~np.isfinite(whole))[0][0])]
        raise BunrakuError(f"{file.path}: {culprit!r} has a transform that is not finite")
    split = [split_matrix(matrix[:, :3]) for matrix in whole]
    from bunraku.core.rotations import quat_from_matrix

    quat = quat_from_matrix(np.array([rotation for rotation, _ in split]))
    return skeleton(unique_names(names), parents, whole[:, :, 3], quat, np.array([s for _, s in split]), str(file.path))


def _character(
    bones: Skeleton, parts: Sequence[Part], skins: Sequence[Skin], shapes: Shapes, file: UsdFile
) -> SkinnedCharacter:
    joints: list[int] = []
    binds: list[np.ndarray] = []
    start: dict[int, int] = {}
    for part in parts:
        # The Skeleton prim itself comes first: it takes what follows no joint.
        start[part.first] = len(joints)
        joints += range(part.first, part.first + 1 + len(part.joints))
        binds += [np.eye(4), *part.inverse_binds(file)]
    width = max(skin.influences.shape[1] for skin in skins)
    influences, weights, faces, dual = [], [], [], []
    count = 0
    for skin in skins:
        if skin.node is not None:
            offset = len(joints)
            joints.append(skin.node)
            binds.append(np.eye(4))
        else:
            offset = start[skin.part.first]
        pad = ((0, 0), (0, width - skin.influences.shape[1]))
        influences.append(offset + np.pad(skin.influences, pad))
        weights.append(np.pad(skin.weights, pad))
        faces.append(skin.faces + count)
        dual.append(np.full(len(skin.points), skin.dual))
        count += len(skin.points)
    flags = np.concatenate(dual)
    return SkinnedCharacter(
        bones,
        np.concatenate([skin.points for skin in skins]),
        np.concatenate(faces),
        np.array(joints, np.int64),
        np.array(binds),
        np.concatenate(influences),
        np.concatenate(weights),
        shapes.names,
        shapes.deltas,
        np.zeros(len(shapes.names)),
        shapes.ramps,
        flags if flags.any() else None,
    )
