"""Takes in USD: a copy of a rig's file with one more SkelAnimation, or a rig's controls as attributes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.curves import Curves
from bunraku.core.errors import BunrakuError
from bunraku.core.keys import KeyedCurves, Keys
from bunraku.core.rotations import matrix_from_quat
from bunraku.formats.usd import bindings
from bunraku.formats.usd_animation import Part
from bunraku.formats.usd_shapes import read_shapes
from bunraku.formats.usd_stage import open_stage, require_usd

WRITTEN = (".usda", ".usdc", ".usd")


@dataclass(frozen=True, eq=False)
class Motion:
    """Every node's local transform and every morph of a shot, as `read_usd` numbers them."""

    translation: Float[np.ndarray, "frames joints 3"]
    quat: Float[np.ndarray, "frames joints 4"]
    scale: Float[np.ndarray, "frames joints 3"]
    """Absolute, not a factor on rest."""
    morphs: Float[np.ndarray, "frames morphs"]
    fps: Fraction
    start_frame: int
    placed: frozenset[int] = frozenset()
    """Nodes of Skeleton prims whose own place in the world is keyed."""


def append_usd_animation(source: Path, prim: str | None, motion: Motion, name: str, out: Path) -> None:
    """Write a flattened copy of a USD file in which each skeleton plays a new SkelAnimation; the old ones stay.

    Time codes are frame numbers at the shot's rate; what the file has at another rate is retimed to it. Values are
    float32, scales half precision, as the schema has them. References to textures are kept, relative to the copy.

    Raises:
        BunrakuError: what `read_usd` refuses, another ending.
    """
    check_ending(out)
    from pxr import Sdf, Usd, UsdUtils

    open_stage(source)  # what it refers to is checked before anything composes it
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.timeCodesPerSecond = float(motion.fps)
    layer.subLayerPaths.append(str(source.resolve()))
    stage = Usd.Stage.Open(layer)
    copied = stage.Flatten(addSourceFileComment=False)
    UsdUtils.ModifyAssetPaths(copied, lambda path: _relative(path, out))
    copied.timeCodesPerSecond = float(motion.fps)
    _describe(copied, source, motion)
    file = open_stage(source)
    parts, skins = bindings(file, prim)
    shapes = read_shapes(file, skins)
    target = Usd.Stage.Open(copied)
    for part in parts:
        morphs = {
            owner[1]: column for column, owner in enumerate(shapes.owners) if owner[0] == str(part.prim.GetPath())
        }
        _animate(target, part, morphs, motion, name)
    _save(copied, out)


def save_usd_controls(
    out: Path, solved: Curves | KeyedCurves, units: Mapping[str, str], about: Mapping[str, Any] | None = None
) -> None:
    """Write controls as attributes `controls:node:channel` (double) of the prim /Controls.

    Per-frame curves become time samples, keys splines (Bézier, tangents a third of the segments wide); time codes are
    frame numbers. The control's own name and unit stand in the attribute's custom data.

    Raises:
        BunrakuError: another ending, usd-core is not installed.
    """
    check_ending(out)
    from pxr import Sdf, Usd

    layer = Sdf.Layer.CreateAnonymous(".usda")
    stage = Usd.Stage.Open(layer)
    prim = stage.DefinePrim("/Controls")
    stage.SetDefaultPrim(prim)
    stage.SetTimeCodesPerSecond(float(solved.fps))
    stage.SetFramesPerSecond(float(solved.fps))
    stage.SetStartTimeCode(solved.start_frame)
    stage.SetEndTimeCode(solved.start_frame + solved.frames - 1)
    for key, value in (about or {}).items():
        prim.SetCustomDataByKey(key, value)
    prim.SetCustomDataByKey("fps", f"{solved.fps.numerator}/{solved.fps.denominator}")
    taken: set[str] = set()
    for column, name in enumerate(solved.names):
        attribute = prim.CreateAttribute(_attribute(name, taken), Sdf.ValueTypeNames.Double, custom=True)
        attribute.SetCustomDataByKey("name", name)
        attribute.SetCustomDataByKey("unit", units.get(name, "1"))
        if isinstance(solved, Curves):
            for frame, value in enumerate(solved.values[:, column].tolist()):
                attribute.Set(value, Usd.TimeCode(solved.start_frame + frame))
        elif len(solved.keys[column]):
            attribute.SetSpline(_spline(solved.keys[column]))
        else:
            attribute.Set(float(solved.neutral[column]))
    _save(layer, out)


def check_ending(out: Path) -> None:
    """Refuse what cannot be written.

    Raises:
        BunrakuError: another ending, usd-core is not installed.
    """
    if out.suffix.lower() not in WRITTEN:
        raise BunrakuError(f"{out}: ends in {out.suffix!r}; USD is written as {', '.join(WRITTEN)}")
    require_usd(out)


def _describe(layer: Any, source: Path, motion: Motion) -> None:
    from pxr import Sdf

    layer.startTimeCode = motion.start_frame
    layer.endTimeCode = motion.start_frame + len(motion.translation) - 1
    layer.framesPerSecond = float(motion.fps)
    # Flattening keeps what the strongest layer says, which is ours: the source's own words are carried over.
    own = Sdf.Layer.FindOrOpen(str(source))
    for key in ("metersPerUnit", "upAxis", "kilogramsPerUnit"):
        if own.pseudoRoot.HasInfo(key):
            layer.pseudoRoot.SetInfo(key, own.pseudoRoot.GetInfo(key))
    if own.defaultPrim:
        layer.defaultPrim = own.defaultPrim


