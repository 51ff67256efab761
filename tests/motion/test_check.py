"""The whole check: silent on clean clips, loud and true on dirty ones, and on the published clips."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.formats.clip import load_clip
from bunraku.motion.check import check
from bunraku.motion.plan import PLANS
from bunraku.motion.pose import scaled, turned
from bunraku.motion.procedural import make
from bunraku.motion.retarget import retarget
from small_bodies import BACK, body_on, other_body, still, swinging, turn, walk


def kinds(report):
    return {each.kind for each in report.problems}


def test_a_clean_walk_raises_no_alarm(humanoid):
    for moved in (walk(), walk(61), walk(stride=0.6), walk(lift=0.15)):
        assert check(moved, humanoid).problems == ()
        assert check(moved).problems == ()


@pytest.mark.parametrize("name", PLANS)
def test_clips_made_in_code_raise_no_alarm(name, humanoid):
    assert check(make(name, humanoid), humanoid).problems == ()


def test_a_report_tells_what_the_clip_is():
    report = check(replace(walk(), loop="none"))
    assert (report.frames, report.joints, report.loop) == (31, 15, "none")
    assert report.duration_s == pytest.approx(1)
    assert (report.fps_min, report.fps_max) == (pytest.approx(30), pytest.approx(30))
    assert check(still(1)).fps_max == 0


def test_every_fault_at_once_is_told_each_by_its_kind(humanoid):
    dirty = turn(swinging(), "left_knee", np.where(np.arange(61) == 30, 0.9, 0.1)[:, None] * BACK)
    dirty = turn(dirty, "chest", np.linspace(0, 0.4, 61)[:, None] * BACK)
    pos = dirty.root_pos_w + np.array([0, 0, -0.05])
    quat = dirty.joint_quat.copy()
    quat[5:] *= -1
    found = kinds(check(replace(dirty, root_pos_w=pos, joint_quat=quat), humanoid))
    assert {"limit", "spike", "loop_seam", "below_ground", "quat_signs"} <= found


def test_where_the_frame_is_wrong_heights_are_not_judged(humanoid):
    for wrong in (scaled(walk(), 100), turned(walk(), np.array([np.sqrt(0.5), -np.sqrt(0.5), 0, 0]))):
        assert kinds(check(wrong)) & {"below_ground", "floating", "sliding", "facing"} == set()
        assert check(wrong).problems[0].kind in ("units", "up_axis")


def test_another_skeleton_is_noted_and_its_ranges_are_not_judged(humanoid):
    bones, named = other_body()
    there = retarget(walk(), body_on(bones, named)).clip
    assert kinds(check(there, humanoid)) == {"other_skeleton"}


PUBLISHED = {
    "walk": {"loop_seam": 0.498, "jump": 0.502},
    "crawl": {"loop_seam": 0.610, "loop_velocity": 1.32},
    "spinkick": {"limit": 0.222, "loop_seam": 1.014, "facing": 161.1},
    "roll": {"frame_rate_uneven": 0.96},
    "dance_b": {"limit": 0.108},
    "jump": {"floating": None},
    "run": {"loop_seam": 0.392, "below_ground": None},
    "getup_faceup": {"below_ground": None},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_clips_have_the_faults_that_they_are_known_for(name, humanoid, data_dir):
    report = check(load_clip(data_dir / "clips" / "deepmimic" / f"humanoid3d_{name}.txt"), humanoid)
    for kind, amount in PUBLISHED[name].items():
        worst = max(each.amount for each in report.of(kind))
        assert amount is None or worst == pytest.approx(amount, rel=0.02), kind
    assert kinds(report) & {"up_axis", "units", "quat_order", "missing_joint", "hinge_axis", "frozen"} == set()


def test_captured_takes_are_in_the_units_and_have_the_stray_frame_that_they_are_known_for(data_dir):
    report = check(load_clip(data_dir / "clips" / "cmu" / "12_01.bvh"))
    assert [each.kind for each in report.problems[:2]] == ["units", "stray_frame"]
    assert "inches / 0.45" in report.problems[0].says
    report = check(load_clip(data_dir / "clips" / "cmu" / "02_01.amc"))
    assert kinds(report) == {"tilted_floor", "facing"}
