import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import geodesic_angle, quat_from_matrix
from bunraku.formats.amc import load_amc
from bunraku.formats.bvh import load_bvh
from clip_positions import positions, world

ASF = """# a made-up arm
:version 1.10
:units
  mass 1.0
  length 2.0
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 1 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name upper
    direction 1 0 0
    length 3
    axis 0 0 90 XYZ
    dof rx ry
    limits (-10 10)
           (0 20)
  end
  begin
    name lower
    direction 1 0 0
    length 2
    axis 0 0 0 XYZ
  end
  begin
    name hand
    direction 0 0 1
    length 1
    axis 0 0 0 XYZ
    dof rz
  end
:hierarchy
  begin
    root upper
    upper lower
    lower hand
  end
"""
AMC = """#!a comment
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
upper 0 0
hand 0
2
upper 90 0
hand 45
root 1 2 3 0 90 0
"""
UNIT = 0.0254 / 2


def made(folder, asf=ASF, amc=AMC):
    (folder / "arm.asf").write_text(asf)
    (folder / "arm_01.amc").write_text(amc)
    return folder / "arm_01.amc"


def at(read, name, frame):
    return positions(read)[frame, read.skeleton.names.index(name)] / UNIT


def test_positions_by_hand(tmp_path):
    read = load_amc(made(tmp_path))
    assert read.skeleton.names == ("root", "upper", "lower", "hand", "hand_end")
    np.testing.assert_allclose(read.times_s, [0, 1 / 120])
    np.testing.assert_allclose(at(read, "root", 0), [1, -3, 3], atol=1e-9)  # 1 2 3, one up, turned to Z up
    np.testing.assert_allclose(at(read, "hand_end", 0), [6, -4, 3], atol=1e-9)
    # The bone's own X is the world's Y (its axis is turned by 90° about Z): 90° about it swings +X to the file's −Z,
    # then the root's 90° about Y turns −Z to −X and Z to X.
    np.testing.assert_allclose(at(read, "hand", 1) - at(read, "root", 1), [-5, 0, 0], atol=1e-9)
    # At the end of a fixed bone, 45° about its own Z, along which it lies.
    np.testing.assert_allclose(at(read, "hand_end", 1) - at(read, "hand", 1), [0, 1, 0], atol=1e-9)


def test_the_first_degree_of_freedom_acts_first(tmp_path):
    asf = ASF.replace("dof rx ry", "dof ry rx").replace("axis 0 0 90", "axis 0 0 0")
    read = load_amc(made(tmp_path, asf, AMC.replace("upper 90 0", "upper 90 90").replace("0 90 0", "0 0 0")))
    # About Y first: X goes to −Z; about X then: −Z goes to Y, which is up.
    np.testing.assert_allclose(at(read, "lower", 1) - at(read, "upper", 1), [0, 0, 3], atol=1e-9)


def test_radians_in_either_file_a_named_skeleton_and_another_frame_rate(tmp_path):
    degrees = load_amc(made(tmp_path))
    radians = AMC.replace(":DEGREES", ":RADIANS").replace(" 90", f" {np.pi / 2:.12f}").replace("45", "0.785398163397")
    named = load_amc(made(tmp_path, amc=radians), tmp_path / "arm.asf", fps=60)
    np.testing.assert_allclose(positions(named), positions(degrees), atol=1e-9)
    np.testing.assert_allclose(named.times_s, [0, 1 / 60])
    both = ASF.replace("angle deg", "angle rad").replace("axis 0 0 90", f"axis 0 0 {np.pi / 2:.12f}")
    unsaid = load_amc(made(tmp_path, both, radians.replace(":RADIANS\n", "")))
    np.testing.assert_allclose(positions(unsaid), positions(degrees), atol=1e-9)
    with pytest.raises(BunrakuError, match="frame rate is 0"):
        load_amc(tmp_path / "arm_01.amc", fps=0)


