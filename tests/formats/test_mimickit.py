import pickle
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import skeleton
from bunraku.formats.mimickit import MimicKitCharacter, load_mimickit, mimickit_humanoid, save_mimickit
from clip_positions import positions

NUMBERS = 34
ELBOW, KNEE = 15, 23  # where the right ones stand in a row


def motion(path, frames, protocol=4, **changed):
    value = {"loop_mode": 1, "fps": 30, "frames": frames, **changed}
    path.write_bytes(pickle.dumps({key: held for key, held in value.items() if held is not None}, protocol))
    return path


def row(**changed):
    numbers = [0.0] * NUMBERS
    for place, value in changed.items():
        numbers[int(place.removeprefix("at"))] = value
    return numbers


def where(read, name, at=0):
    return positions(read)[at, read.skeleton.names.index(name)]


def test_the_skeleton_is_that_of_the_published_character(data_dir):
    root = ElementTree.parse(data_dir / "bodies/mimickit_humanoid.xml").getroot()
    above = {child: parent for parent in root.iter() for child in parent}
    bodies = list(root.iter("body"))
    humanoid = mimickit_humanoid()
    bones = humanoid.skeleton
    assert bones.names == tuple(body.get("name") for body in bodies)
    for joint, body in enumerate(bodies):
        np.testing.assert_array_equal(bones.rest_translation[joint], [float(w) for w in body.get("pos").split()])
        parent = above[body].get("name", "")
        assert (bones.names[bones.parents[joint]] if joint else "") == parent
        hinges = body.findall("joint")
        assert humanoid.width(joint) == (6 if joint == 0 else len(hinges))
        if len(hinges) == 1:
            axis = [float(word) for word in hinges[0].get("axis").split()]
            np.testing.assert_array_equal(humanoid.hinge_axes[body.get("name")], axis)


def test_places_times_and_turns_by_hand(tmp_path):
    quarter = np.pi / 2
    frames = [row(at0=1, at1=2, at2=3, at5=quarter), row(**{f"at{ELBOW}": quarter}), row(**{f"at{KNEE}": quarter})]
    read = load_mimickit(motion(tmp_path / "m.pkl", frames, fps=20))
    np.testing.assert_allclose(read.times_s, [0, 0.05, 0.1])
    assert read.loop == "wrap"
    np.testing.assert_allclose(read.root_pos_w[0], [1, 2, 3])
    # A quarter turn about the vertical: the left hip, at +Y, is now at −X.
    np.testing.assert_allclose(where(read, "left_thigh"), [1 - 0.084887, 2, 3], atol=1e-12)
    elbow = where(read, "right_lower_arm", 1)
    np.testing.assert_allclose(where(read, "right_hand", 1) - elbow, [0.258947, 0, 0], atol=1e-12)
    np.testing.assert_allclose(where(read, "right_foot", 2), [-0.40987, -0.084887, -0.421546], atol=1e-12)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "make", [np.array, lambda rows: np.array(rows, np.float32), list, lambda rows: [*np.array(rows)]]
)
def test_lists_and_arrays_of_any_protocol_are_the_same_motion(make, protocol, tmp_path):
    rows = np.random.default_rng(0).normal(size=(4, NUMBERS)).tolist()
    read = load_mimickit(motion(tmp_path / "m.pkl", make(rows), protocol, loop_mode=0, fps=np.float32(30)))
    assert read.loop == "none"
    np.testing.assert_allclose(read.joint_quat[:, 0], quat_from_rotvec(np.array(rows)[:, 3:6]), atol=1e-6)
    np.testing.assert_allclose(read.root_pos_w, np.array(rows)[:, :3], atol=1e-6)


def test_a_clip_is_what_it_was_after_a_round_trip_and_python_reads_it_too(tmp_path):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6, NUMBERS)).cumsum(axis=0)
    read = load_mimickit(motion(tmp_path / "m.pkl", rows))
    save_mimickit(tmp_path / "again.pkl", read)
    back = load_mimickit(tmp_path / "again.pkl")
    assert back.loop == "wrap"
    np.testing.assert_allclose(back.times_s, read.times_s, atol=1e-12)
    assert geodesic_angle(back.joint_quat, read.joint_quat).max() < 1e-9
    held = pickle.loads((tmp_path / "again.pkl").read_bytes())
    assert held["fps"] == pytest.approx(30)
    assert np.shape(held["frames"]) == (6, NUMBERS)


