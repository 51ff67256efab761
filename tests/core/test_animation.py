import numpy as np
import pytest

from bunraku.core.animation import Animation, Channel, poses_at, sample
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec, quat_multiply
from bunraku.core.skeleton import skeleton


def channel(path, interpolation, times, values, target=0):
    values = np.asarray(values, float)
    return Channel(
        target, path, interpolation, np.array(times, float), values.reshape(len(times), -1, values.shape[-1])
    )


def two_joints(stretch=None):
    rest = np.array([[1.0, 2, 3], [4, 5, 6]])
    return skeleton(["a", "b"], [-1, 0], rest, quat_from_rotvec(np.array([[0, 0, 0.5], [0, 0.5, 0]])), stretch)


def test_linear_values_lie_on_the_line_between_the_keys_around():
    line = channel("translation", "LINEAR", [0, 1, 3], [[0, 0, 0], [1, 0, 0], [5, 4, 0]])
    expected = [[0, 0, 0], [0.25, 0, 0], [1, 0, 0], [2, 1, 0], [5, 4, 0], [5, 4, 0]]
    np.testing.assert_allclose(sample(line, np.array([-1, 0.25, 1, 1.5, 3, 7])), expected)


def test_times_need_not_be_in_order():
    line = channel("scale", "LINEAR", [0, 1, 3], [[0, 0, 0], [1, 0, 0], [5, 4, 0]])
    times = np.array([2.5, 0.1, 3, 0, 1])
    whole = sample(line, times)
    np.testing.assert_array_equal(whole, np.concatenate([sample(line, times[i : i + 1]) for i in range(5)]))


def test_linear_rotations_turn_at_constant_speed_along_the_shorter_arc():
    rng = np.random.default_rng(0)
    start, turn = rng.normal(size=3), np.array([0.4, -1.1, 0.9])

    first = quat_from_rotvec(start)
    second = quat_multiply(first, quat_from_rotvec(turn))
    for sign in (1, -1):
        spin = channel("rotation", "LINEAR", [2, 4], [first, sign * second])
        u = np.array([0, 0.125, 0.5, 0.75, 1])
        values = sample(spin, 2 + 2 * u)
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-14)
        np.testing.assert_allclose(geodesic_angle(first[None], values), u * np.linalg.norm(turn), atol=1e-14)


def test_step_holds_until_the_next_key_and_forgives_rounded_key_times():
    keys = (np.arange(1000) / 30).astype("f4")
    steps = channel("morphs", "STEP", keys, np.arange(1000.0)[:, None])
    frames = np.arange(1000)
    np.testing.assert_array_equal(sample(steps, frames / 30)[:, 0], frames)
    np.testing.assert_array_equal(sample(steps, (frames + 0.99) / 30)[:, 0], frames)


def test_cubic_splines_pass_through_their_keys_with_their_tangents():
    rng = np.random.default_rng(1)
    keys = rng.normal(size=(4, 3, 3))
    times = np.array([0.0, 0.5, 2, 2.25])
    spline = channel("translation", "CUBICSPLINE", times, keys)
    np.testing.assert_allclose(sample(spline, times), keys[:, 1], atol=1e-14)
    h = 1e-6
    after = (sample(spline, times[:-1] + h) - keys[:-1, 1]) / h
    before = (keys[1:, 1] - sample(spline, times[1:] - h)) / h
    np.testing.assert_allclose(after, keys[:-1, 2], atol=1e-3)
    np.testing.assert_allclose(before, keys[1:, 0], atol=1e-3)


def test_a_cubic_spline_reproduces_any_cubic():
    coefficients = np.random.default_rng(2).normal(size=(4, 3))
    power = np.arange(4)[:, None]

    def curve(t):
        return np.einsum("kf,kc->fc", t[None] ** power, coefficients)

    def slope(t):
        return np.einsum("kf,kc->fc", power[1:] * t[None] ** (power[1:] - 1), coefficients[1:])

    times = np.array([-1.0, 0.5, 2])
    values = np.stack([slope(times), curve(times), slope(times)], axis=1)
    spline = Channel(0, "scale", "CUBICSPLINE", times, values)
    at = np.linspace(-1, 2, 31)
    np.testing.assert_allclose(sample(spline, at), curve(at), atol=1e-12)


def test_a_spline_of_rotations_through_zero_stays_finite():
    zero = np.zeros(4)
    keys = np.stack([zero, [1.0, 0, 0, 0], zero, zero, [-1.0, 0, 0, 0], zero]).reshape(2, 3, 4)
    values = sample(Channel(0, "rotation", "CUBICSPLINE", np.array([0.0, 1]), keys), np.array([0, 0.25, 0.5, 1]))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[[0, 1, 3], 0], [1, 1, -1])


@pytest.mark.parametrize("interpolation", ["LINEAR", "STEP", "CUBICSPLINE"])
def test_a_single_key_holds_everywhere(interpolation):
    values = [[7.0, 8, 9]] if interpolation != "CUBICSPLINE" else [[[0.0] * 3, [7.0, 8, 9], [0.0] * 3]]
    one = Channel(0, "translation", interpolation, np.array([2.0]), np.array(values).reshape(1, -1, 3))
    np.testing.assert_array_equal(sample(one, np.array([0.0, 2, 5])), [[7, 8, 9]] * 3)


def test_what_no_channel_moves_stays_at_rest():
    bones = two_joints()
    lift = channel("translation", "STEP", [0, 1], [[9, 9, 9], [8, 8, 8]], target=1)
    poses = poses_at(Animation("a", (lift,)), bones, np.array([0.5]), np.array([0.0, 1]))
    np.testing.assert_array_equal(poses.translation, [[[1, 2, 3], [9, 9, 9]], [[1, 2, 3], [8, 8, 8]]])
    np.testing.assert_array_equal(poses.quat, np.tile(bones.rest_quat, (2, 1, 1)))
    np.testing.assert_array_equal(poses.scale, np.ones((2, 2, 3)))
    np.testing.assert_array_equal(poses.morphs, [[0.5], [0.5]])


def test_an_animated_scale_replaces_the_rest_scale_so_it_is_divided_by_it():
    bones = two_joints(np.stack([np.diag([2.0, -4, 1]), np.eye(3)]))
    grow = channel("scale", "STEP", [0], [[1.0, 4, 3]])
    poses = poses_at(Animation("a", (grow,)), bones, np.zeros(0), np.zeros(1))
    np.testing.assert_array_equal(poses.scale, [[[0.5, -1, 3], [1, 1, 1]]])


def test_a_morph_channel_sets_its_own_columns_only():
    keys = channel("morphs", "LINEAR", [0, 1], [[0.0, 1], [1, 0]], target=1)
    poses = poses_at(Animation("a", (keys,)), two_joints(), np.full(4, 0.25), np.array([0.5]))
    np.testing.assert_allclose(poses.morphs, [[0.25, 0.5, 0.5, 0.25]])


def test_an_animation_lasts_until_its_last_key():
    short, long = (channel("scale", "STEP", times, np.ones((2, 3))) for times in ([0, 1], [0.5, 2.5]))
    assert Animation("a", (long, short)).duration_s == 2.5
    assert Animation("a", ()).duration_s == 0
