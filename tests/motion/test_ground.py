"""Depth, floating, sliding and slopes at sizes that are known."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.rotations import quat_from_rotvec
from bunraku.motion import ground
from bunraku.motion.pose import clip_pose, turned
from bunraku.motion.problem import CheckConfig
from small_bodies import still, walk

CFG = CheckConfig()


def moved_by(moved, offset):
    return replace(moved, root_pos_w=moved.root_pos_w + offset)


def heights(values):
    return np.stack([0 * values, 0 * values, values], axis=1)


def test_a_clean_walk_stands_on_the_ground(humanoid):
    assert ground.grounded(walk(), humanoid, CFG) == []
    assert ground.grounded(walk(), None, CFG) == []


def test_the_depth_is_that_of_the_lowest_point_with_its_frames(humanoid):
    sunk = np.zeros(31)
    sunk[10:13] = -0.04
    (found,) = ground.grounded(moved_by(still(), heights(sunk)), humanoid, CFG)
    assert (found.kind, found.unit) == ("below_ground", "mm")
    assert found.amount == pytest.approx(40)
    assert found.where.endswith("ankle, frames 10–12")
    assert "smoothly" in found.mends


def test_a_clip_that_is_too_low_throughout_is_said_so(humanoid):
    sunk = ground.grounded(moved_by(walk(), np.array([0, 0, -0.06])), humanoid, CFG)
    (found,) = [each for each in sunk if each.kind == "below_ground"]
    assert found.amount == pytest.approx(60)
    assert "the whole clip is too low" in found.says


def test_a_clip_that_hangs_above_the_ground_floats(humanoid):
    (found,) = ground.grounded(moved_by(walk(), np.array([0, 0, 0.3])), humanoid, CFG)
    assert (found.kind, found.amount) == ("floating", pytest.approx(300))
    assert found.mends


def test_a_jump_falls_and_a_levitation_does_not(humanoid):
    time = np.linspace(0, 0.6, 37)
    flight = np.maximum(0, 9.81 / 2 * (time - 0.1) * (0.5 - time))
    jump = replace(still(37), times_s=time)
    assert ground.grounded(moved_by(jump, heights(flight)), humanoid, CFG) == []
    (found,) = ground.grounded(moved_by(jump, heights(flight / 4)), humanoid, CFG)
    assert found.kind == "floating"
    # The greatest height, g/8·(0.4 s)²/4, and the time that a jump of that height takes.
    assert found.amount == pytest.approx(1e3 * 9.81 / 8 * 0.16 / 4, rel=0.01)
    assert "a jump of that height takes 0.20 s" in found.says


def test_feet_that_glide_over_the_ground_slide(humanoid):
    gliding = moved_by(still(31), np.stack([np.linspace(0, 0.5, 31), np.zeros(31), np.zeros(31)], axis=1))
    found = ground.grounded(gliding, humanoid, CFG)
    assert [(each.kind, each.where) for each in found] == [
        ("sliding", "left_ankle, frames 0–30"),
        ("sliding", "right_ankle, frames 0–30"),
    ]
    assert found[0].amount == pytest.approx(0.5)
    assert "50 cm in its longest stance" in found[0].says


def test_a_foot_that_swings_low_is_in_flight(humanoid):
    points = ground.footing(walk(lift=0.03), humanoid, CFG)
    speed = ground.foot_speed(walk(lift=0.03), points, "left_ankle")
    assert np.nanmax(speed) < 0.8
    assert np.isnan(speed).any()


def test_a_slope_is_found_and_levelled(humanoid):
    flat = walk()
    far = np.concatenate([flat.root_pos_w + np.array([0.8 * k, 0, 0]) for k in range(5)])
    times = np.concatenate([flat.times_s + (1 + 1 / 30) * k for k in range(5)])
    long = replace(flat, times_s=times, root_pos_w=far, joint_quat=np.tile(flat.joint_quat, (5, 1, 1)), loop="none")
    assert ground.floor_normal(long, ground.footing(long, humanoid, CFG)) is None
    uphill = replace(turned(long, quat_from_rotvec(np.array([0, -0.02, 0]))), skeleton=long.skeleton)
    found = [each for each in ground.grounded(uphill, humanoid, CFG) if each.kind == "tilted_floor"]
    assert found[0].amount == pytest.approx(np.degrees(0.02), rel=0.05)
    normal = ground.floor_normal(uphill, ground.footing(uphill, humanoid, CFG))
    np.testing.assert_allclose(normal, [-np.sin(0.02), 0, np.cos(0.02)], atol=1e-3)
    without = ground.floor_normal(uphill, ground.footing(uphill, None, CFG))
    np.testing.assert_allclose(without, normal, atol=3e-3)


def test_without_a_character_joints_tell_what_is_below_the_ground():
    sunk = moved_by(walk(), np.array([0, 0, -0.2]))
    (found,) = [each for each in ground.grounded(sunk, None, CFG) if each.kind == "below_ground"]
    assert found.amount == pytest.approx(-1e3 * clip_pose(sunk)[0][..., 2].min())


def test_runs_are_stretches_of_marked_frames():
    assert ground.runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert ground.runs(np.zeros(3, bool)) == []


def test_foot_sliding_is_metres_per_second_of_stance_for_each_foot(humanoid):
    glide = still()
    moved = moved_by(glide, np.stack([0.25 * glide.times_s, 0 * glide.times_s, 0 * glide.times_s], axis=1))
    assert ground.foot_sliding(moved, humanoid) == pytest.approx({"left_ankle": 0.25, "right_ankle": 0.25})
    assert ground.foot_sliding(glide, humanoid) == pytest.approx({"left_ankle": 0, "right_ankle": 0}, abs=1e-12)
    clean = ground.foot_sliding(walk(), humanoid)
    assert max(clean.values()) < CFG.slide_m_s
    # For the first second it glides, for the second one it hangs in the air, where nothing slides.
    time = np.linspace(0, 2, 61)
    half = still(frames=61)
    up = np.where(time > 1, 0.5, 0.0)
    hung = moved_by(half, np.stack([0.2 * time, 0 * time, up], axis=1))
    assert ground.foot_sliding(hung, humanoid) == pytest.approx({"left_ankle": 0.2, "right_ankle": 0.2}, abs=1e-6)
    lifted = moved_by(glide, np.array([0, 0, 1.0]))
    assert all(np.isnan(speed) for speed in ground.foot_sliding(lifted, humanoid).values())
