"""Ranges of joints, axes of hinges, joints that are not there."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.motion import limits
from bunraku.motion.problem import CheckConfig
from small_bodies import BACK, body_on, other_body, still, turn

CFG = CheckConfig()


def test_a_knee_that_bends_the_wrong_way_is_told_with_its_frames(humanoid):
    bent = np.where(np.isin(np.arange(31), (4, 5, 6)), 0.15, -0.3)
    (found,) = limits.ranges(turn(still(31), "left_knee", bent[:, None] * BACK), humanoid, CFG)
    assert (found.kind, found.where, found.mends) == ("limit", "left_knee, frames 4–6", "holds it at its limit")
    assert found.amount == pytest.approx(0.15)
    assert "goes to 0.15 rad; its range is -3.14 to 0.00 (10% of the frames)" in found.says


def test_an_angle_is_on_the_branch_of_the_range(humanoid):
    # 3.3 rad about the axis is −2.98 on the other way round, and that is inside the range.
    nearly_folded = turn(still(5), "left_knee", np.linspace(-2.9, -3.1, 5)[:, None] * BACK)
    np.testing.assert_allclose(limits.joint_angles(nearly_folded, humanoid, "left_knee"), np.linspace(-2.9, -3.1, 5))
    flipped = replace(nearly_folded, joint_quat=-nearly_folded.joint_quat)
    np.testing.assert_allclose(limits.joint_angles(flipped, humanoid, "left_knee"), np.linspace(-2.9, -3.1, 5))


def test_a_ball_joint_has_a_greatest_angle_and_is_not_mended(humanoid):
    tight = replace(humanoid, ranges_rad={"neck": (0.0, 0.5)})
    (found,) = limits.ranges(turn(still(3), "neck", np.tile([0, 0, 0.9], (3, 1))), tight, CFG)
    assert (found.amount, found.mends) == (pytest.approx(0.4), "")


def test_a_hinge_that_turns_sideways_is_off_its_axis(humanoid):
    (found,) = limits.hinges(turn(still(4), "right_elbow", np.tile([0.3, 0, 0], (4, 1))), humanoid, CFG)
    assert (found.kind, found.amount) == ("hinge_axis", pytest.approx(0.3))
    assert limits.hinges(turn(still(4), "right_elbow", np.tile(0.3 * BACK, (4, 1))), humanoid, CFG) == []


def test_other_names_are_a_note_and_joints_without_a_match_a_problem(humanoid):
    bones, named = other_body()
    (found,) = limits.joints_missing(still(3), body_on(bones, named), CFG)
    assert (found.kind, found.severity) == ("other_skeleton", "note")
    assert "pelvis ← root" in found.says
    lost = [name if "elbow" not in name else f"bone{i}" for i, name in enumerate(humanoid.skeleton.names)]
    unnamed = replace(still(3), skeleton=replace(humanoid.skeleton, names=tuple(lost)))
    (found,) = limits.joints_missing(unnamed, humanoid, CFG)
    assert (found.kind, found.where, found.amount) == ("missing_joint", "right_elbow, left_elbow", 2)
    assert limits.joints_missing(still(3), humanoid, CFG) == []