def _relative(path: str, out: Path) -> str:
    if not os.path.isabs(path):
        return path
    file, bracket, inside = path.partition("[")
    return os.path.relpath(file, out.resolve().parent).replace(os.sep, "/") + bracket + inside


def _animate(stage: Any, part: Part, morphs: Mapping[str, int], motion: Motion, name: str) -> None:
    from pxr import UsdSkel

    skeleton = stage.GetPrimAtPath(part.prim.GetPath())
    if not skeleton or skeleton.IsInstanceProxy():
        raise BunrakuError(
            f"{part.prim.GetPath()}: the skeleton is inside an instance, which cannot be keyed by itself"
        )
    path = _free(stage, part.prim.GetPath(), name)
    animation = UsdSkel.Animation.Define(stage, path)
    UsdSkel.BindingAPI.Apply(skeleton).CreateAnimationSourceRel().SetTargets([path])
    if part.joints:
        _key_joints(animation, part, motion)
    if morphs:
        _key_shapes(animation, morphs, motion)
    if part.first in motion.placed:
        _key_place(skeleton, part.first, motion)


def _codes(motion: Motion) -> Iterator[tuple[int, Any]]:
    from pxr import Usd

    return ((row, Usd.TimeCode(motion.start_frame + row)) for row in range(len(motion.translation)))


def _key_joints(animation: Any, part: Part, motion: Motion) -> None:
    from pxr import Vt

    animation.CreateJointsAttr(part.joints)
    columns = slice(part.first + 1, part.first + 1 + len(part.joints))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    scales = animation.CreateScalesAttr()
    for row, code in _codes(motion):
        xyzw = motion.quat[row, columns][:, [1, 2, 3, 0]]
        translations.Set(Vt.Vec3fArray.FromNumpy(motion.translation[row, columns].astype(np.float32)), code)
        rotations.Set(Vt.QuatfArray.FromNumpy(np.ascontiguousarray(xyzw, np.float32)), code)
        scales.Set(Vt.Vec3hArray.FromNumpy(motion.scale[row, columns].astype(np.float16)), code)


def _key_shapes(animation: Any, morphs: Mapping[str, int], motion: Motion) -> None:
    from pxr import Vt

    animation.CreateBlendShapesAttr(list(morphs))
    weights = animation.CreateBlendShapeWeightsAttr()
    for row, code in _codes(motion):
        chosen = motion.morphs[row, list(morphs.values())]
        weights.Set(Vt.FloatArray.FromNumpy(chosen.astype(np.float32)), code)


def _key_place(skeleton: Any, node: int, motion: Motion) -> None:
    """World transforms, which hold whatever stands above the prim."""
    from pxr import UsdGeom

    place = UsdGeom.Xformable(skeleton).MakeMatrixXform()
    UsdGeom.Xformable(skeleton).SetResetXformStack(True)
    for row, code in _codes(motion):
        place.Set(_matrix(motion, row, node), code)


def _matrix(motion: Motion, row: int, node: int) -> Any:
    from pxr import Gf

    whole = np.eye(4)
    whole[:3, :3] = matrix_from_quat(motion.quat[row, node]) * motion.scale[row, node]
    whole[:3, 3] = motion.translation[row, node]
    return Gf.Matrix4d(whole.T.tolist())


def _free(stage: Any, parent: Any, name: str) -> Any:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name) or "take"
    plain = plain if not plain[0].isdigit() else f"_{plain}"
    chosen, number = plain, 1
    while stage.GetPrimAtPath(parent.AppendChild(chosen)):
        number += 1
        chosen = f"{plain}_{number}"
    return parent.AppendChild(chosen)


def _attribute(name: str, taken: set[str]) -> str:
    words = [re.sub(r"[^A-Za-z0-9_]", "_", word) or "_" for word in name.split(".")]
    plain = ":".join(["controls", *(f"_{word}" if word[0].isdigit() else word for word in words)])
    chosen, number = plain, 1
    while chosen in taken:
        number += 1
        chosen = f"{plain}_{number}"
    taken.add(chosen)
    return chosen


def _spline(own: Keys) -> Any:
    from pxr import Ts

    spline = Ts.Spline("double")
    widths = np.diff(own.frames) / 3
    for i in range(len(own)):
        knot = Ts.Knot("double")
        knot.SetTime(float(own.frames[i]))
        knot.SetValue(float(own.values[i]))
        knot.SetNextInterpolation(Ts.InterpHeld if own.interpolation[i] == "step" else Ts.InterpCurve)
        if i:
            knot.SetPreTanWidth(float(widths[i - 1]))
            knot.SetPreTanSlope(float(own.slope_in[i]))
        if i < len(own) - 1:
            knot.SetPostTanWidth(float(widths[i]))
            knot.SetPostTanSlope(float(own.slope_out[i]))
        spline.SetKnot(knot)
    return spline


def _save(layer: Any, out: Path) -> None:
    """By way of a folder of its own: the library writes in place."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"it{out.suffix.lower()}"
        if not layer.Export(str(written)):
            raise BunrakuError(f"{out}: cannot be written as USD")
        artifact.write_bytes(out, written.read_bytes())
