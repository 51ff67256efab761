import json

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import skeleton
from bunraku.core.transforms import rest_transforms, world_transforms
from bunraku.formats.deepmimic import deepmimic_skeleton, load_deepmimic, save_deepmimic

STILL = [0.1, 0, 0.9, 0] + [1, 0, 0, 0] * 4 + [0] + [1, 0, 0, 0] * 2 + [0] + [1, 0, 0, 0] + [0]
STILL += [1, 0, 0, 0] * 2 + [0]
CHEST, KNEE, ELBOW = 8, 20, 29  # where chest, right knee and right elbow stand in a frame


def frame(**changed):
    row = list(STILL)
    for place, values in changed.items():
        start = int(place.removeprefix("at"))
        row[start : start + len(values)] = values
    return row


def written(path, frames, **more):
    path.write_text(json.dumps({"Loop": "wrap", "Frames": frames, **more}))
    return path


def positions(read):
    bones = read.skeleton
    translation = np.tile(bones.rest_translation, (read.frames, 1, 1))
    translation[:, bones.order[0]] = read.root_pos_w
    return world_transforms(bones, translation, read.joint_quat, np.ones_like(translation))[..., 3]


def where(read, name, at=0):
    return positions(read)[at, read.skeleton.names.index(name)]


def test_the_skeleton_stands_z_up_and_looks_along_x_with_its_left_on_y():
    bones = deepmimic_skeleton()
    rest = dict(zip(bones.names, rest_transforms(bones)[:, :, 3], strict=True))
    np.testing.assert_allclose(rest["neck"], [0, 0, 0.460045], atol=1e-12)
    np.testing.assert_allclose(rest["left_ankle"], [0, 0.084887, -0.831416], atol=1e-12)
    np.testing.assert_allclose(rest["right_wrist"], [-0.02405, -0.18311, 0.236151 + 0.2435 - 0.533735], atol=1e-12)
    assert (len(bones), len(STILL)) == (15, 44)


def test_the_skeleton_is_that_of_the_published_character(data_dir):
    published = json.loads((data_dir / "bodies/deepmimic_humanoid3d.txt").read_text())["Skeleton"]["Joints"]
    bones = deepmimic_skeleton()
    assert bones.names == tuple(joint["Name"] for joint in published)
    np.testing.assert_array_equal(bones.parents, [joint["Parent"] for joint in published])
    y_up = np.array([[joint[f"Attach{axis}"] for axis in "XYZ"] for joint in published])
    np.testing.assert_allclose(bones.rest_translation, np.stack([y_up[:, 0], -y_up[:, 2], y_up[:, 1]], axis=1))


def test_axes_times_and_hinges_by_hand(tmp_path):
    quarter = [np.sqrt(0.5), 0, np.sqrt(0.5), 0]  # 90° about the format's Y: to the left, seen from above
    frames = [frame(at1=[1, 2, 3], at4=quarter), frame(at0=[0.2], at20=[-np.pi / 2]), frame(at0=[0], at29=[np.pi / 2])]
    read = load_deepmimic(written(tmp_path / "c.txt", frames))
    np.testing.assert_allclose(read.times_s, [0, 0.1, 0.3])
    assert read.loop == "wrap"
    np.testing.assert_allclose(read.root_pos_w[0], [1, -3, 2])
    np.testing.assert_allclose(read.joint_quat[0, 0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    # A knee bent by −90° puts the shank behind; an elbow bent by +90° puts the forearm in front.
    np.testing.assert_allclose(where(read, "right_ankle", 1), [-0.40987, -0.084887, 0.9 - 0.421546], atol=1e-12)
    elbow = where(read, "right_elbow", 2)
    np.testing.assert_allclose(where(read, "right_wrist", 2), elbow + np.array([0.258947, 0, 0]), atol=1e-12)


def test_a_clip_is_what_it_was_after_a_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(6, 44))
    frames[:, 0] = rng.uniform(0.01, 0.1, 6)
    read = load_deepmimic(written(tmp_path / "c.json", frames.tolist(), Loop="none", RightJoints=[3]))
    save_deepmimic(tmp_path / "again.txt", read)
    back = load_deepmimic(tmp_path / "again.txt")
    assert back.loop == "none"
    np.testing.assert_allclose(back.times_s, read.times_s, atol=1e-12)
    np.testing.assert_array_equal(back.root_pos_w, read.root_pos_w)
    assert geodesic_angle(back.joint_quat, read.joint_quat).max() < 1e-9


def test_a_turning_hinge_is_written_without_jumps_and_without_what_is_not_about_its_axis(tmp_path):
    turn = np.linspace(0, 3 * np.pi, 40)
    read = load_deepmimic(written(tmp_path / "c.txt", [frame(at20=[-angle]) for angle in turn]))
    knee = read.skeleton.names.index("right_knee")
    quat = read.joint_quat.copy()
    quat[::2, knee] *= -1  # the same rotation
    quat[:, knee] = quat_multiply(quat[:, knee], quat_from_rotvec(np.tile([0.1, 0.0, 0.0], (40, 1))))
    save_deepmimic(tmp_path / "c.json", clip(read.skeleton, read.times_s, read.root_pos_w, quat))
    again = np.array(json.loads((tmp_path / "c.json").read_text())["Frames"])
    np.testing.assert_allclose(again[:, KNEE], -turn, atol=1e-12)


def test_joints_in_between_are_folded_in_and_missing_ones_named(tmp_path):
    read = load_deepmimic(written(tmp_path / "c.txt", [frame(at8=[0.8, 0.6, 0, 0])]))
    names = (*read.skeleton.names, "spine")
    parents = np.append(read.skeleton.parents, 0)
    parents[1] = 15
    bones = skeleton(names, parents, np.zeros((16, 3)), np.tile([1.0, 0, 0, 0], (16, 1)))
    half = quat_from_rotvec(np.array([0.3, 0.0, 0.0]))
    quat = np.concatenate([read.joint_quat, half[None, None]], axis=1)
    save_deepmimic(tmp_path / "s.txt", clip(bones, [0.0], read.root_pos_w, quat))
    back = load_deepmimic(tmp_path / "s.txt")
    angle = 2 * np.arctan2(0.6, 0.8) + 0.3
    np.testing.assert_allclose(back.joint_quat[0, 1], [np.cos(angle / 2), np.sin(angle / 2), 0, 0], atol=1e-12)
    parents[2] = 0
    bones = skeleton(names, parents, np.zeros((16, 3)), np.tile([1.0, 0, 0, 0], (16, 1)))
    misplaced = clip(bones, [0.0], read.root_pos_w, quat)
    with pytest.raises(BunrakuError, match="joint 'neck' does not hang below 'chest'"):
        save_deepmimic(tmp_path / "s.txt", misplaced)
    few = skeleton(["root", "chest"], [-1, 0], np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)))
    with pytest.raises(BunrakuError, match=r"needs the joints neck, right_hip, .*; this clip has: root, chest"):
        save_deepmimic(tmp_path / "f.txt", clip(few, [0.0], np.zeros((1, 3)), np.tile([1.0, 0, 0, 0], (1, 2, 1))))
    assert not (tmp_path / "f.txt").exists()


