"""Skeletons: any order of joints, no cycles."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.skeleton import skeleton


def make(parents, names=None, **changes):
    count = len(parents)
    rest = {"rest_translation": np.zeros((count, 3)), "rest_quat": np.tile([1.0, 0, 0, 0], (count, 1))}
    return skeleton(names or [f"j{i}" for i in range(count)], parents, **{**rest, **changes}, name="rig.glb")


def test_parents_come_before_their_children_whatever_the_files_order():
    made = make([3, 0, 1, -1, -1, 4])
    place = {int(joint): position for position, joint in enumerate(made.order)}
    assert sorted(place) == list(range(6))
    assert all(place[int(parent)] < place[joint] for joint, parent in enumerate(made.parents) if parent >= 0)


def test_a_cycle_is_named():
    with pytest.raises(BunrakuError, match=r"rig.glb: joint 'j(1|2|3)' is its own ancestor"):
        make([-1, 3, 1, 2])


def test_a_joint_that_is_its_own_parent_is_named():
    with pytest.raises(BunrakuError, match=r"joint 'j1' is its own ancestor"):
        make([-1, 1])


def test_a_chain_of_thousands_is_no_problem():
    assert make([-1, *range(2999)]).order.tolist() == list(range(3000))


def test_rotations_are_made_unit_length_and_stretch_defaults_to_none():
    made = make([-1], rest_quat=np.array([[0, 2.0, 0, 0]]))
    np.testing.assert_array_equal(made.rest_quat, [[0, 1, 0, 0]])
    np.testing.assert_array_equal(made.rest_stretch, np.eye(3)[None])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parents": [-1, 5]}, "parent 5; there are 2"),
        ({"parents": [-1, -2]}, "parent -2"),
        ({"parents": [-1, 0], "names": ["hip", "hip"]}, "named twice"),
        ({"parents": [-1], "rest_quat": np.zeros((1, 4))}, "'j0' has a rotation quaternion of length 0"),
        ({"parents": [-1, 0], "rest_translation": np.array([[0, 0, 0], [0, np.nan, 0]])}, "'j1'.*not finite"),
        ({"parents": [-1], "rest_translation": np.zeros((2, 3))}, r"rest translations have shape \(2, 3\)"),
    ],
)
def test_a_bad_skeleton_is_refused_by_name(arguments, message):
    with pytest.raises(BunrakuError, match=f"rig.glb: .*{message}"):
        make(**arguments)
