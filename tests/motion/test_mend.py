"""What mending does: exactly the repair, nothing on clean clips, nothing more the second time, never for the worse."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.rotations import geodesic_angle, quat_from_rotvec
from bunraku.formats.clip import load_clip
from bunraku.motion.check import check
from bunraku.motion.mend import MendConfig, envelope, mend
from bunraku.motion.pose import ball_heights, clip_pose, hinge_angles, scaled, turned
from bunraku.motion.problem import CheckConfig
from bunraku.motion.timing import seam_jumps
from small_bodies import BACK, still, swinging, turn, walk


def same(a, b, within=1e-9):
    return (
        a.frames == b.frames
        and np.abs(a.root_pos_w - b.root_pos_w).max() < within
        and geodesic_angle(a.joint_quat, b.joint_quat).max() < within
    )


def heights(values):
    return np.stack([0 * values, 0 * values, values], axis=1)


def test_a_clean_clip_is_left_alone(humanoid):
    for moved in (walk(), swinging()):
        mended = mend(moved, humanoid)
        assert mended.notes == ()
        assert same(mended.clip, moved)


def test_axes_units_and_order_are_undone_to_the_original(humanoid):
    right = walk()
    wrong = scaled(turned(right, quat_from_rotvec(np.array([np.pi / 2, 0, 0]))), 100)
    mended = mend(wrong, humanoid)
    assert len(mended.notes) == 2
    np.testing.assert_allclose(clip_pose(mended.clip)[0], clip_pose(right)[0], atol=1e-9)
    shuffled = replace(right, joint_quat=right.joint_quat[..., [1, 2, 3, 0]])
    assert same(mend(shuffled, humanoid).clip, right)


def test_signs_become_continuous_and_rotations_stay(humanoid):
    quat = swinging().joint_quat.copy()
    quat[::3] *= -1
    mended = mend(replace(swinging(), joint_quat=quat), humanoid).clip
    assert ((mended.joint_quat[1:] * mended.joint_quat[:-1]).sum(axis=-1) > 0).all()
    assert same(mended, swinging())


def test_a_seam_is_closed_half_from_either_end_and_the_middle_stays(humanoid):
    angle = np.linspace(0, 0.4, 61)
    opened = turn(still(61, loop="wrap"), "left_elbow", angle[:, None] * BACK)
    pos = opened.root_pos_w + np.stack([np.linspace(0, 1, 61), np.zeros(61), np.linspace(0, 0.03, 61)], axis=1)
    mended = mend(replace(opened, root_pos_w=pos)).clip
    assert seam_jumps(mended).max() < 1e-12
    elbow = hinge_angles(mended.joint_quat[:, 7 + 6], np.array([1.0, 0, 0, 0]), BACK)
    assert mended.skeleton.names[13] == "left_elbow"
    np.testing.assert_allclose(elbow[[0, 60]], 0.2, atol=1e-12)
    np.testing.assert_allclose(elbow[13:48], angle[13:48], atol=1e-12)
    np.testing.assert_allclose(np.ptp(mended.root_pos_w[[0, 60]], axis=0), [1, 0, 0], atol=1e-12)


def test_a_missing_closing_frame_is_added(humanoid):
    whole = swinging()
    short = replace(
        whole, times_s=whole.times_s[:-1], root_pos_w=whole.root_pos_w[:-1], joint_quat=whole.joint_quat[:-1]
    )
    mended = mend(short, humanoid)
    assert mended.notes == ("closing frame added",)
    assert same(mended.clip, whole, 1e-6)


def test_feet_are_lifted_out_of_the_ground_smoothly_and_only_near_there(humanoid):
    sunk = still(91)
    depth = np.where(np.isin(np.arange(91), range(40, 50)), 0.05, 0.0)
    mended = mend(replace(sunk, root_pos_w=sunk.root_pos_w - heights(depth)), humanoid).clip
    lowest = ball_heights(mended, humanoid).min(axis=1)
    assert lowest.min() > -1e-12
    lift = mended.root_pos_w[:, 2] - (sunk.root_pos_w[:, 2] - depth)
    assert np.abs(np.diff(lift)).max() < 0.025
    assert lift[:30].max() == 0 == lift[60:].max()


def test_a_clip_that_floats_or_sinks_as_a_whole_is_moved_as_a_whole(humanoid):
    for height in (0.3, -0.07):
        mended = mend(replace(walk(), root_pos_w=walk().root_pos_w + np.array([0, 0, height])), humanoid).clip
        assert same(mended, walk(), 1e-6)


def test_an_envelope_is_nowhere_below_and_runs_around_the_seam():
    depth = np.zeros(61)
    depth[0] = depth[-1] = 1.0
    looped, open_ended = envelope(swinging(), depth, 0.1), envelope(swinging(loop="none"), depth, 0.1)
    assert (looped >= depth - 1e-12).all()
    assert (open_ended >= depth - 1e-12).all()
    assert looped[0] == pytest.approx(looped[-1])
    assert looped[30] == 0


def test_only_the_frames_that_are_spikes_change(humanoid):
    off = np.zeros((61, 3))
    off[20, 0] = 0.6
    mended = mend(turn(swinging(), "left_shoulder", off), humanoid).clip
    changed = geodesic_angle(mended.joint_quat, swinging().joint_quat).max(axis=1)
    assert changed[20] < 0.01
    assert np.delete(changed, 20).max() < 1e-12


def test_a_jump_is_spread_and_the_ends_stay(humanoid):
    leap = np.where(np.arange(61) < 25, 0.0, 0.8)
    mended = mend(turn(swinging(loop="none"), "left_shoulder", leap[:, None] * BACK), humanoid).clip
    steps = geodesic_angle(mended.joint_quat[:-1], mended.joint_quat[1:]).max(axis=1)
    assert steps.max() < 0.3
    assert check(mended, humanoid).of("jump") == ()
    assert geodesic_angle(mended.joint_quat[0], swinging().joint_quat[0]).max() < 1e-12


def test_hinges_are_held_in_their_ranges_and_on_their_axes(humanoid):
    bent = turn(
        turn(still(31), "left_knee", np.tile(0.2 * BACK, (31, 1))), "right_elbow", np.tile([0.3, 0, 0], (31, 1))
    )
    mended = mend(bent, humanoid)
    assert mended.notes[0] == "held in range and on their axes: left_knee, right_elbow"
    assert {each.kind for each in check(mended.clip, humanoid).problems} == set()


def test_stray_frames_are_left_out_and_uneven_rates_made_even(humanoid):
    off = np.zeros((61, 3))
    off[0] = [1.2, 0, 0]
    strayed = turn(swinging(loop="none"), "left_hip", off)
    mended = mend(strayed, humanoid).clip
    assert mended.frames == 60
    assert mended.times_s[0] == 0
    times = swinging().times_s.copy()
    times[11:] += 1 / 30
    mended = mend(replace(swinging(), times_s=times), humanoid).clip
    assert np.ptp(np.diff(mended.times_s)) < 1e-9
    assert mended.duration_s == pytest.approx(times[-1])


def test_a_clip_is_turned_to_face_forward(humanoid):
    aside = replace(turned(walk(), quat_from_rotvec(np.array([0, 0, 2.5]))), skeleton=walk().skeleton)
    np.testing.assert_allclose(clip_pose(mend(aside, humanoid).clip)[0], clip_pose(walk())[0], atol=1e-9)


def test_a_repair_that_costs_more_than_it_brings_is_left_out_and_said(humanoid):
    # One frame is 41 mm in the ground. Lifted within a second of it the whole body would hang in the air.
    depth = np.where(np.arange(91) == 45, 0.041, 0.0)
    dipped = replace(still(91), root_pos_w=still(91).root_pos_w - heights(depth))
    cfg = MendConfig(lift_s=1.0, check=CheckConfig(spike_m=1.0, float_m=0.005))
    mended = mend(dipped, humanoid, cfg)
    (note,) = mended.notes
    assert note.startswith("left as it was, since other problems would have grown by more: lifted by up to 41 mm")
    assert same(mended.clip, dipped)


CLIPS = ("backflip", "cartwheel", "crawl", "dance_a", "dance_b", "getup_facedown", "getup_faceup", "jump", "kick")
MORE = ("punch", "roll", "run", "spin", "spinkick", "walk")


@pytest.mark.parametrize("name", CLIPS + MORE)
def test_published_clips_get_better_and_a_second_mending_changes_nothing(name, humanoid, data_dir):
    moved = load_clip(data_dir / "clips" / "deepmimic" / f"humanoid3d_{name}.txt")
    before, mended = check(moved, humanoid), mend(moved, humanoid)
    after = check(mended.clip, humanoid)
    assert after.weight < before.weight
    for kind in (
        "loop_seam",
        "loop_height",
        "limit",
        "jump",
        "spike",
        "below_ground",
        "frame_rate_uneven",
        "quat_signs",
    ):
        assert after.of(kind) == (), kind
    again = mend(mended.clip, humanoid)
    assert same(again.clip, mended.clip, 1e-9)
    if moved.loop == "wrap":
        way = (
            (moved.root_pos_w[-1] - moved.root_pos_w[0])[:2],
            (mended.clip.root_pos_w[-1] - mended.clip.root_pos_w[0])[:2],
        )
        assert np.linalg.norm(way[0]) == pytest.approx(np.linalg.norm(way[1]), abs=1e-9)
