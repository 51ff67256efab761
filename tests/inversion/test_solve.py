import warnings
from itertools import product

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal, restrict
from bunraku.core.rotations import geodesic_angle, quat_from_rotvec
from bunraku.inversion import problem as module
from bunraku.inversion.box import box_step
from bunraku.inversion.solve import SolveConfig, continuous_branch, solve
from small_rigs import Linear, limbed_rig, linear_rig


def motion(rig, frames=8, seed=0, size=0.5):
    """Smooth random curves within the bounds."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2, frames)[:, None]
    wave = np.sin(t * rng.uniform(0.5, 1.5, len(rig.spec)) + rng.uniform(0, 6, len(rig.spec)))
    reach = np.where(np.char.startswith(rig.spec.names, "body"), 0.5, size)
    middle = np.where(np.char.startswith(rig.spec.names, "body"), 0.5, 0.0)
    return np.clip(middle + reach * wave, rig.spec.lower, rig.spec.upper)


def capture(rig, controls, noise=0.0, seed=0, **more):
    mesh = rig.evaluate(controls)
    return mesh_sequence(mesh + noise * np.random.default_rng(seed).normal(size=mesh.shape), **more)


def cost(hessian, gradient, delta):
    return 2 * gradient @ delta + delta @ hessian @ delta


def best_of_all_active_sets(hessian, gradient, lower, upper):
    """The box-bounded minimum of a convex quadratic by trying every combination of free, at lower and at upper."""
    best = (np.inf, None)
    for sides in product((-1, 0, 1), repeat=len(gradient)):
        side = np.array(sides)
        delta, free = np.where(side < 0, lower, np.where(side > 0, upper, 0.0)), side == 0
        if free.any():
            right = -(gradient + hessian @ delta)[free]
            delta[free] = np.linalg.solve(hessian[np.ix_(free, free)], right)
        if (delta >= lower - 1e-12).all() and (delta <= upper + 1e-12).all():
            best = min(best, (cost(hessian, gradient, delta), tuple(delta)))
    return best


def test_box_steps_reach_the_minimum_that_trying_every_active_set_finds():
    rng = np.random.default_rng(0)
    for _ in range(40):
        factor = rng.normal(size=(4, 6))
        hessian, gradient = factor @ factor.T, 3 * rng.normal(size=4)
        lower, upper = -rng.random(4), rng.random(4)
        expected, _ = best_of_all_active_sets(hessian, gradient, lower, upper)
        u = np.zeros((1, 4))
        for _ in range(60):
            slope = gradient + hessian @ u[0]
            delta, predicted = box_step(hessian[None], slope[None], u, lower, upper, np.array([1e-9]))
            assert ((u + delta >= lower) & (u + delta <= upper)).all()
            np.testing.assert_allclose(predicted[0], -cost(hessian, slope, delta[0]), atol=1e-12)
            u = u + delta
        assert cost(hessian, gradient, u[0]) <= expected + 1e-7 * abs(expected)


def test_a_box_step_without_bounds_in_the_way_is_the_damped_newton_step():
    hessian, gradient = np.array([[[4.0, 1], [1, 2]]]), np.array([[1.0, -1]])
    wide = np.full(2, 100.0)
    delta, _ = box_step(hessian, gradient, np.zeros((1, 2)), -wide, wide, np.array([0.5]))
    np.testing.assert_allclose(delta[0], -np.linalg.solve([[6.0, 1], [1, 3]], [1, -1]), rtol=1e-8)


def test_a_box_step_sets_a_control_exactly_onto_the_bound_it_would_cross():
    lower, upper = np.array([-0.1, -9]), np.array([0.1, 9])
    u = np.array([[0.07, 0.0]])
    delta, _ = box_step(np.eye(2)[None], np.array([[-1.0, -0.5]]), u, lower, upper, np.zeros(1))
    assert (u + delta)[0, 0] == 0.1
    np.testing.assert_allclose(delta[0, 1], 0.5, rtol=1e-8)


@pytest.mark.parametrize("mixed", [0.0, 1.0, 4.0])
def test_a_linear_rig_is_solved_as_bounded_least_squares_solves_it(mixed):
    from scipy.optimize import lsq_linear

    for seed in range(4):
        rig = linear_rig(seed, controls=6, vertices=5, mixed=mixed)
        wanted = rig.neutral + 2.5 * np.random.default_rng(seed + 9).normal(size=(4, 5, 3))
        found = solve(rig, mesh_sequence(wanted))
        system = rig.shapes.reshape(6, -1).T
        for frame in range(4):
            right = (wanted[frame] - rig.neutral).ravel()
            expected = lsq_linear(system, right, (-1, 1), method="bvls", tol=1e-14)
            np.testing.assert_allclose(found.controls[frame], expected.x, atol=2e-3)
            left = system @ found.controls[frame] - right
            assert left @ left <= 2 * expected.cost * (1 + 1e-8)
            relative = np.sqrt(left @ left / 5) / diagonal(rig.neutral)
            assert found.relative_rms[frame] == pytest.approx(relative, rel=1e-9)


def test_random_poses_of_a_character_are_recovered():
    rig = limbed_rig()
    rng = np.random.default_rng(3)
    true = np.clip(rig.spec.neutral + 0.5 * rng.normal(size=(10, len(rig.spec))), rig.spec.lower, rig.spec.upper)
    found = solve(rig, capture(rig, true))
    assert found.relative_rms.max() < 1e-9
    np.testing.assert_allclose(found.controls, true, atol=1e-7)
    assert found.evaluations >= 10 * found.iterations / 4


def test_bounds_are_reached_exactly_where_the_truth_is_at_them_and_never_crossed_where_it_is_beyond():
    rig = limbed_rig(morphs=3)
    true = motion(rig)
    morphs = [rig.spec.index(f"body.m{i}") for i in range(3)]
    true[:, morphs] = [0.0, 1.0, 0.5]
    found = solve(rig, capture(rig, true)).controls
    np.testing.assert_allclose(found, true, atol=1e-8)
    true[:, morphs] = [-0.3, 1.4, 0.5]
    found = solve(rig, capture(rig, true)).controls
    assert (found[:, morphs[0]] == 0).all()
    assert (found[:, morphs[1]] == 1).all()
    assert ((found >= rig.spec.lower) & (found <= rig.spec.upper)).all()


def test_bounds_that_floating_point_cannot_scale_to_are_met_all_the_same():
    wide = linear_rig(controls=3)
    spec = control_spec(wide.spec.names, [0.1, -0.7, 0.3], [0.3, 1.3, 0.9], [0.2, 0.1, 0.3])
    rig = Linear(spec, wide.neutral, wide.shapes)
    for beyond, bound in ((-5.0, spec.lower), (5.0, spec.upper)):
        found = solve(rig, mesh_sequence(rig.evaluate(np.full((2, 3), beyond)))).controls
        np.testing.assert_array_equal(found, np.tile(bound, (2, 1)))


@pytest.mark.parametrize("frames", [1, 2])
def test_a_frame_or_two_are_a_shot(frames):
    rig = limbed_rig()
    true = motion(rig, frames)
    for cfg in (SolveConfig(), SolveConfig(smooth=1e-3), SolveConfig(robust="huber")):
        np.testing.assert_allclose(solve(rig, capture(rig, true), cfg).controls, true, atol=1e-6)


def test_missing_vertices_do_not_spoil_the_rest():
    rig = limbed_rig()
    true = motion(rig)
    mesh = rig.evaluate(true)
    mesh[np.random.default_rng(0).random(mesh.shape[:2]) < 0.3] = np.nan
    np.testing.assert_allclose(solve(rig, mesh_sequence(mesh)).controls, true, atol=1e-6)


def test_a_whole_missing_frame_is_bridged_with_smoothness_or_without():
    rig = limbed_rig()
    true = rig.spec.neutral + np.linspace(0, 0.3, 7)[:, None] * np.sign(np.sin(np.arange(len(rig.spec)) + 1))
    true = np.clip(true, rig.spec.lower, rig.spec.upper)
    mesh = rig.evaluate(true)
    mesh[3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cfg in (SolveConfig(), SolveConfig(robust="huber"), SolveConfig(smooth=1e-3)):
            found = solve(rig, mesh_sequence(mesh), cfg).controls
            np.testing.assert_allclose(found, true, atol=1e-6)  # a straight line has no second difference


def test_a_part_that_is_missing_stays_at_neutral():
    rig = limbed_rig()
    true = motion(rig)
    mesh = rig.evaluate(true)
    mesh[4, 4 * 14 : 5 * 14] = np.nan
    hand = [rig.spec.index(f"hand.r{axis}") for axis in "xyz"]
    found = solve(rig, mesh_sequence(mesh)).controls
    np.testing.assert_allclose(found[4, hand], 0, atol=1e-9)
    others = np.delete(np.arange(len(rig.spec)), hand)
    seen = [c for c in others if not rig.spec.names[c].startswith("body")]
    np.testing.assert_allclose(found[4, seen], true[4, seen], atol=1e-5)


def test_a_joint_that_no_vertex_follows_stays_exactly_at_neutral():
    rig = limbed_rig(dead=True)
    dead = [rig.spec.index(f"dead.r{axis}") for axis in "xyz"]
    true = motion(rig)
    for cfg in (SolveConfig(), SolveConfig(smooth=1e-3)):
        found = solve(rig, capture(rig, true, noise=0.01), cfg).controls
        assert (found[:, dead] == 0).all()


def test_vertices_that_do_not_count_do_not_matter_and_others_count_by_their_weight():
    rig = linear_rig(controls=2, vertices=6, lower=-9.0, upper=9.0)
    wanted = rig.evaluate(np.array([[0.3, -0.2]] * 3)) + np.random.default_rng(1).normal(size=(3, 6, 3))
    weights = np.array([0.0, 0.5, 4, 1, 1, 0.1])
    found = solve(rig, mesh_sequence(wanted, weights=weights)).controls
    root = np.sqrt(np.repeat(weights, 3))
    system = rig.shapes.reshape(2, -1).T * root[:, None]
    for frame in range(3):
        right = root * (wanted[frame] - rig.neutral).ravel()
        np.testing.assert_allclose(found[frame], np.linalg.lstsq(system, right, rcond=None)[0], atol=1e-5)


def test_robust_losses_beat_least_squares_where_some_vertices_are_far_off():
    rig = limbed_rig()
    true = motion(rig)
    dirty = rig.evaluate(true)
    rng = np.random.default_rng(2)
    dirty += 1e-3 * rng.normal(size=dirty.shape)
    off = rng.random(dirty.shape[:2]) < 0.08
    dirty[off] += 0.5 * rng.normal(size=(off.sum(), 3))

    def error(robust):
        cfg = SolveConfig(robust=robust, smooth=0.0)
        return np.median(np.abs(solve(rig, mesh_sequence(dirty), cfg).controls - true))

    # A limb of fourteen vertices may have half of them far off, and is then lost to any loss: hence the median.
    assert error("huber") < error("none") / 40
    assert error("geman-mcclure") < error("none") / 40
    assert error("auto") == error("geman-mcclure")


def dense_shot(rig, wanted, smooth, bounds=None, confidence=1.0):
    """The same least-squares problem over all frames as one dense matrix."""
    from scipy.optimize import lsq_linear

    frames, count = len(wanted), len(rig.spec)
    scale = 1 / (np.sqrt(len(rig.neutral)) * diagonal(rig.neutral))
    one = rig.shapes.reshape(count, -1).T * rig.spec.range * scale
    second = np.zeros((frames - 2, frames))
    for t in range(frames - 2):
        second[t, t : t + 3] = smooth * np.array([1, -2, 1])
    share = np.sqrt(np.broadcast_to(confidence, frames))
    system = np.concatenate([np.kron(np.diag(share), one), np.kron(second, np.eye(count))])
    moved = (wanted - rig.neutral) * scale * share[:, None, None]
    right = np.concatenate([moved.ravel(), np.zeros((frames - 2) * count)])
    if bounds is None:
        u = np.linalg.lstsq(system, right, rcond=None)[0]
    else:
        u = lsq_linear(system, right, bounds, method="bvls", tol=1e-14).x
    return rig.spec.neutral + u.reshape(frames, count) * rig.spec.range


@pytest.mark.parametrize("smooth", [1e-3, 0.1, 10.0])
def test_a_smooth_shot_is_the_solution_of_the_dense_problem(smooth):
    rig = linear_rig(controls=3, vertices=4, lower=-20.0, upper=20.0)
    true = np.sin(np.arange(9)[:, None] + np.arange(3))
    wanted = rig.evaluate(true) + 0.5 * np.random.default_rng(0).normal(size=(9, 4, 3))
    found = solve(rig, mesh_sequence(wanted), SolveConfig(smooth=smooth)).controls
    np.testing.assert_allclose(found, dense_shot(rig, wanted, smooth), atol=2e-5)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 1.0, 1.0, 1.0])], ids=["plain", "weighted"])
def test_a_frame_counts_by_its_confidence(weights):
    rig = linear_rig(controls=3, vertices=4, lower=-20.0, upper=20.0)
    true = np.sin(np.arange(9)[:, None] + np.arange(3))
    wanted = rig.evaluate(true) + 0.5 * np.random.default_rng(0).normal(size=(9, 4, 3))
    confidence = np.array([1, 1, 0.5, 1, 0.01, 1, 2, 1, 0])
    given = mesh_sequence(wanted, weights=weights, confidence=confidence)
    found = solve(rig, given, SolveConfig(smooth=0.1)).controls
    np.testing.assert_allclose(found, dense_shot(rig, wanted, 0.1, confidence=confidence), atol=2e-5)


def test_a_smooth_shot_within_bounds_is_the_bounded_solution_of_the_dense_problem():
    rig = linear_rig(controls=3, vertices=4)
    true = 1.3 * np.sin(np.arange(9)[:, None] + np.arange(3))
    wanted = rig.evaluate(true) + 0.3 * np.random.default_rng(0).normal(size=(9, 4, 3))
    found = solve(rig, mesh_sequence(wanted), SolveConfig(smooth=0.05, shot_iterations=60)).controls
    assert (np.abs(found) <= 1).all()
    assert (np.abs(found) == 1).any()
    np.testing.assert_allclose(found, dense_shot(rig, wanted, 0.05, (-0.5, 0.5)), atol=1e-4)


def test_smoothness_takes_roughness_and_error_out_of_a_noisy_capture():
    rig = limbed_rig()
    true = motion(rig, 20)
    noisy = capture(rig, true, noise=0.02)
    rough, smooth = (solve(rig, noisy, SolveConfig(smooth=w)).controls for w in (0.0, 1.0))

    def bend(controls):
        return (np.diff(controls, n=2, axis=0) ** 2).mean()

    assert bend(smooth) < bend(rough) / 20
    assert np.abs(smooth - true).mean() < 0.7 * np.abs(rough - true).mean()


def test_the_sparse_prior_leaves_fewer_controls_active():
    rig = linear_rig(controls=12, vertices=6, mixed=1.0)
    true = np.zeros((4, 12))
    true[:, [2, 7]] = 0.6
    noisy = capture(rig, true, noise=0.5)

    def active(cfg):
        return (np.abs(solve(rig, noisy, cfg).controls) > 0.02 * 2).sum(axis=1).mean()

    assert active(SolveConfig(sparse=0.2)) <= 4 < 6 < active(SolveConfig())


def test_the_neutral_prior_is_ridge_regression():
    rig = linear_rig(controls=3, vertices=4, lower=-20.0, upper=20.0)
    wanted = rig.neutral + np.random.default_rng(0).normal(size=(2, 4, 3))
    found = solve(rig, mesh_sequence(wanted), SolveConfig(neutral=0.2)).controls
    scale = 1 / (np.sqrt(4) * diagonal(rig.neutral))
    one = rig.shapes.reshape(3, -1).T * 40 * scale
    for frame in range(2):
        right = one.T @ ((wanted[frame] - rig.neutral) * scale).ravel()
        u = np.linalg.solve(one.T @ one + 0.04 * np.eye(3), right)
        np.testing.assert_allclose(found[frame], 40 * u, atol=1e-5)


class Valleys:
    """One control; the mesh runs along a cubic, so that a start beyond the hump ends in the wrong valley."""

    spec = control_spec(["x"], -2.0, 2.0)
    faces = np.zeros((0, 3), np.int32)
    neutral = np.array([[0.0, 0, 0], [0, 1, 0]])
    basis, axes, concurrent = None, 1, True
    origin = np.zeros((2, 3))

    def mesh(self, x):
        flat = np.stack([x**3 - x, 0.05 * x, 0 * x, 0 * x, 1 + 0 * x, 0 * x], axis=1)
        return flat.reshape(-1, 2, 3)

    def evaluate_mesh(self, controls):
        return self.mesh(controls[:, 0])


class ValleyCoordinates(Valleys):
    def evaluate(self, controls):
        return self.mesh(controls[:, 0]).reshape(len(controls), -1)

    def linearize(self, controls):
        x = controls[:, 0]
        rows = np.stack([3 * x**2 - 1, 0.05 + 0 * x, *(4 * [0 * x])], axis=1)
        return self.evaluate(controls), rows[:, None]


class ValleyRig(Valleys):
    def evaluate(self, controls):
        return self.mesh(controls[:, 0])

    def jvp(self, controls, tangents):
        raise NotImplementedError

    def vjp(self, controls, cotangents):
        raise NotImplementedError

    def reduce(self):
        return ValleyCoordinates()


def test_frames_in_another_valley_are_rescued_by_their_neighbours():
    rig = ValleyRig()
    true = np.linspace(0.9, 1.1, 6)[:, None]
    shot = mesh_sequence(rig.evaluate(true))
    start = true.copy()
    start[[1, 2, 4]] = -1.0  # x³ − x is 0 at −1 too
    lost = solve(rig, shot, SolveConfig(rescues=0), start=start).controls
    assert (lost[[1, 2, 4]] < 0).all()
    np.testing.assert_allclose(solve(rig, shot, start=start).controls, true, atol=1e-6)


def test_solving_twice_gives_identical_controls():
    rig = limbed_rig()
    noisy = capture(rig, motion(rig), noise=0.01)
    for cfg in (SolveConfig(), SolveConfig(smooth=1e-2, robust="huber", sparse=1e-3)):
        np.testing.assert_array_equal(solve(rig, noisy, cfg).controls, solve(limbed_rig(), noisy, cfg).controls)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    rig = limbed_rig()
    noisy = capture(rig, motion(rig, 40), noise=0.01)
    # Batches of three frames, some of which start in a wrong place and ask their neighbours.
    monkeypatch.setattr(module, "BATCH_BYTES", 3 * 8 * len(rig.spec) * 3 * len(rig.reduce().basis))
    start = np.tile(rig.spec.neutral, (40, 1))
    start[::7] = rig.spec.upper
    found = []
    for cores in ("1", "4"):
        monkeypatch.setenv("BUNRAKU_CORES", cores)
        found.append([solve(rig, noisy, cfg, start=start) for cfg in (SolveConfig(), SolveConfig(smooth=1e-2))])
    for one, four in zip(*found, strict=True):
        np.testing.assert_array_equal(one.controls, four.controls)
        assert one.evaluations == four.evaluations


def test_the_size_of_batches_does_not_matter(monkeypatch):
    rig = limbed_rig()
    noisy = capture(rig, motion(rig, 9), noise=0.01)
    for cfg in (SolveConfig(), SolveConfig(smooth=1e-2, robust="huber")):
        whole = solve(rig, noisy, cfg).controls
        with monkeypatch.context() as patch:
            patch.setattr(module, "BATCH_BYTES", 1)
            np.testing.assert_allclose(solve(rig, noisy, cfg).controls, whole, atol=1e-6)
    exact = capture(rig, motion(rig, 9))
    monkeypatch.setattr(module, "BATCH_BYTES", 3 * 8 * len(rig.spec) * 3 * len(rig.reduce().basis))
    np.testing.assert_allclose(solve(rig, exact).controls, motion(rig, 9), atol=1e-8)


def test_a_restricted_rig_leaves_the_others_at_neutral():
    rig = limbed_rig()
    narrow = restrict(rig, ("arm.*", "root.*"))
    true = motion(narrow)
    np.testing.assert_allclose(solve(narrow, capture(narrow, true)).controls, true, atol=1e-8)


def test_a_start_replaces_the_first_guess_and_is_kept_where_nothing_is_to_be_done():
    rig = limbed_rig()
    true = motion(rig)
    assert solve(rig, capture(rig, true), start=true).iterations == 1


def turning(angles, axis=(0.6, 0.0, 0.8)):
    return np.outer(angles, axis)


def spec_of_one_rotation(reach):
    return control_spec(["a", "b", "c"], -reach, reach, rotations=[[0, 1, 2]])


def test_rotations_are_put_on_a_continuous_branch_beyond_pi():
    true = turning(np.linspace(0, 5.5, 30))
    wrapped = true.copy()
    wrapped[18:] -= turning(np.full(12, 2 * np.pi))
    np.testing.assert_allclose(continuous_branch(spec_of_one_rotation(6.0), wrapped), true, atol=1e-12)


def test_the_branch_never_leaves_the_bounds_nor_changes_the_pose():
    rng = np.random.default_rng(0)
    spec = spec_of_one_rotation(3.5)
    poses = np.clip(np.cumsum(rng.normal(size=(60, 3)), axis=0) % 7 - 3.5, -3.5, 3.5)
    out = continuous_branch(spec, poses)
    assert ((out >= -3.5) & (out <= 3.5)).all()
    np.testing.assert_allclose(geodesic_angle(quat_from_rotvec(out), quat_from_rotvec(poses)), 0, atol=1e-7)


def test_the_first_frame_is_put_nearest_to_neutral():
    out = continuous_branch(spec_of_one_rotation(6.0), turning([6.0, 6.1]))
    np.testing.assert_allclose(out, turning([6.0 - 2 * np.pi, 6.1 - 2 * np.pi]), atol=1e-12)


def test_controls_that_are_no_rotation_are_left_alone():
    values = np.array([[5.0], [-5.0]])
    np.testing.assert_array_equal(continuous_branch(control_spec(["a"], -9.0, 9.0), values), values)