def test_a_skeleton_that_is_not_there_is_asked_for_by_name(tmp_path):
    path = made(tmp_path)
    (tmp_path / "arm.asf").rename(tmp_path / "leg.ASF")
    with pytest.raises(BunrakuError, match=r"arm_01\.asf or arm\.asf, .*there: leg\.ASF"):
        load_amc(path)
    (tmp_path / "leg.ASF").rename(tmp_path / "arm_01.ASF")
    assert load_amc(path).frames == 2
    with pytest.raises(BunrakuError, match="no such file"):
        load_amc(tmp_path / "none" / "x.amc")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("hand 45\n", "", "frame 2 has no numbers for joint 'hand'"),
        ("hand 45", "hand 45\nhand 45", "frame 2, joint 'hand': is there twice"),
        ("hand 45", "hand 45 3", "frame 2, joint 'hand': has 2 numbers; expected 1"),
        ("hand 45", "hand", "frame 2, joint 'hand': has 0 numbers; expected 1"),
        ("hand 45", "hand nan", "frame 2, joint 'hand': 'nan' is no finite number"),
        ("hand 45", "hand 4,5", "frame 2, joint 'hand': '4,5' is no finite number"),
        ("hand 45", "tail 45", "frame 2, joint 'tail': .* it has: root, upper, hand"),
        ("hand 45", "lower 45", "frame 2, joint 'lower': the skeleton has no such bone that moves"),
        ("1 2 3 0 90 0", "1 2 3 0 90", "frame 2, joint 'root': has 5 numbers; expected 6"),
        ("\n2\n", "\n3\n", "line 8: frame 3 follows frame 1"),
        ("\n2\n", "\n", "frame 1, joint 'upper': is there twice"),
        ("\n1\n", "\n", "line 4: 'root 1 2 3 0 0 0' before the number of the first frame"),
        (AMC, ":DEGREES\n", "has no frames"),
    ],
)
def test_malformed_motion_is_refused_with_file_frame_and_joint(old, new, match, tmp_path):
    assert old in AMC
    refused(match, "arm_01.amc", made(tmp_path, amc=AMC.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (":hierarchy", ":other", "has no section :hierarchy"),
        (":version 1.10", ":root", "section :root is there twice"),
        ("length 2.0", "length 0", "units are length 0"),
        ("angle deg", "angle turn", "angle 'turn'; expected > 0 and deg or rad"),
        ("order TX TY TZ", "order TX TY", "root: order is"),
        ("axis XYZ", "axis XYX", "root: axis is 'XYX'"),
        ("orientation 0 0 0", "orientation 0 90 0", "orientation is .*; only 0 0 0 is read"),
        ("position 0 1 0", "position 0 1 inf", "root: position: 'inf' is no finite number"),
        ("name lower", "name upper", "a bone is named 'upper'; names must be unique"),
        ("name lower", "", "a bone is named ''"),
        ("length 3", "length x", "bone 'upper': length: 'x' is no finite number"),
        ("direction 1 0 0", "direction 1 0", "bone 'upper': direction: has 2 numbers; expected 3"),
        ("direction 0 0 1", "", "bone 'hand': direction: has 0 numbers"),
        ("90 XYZ", "90 XY", "bone 'upper': axis has the order 'XY'"),
        ("dof rx ry", "dof rx tx", "bone 'upper': dof is 'rx tx'; only rx, ry and rz"),
        ("dof rx ry", "dof rx rx", "bone 'upper': dof is 'rx rx'"),
        ("    dof rz\n  end", "    dof rz", "ends inside bone 'hand'"),
        ("  begin\n    name lower", "    name lower", "'name' in :bonedata; expected blocks"),
        ("lower hand", "lower foot", "no bone 'foot' in :bonedata"),
        ("lower hand", "", "bone 'hand' hangs nowhere"),
        ("lower hand", "lower hand hand", "'hand' hangs below a second bone, 'lower'"),
        ("root upper\n    upper lower\n    lower hand", "root upper\n    lower hand\n    hand lower", "cycle"),
    ],
)
def test_malformed_skeletons_are_refused_with_file_and_bone(old, new, match, tmp_path):
    assert old in ASF
    refused(match, "arm.asf", made(tmp_path, asf=ASF.replace(old, new, 1)))


