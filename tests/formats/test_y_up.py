import numpy as np

from bunraku.core.rotations import quat_from_rotvec, quat_multiply, quat_rotate
from bunraku.formats.y_up import quats_from_y_up, quats_to_y_up, vectors_from_y_up, vectors_to_y_up


def test_up_becomes_z_and_forward_stays_x():
    np.testing.assert_array_equal(vectors_from_y_up(np.eye(3)), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_rotations_turn_with_what_they_turn_and_everything_turns_back():
    rng = np.random.default_rng(0)
    v, p, q = rng.normal(size=(5, 3)), *(quat_from_rotvec(rng.normal(size=(5, 3))) for _ in range(2))
    np.testing.assert_allclose(
        vectors_from_y_up(quat_rotate(q, v)), quat_rotate(quats_from_y_up(q), vectors_from_y_up(v)), atol=1e-14
    )
    both = quat_multiply(quats_from_y_up(p), quats_from_y_up(q))
    np.testing.assert_allclose(quats_from_y_up(quat_multiply(p, q)), both, atol=1e-14)
    np.testing.assert_array_equal(vectors_to_y_up(vectors_from_y_up(v)), v)
    np.testing.assert_array_equal(quats_to_y_up(quats_from_y_up(q)), q)
