"""Axes, units, quaternion order and heading of clips that are known to be right, after they were made wrong."""

from dataclasses import replace

import numpy as np
import pytest

from bunraku.core.rotations import quat_from_rotvec, quat_rotate
from bunraku.motion import axes
from bunraku.motion.pose import scaled, turned
from bunraku.motion.problem import CheckConfig
from small_bodies import SHANK, THIGH, still, swinging, turn, walk

CFG = CheckConfig()
QUARTER = np.pi / 2


def test_the_axes_of_a_body_at_rest_are_forward_left_up(humanoid):
    np.testing.assert_allclose(axes.body_axes(humanoid.skeleton), np.eye(3), atol=1e-12)
    on_its_back = turned(still(2), quat_from_rotvec(np.array([0, -QUARTER, 0]))).skeleton
    np.testing.assert_allclose(axes.body_axes(on_its_back)[:, 2], [-1, 0, 0], atol=1e-12)


def test_a_leg_is_as_long_as_its_two_bones(humanoid):
    assert axes.leg_length(humanoid.skeleton) == pytest.approx(THIGH + SHANK)


@pytest.mark.parametrize(
    "rotvec", [(QUARTER, 0, 0), (-QUARTER, 0, 0), (0, QUARTER, 0), (0, -QUARTER, 0), (np.pi, 0, 0)]
)
@pytest.mark.parametrize("rest_too", [True, False])
def test_another_axis_up_is_found_and_its_turn_undone(rotvec, rest_too):
    right = walk()
    wrong = turned(right, quat_from_rotvec(np.array(rotvec, np.float64)))
    wrong = wrong if rest_too else replace(wrong, skeleton=right.skeleton)
    (found,) = axes.up_axis(wrong, CFG)
    assert found.severity == "high"
    up = quat_rotate(quat_from_rotvec(np.array(rotvec, np.float64)), np.array([0, 0, 1.0]))
    named = f"{'+' if up[np.abs(up).argmax()] > 0 else '-'}{'XYZ'[np.abs(up).argmax()]}"
    assert found.mends == f"turns {named} up"
    mended = turned(wrong, axes.upright_turn(axes.wrong_up(wrong)))
    assert axes.up_axis(mended, CFG) == []


def test_a_body_that_crawls_or_lies_is_not_in_wrong_axes():
    lying = turned(walk(), quat_from_rotvec(np.array([0, QUARTER, 0])))
    crawling = replace(lying, skeleton=walk().skeleton)
    pos = crawling.root_pos_w.copy()
    pos[:, 2], pos[:, 0] = 0.4, np.linspace(0, 2, len(pos))
    assert axes.up_axis(replace(crawling, root_pos_w=pos), CFG) == []
    assert axes.up_axis(walk(), CFG) == []


@pytest.mark.parametrize(("factor", "name"), [(100.0, "centimetres"), (1000.0, "millimetres"), (1 / 0.0254, "inches")])
def test_lengths_in_other_units_are_named_by_the_factor_that_fits(factor, name, humanoid):
    wrong = scaled(walk(), factor)
    (found,) = axes.units(wrong, None, CFG)
    assert found.amount == pytest.approx(factor * (THIGH + SHANK))
    assert name in found.says
    assert axes.unit_factor(wrong, humanoid, CFG)[0] == pytest.approx(1 / factor)


def test_children_and_giants_are_in_metres():
    assert axes.units(scaled(walk(), 0.55), None, CFG) == []
    assert axes.units(scaled(walk(), 1.9), None, CFG) == []


def test_xyzw_read_as_wxyz_is_found(humanoid):
    right = walk()
    wrong = replace(right, joint_quat=right.joint_quat[..., [1, 2, 3, 0]])
    (found,) = axes.quat_order(wrong, CFG)
    assert found.kind == "quat_order"
    assert found.amount > 120
    assert axes.quat_order(right, CFG) == []


def test_flipped_signs_are_counted_and_lengths_measured():
    moved = swinging()
    quat = moved.joint_quat.copy()
    quat[10:20, 4] *= -1
    (found,) = axes.quat_signs(replace(moved, joint_quat=quat), CFG)
    assert (found.kind, found.amount, found.where) == ("quat_signs", 2, "right_knee, frames 10, 20")
    (found,) = axes.quat_signs(replace(moved, joint_quat=1.25 * moved.joint_quat), CFG)
    assert found.kind == "quat_length"
    assert found.amount == pytest.approx(0.25)
    assert axes.quat_signs(moved, CFG) == []


def test_the_heading_is_that_of_the_hips_not_of_the_root_joints_axes():
    assert axes.facing(walk(), CFG) == []
    (found,) = axes.facing(turned(walk(), quat_from_rotvec(np.array([0, 0, -2.0]))), CFG)
    assert found.amount == pytest.approx(np.degrees(2))
    assert found.severity == "note"
    upside_down = turn(still(3), "root", np.tile([0, np.pi, 0], (3, 1)))
    assert axes.first_heading(upside_down) is None


def test_the_shortest_rotation_between_directions_also_where_they_are_opposite():
    for a, b in (([1, 0, 0], [0, 2, 0]), ([0, 0, 1], [0, 0, -3]), ([1, 1, 0], [1, 1, 0]), ([0.3, 0.1, -2], [1, 5, 1])):
        a, b = np.array(a, np.float64), np.array(b, np.float64)
        turned_a = quat_rotate(axes.rotation_between(a, b), a / np.linalg.norm(a))
        np.testing.assert_allclose(turned_a, b / np.linalg.norm(b), atol=1e-12)
