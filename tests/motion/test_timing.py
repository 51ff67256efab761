"""Seams, rates, spikes, jumps, frozen frames: each at a size that is known."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.motion import timing
from bunraku.motion.problem import CheckConfig
from small_bodies import BACK, still, swinging, turn, walk

CFG = CheckConfig()


def kinds(problems):
    return [each.kind for each in problems]


def lifted(moved, height):
    pos = moved.root_pos_w.copy()
    pos[:, 2] += height
    return replace(moved, root_pos_w=pos)


def test_a_seam_is_the_angle_from_the_last_frame_to_the_first():
    opened = turn(still(41, loop="wrap"), "right_shoulder", np.linspace(0, 0.4, 41)[:, None] * BACK)
    (found,) = timing.seam(opened, CFG)
    assert (found.kind, found.where, found.unit) == ("loop_seam", "right_shoulder", "rad")
    assert found.amount == pytest.approx(0.4)
    assert "right_shoulder leaps by 0.40 rad (23°)" in found.says
    assert timing.seam(replace(opened, loop="none"), CFG) == []
    assert timing.seam(walk(), CFG) == []


def test_the_roots_height_and_velocity_at_the_seam_are_told_apart():
    (found,) = timing.seam(lifted(walk(), np.linspace(0, 0.05, 31)), CFG)
    assert (found.kind, found.amount) == ("loop_height", pytest.approx(0.05))
    assert "drops by 5.0 cm" in found.says
    time = np.linspace(0, 1, 31)
    starting = replace(walk(), root_pos_w=walk().root_pos_w + np.stack([time**2, 0 * time, 0 * time], axis=1))
    (found,) = timing.seam(starting, CFG)
    # From 0 to 2 m/s over the cycle, seen by differences: 2·(1 − 1/30).
    assert (found.kind, found.amount) == ("loop_velocity", pytest.approx(2 * (1 - 1 / 30)))


def test_a_cycle_without_its_closing_frame_is_told_from_an_open_one():
    fast = turn(
        still(21, loop="wrap"), "left_elbow", (1 + np.cos(np.linspace(0.7, 0.7 + 2 * np.pi, 21)))[:, None] * BACK
    )
    short = clip(fast.skeleton, fast.times_s[:-1], fast.root_pos_w[:-1], fast.joint_quat[:-1], "wrap")
    assert timing.frame_short(short, CFG)
    assert "closing frame" in timing.seam(short, CFG)[0].mends
    opened = turn(still(21, loop="wrap"), "left_elbow", np.linspace(0, 1, 21)[:, None] * BACK)
    assert not timing.frame_short(opened, CFG)


def test_ends_that_meet_make_a_loop():
    assert kinds(timing.could_loop(swinging(loop="none"), CFG)) == ["could_loop"]
    assert timing.could_loop(swinging(loop="wrap"), CFG) == []
    assert timing.could_loop(swinging(turns=1.25, loop="none"), CFG) == []
    assert timing.could_loop(still(loop="none"), CFG) == []


def test_rates_that_change_are_found_with_the_frames():
    moved = swinging(frames=31)
    times = moved.times_s.copy()
    times[11:] += 1 / 30
    (found,) = timing.rates(replace(moved, times_s=times), CFG)
    assert (found.kind, found.where) == ("frame_rate_uneven", "frame 10")
    assert found.amount == pytest.approx(1.0)
    assert "33.3 to 66.7 ms (15.0 to 30.0 per second)" in found.says
    assert timing.even_step(replace(moved, times_s=times)) == pytest.approx(1 / 30)
    assert timing.rates(moved, CFG) == []


def test_slow_rates_and_short_clips():
    assert kinds(timing.rates(swinging(frames=31, fps=10), CFG)) == ["frame_rate_low"]
    assert kinds(timing.rates(swinging(frames=4, fps=30), CFG)) == ["too_short"]
    assert kinds(timing.rates(still(1), CFG)) == ["too_short"]


def test_the_distance_from_a_cubic_is_that_of_the_frame_and_none_on_a_cubic():
    time = np.linspace(0, 1, 16)
    cubic = turn(still(16), "chest", (0.5 * time**3 - time)[:, None] * BACK)
    turned, slid = timing.cubic_distance(cubic)
    assert turned.max() < 1e-12
    off = np.zeros((16, 3))
    off[7, 1] = 0.3
    turned, slid = timing.cubic_distance(turn(cubic, "chest", off))
    assert turned[7, 1] == pytest.approx(0.3)
    # On the neighbours the frame weighs 4/6, on those after them 1/6.
    assert turned[[6, 8, 5, 9], 1] == pytest.approx([0.2, 0.2, 0.05, 0.05])
    assert slid.max() < 1e-12


def test_the_cubic_goes_through_the_frames_own_times():
    time = np.sort(np.random.default_rng(0).random(20)) + np.linspace(0, 1, 20)
    moved = turn(still(20), "chest", (0.5 * time**3 - time)[:, None] * BACK)
    assert timing.cubic_distance(replace(moved, times_s=time - time[0]))[0].max() < 1e-9


def test_a_single_bad_frame_is_a_spike_of_its_joint():
    off = np.zeros((61, 3))
    off[20, 0] = 0.6
    (found,) = timing.spikes(turn(swinging(), "left_shoulder", off), CFG)
    assert (found.kind, found.where) == ("spike", "left_shoulder, frame 20")
    assert found.amount == pytest.approx(0.6, abs=0.02)
    high = np.zeros(61)
    high[30] = 0.1
    (found,) = timing.spikes(lifted(swinging(), high), CFG)
    assert (found.where, found.unit) == ("root, frame 30", "m")
    assert found.amount == pytest.approx(0.1)


def test_fast_motion_and_a_stop_are_no_spikes():
    assert timing.spikes(swinging(frames=31, turns=3), CFG) == []
    bent = np.concatenate([np.linspace(0, -1.5, 10), np.full(21, -1.5)])
    assert timing.spikes(turn(still(31), "left_elbow", bent[:, None] * BACK), CFG) == []


def test_two_motions_glued_together_are_a_jump_not_a_spike():
    leap = np.where(np.arange(61) < 25, 0.0, 0.8)
    (found,) = timing.spikes(turn(swinging(), "left_shoulder", leap[:, None] * BACK), CFG)
    assert (found.kind, found.where) == ("jump", "left_shoulder, frame 25")
    assert found.amount == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("frame", [0, 60])
def test_a_pose_for_reference_at_either_end_is_a_stray_frame(frame):
    off = np.zeros((61, 3))
    off[frame, 0] = 1.2
    strayed = turn(turn(swinging(loop="none"), "left_hip", off), "right_shoulder", -off)
    (found,) = timing.strays(strayed, CFG)
    assert (found.where, found.amount) == (f"frame {frame}", pytest.approx(1.2))
    assert timing.strays(swinging(), CFG) == []


def test_frames_that_stand_still_in_the_midst_of_motion_are_frozen():
    moved = swinging()
    quat = moved.joint_quat.copy()
    quat[28:33] = quat[28]
    (found,) = timing.frozen(replace(moved, joint_quat=quat), CFG)
    assert (found.where, found.amount) == ("frames 28–32", 5)
    held = np.concatenate([np.sin(np.linspace(0, np.pi / 2, 40)), np.ones(21)])
    assert timing.frozen(turn(still(61), "chest", held[:, None] * BACK), CFG) == []
    assert timing.frozen(still(61), CFG) == []
