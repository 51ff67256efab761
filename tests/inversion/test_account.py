import json

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.account import AccountConfig, account, control_deviation, nearly_observed, observability
from bunraku.inversion.account_layout import account_layout, verdict
from small_rigs import BlackBox, Linear, limbed_rig, linear_rig


def named(rig, which):
    return {name for name, chosen in zip(rig.spec.names, which, strict=True) if chosen}


def test_controls_that_move_nothing_are_dead():
    rig = limbed_rig(dead=True)
    seen = observability(rig, np.tile(rig.spec.neutral, (3, 1)))
    assert named(rig, seen.dead) == {"dead.rx", "dead.ry", "dead.rz"}
    assert not seen.interchangeable.any()
    assert named(rig, seen.determined) == set(rig.spec.names) - named(rig, seen.dead)


def test_controls_of_which_only_the_sum_matters_are_interchangeable():
    plain = linear_rig(controls=4)
    shapes = plain.shapes.copy()
    shapes[3] = 0.01 * shapes[1]  # the same motion, however small
    rig = Linear(plain.spec, plain.neutral, shapes)
    seen = observability(rig, np.zeros((2, 4)))
    assert named(rig, seen.interchangeable) == {"c1", "c3"}
    assert [group.controls.tolist() for group in seen.groups] == [[1, 3]]
    assert not seen.dead.any()


def test_differences_tell_what_nearly_is_so():
    rows = np.eye(4, 6)
    rows[3] = 0.5 * rows[1] + [0, 0, 0, 0, 0.5e-2, 0]  # of two controls' motion together 1 % of it tells them apart
    rows = np.concatenate([rows, [[1e-7, 0, 0, 0, 0, 0]]])  # rounding
    seen = nearly_observed((rows @ rows.T)[None])
    assert np.flatnonzero(seen.interchangeable).tolist() == [1, 3]
    assert [(group.controls.tolist(), group.freedom) for group in seen.groups] == [([1, 3], 1)]
    assert np.flatnonzero(seen.dead).tolist() == [4]
    assert not nearly_observed((rows @ rows.T)[None], traded=1e-3).interchangeable.any()


def test_a_rig_whose_controls_all_show_has_none_of_either():
    rig = linear_rig(controls=6)
    assert observability(rig, np.zeros((1, 6))).determined.all()


def test_ranges_do_not_matter():
    plain = linear_rig(controls=3)
    rig = Linear(control_spec(plain.spec.names, [-1e-4, -1, -1e4], [1e-4, 1, 1e4]), plain.neutral, plain.shapes)
    assert observability(rig, np.zeros((1, 3))).determined.all()


def test_a_control_that_shows_in_some_poses_is_not_dead():
    class Sometimes(Linear):
        def reduce(self):
            inner = Linear.reduce(self)

            class Coordinates(type(inner)):
                def linearize(self, controls):
                    values, rows = inner.linearize(controls)
                    rows[:, 2] *= controls[:, :1] > 0
                    return values, rows

            return Coordinates(self)

    plain = linear_rig(controls=3)
    rig = Sometimes(plain.spec, plain.neutral, plain.shapes)
    assert not observability(rig, np.array([[0.0, 0, 0], [1, 0, 0]])).dead.any()
    assert observability(rig, np.array([[0.0, 0, 0], [-1, 0, 0]])).dead.tolist() == [False, False, True]


def test_observability_of_a_part_of_the_mesh():
    rig = limbed_rig()
    weights = np.ones((1, len(rig.neutral)))
    weights[0, 4 * 14 : 5 * 14] = 0  # the hand's own vertices
    at = np.tile(rig.spec.neutral, (3, 1))
    hand = {name for name in rig.spec.names if name.startswith("hand.")}
    assert named(rig, observability(rig, at, weights).dead) == hand
    assert named(rig, observability(rig, at, np.repeat(weights, 3, axis=0)).dead) == hand


def shot(rig, frames=6, spread=0.3, seed=3):
    rng = np.random.default_rng(seed)
    return rig.spec.neutral + spread * rig.spec.range * rng.uniform(-1, 1, size=(frames, len(rig.spec)))


def off_manifold(rig, frames, rms, seed=4):
    """Noise that no control of a linear rig can follow, of a given root mean square distance per vertex."""
    noise = np.random.default_rng(seed).normal(size=(frames, *rig.neutral.shape))
    basis = np.linalg.qr(rig.shapes.reshape(len(rig.shapes), -1).T)[0]
    flat = noise.reshape(frames, -1)
    noise = (flat - flat @ basis @ basis.T).reshape(noise.shape)
    return noise * rms / np.sqrt((noise**2).sum(axis=2).mean(axis=1))[:, None, None]


def rms_of(part, found):
    return np.sqrt(part / found.weight)