def refused(match, name, path):
    with pytest.raises(BunrakuError, match=match) as error:
        load_amc(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_skeleton_is_refused_wherever_it_ends(tmp_path):
    for length in range(0, ASF.index("lower hand") + len("lower hand"), 3):
        with pytest.raises(BunrakuError, match=r"arm"):
            load_amc(made(tmp_path, asf=ASF[:length]))


# The take as BVH: another converter's work, in the units of the .asf file, with a rest pose as its first frame.
SAME = {
    "root": "Hips", "lhipjoint": "LHipJoint", "lfemur": "LeftUpLeg", "ltibia": "LeftLeg", "lfoot": "LeftFoot",
    "ltoes": "LeftToeBase", "rhipjoint": "RHipJoint", "rfemur": "RightUpLeg", "rtibia": "RightLeg",
    "rfoot": "RightFoot", "rtoes": "RightToeBase", "lowerback": "LowerBack", "upperback": "Spine", "thorax": "Spine1",
    "lowerneck": "Neck", "upperneck": "Neck1", "head": "Head", "lclavicle": "LeftShoulder", "lhumerus": "LeftArm",
    "lradius": "LeftForeArm", "lwrist": "LeftHand", "lhand": "LeftFingerBase", "lthumb": "LThumb",
    "rclavicle": "RightShoulder", "rhumerus": "RightArm", "rradius": "RightForeArm", "rwrist": "RightHand",
    "rhand": "RightFingerBase", "rthumb": "RThumb",
}  # fmt: skip
# Where a bone has several children, the converter begins them at the bone's start instead of its end.
LOST = {"lowerneck": "thorax", "lclavicle": "thorax", "rclavicle": "thorax",
        "lhand": "lwrist", "lthumb": "lwrist", "rhand": "rwrist", "rthumb": "rwrist"}  # fmt: skip


def test_the_same_take_as_amc_and_as_bvh_is_the_same_motion(data_dir):
    amc, bvh = load_amc(data_dir / "clips/cmu/01_01.amc"), load_bvh(data_dir / "clips/cmu/01_01.bvh")
    assert amc.frames == bvh.frames - 1 == 2751
    ours, theirs = world(amc), world(bvh)[1:]
    theirs[..., 3] *= 0.0254 / 0.45
    names, others = amc.skeleton.names, bvh.skeleton.names
    for name, other in SAME.items():
        a, b = ours[:, names.index(name)], theirs[:, others.index(other)]
        assert geodesic_angle(quat_from_matrix(a[..., :3]), quat_from_matrix(b[..., :3])).max() < 1e-5, name
        parent = amc.skeleton.parents[names.index(name)]
        if parent < 0:
            np.testing.assert_allclose(a[..., 3], b[..., 3], atol=1e-5)
            continue
        # Each bone from its parent, so that what the converter lost is not carried on.
        above = SAME[names[parent]]
        bone, its_bone = a[..., 3] - ours[:, parent, :, 3], b[..., 3] - theirs[:, others.index(above), :, 3]
        np.testing.assert_allclose(its_bone, 0 * bone if name in LOST else bone, atol=1e-5, err_msg=name)
    # Legs and lower spine have lost nothing: in the world they agree to a hundredth of a millimetre.
    for name in [name for name in SAME if name[1:] in ("femur", "tibia", "foot", "toes")] + ["upperback", "thorax"]:
        a, b = ours[:, names.index(name), :, 3], theirs[:, others.index(SAME[name]), :, 3]
        assert np.linalg.norm(a - b, axis=-1).max() < 1e-5


def test_a_published_take_is_as_tall_as_a_man_and_stands(data_dir):
    read = load_amc(data_dir / "clips/cmu/02_01.amc")
    height = positions(read)[..., 2]
    assert 1.5 < np.ptp(height[100]) < 1.9
    assert abs(height.min()) < 0.1
    assert read.duration_s == pytest.approx(342 / 120)
