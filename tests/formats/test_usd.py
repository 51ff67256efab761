"""UsdSkel characters beside the baselines that OpenUSD baked."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.formats.usd import read_usd
from bunraku.rigs.skinned import bake, open_usd_rig
from bunraku.rigs.skinned_controls import node_curves

SMALL = """#usda 1.0
(
    upAxis = "Y"
    timeCodesPerSecond = 30
    startTimeCode = 10
)
def SkelRoot "Root" ( prepend apiSchemas = ["SkelBindingAPI"] )
{
    rel skel:skeleton = </Root/Rig>
    def Skeleton "Rig" ( prepend apiSchemas = ["SkelBindingAPI"] )
    {
        uniform token[] joints = ["hip", "hip/knee"]
        uniform matrix4d[] bindTransforms = [
            ((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,0,0,1)), ((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,2,0,1)) ]
        uniform matrix4d[] restTransforms = [
            ((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,0,0,1)), ((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,2,0,1)) ]
        rel skel:animationSource = </Root/Rig/Bend>
        double3 xformOp:translate.timeSamples = { 10: (100, 0, 0), 40: (130, 0, 0) }
        uniform token[] xformOpOrder = ["xformOp:translate"]
        def SkelAnimation "Bend"
        {
            uniform token[] joints = ["hip/knee"]
            quatf[] rotations.timeSamples = { 10: [(1, 0, 0, 0)], 40: [(0.7071068, 0, 0, 0.7071068)] }
        }
    }
    def Mesh "Leg" ( prepend apiSchemas = ["SkelBindingAPI"] )
    {
        int[] faceVertexCounts = [3]
        int[] faceVertexIndices = [0, 1, 2]
        point3f[] points = [(0, 1, 0), (0, 3, 0), (0, 4, 0)]
        int[] primvars:skel:jointIndices = [0, 1, 1] ( elementSize = 1; interpolation = "vertex" )
        float[] primvars:skel:jointWeights = [1, 1, 0] ( elementSize = 1; interpolation = "vertex" )
    }
}
"""


def written(path, text=SMALL, **changes):
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def baked(source: Path, baseline: Path):
    """World points of the baseline's meshes at every sample, and the samples' seconds from the start."""
    from pxr import Usd, UsdGeom

    rig, base = Usd.Stage.Open(str(source)), Usd.Stage.Open(str(baseline))
    paths = [p.GetPath() for p in rig.Traverse() if p.IsA(UsdGeom.Mesh) and "GroundTruth" not in str(p.GetPath())]
    prims = [base.GetPrimAtPath(path) for path in paths]
    codes = sorted({code for p in prims for code in UsdGeom.Mesh(p).GetPointsAttr().GetTimeSamples()})
    frames = []
    for code in codes:
        cache = UsdGeom.XformCache(code)
        parts = []
        for prim in prims:
            world = np.array(cache.GetLocalToWorldTransform(prim)).reshape(4, 4)
            own = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get(code), float)
            parts.append(own @ world[:3, :3] + world[3, :3])
        frames.append(np.concatenate(parts))
    return np.array(frames), (np.array(codes) - rig.GetStartTimeCode()) / rig.GetTimeCodesPerSecond()


@pytest.mark.parametrize(
    ("name", "samples"), [("lbs", 30), ("dqs", 30), ("blendshapes", 131), ("blendshapesWithNormals", 17)]
)
def test_every_sample_matches_the_baked_baseline(data_dir, name, samples):
    folder = data_dir / "rigs" / "usdskel"
    expected, times = baked(folder / f"{name}.usda", folder / f"{name}.baked.usda")
    assert len(times) == samples
    rig = open_usd_rig(folder / f"{name}.usda")
    nodes, morphs = node_curves(rig.animations[0], rig.character, times)
    values = np.concatenate([nodes.reshape(len(times), -1), morphs], axis=1)[:, rig.slots]
    np.testing.assert_allclose(rig.evaluate(values), expected, atol=1e-5)
    assert (values >= rig.spec.lower).all()
    assert (values <= rig.spec.upper).all()


def test_a_packaged_file_opens(data_dir):
    rig = open_usd_rig(data_dir / "rigs" / "RiggedFigure.usdz")
    assert (len(rig.neutral), len(rig.character.skeleton)) == (370, 20)
    assert rig.about == {"unit_m": 1.0, "up_axis": "Y", "fps": 24.0}
    assert [a.name for a in rig.animations] == ["skelAnim_0"]


def test_joints_are_controls_and_the_skeletons_own_place_is_followed(tmp_path):
    rig = open_usd_rig(written(tmp_path / "it.usda"))
    assert [name for name in rig.spec.names if name.endswith("x")] == ["Rig.tx", "Rig.rx", "hip.rx", "knee.rx"]
    sequence, curves = bake(rig, "Bend", Fraction(30))
    assert sequence.frames == 31
    # By hand: the skeleton starts at x = 100 and goes to 130; the knee, at height 2, turns by a right angle about z.
    # A vertex without weight follows the skeleton alone.
    np.testing.assert_allclose(sequence.vertices[0], [[100, 1, 0], [100, 3, 0], [100, 4, 0]], atol=1e-6)
    np.testing.assert_allclose(sequence.vertices[-1], [[130, 1, 0], [129, 2, 0], [130, 4, 0]], atol=1e-5)
    np.testing.assert_allclose(curves.of("knee.rz")[[0, 15, 30]], [0, np.pi / 4, np.pi / 2], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("jointIndices = [0, 1, 1]", "jointIndices = [0, 7, 1]"), "joint number 7"),
        (("jointIndices = [0, 1, 1]", "jointIndices = [0, 1]"), "Leg"),
        (("jointWeights = [1, 1, 0]", "jointWeights = [1, -1, 0]"), "negative"),
        (("jointWeights = [1, 1, 0]", "jointWeights = [1, nan, 0]"), "not finite"),
        (("points = [(0, 1, 0)", "points = [(0, nan, 0)"), "point 0 is not finite"),
        (("faceVertexIndices = [0, 1, 2]", "faceVertexIndices = [0, 1, 9]"), "vertex 9"),
        (("[(1, 0, 0, 0)]", "[(0, 0, 0, 0)]"), "length 0"),
        (("[(1, 0, 0, 0)]", "[(nan, 0, 0, 0)]"), "not finite at time code 10"),
        (("[(1, 0, 0, 0)]", "[(1, 0, 0, 0), (1, 0, 0, 0)]"), "8 numbers at time code 10; expected 4"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path, change, says):
    path = written(tmp_path / "bad.usda", change=change)
    with pytest.raises(BunrakuError, match=says) as caught:
        read_usd(path)
    assert "bad.usda" in str(caught.value)


def test_a_file_without_a_bound_mesh_lists_what_it_has(tmp_path):
    path = tmp_path / "plain.usda"
    path.write_text('#usda 1.0\ndef Mesh "Rock"\n{\n point3f[] points = [(0, 0, 0)]\n}\n')
    with pytest.raises(BunrakuError, match=r"no mesh bound to a skeleton.*/Rock"):
        read_usd(path)
    with pytest.raises(BunrakuError, match="no prim '/Nobody'"):
        read_usd(written(tmp_path / "it.usda"), "/Nobody")
