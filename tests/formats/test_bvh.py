import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import geodesic_angle
from bunraku.core.skeleton import skeleton
from bunraku.formats.bvh import load_bvh
from bunraku.formats.bvh_write import save_bvh
from clip_positions import positions

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 7 8 9
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Upper Arm {
    OFFSET 0 2 0
    CHANNELS 3 Yrotation Zrotation Xrotation
    JOINT Hand
    {
      OFFSET 1 0 0
      CHANNELS 0
      End Site
      { OFFSET 0.5 0 0 }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
1 2 3 0 0 0   0 0 0
1 2 3 0 0 90  90 0 90
"""


def written(path, text):
    path.write_text(text)
    return path


def at(read, name, frame):
    return positions(read)[frame, read.skeleton.names.index(name)]


def test_positions_by_hand(tmp_path):
    read = load_bvh(written(tmp_path / "arm.bvh", ARM))
    assert read.skeleton.names == ("Hips", "Upper Arm", "Hand", "Hand_end")
    np.testing.assert_allclose(read.times_s, [0, 0.05])
    # Y up to Z up: (1, 2, 3) is (1, −3, 2); the offset of the root does not count.
    np.testing.assert_allclose(read.root_pos_w, [[1, -3, 2]] * 2)
    np.testing.assert_allclose(at(read, "Hand_end", 0), [2.5, -3, 4], atol=1e-12)
    # Half a turn about the vertical in two joints: the arm points the other way. Turning about itself changes nothing.
    np.testing.assert_allclose(at(read, "Hand_end", 1), [-0.5, -3, 4], atol=1e-12)


@pytest.mark.parametrize(
    ("order", "image"),
    # Quarter turns about all three axes take the file's X axis to …: the last channel acts first.
    [("XYZ", [0, 0, 1]), ("ZYX", [0, 0, -1]), ("ZXY", [-1, 0, 0]), ("YZX", [0, 1, 0]), ("XZY", [0, 1, 0])],
)
def test_any_order_of_rotation_channels(order, image, tmp_path):
    channels = " ".join(f"{axis}rotation" for axis in order)
    text = ARM.replace("Yrotation Zrotation Xrotation", channels).replace("0 0 90  90 0 90", "0 0 0  90 90 90")
    read = load_bvh(written(tmp_path / "arm.bvh", text))
    y_up = at(read, "Hand", 1) - at(read, "Upper Arm", 1)
    turned = np.eye(3)
    for axis in order:
        i = "XYZ".index(axis)
        j, k = (i + 1) % 3, (i + 2) % 3
        quarter = np.zeros((3, 3))
        quarter[i, i], quarter[j, k], quarter[k, j] = 1, -1, 1
        turned = turned @ quarter
    np.testing.assert_array_equal(turned[:, 0], image)
    np.testing.assert_allclose([y_up[0], y_up[2], -y_up[1]], image, atol=1e-12)


def test_steady_position_channels_are_folded_in_and_moving_ones_refused(tmp_path):
    held = ARM.replace("CHANNELS 0", "CHANNELS 3 Zposition Xposition Yposition")
    numbers = held.replace("0 0 0   0 0 0", "0 0 0   0 0 0  0 3 0.0005")
    steady = load_bvh(written(tmp_path / "a.bvh", numbers.replace("90 0 90", "90 0 90  0 3 0.0005")))
    np.testing.assert_allclose(steady.skeleton.rest_translation[2], [3, 0, 0.0005])
    moving = numbers.replace("90 0 90", "90 0 90  0 3 0.5")
    with pytest.raises(BunrakuError, match=r"a\.bvh: joint 'Hand' moves against its parent \(by 0\.25 at frame"):
        load_bvh(written(tmp_path / "a.bvh", moving))


def test_end_sites_are_named_in_the_file_or_after_their_parent_and_empty_ones_left_out(tmp_path):
    more = "End Site { OFFSET 0 1 0 }\nEnd Site Thumb { OFFSET 0 0 1 }\nEnd Site { OFFSET 0 0 0 }\nEnd Site"
    read = load_bvh(written(tmp_path / "a.bvh", ARM.replace("End Site", more)))
    assert read.skeleton.names[3:] == ("Hand_end", "Thumb", "Hand_end#3")


def test_line_ends_of_other_systems_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "a.bvh").write_bytes(b"\xef\xbb\xbf" + ARM.replace("\n", "\r\n").encode())
    assert load_bvh(tmp_path / "a.bvh").frames == 2


def random_clip(seed, times):
    rng = np.random.default_rng(seed)
    names = ["hip", "spine", "leg", "head", "head_end", "foot"]
    bones = skeleton(names, [-1, 0, 0, 1, 3, 2], rng.normal(size=(6, 3)), rng.normal(size=(6, 4)))
    quat = rng.normal(size=(len(times), 6, 4))
    quat[:, 4] = [1, 0, 0, 0]
    return clip(bones, times, rng.normal(size=(len(times), 3)), quat)


def test_a_clip_is_what_it_was_after_a_round_trip(tmp_path):
    made = random_clip(0, np.arange(20) / 60)
    save_bvh(tmp_path / "a.bvh", made)
    back = load_bvh(tmp_path / "a.bvh")
    # Depth first in the file, whatever the order before.
    assert back.skeleton.names == ("hip", "spine", "head", "head_end", "leg", "foot")
    order = [made.skeleton.names.index(name) for name in back.skeleton.names]
    np.testing.assert_allclose(back.times_s, made.times_s, atol=1e-9)
    np.testing.assert_allclose(back.root_pos_w, made.root_pos_w, atol=1e-8)
    assert geodesic_angle(back.joint_quat, made.joint_quat[:, order]).max() < 1e-7
    np.testing.assert_allclose(positions(back), positions(made)[:, order], atol=1e-6)
    text = (tmp_path / "a.bvh").read_text()
    assert text.count("End Site") == 2  # of the head, and an empty one of the foot
    assert "e-" not in text.partition("MOTION")[2]


def test_uneven_frames_are_written_evenly(tmp_path):
    save_bvh(tmp_path / "a.bvh", random_clip(0, [0, 0.1, 0.3, 0.4]))
    np.testing.assert_allclose(np.diff(load_bvh(tmp_path / "a.bvh").times_s), 0.1)


def test_what_bvh_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    quat = np.tile([1.0, 0, 0, 0], (1, 2, 1))

    def made(names, parents, stretch=None):
        bones = skeleton(names, parents, np.zeros((2, 3)), quat[0], stretch)
        return clip(bones, [0.0], np.zeros((1, 3)), quat)

    scaled = np.stack([np.eye(3), 2 * np.eye(3)])
    for wrong, match in (
        (made(["a", "b"], [-1, -1]), "one root; this clip has 2"),
        (made(["a b", "a_b"], [-1, 0]), "joints 'a b' and 'a_b' would both be 'a_b'"),
        (made(["a", "b"], [-1, 0], scaled), "joint 'b' is scaled"),
    ):
        with pytest.raises(BunrakuError, match=match):
            save_bvh(tmp_path / "x.bvh", wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("Frames: 2", "Frames: 3", "declares 3 frames and holds 2"),
        ("Frames: 2", "Frames: 99999999999999999999", "declares 99999999999999999999 frames and holds 2"),
        ("Frames: 2", "Frames: many", "Frames is 'many'"),
        ("Frames: 2", "", "expected the lines 'Frames: …' and 'Frame Time: …'"),
        ("0.05", "0", "frame time is 0"),
        ("0.05", "-1", "frame time is -1"),
        ("0.05", "nan", "frame time: 'nan' is no finite number"),
        ("90 0 90", "90 0", "frame 1 has 8 numbers; expected 9"),
        ("90 0 90", "90 nan 90", "frame 1, joint 'Upper Arm' Zrotation: 'nan' is no finite number"),
        ("90 0 90", "90 x 90", "frame 1, joint 'Upper Arm' Zrotation: 'x' is no finite number"),
        ("1 2 3 0 0 90  90 0 90", "1 2 3 0", "frame 1 has 4 numbers"),
        ("MOTION", "", "has no line MOTION"),
        ("HIERARCHY", "", "line 2: 'ROOT Hips'; a BVH file begins with HIERARCHY"),
        ("JOINT Hand", "JOINT Hips", "line 9: joint 'Hips' is there twice"),
        ("JOINT Hand", "JOINT", "JOINT has no name"),
        ("JOINT Hand", "BONE Hand", "line 9: 'BONE'; expected ROOT, JOINT"),
        ("End Site", "End", "expected 'End Site'"),
        ("CHANNELS 0", "CHANNELS 999999999 Xposition", "joint 'Hand': CHANNELS declares '999999999' and names 1"),
        ("CHANNELS 0", "CHANNELS 1 Wrotation", "no channel 'Wrotation'"),
        ("CHANNELS 0", "CHANNELS 2 Xposition Xposition", "names a position twice"),
        ("OFFSET 1 0 0", "OFFSET 1 0", "joint 'Hand': OFFSET has 2 numbers"),
        ("OFFSET 1 0 0", "OFFSET 1 0 inf", "joint 'Hand': 'inf' is no finite number"),
        ("OFFSET 1 0 0", "", r"joint 'Hand' \(line 9\) has no OFFSET"),
        ("\n}\nMOTION", "\nMOTION", "the hierarchy ends inside joint"),
        ("\n}\nMOTION", "\n}}\nMOTION", "line 17: '}' outside of any joint"),
        ("\n}\nMOTION", "\n}\nROOT Second { OFFSET 0 0 0 }\nMOTION", "a second ROOT 'Second'"),
        ("\n}\nMOTION", "\n}\nJOINT Second { OFFSET 0 0 0 }\nMOTION", "JOINT 'Second' outside of any joint"),
        ("OFFSET 0 2 0", "{ OFFSET 0 2 0", "line 7: { without the name of a joint before it"),
        ("ROOT Hips\n{", "ROOT Hips", "line 3: 'OFFSET 7 8 9'; expected { after the name of joint 'Hips'"),
        ("{ OFFSET 0.5 0 0 }", "{ OFFSET 1 0 0 JOINT }", "OFFSET has 4 numbers"),
        ("{ OFFSET 0.5 0 0 }", "{ OFFSET 1 0 0\nJOINT a { OFFSET 0 0 0 } }", "joint 'a' hangs below an End Site"),
    ],
)
def test_malformed_files_are_refused_with_file_line_frame_and_joint(old, new, match, tmp_path):
    assert old in ARM
    with pytest.raises(BunrakuError, match=match) as error:
        load_bvh(written(tmp_path / "bad.bvh", ARM.replace(old, new, 1)))
    assert "bad.bvh" in str(error.value)
    assert "\n" not in str(error.value)


def test_every_truncation_is_refused(tmp_path):
    # The last number may be cut short and still be one; whatever is shorter than that has to be noticed.
    for length in range(len(ARM) - 3):
        with pytest.raises(BunrakuError, match=r"cut\.bvh"):
            load_bvh(written(tmp_path / "cut.bvh", ARM[:length]))


def test_hostile_nesting_and_more_poses_than_fit_in_memory_are_refused(tmp_path):
    deep = "".join(f"JOINT j{i} {{\nOFFSET 0 0 0\nCHANNELS 0\n" for i in range(20_000))
    with pytest.raises(BunrakuError, match="the hierarchy ends inside joint"):
        load_bvh(written(tmp_path / "deep.bvh", "HIERARCHY\nROOT r {\nOFFSET 0 0 0\n" + deep + "\nMOTION\n"))
    sites = "End Site { OFFSET 0 0 1 }\n" * 11_000
    head = "HIERARCHY\nROOT r {\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n" + sites + "}\nMOTION\n"
    wide = head + "Frames: 10000\nFrame Time: 1\n" + "0\n" * 10_000
    with pytest.raises(BunrakuError, match="10000 frames of 11001 joints are more than this reader takes"):
        load_bvh(written(tmp_path / "wide.bvh", wide))


@pytest.mark.parametrize("take", ["01_01", "12_01"])
def test_published_takes_are_what_they_were_after_a_round_trip(take, data_dir, tmp_path):
    read = load_bvh(data_dir / f"clips/cmu/{take}.bvh")
    assert read.times_s[1] == pytest.approx(1 / 120, rel=1e-4)
    save_bvh(tmp_path / "a.bvh", read)
    back = load_bvh(tmp_path / "a.bvh")
    assert back.skeleton.names == read.skeleton.names
    np.testing.assert_allclose(back.times_s, read.times_s, atol=1e-6)
    np.testing.assert_allclose(positions(back), positions(read), atol=1e-6)
    # Upright: the head is above the feet, and by more than any horizontal distance.
    up = at(read, "Head", 5) - (at(read, "LeftFoot", 5) + at(read, "RightFoot", 5)) / 2
    assert up[2] > 3 * np.linalg.norm(up[:2])
