"""Clips carried over to other skeletons: the same motion where it can be, measured where it cannot."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.rotations import quat_conjugate, quat_from_rotvec, quat_rotate
from bunraku.formats.clip import load_clip
from bunraku.motion.check import check
from bunraku.motion.limits import joint_angles
from bunraku.motion.mend import mend
from bunraku.motion.pose import ball_heights, clip_pose, rest_pose, scaled, turned
from bunraku.motion.retarget import RetargetConfig, retarget
from small_bodies import BACK, body_on, other_body, still, turn, walk

AS_IT_IS = RetargetConfig(ground=False)
T_POSE = {"left_shoulder": [np.pi / 2, 0, 0], "right_shoulder": [-np.pi / 2, 0, 0]}


def positions(moved, named=None):
    pos, _ = clip_pose(moved)
    order = [moved.skeleton.names.index((named or {}).get(name, name)) for name in walk().skeleton.names]
    return pos[:, order]


@pytest.mark.parametrize("rest", [{}, T_POSE, {**T_POSE, "left_elbow": [0, -0.4, 0], "left_hip": [0.3, 0.2, 0]}])
def test_other_names_frames_and_rest_poses_give_the_same_motion_there_and_back(rest, humanoid):
    bones, named = other_body(rest=rest)
    moved = turn(
        turn(walk(), "left_elbow", np.tile(0.9 * BACK, (31, 1))), "left_shoulder", np.tile([0.5, 0.3, -0.2], (31, 1))
    )
    there = retarget(moved, body_on(bones, named), cfg=AS_IT_IS)
    assert there.limb_error_deg < 1e-6
    assert there.at_rest == ()
    # A leg that rests aside turns the foot, which is a leaf: its end is not compared.
    np.testing.assert_allclose(positions(there.clip, named), positions(moved), atol=1e-9)
    back = retarget(there.clip, humanoid, cfg=AS_IT_IS)
    np.testing.assert_allclose(positions(back.clip), positions(moved), atol=1e-6)


@pytest.mark.parametrize("name", ["spinkick", "backflip", "crawl"])
def test_a_published_clip_on_a_renamed_turned_skeleton_is_the_same_to_a_micrometre(name, humanoid, data_dir):
    moved = load_clip(data_dir / "clips" / "deepmimic" / f"humanoid3d_{name}.txt")
    bones, named = other_body(3, T_POSE)
    there = retarget(moved, body_on(bones, named), cfg=AS_IT_IS)
    np.testing.assert_allclose(positions(there.clip, named), positions(moved), atol=1e-6)
    back = retarget(there.clip, humanoid, cfg=AS_IT_IS)
    np.testing.assert_allclose(positions(back.clip), positions(moved), atol=1e-6)


def test_knees_and_elbows_bend_about_their_axes_only_and_the_right_way(humanoid):
    bones, named = other_body(rest=T_POSE)
    bent = turn(turn(walk(), "left_elbow", np.tile(1.2 * BACK, (31, 1))), "right_elbow", np.tile(0.4 * BACK, (31, 1)))
    there = retarget(bent, body_on(bones, named), cfg=AS_IT_IS)
    back = retarget(there.clip, humanoid, cfg=AS_IT_IS).clip
    np.testing.assert_allclose(joint_angles(back, humanoid, "left_elbow"), 1.2, atol=1e-6)
    np.testing.assert_allclose(joint_angles(back, humanoid, "right_elbow"), 0.4, atol=1e-6)
    assert joint_angles(back, humanoid, "left_knee").max() < 0
    assert check(back, humanoid).of("hinge_axis") == ()


def test_a_source_that_twists_its_thigh_still_bends_the_knee_where_it_points(humanoid):
    """The parent of a hinge turns about its own bone by what the hinge lacks."""
    twisted = turn(still(5), "left_hip", np.tile(0.5 * BACK, (5, 1)))
    twisted = turn(twisted, "left_hip", np.tile([0, 0, 0.8], (5, 1)))
    twisted = turn(twisted, "left_knee", np.tile(quat_free(0.8), (5, 1)))
    over = retarget(twisted, humanoid, {n: n for n in humanoid.skeleton.names if n not in humanoid.fixed}, AS_IT_IS)
    assert over.limb_errors_deg["left_knee"] < 1e-3
    stiff = RetargetConfig(ground=False, hinge_parents=False)
    worse = retarget(twisted, humanoid, over.names_map, stiff)
    assert worse.limb_errors_deg["left_knee"] > 10


def quat_free(twist):
    """A knee bent by a radian about an axis that is turned about the shank."""
    return 1.0 * np.array([np.sin(twist), np.cos(twist), 0])


def test_the_path_is_scaled_by_the_legs_and_the_soles_are_put_on_the_ground(humanoid):
    giant = scaled(walk(), 1.5)
    giant = replace(giant, root_pos_w=giant.root_pos_w + np.array([0, 0, 0.4]))
    over = retarget(giant, humanoid)
    assert over.scale == pytest.approx(1 / 1.5)
    np.testing.assert_allclose(clip_pose(over.clip)[0], clip_pose(walk())[0], atol=1e-6)
    assert np.abs(ball_heights(over.clip, humanoid).min(axis=1)).max() < 1e-6


def test_the_heading_of_the_source_stays(humanoid):
    aside = turned(walk(), quat_from_rotvec(np.array([0, 0, 2.0])))
    np.testing.assert_allclose(clip_pose(retarget(aside, humanoid).clip)[0], clip_pose(aside)[0], atol=1e-6)


def test_a_map_decides_and_what_nothing_drives_is_listed_and_rests(humanoid):
    bones, named = other_body()
    source = retarget(turn(walk(), "chest", np.tile([0, 0.3, 0], (31, 1))), body_on(bones, named), cfg=AS_IT_IS).clip
    chosen = {mine: theirs for mine, theirs in named.items() if mine not in humanoid.fixed and mine != "neck"}
    over = retarget(source, humanoid, chosen | {"chest": ""})
    assert over.at_rest == ("chest", "neck")
    assert np.abs(over.clip.joint_quat[:, 1] - [1, 0, 0, 0]).max() < 1e-12
    with pytest.raises(BunrakuError, match="the clip has: pelvis"):
        retarget(source, humanoid, {"chest": "spine9"})


def test_a_clip_whose_names_say_nothing_asks_for_a_map(humanoid):
    nameless = replace(walk(), skeleton=replace(humanoid.skeleton, names=tuple(f"b{i}" for i in range(15))))
    with pytest.raises(BunrakuError, match=r"no joints match by their names: the character has root, .* give a map"):
        retarget(nameless, humanoid)
    mapped = {n: f"b{i}" for i, n in enumerate(humanoid.skeleton.names) if n not in humanoid.fixed}
    np.testing.assert_allclose(
        positions(retarget(nameless, humanoid, mapped).clip)[:, 4:6], positions(walk())[:, 4:6], atol=1e-6
    )


def test_a_few_joints_by_a_map_are_enough(humanoid):
    over = retarget(walk(), humanoid, {"root": "root", "left_knee": "left_knee"})
    assert len(over.at_rest) == 11
    assert over.clip.frames == 31


CAPTURED = ["12_01.bvh", "02_01.amc"]


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_takes_follow_limb_by_limb_with_feet_on_the_ground(name, humanoid, data_dir):
    source = mend(load_clip(data_dir / "clips" / "cmu" / name)).clip
    over = retarget(source, humanoid)
    assert over.at_rest == ()
    assert over.limb_error_deg < 0.1
    assert 0.9 < over.scale < 1.1
    report = check(over.clip, humanoid)
    assert {each.kind for each in report.problems} <= {"sliding"}
    lowest = ball_heights(over.clip, humanoid).min(axis=1)
    assert np.percentile(np.abs(lowest), 90) < 0.02
    for elbow in ("left_elbow", "right_elbow"):
        assert joint_angles(over.clip, humanoid, elbow).min() > -0.02


def test_the_same_take_from_two_formats_is_the_same_on_the_character(humanoid, data_dir):
    """Other names, other units, other rest poses, a stray first frame and joints in other places: one motion."""
    arrived = []
    for ending in (".amc", ".bvh"):
        take = load_clip(data_dir / "clips" / "cmu" / f"01_01{ending}")
        begun = mend(_first(take, 400 + (ending == ".bvh"))).clip
        arrived.append(retarget(begun, humanoid).clip)
    assert arrived[0].frames == arrived[1].frames == 400
    positions = [clip_pose(each)[0] - each.root_pos_w[:1, None] * [1, 1, 0] for each in arrived]
    assert np.abs(positions[0] - positions[1]).max() < 1e-3


def _first(moved, frames):
    return replace(
        moved,
        times_s=moved.times_s[:frames],
        root_pos_w=moved.root_pos_w[:frames],
        joint_quat=moved.joint_quat[:frames],
    )


def test_an_elbow_that_rests_bent_bends_to_the_side_that_its_range_leaves_to_it():
    bones, named = other_body(rest={"left_elbow": [0, -1.2, 0]})
    elbow = named["left_elbow"]
    _, frames = rest_pose(bones)
    # Straight at −1.2 rad: most of its range is on the negative side, and all of it beyond straight.
    axis = quat_rotate(quat_conjugate(frames[bones.names.index(elbow)]), BACK)
    body = replace(body_on(bones, named), hinge_axes={elbow: axis}, ranges_rad={elbow: (-1.2, 0.5)})
    bends = np.linspace(0.2, 1.6, 31)
    moved = turn(turn(walk(), "left_elbow", bends[:, None] * BACK), "left_shoulder", np.tile([0.5, 0.3, 0], (31, 1)))
    there = retarget(moved, body, cfg=AS_IT_IS)
    angles = joint_angles(there.clip, body, elbow)
    np.testing.assert_allclose(angles, bends - 1.2, atol=1e-6)
    assert there.limb_error_deg < 1e-4
