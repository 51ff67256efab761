import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.curves import curves
from bunraku.core.errors import BunrakuError
from bunraku.inversion.draw import SampleConfig, check, draw

COUNT = 40
SPEC = control_spec(
    [f"c{i}" for i in range(COUNT)],
    lower=np.where(np.arange(COUNT) % 2, -np.pi, 0.0),
    upper=np.where(np.arange(COUNT) % 2, np.pi, 1.0),
    neutral=np.where(np.arange(COUNT) % 2, 0.25, 0.0),
    driven=np.arange(COUNT) == 5,
)
AROUND = np.tile(SPEC.neutral, (3, 1)) + np.linspace(0, 0.5, 3)[:, None]
SAMPLERS = ("sparse", "sobol", "curves")


def drawn(sampler, indices, **settings):
    return draw(SPEC, SampleConfig(sampler=sampler, **settings), np.asarray(indices), AROUND)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_depends_on_the_seed_and_its_number_alone(sampler):
    whole = drawn(sampler, np.arange(200), seed=3)
    np.testing.assert_array_equal(drawn(sampler, [7, 150, 8], seed=3), whole[[7, 150, 8]])
    np.testing.assert_array_equal(drawn(sampler, np.arange(100, 200), seed=3, samples=5, shard=9), whole[100:])
    np.testing.assert_array_equal(drawn(sampler, [0], seed=3), whole[:1])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_draws_other_poses(sampler):
    assert np.abs(drawn(sampler, np.arange(50)) - drawn(sampler, np.arange(50), seed=1)).max() > 0.1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_poses_stay_inside_their_bounds_and_driven_controls_at_neutral(sampler):
    poses = drawn(sampler, np.arange(5000), spread=5.0)
    assert (poses >= SPEC.lower).all()
    assert (poses <= SPEC.upper).all()
    assert (poses[:, 5] == SPEC.neutral[5]).all()


@pytest.mark.parametrize(
    ("sampler", "index", "pose"),
    [
        ("sparse", 1, [0.8525625884844825, 0.0, 0.0, 0.5235483306517681]),
        ("sobol", 5, [-0.5632396647706628, -0.586860473267734, 0.08807302918285131, 0.598635951988399]),
        ("curves", 5, [-0.4761010645510636, -0.40943439788439695, -0.3427677312177303, -0.3196354006289108]),
    ],
)
def test_a_seed_means_the_same_poses_in_every_version(sampler, index, pose):
    # Unfinished sample sets are resumed by later versions.
    spec = control_spec(list("abcdefgh"), -1, 1)
    around = np.linspace(-0.5, 0.5, 16).reshape(2, 8)
    cfg = SampleConfig(sampler=sampler, seed=9, active=2)
    np.testing.assert_allclose(draw(spec, cfg, np.array([index]), around)[0, :4], pose, rtol=1e-12)


@pytest.mark.parametrize("active", [6.0, 10.0])
def test_sparse_samples_move_as_many_controls_as_asked_on_average(active):
    moved = (drawn("sparse", np.arange(20_000), active=active) != SPEC.neutral).sum(axis=1)
    assert abs(moved.mean() - active) < 0.03 * active
    shares = np.bincount(moved, minlength=COUNT) / len(moved)
    assert shares[0] == 0
    assert shares[1] > 0.14
    assert shares[2] > 0.14
    assert shares[20:].sum() > 0.02


def test_sparse_samples_reach_bounds_exactly_and_both_of_them():
    poses = drawn("sparse", np.arange(20_000))
    for column in (1, 7):
        assert (poses[:, column] == SPEC.upper[column]).any()
        assert (poses[:, column] == SPEC.lower[column]).any()
    assert (poses[:, 0] == 1.0).mean() > 0.001


def test_active_values_cover_their_range_evenly():
    poses = drawn("sparse", np.arange(100_000))
    alone = poses[(poses != SPEC.neutral).sum(axis=1) == 1]  # poses of more may be calmed
    values = alone[:, 1::2][alone[:, 1::2] != 0.25]
    inside = values[np.abs(values) < np.pi]
    counts, _ = np.histogram(inside, bins=5, range=(-np.pi, np.pi))
    assert counts.min() > 0.88 * counts.max()
    assert abs((np.abs(values) == np.pi).mean() - 0.1) < 0.01


def test_every_control_is_moved_about_as_often_as_the_others():
    often = (drawn("sparse", np.arange(20_000)) != SPEC.neutral).sum(axis=0)
    free = np.delete(often, 5)
    assert free.min() > 0.9 * free.max()


def test_a_sobol_prefix_fills_every_cell_of_a_grid():
    spec = control_spec(["x", "y"])
    poses = draw(spec, SampleConfig(sampler="sobol"), np.arange(256))
    cells = np.unique((poses * 16).astype(int) @ [16, 1])
    assert len(cells) == 256  # a (0, m, 2)-net: one point in each of the 16 × 16 cells


def test_curve_samples_without_spread_lie_on_the_curves():
    spec = control_spec(["x", "y"])
    around = np.array([[0.0, 1.0], [0.5, 0.5], [0.5, 0.25]])
    x, y = draw(spec, SampleConfig(sampler="curves", spread=0.0), np.arange(500), around).T
    on_first, on_second = np.isclose(y, 1 - x) & (x <= 0.5), np.isclose(x, 0.5) & (y <= 0.5)
    assert (on_first | on_second).all()
    assert 0.4 < on_second.mean() < 0.6


def test_curve_samples_stray_as_far_as_asked():
    spec = control_spec(["x"], -10, 10)
    poses = draw(spec, SampleConfig(sampler="curves", spread=0.05), np.arange(20_000), np.zeros((1, 1)))
    assert abs(poses.std() - 1.0) < 0.03
    assert abs(poses.mean()) < 0.03


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"samples": 0}, "--samples 0: must be at least 1"),
        ({"active": 0.5}, "--active"),
        ({"spread": -1.0}, "--spread"),
        ({"spread": float("nan")}, "--spread"),
        ({"sampler": "curves"}, "needs curves"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(BunrakuError, match=said):
        check(SPEC, SampleConfig(**settings), None)


def test_a_rig_that_cannot_move_cannot_be_sampled():
    with pytest.raises(BunrakuError, match="no control can be sampled"):
        check(control_spec(["a", "b"], 0, [0, 1], driven=[False, True]), SampleConfig(), None)


def test_curves_of_another_rig_are_refused():
    with pytest.raises(BunrakuError, match="no curve names a control"):
        check(SPEC, SampleConfig(sampler="curves"), curves(["else"], np.zeros((2, 1))))