def test_another_character_is_read_with_its_rest_rotations_axes_and_fixed_joints(tmp_path):
    tilt = quat_from_rotvec(np.array([np.pi / 2, 0, 0]))
    quats = np.stack([np.array([1.0, 0, 0, 0]), tilt, tilt, np.array([1.0, 0, 0, 0])])
    bones = skeleton(["base", "arm", "tip", "leg"], [-1, 0, 1, 0], np.eye(4, 3), quats)
    character = MimicKitCharacter(bones, {"leg": np.array([0.6, 0.8, 0])}, {"tip"})
    rows = [[0, 0, 1, 0, 0, 0, 0, 0.3, 0, 0.7]]
    read = load_mimickit(motion(tmp_path / "m.pkl", rows), character)
    # The arm's own Y is up once it is tilted.
    turned = quat_from_rotvec(np.array([0, 0, 0.3]))
    assert geodesic_angle(read.joint_quat[0, 1], quat_multiply(turned, tilt)) < 1e-12
    assert geodesic_angle(read.joint_quat[0, 2], tilt) < 1e-12
    assert geodesic_angle(read.joint_quat[0, 3], quat_from_rotvec(np.array([0.42, 0.56, 0]))) < 1e-12
    save_mimickit(tmp_path / "n.pkl", read, character)
    np.testing.assert_allclose(pickle.loads((tmp_path / "n.pkl").read_bytes())["frames"], rows, atol=1e-12)


def test_joints_that_are_missing_or_elsewhere_are_named_when_writing(tmp_path):
    bones = mimickit_humanoid().skeleton
    quat = np.tile([1.0, 0, 0, 0], (1, 15, 1))

    def changed(names, parents):
        return clip(skeleton(names, parents, bones.rest_translation, bones.rest_quat), [0.0], np.zeros((1, 3)), quat)

    other = ["skull" if name == "head" else name for name in bones.names]
    with pytest.raises(BunrakuError, match="needs the joints head; this clip has: pelvis, torso, skull"):
        save_mimickit(tmp_path / "x.pkl", changed(other, bones.parents))
    parents = bones.parents.copy()
    parents[2] = 0
    with pytest.raises(BunrakuError, match="joint 'head' hangs below 'pelvis'; expected 'torso'"):
        save_mimickit(tmp_path / "x.pkl", changed(bones.names, parents))
    assert not (tmp_path / "x.pkl").exists()


@pytest.mark.parametrize(
    ("frames", "changed", "match"),
    [
        ([row()] * 12 + [row()[:33]], {}, "frame 12 has 33 numbers; expected 34"),
        (np.zeros((3, 36)), {}, "frame 0 has 36 numbers; expected 34"),
        ([row(), row(at23=float("nan"))], {}, "frame 1, joint 'right_shin': nan is no finite number"),
        (np.array([row(), row(at3=np.inf)]), {}, "frame 1, joint 'pelvis': .*inf.* is no finite number"),
        (np.array([row(at9=np.inf)], np.float32), {}, "frame 0, joint 'head': .*inf.* is no finite number"),
        ([row(), row(at6="x")], {}, "frame 1, joint 'torso': 'x' is no finite number"),
        ([row(), row(at33=[1])], {}, "frame 1, joint 'left_foot': a list is no finite number"),
        ([row(), row(at33=2**63 - 1), 5], {}, "frame 2 is a int"),
        ([row(), np.zeros((2, 34))], {}, "frame 1 is a ndarray"),
        ([], {}, "frames is empty; expected a table of 34 columns"),
        (np.zeros(34), {}, r"frames is an array of shape \(34,\)"),
        ("rows", {}, "frames is a str"),
        ([row()], {"fps": 0}, "fps is 0"),
        ([row()], {"fps": -30.0}, "fps is -30.0"),
        ([row()], {"fps": float("nan")}, "fps is nan"),
        ([row()], {"fps": "30"}, "fps is '30'"),
        ([row()], {"loop_mode": 2}, r"loop_mode is 2; expected 0 \(clamp\) or 1 \(wrap\)"),
        ([row()], {"loop_mode": np.zeros(2)}, "loop_mode is a ndarray"),
        ([row()], {"fps": None}, "is no MimicKit motion: has no fps"),
    ],
)
def test_malformed_motions_are_refused_with_file_frame_and_joint(frames, changed, match, tmp_path):
    path = motion(tmp_path / "bad.pkl", frames, **changed)
    with pytest.raises(BunrakuError, match=match) as error:
        load_mimickit(path)
    assert "bad.pkl" in str(error.value)
    assert "\n" not in str(error.value)


def test_another_value_than_a_dict_and_a_list_within_itself_are_refused(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(BunrakuError, match="is no MimicKit motion: has no loop_mode, fps, frames"):
        load_mimickit(tmp_path / "a.pkl")
    itself = []
    itself += [itself] * NUMBERS
    with pytest.raises(BunrakuError, match="joint 'pelvis': a list is no finite number"):
        load_mimickit(motion(tmp_path / "a.pkl", itself))
