import numpy as np
import pytest

from bunraku.inversion.residual_split import bounded_step, split


def test_bounded_steps_are_those_of_a_reference_solver():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(0)
    factors = rng.normal(size=(40, 12, 9)) + 2 * rng.normal(size=(40, 12, 1))
    right = 3 * rng.normal(size=(40, 12))
    lower, upper = -rng.uniform(0, 0.6, (40, 9)), rng.uniform(0, 0.6, (40, 9))
    lower[:, 0] = upper[:, 1] = 0  # already at a bound
    hessian = np.swapaxes(factors, 1, 2) @ factors
    found = bounded_step(hessian, (np.swapaxes(factors, 1, 2) @ right[..., None])[..., 0], lower, upper)
    for a, b, x, low, high in zip(factors, right, found, lower, upper, strict=True):
        narrow = (low - 1e-15, high + 1e-15)
        expected = lsq_linear(a, b, narrow, method="bvls", tol=1e-14).x
        np.testing.assert_allclose(x, expected, atol=1e-7)
        assert ((x >= low) & (x <= high)).all()


def test_parts_of_an_error_by_hand():
    """A control along x and one along y in three dimensions, the residual (3, 4, 12)."""
    normal = np.diag([1.0, 4.0])[None]
    moment = np.array([[3.0, 8.0]])
    far = np.full((1, 2), 100.0)
    found = split(normal, moment, np.array([169.0]), -far, far)
    np.testing.assert_allclose([found.floor, found.free_floor, found.solver], [[144], [144], [25]])
    np.testing.assert_allclose(found.step, [[3, 2]])
    # y may go on by half a range only, which is 1 of its 4: 3² stay.
    found = split(normal, moment, np.array([169.0]), -far, np.array([[100.0, 0.5]]))
    np.testing.assert_allclose([found.floor, found.free_floor, found.solver], [[153], [144], [16]])
    np.testing.assert_allclose(found.step, [[3, 0.5]])


def test_controls_that_move_nothing_and_twins_do_no_harm():
    jacobian = np.array([[1.0, 0, 0], [0, 0, 0], [1, 0, 0]])
    residual = np.array([2.0, 0, 1])
    room = np.full((1, 3), 10.0)
    found = split((jacobian @ jacobian.T)[None], (jacobian @ residual)[None], np.array([5.0]), -room, room)
    assert found.floor[0] == pytest.approx(1)
    assert found.step[0, 1] == 0
    assert found.step[0, 0] + found.step[0, 2] == pytest.approx(2)


def test_the_damped_step_keeps_out_of_what_the_mesh_hardly_tells():
    jacobian = np.array([[1.0, 0, 0], [1, 0.001, 0]])
    residual = np.array([1.0, 0.001, 1])
    room = np.full((1, 2), 10.0)
    found = split(
        (jacobian @ jacobian.T)[None], (jacobian @ residual)[None], np.array([residual @ residual]), -room, room
    )
    np.testing.assert_allclose(found.step, [[0, 1]], atol=1e-3)
    np.testing.assert_allclose(found.damped_step, [[0.5, 0.5]], atol=1e-3)
