"""Takes in USD files, read back by OpenUSD and by ourselves."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.keys import keyed_curves, keys
from bunraku.formats.usd_write import append_usd_animation, save_usd_controls
from bunraku.rigs.skinned import bake, open_usd_rig
from bunraku.rigs.skinned_motion import motion_of

RATE = Fraction(24000, 1001)


def two_joints(path):
    """A skeleton that walks, with a texture beside it, a blend shape, and an animation of its own at 30 a second."""
    eye = "((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,0,0,1))"
    up = "((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,2,0,1))"
    path.write_text(f"""#usda 1.0
(
    upAxis = "Z"
    metersPerUnit = 0.01
    timeCodesPerSecond = 30
    startTimeCode = 10
    defaultPrim = "Root"
)
def SkelRoot "Root" ( prepend apiSchemas = ["SkelBindingAPI"] )
{{
    rel skel:skeleton = </Root/Rig>
    asset picture = @./skin.png@
    def Skeleton "Rig" ( prepend apiSchemas = ["SkelBindingAPI"] )
    {{
        uniform token[] joints = ["hip", "hip/knee"]
        uniform matrix4d[] bindTransforms = [{eye}, {up}]
        uniform matrix4d[] restTransforms = [{eye}, {up}]
        rel skel:animationSource = </Root/Rig/Bend>
        double3 xformOp:translate.timeSamples = {{ 10: (100, 0, 0), 40: (130, 0, 0) }}
        uniform token[] xformOpOrder = ["xformOp:translate"]
        def SkelAnimation "Bend"
        {{
            uniform token[] joints = ["hip", "hip/knee"]
            float3[] translations = [(0, 0, 0), (0, 2, 0)]
            quatf[] rotations.timeSamples = {{ 10: [(1,0,0,0),(1,0,0,0)], 40: [(1,0,0,0),(0.7071068,0,0,0.7071068)] }}
            half3[] scales = [(1, 1, 1), (1, 1, 1)]
            uniform token[] blendShapes = ["wide"]
            float[] blendShapeWeights.timeSamples = {{ 10: [0], 40: [1] }}
        }}
    }}
    def Mesh "Leg" ( prepend apiSchemas = ["SkelBindingAPI"] )
    {{
        point3f[] points = [(0, 1, 0), (0, 3, 0)]
        int[] primvars:skel:jointIndices = [0, 1] ( elementSize = 1; interpolation = "vertex" )
        float[] primvars:skel:jointWeights = [1, 1] ( elementSize = 1; interpolation = "vertex" )
        uniform token[] skel:blendShapes = ["wide"]
        rel skel:blendShapeTargets = </Root/Leg/wide>
        def BlendShape "wide"
        {{
            uniform vector3f[] offsets = [(1, 0, 0), (2, 0, 0)]
        }}
    }}
}}
""")
    return path


def test_a_take_is_one_more_animation_in_a_copy_that_plays_it(tmp_path):
    from pxr import Usd, UsdGeom

    source = two_joints(tmp_path / "rig.usda")
    rig = open_usd_rig(source)
    rng = np.random.default_rng(0)
    values = rig.spec.neutral + 0.3 * rng.random((5, len(rig.spec)))
    solved = curves(rig.spec.names, values, RATE, 1001)
    (tmp_path / "out").mkdir()
    append_usd_animation(source, None, motion_of(rig, solved), "take 1", tmp_path / "out" / "shot.usda")
    text = (tmp_path / "out" / "shot.usda").read_text()
    assert str(tmp_path) not in text
    assert "@../skin.png@" in text
    stage = Usd.Stage.Open(str(tmp_path / "out" / "shot.usda"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (1001, 1005)
    assert stage.GetTimeCodesPerSecond() == float(RATE)
    assert (UsdGeom.GetStageUpAxis(stage), UsdGeom.GetStageMetersPerUnit(stage)) == ("Z", 0.01)
    assert stage.GetDefaultPrim().GetPath() == "/Root"
    back = open_usd_rig(tmp_path / "out" / "shot.usda")
    assert [a.name for a in back.animations] == ["take_1", "Bend"]
    mesh, _ = bake(back, "take_1", RATE)
    expected = rig.evaluate(values)
    np.testing.assert_allclose(mesh.vertices, expected, atol=2e-3)  # scales are half precision, and rest here
    np.testing.assert_allclose(mesh.vertices, expected, atol=3e-7 * 130)
    # What was there is retimed to the new rate: 30 time codes of 30 a second are still one second.
    bend = next(a for a in back.animations if a.name == "Bend")
    np.testing.assert_allclose(bend.duration_s, 1.0, atol=1e-9)


def test_controls_become_attributes_with_samples_or_splines(tmp_path):
    from pxr import Usd

    solved = curves(["jaw.open", "jaw.open#2", "1"], np.arange(12.0).reshape(4, 3), RATE, -2)
    save_usd_controls(tmp_path / "it.usda", solved, {"jaw.open": "rad"})
    stage = Usd.Stage.Open(str(tmp_path / "it.usda"))
    prim = stage.GetPrimAtPath("/Controls")
    names = [a.GetName() for a in prim.GetAttributes()]
    assert sorted(names) == ["controls:_1", "controls:jaw:open", "controls:jaw:open_2"]
    jaw = prim.GetAttribute("controls:jaw:open")
    assert (jaw.GetCustomDataByKey("name"), jaw.GetCustomDataByKey("unit")) == ("jaw.open", "rad")
    assert [(code, jaw.Get(code)) for code in jaw.GetTimeSamples()] == [(-2, 0), (-1, 3), (0, 6), (1, 9)]
    assert prim.GetCustomDataByKey("fps") == "24000/1001"
    own = [
        keys([1, 4, 9], [0, 1, 0.5], [0, 0.3, 0.1], [0.2, -0.2, 0]),
        keys([1, 5], [2, 3], interpolation="step"),
        keys([], []),
    ]
    keyed = keyed_curves(["a.x", "a.y", "a.z"], own, [0.0, 0, 0.75], 25, 1, 9)
    save_usd_controls(tmp_path / "keys.usda", keyed, {})
    stage = Usd.Stage.Open(str(tmp_path / "keys.usda"))
    prim = stage.GetPrimAtPath("/Controls")
    expected = keyed.evaluate()
    for name in "xyz":
        found = [prim.GetAttribute(f"controls:a:{name}").Get(float(code)) for code in range(1, 10)]
        np.testing.assert_allclose(found, expected.of(f"a.{name}"), atol=1e-6)


def test_other_endings_are_refused(tmp_path):
    solved = curves(["a"], np.zeros((1, 1)))
    with pytest.raises(BunrakuError, match=r"\.usda, \.usdc, \.usd"):
        save_usd_controls(tmp_path / "it.usdz", solved, {})
