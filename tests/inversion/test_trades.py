import numpy as np
import pytest

from bunraku.inversion.trades import interchangeable_groups


def normal(*columns):
    """JᵀJ of controls that move the mesh like these columns, at one pose."""
    jacobian = np.array(columns, float)
    return jacobian @ jacobian.T


X, Y, Z, W = np.eye(4)


def test_two_controls_that_do_the_same_are_traded_one_for_the_other():
    (group,) = interchangeable_groups(normal(X, 2 * Y, Y, Z)[None], 0.02)
    assert group.controls.tolist() == [1, 2]
    assert (group.freedom, group.pose, group.poses.tolist()) == (1, None, [True])
    (trade,) = group.trades
    # The one that moves most for its range comes first: one range of it makes up for half of the other's.
    assert trade.controls.tolist() == [2, 1]
    np.testing.assert_allclose(trade.step, [1, -0.5])
    assert trade.mesh_share == pytest.approx(0, abs=1e-7)
    assert trade.motion == pytest.approx(0, abs=1e-7)


def test_how_far_the_mesh_moves_on_an_imperfect_trade():
    slightly = np.array([1, 0.02, 0, 0])
    (group,) = interchangeable_groups(normal(X, slightly)[None], 0.02)
    (trade,) = group.trades
    np.testing.assert_allclose(np.abs(trade.step), 1, rtol=1e-3)
    assert trade.mesh_share == pytest.approx(0.02 / np.sqrt(2), rel=1e-3)
    assert trade.motion == pytest.approx(0.02, rel=1e-3)
    assert interchangeable_groups(normal(X, slightly)[None], 0.01) == ()


def test_groups_are_apart_and_each_trade_is_sparse():
    # c0 ~ c2; c1 ~ c3 ~ c4; c5 alone; c6 dead
    found = interchangeable_groups(normal(X, Y, X, Y, 3 * Y, Z, 0 * X)[None], 0.02)
    assert [group.controls.tolist() for group in found] == [[0, 2], [1, 3, 4]]
    assert [group.freedom for group in found] == [1, 2]
    assert all(len(trade.controls) == 2 for group in found for trade in group.trades)


def test_three_that_make_up_a_fourth_are_one_trade():
    (group,) = interchangeable_groups(normal(X, Y, Z, X + Y + Z)[None], 0.02)
    (trade,) = group.trades
    by_control = dict(zip(trade.controls.tolist(), trade.step, strict=True))
    np.testing.assert_allclose([by_control[i] for i in range(4)], by_control[0] * np.array([1, 1, 1, -1]), atol=1e-9)


def test_a_trade_that_changes_with_the_pose_is_given_at_one():
    stack = np.stack([normal(X, s * X, Y) for s in (1.0, -1.0, 0.5, -0.5, 1.0)])
    (group,) = interchangeable_groups(stack, 0.02)
    assert group.controls.tolist() == [0, 1]
    assert group.poses.all()
    assert group.pose == 2
    np.testing.assert_allclose(group.trades[0].step, [1, -0.5])


def test_a_trade_in_some_poses_says_in_which():
    stack = np.stack([normal(X, X), normal(X, Y), normal(X, X), normal(X, X + Y)])
    (group,) = interchangeable_groups(stack, 0.02)
    assert group.poses.tolist() == [True, False, True, False]
    assert group.pose in (0, 2)


def test_where_all_is_told_apart_there_are_no_groups():
    assert interchangeable_groups(normal(X, Y, Z, W)[None], 0.02) == ()
    assert interchangeable_groups(normal(0 * X, 0 * Y)[None], 0.02) == ()
