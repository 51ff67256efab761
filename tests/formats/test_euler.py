import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunraku.core.rotations import geodesic_angle, matrix_from_quat, quat_from_rotvec, quat_rotate
from bunraku.formats.euler import euler_from_quats, quats_from_euler

ORDERS = ["".join(order) for order in itertools.permutations("XYZ")]


def test_the_last_letter_turns_first():
    quarter = np.pi / 2
    quat = quats_from_euler(np.array([quarter, 0, quarter]), "ZYX")
    # About X first, Y goes to Z; about Z then leaves it there.
    np.testing.assert_allclose(quat_rotate(quat, np.array([0.0, 1, 0])), [0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(quat_rotate(quat, np.array([1.0, 0, 0])), [0, 1, 0], atol=1e-15)


def test_an_order_is_the_product_of_its_turns_also_with_letters_twice_or_left_out():
    a, b, c = 0.3, -1.1, 2.0
    x, z = (matrix_from_quat(quat_from_rotvec(np.array(v))) for v in ([a, 0, 0], [0, 0, b]))
    np.testing.assert_allclose(matrix_from_quat(quats_from_euler(np.array([a, b]), "XZ")), x @ z, atol=1e-15)
    again = matrix_from_quat(quat_from_rotvec(np.array([c, 0, 0])))
    np.testing.assert_allclose(
        matrix_from_quat(quats_from_euler(np.array([a, b, c]), "XZX")), x @ z @ again, atol=1e-15
    )
    np.testing.assert_array_equal(quats_from_euler(np.zeros((2, 0)), ""), [[1, 0, 0, 0]] * 2)


@pytest.mark.parametrize("order", ORDERS)
def test_angles_come_back_where_they_are_unique(order):
    rng = np.random.default_rng(0)
    angles = rng.uniform(-np.pi, np.pi, (200, 3))
    angles[:, 1] = rng.uniform(-1.5, 1.5, 200)
    np.testing.assert_allclose(euler_from_quats(quats_from_euler(angles, order), order), angles, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@given(st.tuples(*[st.floats(-7, 7)] * 3), st.sampled_from([0, 1e-16, 1e-12, 1e-8, 1e-5]), st.booleans())
def test_the_rotation_comes_back_also_in_and_near_gimbal_lock(order, angles, near, locked):
    angles = np.array(angles)
    if locked:
        angles[1] = np.pi / 2 - near
    quat = quats_from_euler(angles, order)
    assert geodesic_angle(quats_from_euler(euler_from_quats(quat, order), order), quat) < 3e-8
