"""Takes exported into files of every kind: keys, frames, layers, rates and start frames."""

from fractions import Fraction

import numpy as np
import pytest

from bunraku import api
from bunraku.api.take_files import TakeFile
from bunraku.core import artifact
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.core.keys import keyed_curves, keys
from bunraku.core.metrics import Metrics
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec
from bunraku.core.take import KIND, Take, save_take
from bunraku.formats.csv import load_csv_curves
from bunraku.formats.curves import load_curves, save_curves
from bunraku.formats.euler import quats_from_euler
from bunraku.formats.gltf import write_gltf
from bunraku.formats.keys_json import save_json_keys
from bunraku.formats.maya_anim import load_anim
from bunraku.rigs.open import open_rig, rig_identity
from bunraku.rigs.skinned import bake, open_gltf_rig
from small_rigs import limbed

RATE = Fraction(24000, 1001)


def kept(folder, source, solved):
    artifact.open_output(folder, KIND, {"rig": rig_identity(source)})
    zero = np.zeros(solved.frames)
    save_take(folder, Take(solved, Metrics({}, {}), zero, np.zeros(1), np.eye(3, 4), {}, {}))
    return folder


@pytest.fixture
def glb(tmp_path):
    """A take on a small character's file, and its curves."""
    write_gltf(tmp_path / "rig.glb", limbed(morphs=1))
    rig = open_rig(tmp_path / "rig.glb")
    time = np.linspace(0, 3, 30)[:, None]
    values = rig.spec.neutral + 0.4 * np.sin(time + np.arange(len(rig.spec)))
    solved = curves(rig.spec.names, values, RATE, 1001)
    return kept(tmp_path / "take", str(tmp_path / "rig.glb"), solved), solved, rig


def with_keys(take, solved, names):
    """Three keys on some controls, in the take's own folder, as `rig simplify` leaves them."""
    last = solved.start_frame + solved.frames - 1
    own = [
        keys([1001, 1010, last], [0, 0.3, -0.1], [0, 0.01, 0], [0, 0.01, 0]) if n in names else keys([], [])
        for n in solved.names
    ]
    keyed = keyed_curves(solved.names, own, np.zeros(len(own)), solved.fps, solved.start_frame, solved.frames)
    save_json_keys(take / "keys.json", keyed, {"settings": {"curves": artifact.array_hash(solved.values)}})
    return keyed


@pytest.mark.parametrize("ending", ["csv", "json", "npz"])
def test_rate_and_start_frame_are_kept_by_every_plain_format(tmp_path, glb, ending):
    take, solved, _ = glb
    api.export(take, tmp_path / f"it.{ending}")
    back = load_curves(tmp_path / f"it.{ending}")
    assert (back.fps, back.start_frame, back.frames) == (RATE, 1001, 30)
    np.testing.assert_allclose(back.values, solved.values, atol=1e-12)


def test_anim_holds_euler_angles_of_the_same_rotations(tmp_path, glb):
    take, solved, _ = glb
    api.export(take, tmp_path / "it.anim")
    back = load_anim(tmp_path / "it.anim")
    assert (back.fps, back.start_frame, back.frames) == (RATE, 1001, 30)
    values = back.evaluate()
    for joint in ("spine", "arm"):
        angles = np.stack([values.of(f"{joint}.r{axis}") for axis in "zyx"], axis=1)
        r = np.stack([solved.of(f"{joint}.r{axis}") for axis in "xyz"], axis=1)
        assert geodesic_angle(quats_from_euler(angles, "ZYX"), quat_from_rotvec(r)).max() < 1e-9
    np.testing.assert_allclose(values.of("root.tx"), solved.of("root.tx"), atol=1e-12)