def test_an_exact_solve_leaves_only_what_is_off_the_manifold():
    rig = linear_rig(controls=5, vertices=20)
    true = shot(rig)
    capture = mesh_sequence(rig.evaluate(true) + off_manifold(rig, 6, 0.05))
    found = account(rig, capture, true)
    np.testing.assert_allclose(rms_of(found.split.total, found), 0.05)
    np.testing.assert_allclose(rms_of(found.split.floor, found), 0.05)
    np.testing.assert_allclose(found.split.solver, 0, atol=1e-12)
    np.testing.assert_allclose(found.misfit.frame_rms, 0.05)
    # σ: 20 vertices of rms .05, 60 coordinates of which 5 were fitted
    assert found.sigma == pytest.approx(0.05 * np.sqrt(20 / 55))


def test_a_bad_solve_answers_for_the_rest_and_the_squares_add_up():
    rig = linear_rig(controls=5, vertices=20)
    true = shot(rig)
    capture = mesh_sequence(rig.evaluate(true) + off_manifold(rig, 6, 0.05))
    bad = true.copy()
    bad[:, 1] += 0.1
    found = account(rig, capture, bad)
    own = np.sqrt((0.1 * rig.shapes[1]) ** 2).reshape(20, 3)
    expected = np.sqrt((own**2).sum(axis=1).mean())
    np.testing.assert_allclose(rms_of(found.split.solver, found), expected)
    np.testing.assert_allclose(rms_of(found.split.floor, found), 0.05)
    np.testing.assert_allclose(found.split.total, found.split.floor + found.split.solver)
    np.testing.assert_allclose(found.confirmed, found.split.solver)
    step = np.zeros((6, 5))
    step[:, 1] = -0.1 / rig.spec.range[1]
    np.testing.assert_allclose(found.split.step, step, atol=1e-9)


def test_bounds_hold_back_what_lies_beyond_them():
    rig = linear_rig(controls=3, vertices=20)
    beyond = np.zeros((2, 3))
    beyond[:, 0] = 1.5
    at_bound = np.clip(beyond, rig.spec.lower, rig.spec.upper)
    found = account(rig, mesh_sequence(rig.evaluate(beyond)), at_bound)
    np.testing.assert_allclose(found.split.free_floor, 0, atol=1e-12)
    assert (found.split.floor > 0.1 * found.split.total).all()
    held = account(rig, mesh_sequence(rig.evaluate(beyond)), at_bound, held=np.array([False, True, True]))
    np.testing.assert_allclose(held.split.floor, held.split.total)
    assert held.held.tolist() == [False, True, True]
    np.testing.assert_array_equal(held.deviation[:, 1:], 0)


def test_a_curved_rig_confirms_what_one_step_promises():
    rig = limbed_rig()
    true = np.clip(shot(rig, 3, 0.05), rig.spec.lower, rig.spec.upper)
    bad = true.copy()
    bad[:, rig.spec.index("arm.rx")] += 0.02
    capture = mesh_sequence(rig.evaluate(true))
    found = account(rig, capture, bad)
    assert (found.split.solver > 0.999 * found.split.total).all()
    assert (found.confirmed > 0.99 * found.split.total).all()
    black = account(BlackBox(rig), capture, bad)
    np.testing.assert_allclose(black.split.solver, found.split.solver, rtol=1e-3)
    np.testing.assert_allclose(black.deviation, found.deviation, rtol=1e-2)


def test_the_approximations_own_error_is_apart():
    rig = linear_rig(controls=3, vertices=4)
    other = Linear(rig.spec, rig.neutral, rig.shapes * np.array([1.0, 1, 1.1])[:, None, None])
    at = np.array([[0.0, 0, 0], [0, 0, 1]])
    found = account(rig, mesh_sequence(rig.evaluate(at)), at, approximation=other, on=other).misfit.approximation_rms
    expected = 0.1 * np.sqrt((rig.shapes[2] ** 2).sum(axis=1).mean())
    np.testing.assert_allclose(found, [0, expected], atol=1e-12)


def test_the_worst_frames_and_vertices_are_found_with_the_controls_nearest_to_them():
    rig = limbed_rig()
    at = np.tile(rig.spec.neutral, (30, 1))
    vertices = rig.evaluate(at)
    hand = 4 * 14 + 10
    vertices[17, hand] += [3.0, 0, 0]
    vertices[5] += [0, 0.01, 0]
    found = account(rig, mesh_sequence(vertices), at, AccountConfig(frames=4, worst=2))
    assert found.worst_frames.tolist() == [17, 5]
    assert found.regions[0].vertex == hand
    assert found.regions[0].controls[0].startswith("hand.r")
    assert found.misfit.worst_frame[hand] == 17
    assert found.misfit.vertex_max[hand] == pytest.approx(3)
    assert {17, 5} <= set(found.looked.tolist())
    assert found.looked[found.even].tolist() == [0, 10, 19, 29]


def test_what_is_missing_takes_no_part():
    rig = linear_rig(controls=3, vertices=20)
    true = shot(rig, 5)
    vertices = rig.evaluate(true) + off_manifold(rig, 5, 0.05)
    vertices[2] = np.nan
    vertices[3, :10] = np.nan
    found = account(rig, mesh_sequence(vertices), true)
    assert found.looked.tolist() == [0, 1, 3, 4]
    assert np.isnan(found.misfit.frame_error[2])
    assert found.weight.tolist() == [20, 20, 10, 20]
    assert (found.deviation[2] > found.deviation[1]).all()


