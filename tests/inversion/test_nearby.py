"""Where a rig is sampled around a solved shot."""

import numpy as np

from bunraku.core.controls import control_spec
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.nearby import between, nearby, places, strayed


def linear_model(slopes: tuple[float, ...], *, driven: tuple[bool, ...] | None = None) -> Approximation:
    """Each control moves a coordinate of its own of two vertices that are 1 apart."""
    count = len(slopes)
    neutral = np.array([[0.0, 0, 0], [1, 0, 0]])
    names = [f"c{i}" for i in range(count)]
    spec = control_spec(names, -1.0, 1.0, 0.0, driven=[False] * count if driven is None else driven)
    skip = np.zeros((6, count), np.float32)
    skip[np.arange(count), np.arange(count)] = slopes
    flat, none = neutral.reshape(-1), np.zeros((6, 0), np.float32)
    terms = np.zeros((0, 1), np.int64)
    ones = np.ones(count)
    return Approximation(
        spec, np.zeros((0, 3), np.int32), neutral, 0 * ones, ones, flat, None, 1.0, skip, terms, none, ()
    )


def test_places_by_hand():
    """Weights 1 and 3 and a tenth of their mean: 1.2 and 3.2. A quarter of 4.4 is 1.1 of the first frame's 1.2."""
    at = places(np.array([1.0, 3.0]), np.array([0.0, 0.25, 0.5, 1.0]))
    np.testing.assert_allclose(at, [0, 1.1 / 1.2 - 0.5, 1 + (2.2 - 1.2) / 3.2 - 0.5, 1])


def test_frames_of_more_error_get_more_places():
    error = np.ones(10)
    error[7] = 11.0
    at = places(error, (np.arange(100) + 0.5) / 100)
    assert 45 < ((at > 6.5) & (at < 7.5)).sum() < 60
    assert len(np.unique(at[(at > 0) & (at < 9)])) == ((at > 0) & (at < 9)).sum()


def test_between_frames_by_hand():
    values = np.array([[0.0, 10], [1, 20], [3, 20]])
    np.testing.assert_allclose(
        between(values, np.array([0.0, 0.5, 1.25, 2.0])), [[0, 10], [0.5, 15], [1.5, 20], [3, 20]]
    )
    np.testing.assert_allclose(between(values[:1], np.array([0.0])), values[:1])


def test_controls_stray_as_far_as_the_mesh_leaves_them_open():
    """(H/e² + I/s²)⁻¹ with H = diag(100, 0), e = 1, s = .5: deviations 1/√104 and .5."""
    hessian = np.diag([100.0, 0.0])
    drawn = np.array([strayed(hessian, 1.0, 0.5, one) for one in np.random.default_rng(0).standard_normal((1000, 2))])
    np.testing.assert_allclose(drawn.std(axis=0), [104**-0.5, 0.5], rtol=0.1)


def test_correlated_controls_stray_along_what_can_be_traded():
    hessian = 1e4 * np.array([[1.0, 1.0], [1.0, 1.0]])
    drawn = np.array([strayed(hessian, 0.01, 0.2, one) for one in np.random.default_rng(0).standard_normal((300, 2))])
    assert np.abs(drawn.sum(axis=1)).max() < 0.01
    assert np.abs(drawn[:, 0] - drawn[:, 1]).std() > 0.1


def around(model: Approximation, count: int, **more) -> np.ndarray:
    controls = np.linspace(-0.5, 0.5, 9)[:, None] * np.ones(len(model.spec))
    settings = {"active": 2.0, "spread": 0.1, "seed": 0, **more}
    return nearby(model, controls, np.full(9, 0.01), count, **settings)


def test_poses_depend_on_seed_and_round_alone():
    model = linear_model((1.0, 0.1, 0.0))
    first = around(model, 40)
    np.testing.assert_array_equal(first, around(model, 40))
    for other in (around(model, 40, seed=1), around(model, 40, number=1)):
        assert (first != other).any(axis=1).all()


def test_poses_stay_within_bounds_few_controls_stray_and_none_twice():
    model = linear_model((1.0, 0.5, 0.1, 0.0, 0.0), driven=(False, False, False, False, True))
    poses = around(model, 90, spread=5.0)
    assert (np.abs(poses) <= 1).all()
    base = poses[:, 4]  # the rig's own control does not stray, so it tells where on the shot a pose is
    strays = (np.abs(poses[:, :4] - base[:, None]) > 1e-12).sum(axis=1)
    assert strays.min() == 1
    assert strays.max() == 3
    assert len(np.unique(poses, axis=0)) == 90