def test_keys_of_the_take_are_exported_unless_every_frame_is_asked_for(tmp_path, glb):
    take, solved, rig = glb
    keyed = with_keys(take, solved, {"spine.rx", "spine.ry", "spine.rz", "root.ty", "limbed.m0", "rig.m0"})
    expected = rig.evaluate(keyed.evaluate().ordered_as(rig.spec))
    api.export(take, tmp_path / "keys.glb")
    shown = open_gltf_rig(tmp_path / "keys.glb")
    (animation,) = shown.animations
    assert {c.interpolation for c in animation.channels} == {"CUBICSPLINE"}
    # glTF has no start frame of its own: the keys stand at 1001 frames from the beginning of its time.
    assert animation.channels[0].times_s[0] == pytest.approx(1001 / float(RATE), rel=1e-6)
    mesh, _ = bake(shown, "take", RATE)
    np.testing.assert_allclose(mesh.vertices[1001:], expected, atol=1e-3)
    api.export(take, tmp_path / "keys.anim")
    back = load_anim(tmp_path / "keys.anim")
    assert {len(own) for own in back.keys} == {3}
    np.testing.assert_allclose(back.evaluate().of("root.ty"), keyed.evaluate().of("root.ty"), atol=1e-9)
    api.export(take, tmp_path / "frames.glb", written=TakeFile(every_frame=True))
    (animation,) = open_gltf_rig(tmp_path / "frames.glb").animations
    assert {(c.interpolation, len(c.times_s)) for c in animation.channels} == {("LINEAR", 30)}


def test_keys_of_other_curves_are_refused_where_named_and_left_where_found(tmp_path, glb):
    take, solved, _ = glb
    with_keys(take, curves(solved.names, solved.values + 1, RATE, 1001), {"root.ty"})
    (take / "keys.json").rename(tmp_path / "other.json")
    with pytest.raises(BunrakuError, match=r"other\.json: was made of other curves"):
        api.export(take, tmp_path / "it.anim", written=TakeFile(keys=tmp_path / "other.json"))
    (tmp_path / "other.json").rename(take / "keys.json")
    api.export(take, tmp_path / "it.anim")
    assert {len(own) for own in load_anim(tmp_path / "it.anim").keys} == {30}


def test_a_layer_above_other_curves_is_the_difference_from_them(tmp_path, glb):
    take, solved, _ = glb
    longer = curves(solved.names, np.full((50, len(solved.names)), 0.1), RATE, 990)
    save_curves(longer, tmp_path / "base.csv")
    api.export(take, tmp_path / "layer.csv", written=TakeFile(above=tmp_path / "base.csv"))
    back = load_csv_curves(tmp_path / "layer.csv")
    assert (back.fps, back.start_frame) == (RATE, 1001)
    np.testing.assert_allclose(back.values, solved.values - 0.1, atol=1e-12)
    api.export(take, tmp_path / "layer.anim", written=TakeFile(above=tmp_path / "base.csv"))
    api.export(take, tmp_path / "whole.anim")
    layer, whole = (load_anim(tmp_path / name).evaluate() for name in ("layer.anim", "whole.anim"))
    np.testing.assert_allclose(layer.of("root.tx"), whole.of("root.tx") - 0.1, atol=1e-12)
    # Euler angles add in a layer: the base's are those of the rotation vector (0.1, 0.1, 0.1).
    base = np.array([layer.of(f"arm.r{a}")[0] - whole.of(f"arm.r{a}")[0] for a in "zyx"])
    assert geodesic_angle(quats_from_euler(-base, "ZYX"), quat_from_rotvec(np.full(3, 0.1))) < 1e-9
    for name, says in (("it.glb", "no layers that are added"), ("it.npz", "not a layer")):
        with pytest.raises(BunrakuError, match=says):
            api.export(take, tmp_path / name, written=TakeFile(above=tmp_path / "base.csv"))
    short = curves(solved.names, longer.values[:20], RATE, 990)
    save_curves(short, tmp_path / "short.csv")
    with pytest.raises(BunrakuError, match="has frames 990 to 1009; the take's are 1001 to 1030"):
        api.export(take, tmp_path / "no.csv", written=TakeFile(above=tmp_path / "short.csv"))


def test_controls_of_any_rig_go_into_usd(tmp_path):
    from pxr import Usd

    spec = open_rig("cube").spec
    take = kept(tmp_path / "take", "cube", curves(spec.names, np.zeros((4, len(spec))), RATE, 7))
    api.export(take, tmp_path / "it.usda")
    stage = Usd.Stage.Open(str(tmp_path / "it.usda"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (7, 10, float(RATE))
    assert len(stage.GetPrimAtPath("/Controls").GetAttributes()) == len(spec)
    with pytest.raises(BunrakuError, match="only a take on a glTF rig"):
        api.export(take, tmp_path / "it.glb")
    with pytest.raises(BunrakuError, match=r"written as \.csv"):
        api.export(take, tmp_path / "it.ma")
