import numpy as np

from bunraku.inversion.keyfit import Shape, fit, layout
from bunraku.inversion.keyplace import place


def shape(values, held=(), corner=(), lower=-10.0, upper=10.0):
    values = np.asarray(values, float).reshape(len(values), -1)
    columns, frames = values.shape[1], len(values)
    corners, rests = np.zeros(frames, bool), np.zeros(frames - 1, bool)
    corners[list(corner)], rests[list(held)] = True, True
    ends = (np.full(columns, lower), np.full(columns, upper))
    return Shape(values, np.ones_like(values), *ends, corners, rests)


def test_unknowns_by_hand():
    # Keys 0, 2, 4, 6: a hold from 2 to 4 that the curve leaves with a corner.
    plan = layout(shape(np.zeros(7), held=(2, 3), corner=(4,)), np.array([0, 2, 4, 6]))
    # value, slope | value (no slope: smooth into the hold) | shared value, slope out | value, slope
    np.testing.assert_array_equal(plan.value, [0, 2, 2, 4])
    np.testing.assert_array_equal(plan.slope_in, [1, -1, -1, 5])
    np.testing.assert_array_equal(plan.slope_out, [1, -1, 3, 5])
    assert plan.unknowns == 6


def test_a_cubic_is_found_exactly_with_two_keys():
    t = np.arange(9.0)
    values = np.stack([0.01 * t**3 - 0.1 * t**2, 1 - 0.2 * t], axis=1)
    found = fit(shape(values), np.array([0, 8]))
    np.testing.assert_allclose(found.fitted, values, atol=1e-7)
    np.testing.assert_allclose(found.slope_in[1], [0.03 * 64 - 1.6, -0.2], atol=1e-5)


def test_a_fit_is_the_least_squares_of_a_dense_solver():
    values = np.sin(np.arange(12.0))[:, None]
    frames = np.array([0, 5, 11])
    found = fit(shape(values), frames)

    def curve(unknowns):  # by the definition: value and slope of each key
        out = np.empty(12)
        for k in (0, 1):
            h = frames[k + 1] - frames[k]
            s = np.arange(h + 1) / h
            (y0, m0), (y1, m1) = unknowns.reshape(3, 2)[k : k + 2]
            out[frames[k] : frames[k + 1] + 1] = (
                (2 * s**3 - 3 * s**2 + 1) * y0 + h * (s**3 - 2 * s**2 + s) * m0
                + (3 * s**2 - 2 * s**3) * y1 + h * (s**3 - s**2) * m1
            )  # fmt: skip
        return out

    matrix = np.stack([curve(unit) for unit in np.eye(6)], axis=1)
    dense = matrix @ np.linalg.lstsq(matrix, values[:, 0], rcond=None)[0]
    np.testing.assert_allclose(found.fitted[:, 0], dense, atol=1e-6)  # but for the weak prior of the slopes


def test_no_segment_leaves_the_bounds_between_frames_either():
    values = np.clip(1.4 * np.sin(np.linspace(0, 3 * np.pi, 40)), -1, 1)
    bounded = shape(values, lower=-1.0, upper=1.0)
    found = fit(bounded, np.array([0, 9, 20, 30, 39]))
    fine = np.linspace(0, 39, 1561)
    from bunraku.core.keys import hermite

    between = hermite(found.frames.astype(float), found.values, found.slope_in, found.slope_out, fine)
    assert np.abs(between).max() <= 1 + 1e-12
    assert np.abs(fit(shape(values), found.frames).fitted).max() > 1  # the bounds did something


def test_a_corner_has_two_slopes_and_needs_one_key():
    tent = np.concatenate([np.arange(10), np.arange(10, -1, -1)]) / 10.0
    found = place(shape(tent, corner=(10,)), np.full(21, 1e-6), np.array([0, 10, 20]))
    np.testing.assert_array_equal(found.frames, [0, 10, 20])
    np.testing.assert_allclose([found.slope_in[1, 0], found.slope_out[1, 0]], [0.1, -0.1], atol=1e-6)


def test_keys_come_where_the_budget_demands_and_go_where_it_does_not():
    values = np.concatenate([np.zeros(30), np.sin(np.linspace(0, 4 * np.pi, 61)) - 0.0])
    budget = np.full(91, 0.01)
    found = place(shape(values), budget, np.array([0, 90]))
    assert (shape(values).error(found.fitted) <= budget).all()
    crowded = place(shape(values), budget, np.arange(91))
    assert (shape(values).error(crowded.fitted) <= budget).all()
    assert len(crowded.frames) <= len(found.frames) + 3
    assert np.count_nonzero(found.frames < 25) <= 3


def test_a_budget_of_nothing_has_a_key_at_every_frame():
    values = np.random.default_rng(0).normal(size=20)
    found = place(shape(values), np.full(20, 1e-9), np.array([0, 19]))
    np.testing.assert_allclose(found.fitted[:, 0], values, atol=1e-9)