def test_outliers_can_be_left_out_of_noise_and_split():
    rig = linear_rig(controls=3, vertices=40)
    true = shot(rig, 4)
    vertices = rig.evaluate(true) + 0.01 * np.random.default_rng(0).normal(size=(4, 40, 3))
    vertices[:, 7] += 5.0
    capture = mesh_sequence(vertices)
    assert account(rig, capture, true).sigma > 0.5
    for outliers, left_out in ((4.0, 1), (np.inf, 0)):
        found = account(rig, capture, true, AccountConfig(outliers=outliers))
        assert found.outliers.tolist() == [left_out] * 4
        assert (found.sigma < 0.012) == bool(left_out)


def test_a_given_noise_is_what_deviations_refer_to():
    rig = linear_rig(controls=3)
    at = shot(rig, 2)
    capture = mesh_sequence(rig.evaluate(at))
    once, twice = (account(rig, capture, at, AccountConfig(sigma=sigma)) for sigma in (0.1, 0.2))
    np.testing.assert_allclose(once.deviation, control_deviation(rig, at, 0.1))
    np.testing.assert_allclose(twice.deviation, 2 * once.deviation)
    # An offset that two frames of a linear rig share is known √2 better than each frame's own.
    np.testing.assert_allclose(once.constant_deviation, once.deviation[0] / np.sqrt(2))


def test_the_layout_is_json_in_the_controls_own_units():
    plain = linear_rig(controls=4, vertices=20)
    shapes = plain.shapes.copy()
    shapes[2] = 0
    shapes[3] = 0.1 * shapes[1]
    spec = control_spec(["a", "b", "c", "d"], [-1.0, -1, -1, -40], [1.0, 1, 1, 40])
    rig = Linear(spec, plain.neutral, shapes)
    at = np.zeros((5, 4))
    at[1:4, 0] = 1.0
    at[4, 0] = -1.0
    about = account_layout(account(rig, mesh_sequence(rig.evaluate(at) + 0.01), at), rig, at, start_frame=100)
    assert json.loads(json.dumps(about, allow_nan=False)) == about
    a, b, c, d = about["controls"]
    assert [row["verdict"] for row in (a, b, c, d)] == ["seen", "not seen", "dead", "not seen"]
    assert a["at_upper"] == {"frames": 3, "is_neutral": False, "runs": [[101, 103]]}
    assert a["at_lower"] == {"frames": 1, "is_neutral": False, "runs": [[104, 104]]}
    assert (a["active_frames"], b["active_frames"], b["group"], a["group"]) == (4, 0, 0, None)
    assert (b["deviation"], c["deviation"]) == (None, None)
    (group,) = about["groups"]
    assert (group["controls"], group["freedom"], group["frames"], group["frame"]) == (["b", "d"], 1, 1.0, None)
    # Per range d moves the mesh four times as far, so that b comes first; a unit of d moves it a tenth as far.
    (trade,) = group["trades"]
    assert trade["controls"] == ["b", "d"]
    np.testing.assert_allclose(trade["step"], [1, -10])
    errors = about["errors"]
    assert errors["total"]["rms"] == pytest.approx(0.01 * np.sqrt(3))
    assert errors["off_manifold"]["share"] + errors["solver"]["share"] == pytest.approx(1)
    assert errors["approximation"] is None
    assert about["worst_frames"][0]["frame"] >= 100


@pytest.mark.parametrize(
    ("deviation", "said"), [(0.02, "seen"), (0.021, "weakly seen"), (0.25, "weakly seen"), (np.inf, "not seen")]
)
def test_verdicts(deviation, said):
    assert verdict(deviation, dead=False, held=False) == said
    assert verdict(deviation, dead=True, held=False) == "dead"
    assert verdict(deviation, dead=False, held=True) == "held"


@pytest.mark.parametrize(
    ("message", "cfg"),
    [
        ("sigma -1", AccountConfig(sigma=-1.0)),
        ("traded 1", AccountConfig(traded=1.0)),
        ("outliers -2", AccountConfig(outliers=-2.0)),
        ("frames 0", AccountConfig(frames=0)),
        ("worst 0", AccountConfig(worst=0)),
    ],
)
def test_settings_out_of_range_are_refused(message, cfg):
    rig = linear_rig(controls=3)
    with pytest.raises(BunrakuError, match=message):
        account(rig, mesh_sequence(rig.evaluate(np.zeros((1, 3)))), np.zeros((1, 3)), cfg)


def test_a_capture_of_another_size_is_refused():
    rig = linear_rig(controls=3, vertices=12)
    with pytest.raises(BunrakuError, match="has 11 vertices, the rig 12"):
        account(rig, mesh_sequence(np.zeros((1, 11, 3))), np.zeros((1, 3)))
    with pytest.raises(BunrakuError, match=r"shape \(2, 3\); expected \(1, 3\)"):
        account(rig, mesh_sequence(np.zeros((1, 12, 3))), np.zeros((2, 3)))