@pytest.mark.parametrize(
    ("frames", "match"),
    [
        ([STILL] * 12 + [STILL[:43]], "frame 12 has 43 numbers; expected 44"),
        ([STILL, [[0] * 44]], "frame 1 has 1 numbers"),
        ([STILL, 7], "frame 1 is a int"),
        ([STILL, frame(at0=[0]), STILL], "frame 1 has duration 0"),
        ([frame(at0=[-0.1]), STILL], "frame 0 has duration -0.1"),
        ([STILL, frame(at20=[float("nan")])], "frame 1, joint 'right_knee': NaN is no finite number"),
        ([STILL, frame(at8=[1e999])], "frame 1, joint 'chest': Infinity"),
        ([STILL, frame(at8=[10**400])], "frame 1, joint 'chest': 1000"),
        ([STILL, frame(at2=["x"])], 'frame 1, root position y: "x" is no'),
        ([STILL, frame(at2=[True])], "root position y: true is no"),
        ([STILL, frame(at43=[None])], "joint 'left_elbow': null is no"),
        ([STILL, frame(at8=[0, 0, 0, 0])], "joint 'chest' has a quaternion of length 0 at frame 1"),
        ([], "has no frames"),
        ("frames", "is no DeepMimic clip"),
    ],
)
def test_malformed_frames_are_refused_with_file_frame_and_joint(frames, match, tmp_path):
    with pytest.raises(BunrakuError, match=match) as error:
        load_deepmimic(written(tmp_path / "bad.txt", frames))
    assert "bad.txt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b'{"Loop": "wrap", "Frames": [[0.1, 0', "is not valid JSON"),
        (b"[" * 200_000, "nested too deeply|not valid JSON"),
        (b'{"Frames": [[' + b"1" * 5000 + b"]]}", "is not valid JSON"),
        ('{"Loop": "wräp"}'.encode("latin-1"), "is not text in UTF-8 .byte 12 is 0xe4"),
        ('{"Loop": "wrap"}'.encode("utf-16-le"), "is not text"),
        (b"[]", "is no DeepMimic clip"),
        (b'{"Loop": "spin", "Frames": []}', "'Loop' is 'spin'; expected 'wrap' or 'none'"),
        (b'{"Loop": ["wrap"], "Frames": []}', "'Loop' is"),
        (b"", "is not valid JSON"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_line(data, match, tmp_path):
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(BunrakuError, match=match) as error:
        load_deepmimic(tmp_path / "bad.json")
    assert "bad.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_published_clips_are_read_and_written_with_their_own_times(data_dir, tmp_path):
    clips = {path.stem: load_deepmimic(path) for path in sorted((data_dir / "clips/deepmimic").glob("*.txt"))}
    assert len(clips) == 15
    durations = {"backflip": 1.75, "walk": 1.26, "spinkick": 1.28, "getup_faceup": 3.77}
    for name, seconds in durations.items():
        assert clips[f"humanoid3d_{name}"].duration_s == pytest.approx(seconds, abs=0.02)
    assert clips["humanoid3d_getup_faceup"].loop == "none"
    rates = np.diff(clips["humanoid3d_roll"].times_s)
    assert rates.max() > 1.9 * rates.min()
    for name, read in clips.items():
        save_deepmimic(tmp_path / f"{name}.txt", read)
        back = load_deepmimic(tmp_path / f"{name}.txt")
        np.testing.assert_allclose(positions(back), positions(read), atol=1e-9)
    # Walking goes forward along X, upright, with the lower foot on the ground.
    walk = positions(clips["humanoid3d_walk"])
    assert walk[-1, 0, 0] > 1
    assert abs(walk[-1, 0, 1]) < 0.3
    assert walk[:, 2, 2].min() > walk[:, 0, 2].max()
