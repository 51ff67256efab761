"""Rotations: group axioms, round trips, derivatives, and agreement with scipy, for numpy and for torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bunraku.core import rotations as rot

PI = np.pi
LIBRARIES = {"numpy": lambda a: np.asarray(a, np.float64), "torch": lambda a: torch.as_tensor(a, dtype=torch.float64)}
library = pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES.keys())

coordinate = st.floats(-1, 1, allow_nan=False)
axis = st.tuples(coordinate, coordinate, coordinate).filter(lambda v: np.linalg.norm(v) > 1e-3)
# Small angles and angles just below π are where formulas go wrong, so they are drawn often.
angle = st.one_of(
    st.floats(0, PI), st.floats(0, 1e-3), st.floats(PI - 1e-3, PI), st.sampled_from([0.0, 1e-12, 1e-8, 1e-4, PI])
)


@st.composite
def rotvecs(draw, angles=angle):
    direction = np.array(draw(axis))
    return direction / np.linalg.norm(direction) * draw(angles)


def same_rotation(p, q, tolerance=1e-12):
    return float(np.max(np.asarray(rot.geodesic_angle(p, q)))) < tolerance


@library
@given(a=rotvecs(), b=rotvecs(), c=rotvecs())
@settings(max_examples=60, deadline=None)
def test_quaternions_form_a_group(make, a, b, c):
    p, q, r = (rot.quat_from_rotvec(make(v)) for v in (a, b, c))
    identity = make([1.0, 0, 0, 0])
    assert same_rotation(rot.quat_multiply(rot.quat_multiply(p, q), r), rot.quat_multiply(p, rot.quat_multiply(q, r)))
    assert same_rotation(rot.quat_multiply(p, identity), p)
    assert same_rotation(rot.quat_multiply(identity, p), p)
    assert same_rotation(rot.quat_multiply(p, rot.quat_conjugate(p)), identity)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(rot.quat_multiply(p, q))), 1, atol=1e-14)


@library
@given(a=rotvecs(), b=rotvecs(), v=axis)
@settings(max_examples=60, deadline=None)
def test_a_product_turns_a_vector_like_its_factors_in_turn_and_like_the_matrices(make, a, b, v):
    p, q, vector = rot.quat_from_rotvec(make(a)), rot.quat_from_rotvec(make(b)), make(v)
    turned = np.asarray(rot.quat_rotate(rot.quat_multiply(p, q), vector))
    np.testing.assert_allclose(turned, np.asarray(rot.quat_rotate(p, rot.quat_rotate(q, vector))), atol=1e-14)
    by_matrix = rot.matrix_from_quat(p) @ rot.matrix_from_quat(q) @ vector
    np.testing.assert_allclose(turned, np.asarray(by_matrix), atol=1e-14)


@library
@given(r=rotvecs())
@settings(max_examples=100, deadline=None)
def test_every_parameterisation_gives_the_rotation_back(make, r):
    vector = make(r)
    q = rot.quat_from_rotvec(vector)
    m = rot.matrix_from_rotvec(vector)
    assert same_rotation(rot.quat_from_rotvec(rot.rotvec_from_quat(q)), q)
    assert same_rotation(rot.quat_from_matrix(m), q)
    np.testing.assert_allclose(np.asarray(rot.matrix_from_sixd(rot.sixd_from_matrix(m))), np.asarray(m), atol=1e-14)
    back = np.asarray(rot.rotvec_from_matrix(m))
    if np.linalg.norm(r) < PI - 1e-6:
        np.testing.assert_allclose(back, r, atol=1e-13)
    assert np.linalg.norm(back) <= PI + 1e-12


@library
def test_scipy_agrees(make):
    rng = np.random.default_rng(0)
    r = rng.normal(size=(200, 3))
    theirs = Rotation.from_rotvec(r)
    np.testing.assert_allclose(np.asarray(rot.matrix_from_rotvec(make(r))), theirs.as_matrix(), atol=1e-14)
    ours = np.asarray(rot.quat_from_rotvec(make(r)))
    np.testing.assert_allclose(Rotation.from_quat(ours[:, [1, 2, 3, 0]]).as_matrix(), theirs.as_matrix(), atol=1e-14)
    v = rng.normal(size=(200, 3))
    np.testing.assert_allclose(
        np.asarray(rot.quat_rotate(rot.quat_from_rotvec(make(r)), make(v))), theirs.apply(v), atol=1e-14
    )
    angles = (theirs[:100].inv() * theirs[100:]).magnitude()
    q = rot.quat_from_rotvec(make(r))
    np.testing.assert_allclose(np.asarray(rot.geodesic_angle(q[:100], q[100:])), angles, atol=1e-13)


def test_a_quarter_turn_about_z_by_hand():
    q = rot.quat_from_rotvec(np.array([0, 0, PI / 2]))
    np.testing.assert_allclose(q, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-16)
    np.testing.assert_allclose(rot.quat_rotate(q, np.array([1.0, 0, 0])), [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(rot.matrix_from_quat(q), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)
    np.testing.assert_allclose(rot.sixd_from_matrix(rot.matrix_from_quat(q)), [0, 1, 0, -1, 0, 0], atol=1e-15)


@pytest.mark.parametrize("turn", [np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1]), np.eye(3)])
def test_half_turns_about_the_axes_survive_the_matrix(turn):
    np.testing.assert_allclose(rot.matrix_from_quat(rot.quat_from_matrix(turn)), turn, atol=1e-15)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-6, 0.99e-4, 1.01e-4, 1e-2, 1.0, PI - 1e-6, PI, PI + 0.5, 5.0])
def test_gradients_of_exp_are_finite_and_right(size):
    r = torch.tensor([0.6, -0.48, 0.64], dtype=torch.float64) * size
    for function in (rot.quat_from_rotvec, rot.matrix_from_rotvec, rot.left_jacobian):
        exact = torch.autograd.functional.jacobian(function, r)
        h = 1e-6
        steps = [(function(r + h * e) - function(r - h * e)) / (2 * h) for e in torch.eye(3, dtype=torch.float64)]
        np.testing.assert_allclose(exact, torch.stack(steps, dim=-1), atol=2e-9)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-5, 0.99e-4, 1.01e-4, 2.1e-4, 1.0, PI - 1e-3])
def test_gradients_of_log_are_finite_and_invert_those_of_exp(size):
    r = torch.tensor([0.6, -0.48, 0.64], dtype=torch.float64) * size
    for there, back in ((rot.quat_from_rotvec, rot.rotvec_from_quat), (rot.matrix_from_rotvec, rot.rotvec_from_matrix)):
        chain = torch.autograd.functional.jacobian(lambda v, there=there, back=back: back(there(v)), r)
        np.testing.assert_allclose(chain, np.eye(3), atol=1e-9)


def test_the_gradient_of_log_is_finite_at_half_a_turn():
    q = rot.quat_from_rotvec(torch.tensor([PI, 0, 0], dtype=torch.float64)).requires_grad_()
    rot.rotvec_from_quat(q).sum().backward()
    assert torch.isfinite(q.grad).all()


@pytest.mark.parametrize("size", [1e-9, 1e-3, 0.99e-2, 1.01e-2, 1.0, 3.0, 5.5])
def test_the_left_jacobian_is_the_derivative_of_exp(size):
    r = np.array([0.6, -0.48, 0.64]) * size
    jacobian = rot.left_jacobian(r)
    before = rot.quat_conjugate(rot.quat_from_rotvec(r))
    h = 1e-6
    for column, e in enumerate(np.eye(3)):
        ahead = rot.rotvec_from_quat(rot.quat_multiply(rot.quat_from_rotvec(r + h * e), before))
        behind = rot.rotvec_from_quat(rot.quat_multiply(rot.quat_from_rotvec(r - h * e), before))
        np.testing.assert_allclose((ahead - behind) / (2 * h), jacobian[:, column], atol=1e-9)


def test_the_series_meet_the_closed_forms():
    direction = np.array([0.6, -0.48, 0.64])
    for edge in (1e-4, 1e-2):
        below, above = direction * edge * (1 - 1e-9), direction * edge * (1 + 1e-9)
        for function in (rot.quat_from_rotvec, rot.left_jacobian):
            np.testing.assert_allclose(function(below), function(above), rtol=0, atol=3 * edge * 1e-9 + 1e-14)


@library
def test_slerp_runs_at_constant_speed_along_the_shorter_arc(make):
    p, q = make([1.0, 0, 0, 0]), rot.quat_from_rotvec(make([0.0, 1.2, 0]))
    for u in (0.0, 0.25, 0.5, 1.0):
        between = rot.quat_slerp(p, -q, make(u))
        np.testing.assert_allclose(np.asarray(rot.rotvec_from_quat(between)), [0, 1.2 * u, 0], atol=1e-15)


def test_slerp_agrees_with_scipy():
    from scipy.spatial.transform import Slerp

    rng = np.random.default_rng(1)
    ends = Rotation.from_rotvec(rng.normal(size=(2, 3)))
    u = np.linspace(0, 1, 11)
    p, q = ends.as_quat()[:, [3, 0, 1, 2]]
    ours = rot.quat_slerp(np.tile(p, (11, 1)), np.tile(q, (11, 1)), u)
    theirs = Slerp([0, 1], ends)(u).as_matrix()
    np.testing.assert_allclose(rot.matrix_from_quat(ours), theirs, atol=1e-14)


def test_a_turning_wheel_unwraps_beyond_pi():
    angles = np.linspace(0, 9.5, 60)  # one and a half turns
    r = angles[:, None] * np.array([0, 0.6, 0.8])
    wrapped = rot.rotvec_from_quat(rot.quat_from_rotvec(r))
    assert np.linalg.norm(wrapped, axis=1).max() <= PI + 1e-12
    np.testing.assert_allclose(rot.unwrap_rotvecs(wrapped), r, atol=1e-12)


def test_a_wheel_that_turns_back_through_rest_unwraps_without_a_jump():
    angles = 7 * np.sin(np.linspace(0, 2 * PI, 101))
    r = angles[:, None] * np.array([1.0, 0, 0])
    np.testing.assert_allclose(rot.unwrap_rotvecs(rot.rotvec_from_quat(rot.quat_from_rotvec(r))), r, atol=1e-12)


@given(r=rotvecs(), reference=rotvecs(st.floats(0, 12)))
@settings(max_examples=200, deadline=None)
def test_the_nearest_branch_is_the_same_rotation_and_none_is_nearer(r, reference):
    near = rot.nearest_branch(r, reference)
    assert same_rotation(rot.quat_from_rotvec(near), rot.quat_from_rotvec(r), 1e-7)
    angle = np.linalg.norm(r)
    if angle < 1e-6:
        return
    others = [r / angle * (angle + 2 * PI * k) for k in range(-4, 5)]
    assert np.linalg.norm(near - reference) <= min(np.linalg.norm(o - reference) for o in others) + 1e-12


def test_batches_of_any_shape_and_float32_stay_what_they_are():
    r = np.random.default_rng(2).normal(size=(2, 3, 4, 3)).astype(np.float32)
    q = rot.quat_from_rotvec(r)
    assert q.shape == (2, 3, 4, 4)
    for result in (q, rot.rotvec_from_quat(q), rot.matrix_from_quat(q), rot.quat_from_matrix(rot.matrix_from_quat(q))):
        assert result.dtype == np.float32
    tensor = torch.as_tensor(r)
    assert rot.left_jacobian(tensor).dtype == torch.float32
    np.testing.assert_allclose(rot.left_jacobian(tensor).numpy(), rot.left_jacobian(r), atol=1e-5)


def test_quaternions_made_continuous_are_the_same_rotations_without_a_change_of_sign():
    rng = np.random.default_rng(5)
    smooth = rot.quat_from_rotvec(np.linspace(0.0, 9.0, 40)[:, None, None] * rng.normal(size=(1, 3, 3)))
    jumping = smooth * rng.choice([-1.0, 1.0], size=(40, 3, 1))
    mended = rot.continuous_quats(jumping)
    np.testing.assert_allclose(mended, smooth * np.sign(jumping[0, :, :1] * smooth[0, :, :1]), atol=1e-15)
