import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.core.reduced import project
from bunraku.inversion import information as module
from bunraku.inversion.account import control_deviation
from bunraku.inversion.information import in_coordinates, motion_at, tangents
from bunraku.inversion.refine import FiniteDifferences
from small_rigs import Linear, LinearCoordinates, limbed_rig, linear_rig


def pair(angle=np.pi / 2, upper=10.0):
    """Two controls that shift one vertex, in directions so far apart."""
    shapes = np.zeros((2, 2, 3))
    shapes[0, 0, :2] = 1, 0
    shapes[1, 0, :2] = np.cos(angle), np.sin(angle)
    return Linear(control_spec(["x", "y"], 0.0, [upper, 4.0]), np.array([[0.0, 0, 0], [3, 4, 0]]), shapes)


def poses(rig, count, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    at = rig.spec.neutral + spread * rig.spec.range * rng.uniform(-1, 1, size=(count, len(rig.spec)))
    return np.clip(at, rig.spec.lower, rig.spec.upper)


class Compressed(Linear):
    """The same rig in coordinates of an orthonormal basis of all its meshes, x, y and z together."""

    def reduce(self):
        rows = np.linalg.qr(self.shapes.reshape(len(self.shapes), -1).T)[0].T

        class Coordinates(LinearCoordinates):
            basis, origin = rows, self.neutral

            def linearize(self, controls):
                values, jacobian = LinearCoordinates.linearize(self, controls)
                return values @ rows.T, jacobian @ rows.T

        return Coordinates(self)


def test_deviations_of_two_directions_by_hand():
    # Apart by a right angle, each has σ over its range; by 30°, each has σ / sin 30°.
    np.testing.assert_allclose(control_deviation(pair(), np.zeros((1, 2)), 0.1), [[0.01, 0.025]])
    np.testing.assert_allclose(control_deviation(pair(np.pi / 6), np.zeros((1, 2)), 0.1), [[0.02, 0.05]])


def test_weights_are_inverse_variances_and_rows_are_frames():
    weights = np.array([[1.0, 1], [0.25, 1], [0, 1]])
    found = control_deviation(pair(), np.zeros((3, 2)), 0.1, weights)
    np.testing.assert_allclose(found, [[0.01, 0.025], [0.02, 0.05], [np.inf, np.inf]])


def test_controls_that_can_be_traded_have_no_finite_deviation_and_others_keep_theirs():
    plain = linear_rig(controls=4)
    shapes = plain.shapes.copy()
    shapes[3] = 0.01 * shapes[1]
    found = control_deviation(Linear(plain.spec, plain.neutral, shapes), np.zeros((1, 4)), 0.1)[0]
    alone = control_deviation(Linear(plain.spec.take(np.arange(3)), plain.neutral, shapes[:3]), np.zeros((1, 3)), 0.1)[
        0
    ]
    assert np.isinf(found[[1, 3]]).all()
    np.testing.assert_allclose(found[[0, 2]], alone[[0, 2]])


def test_a_control_whose_bounds_meet_is_known_and_takes_nothing_from_others():
    rig = pair(np.pi / 6, upper=0.0)
    np.testing.assert_allclose(control_deviation(rig, np.zeros((1, 2)), 0.1), [[0, 0.025]])


@pytest.mark.parametrize("weighted", [False, True])
def test_coordinates_of_every_kind_tell_the_same(weighted):
    rng = np.random.default_rng(1)
    rig = limbed_rig()
    at = poses(rig, 3)
    weights = (rng.random((3, len(rig.neutral))) < 0.6) * rng.random((3, len(rig.neutral))) if weighted else None
    skinned = control_deviation(rig, at, 0.01, weights)
    np.testing.assert_allclose(skinned, control_deviation(FiniteDifferences(rig), at, 0.01, weights), rtol=2e-3)
    plain = linear_rig(controls=5)
    packed = Compressed(plain.spec, plain.neutral, plain.shapes)
    weights = None if weights is None else weights[:, :12]
    at = poses(plain, 3)
    expected = control_deviation(plain, at, 0.01, weights)
    np.testing.assert_allclose(control_deviation(packed, at, 0.01, weights), expected, rtol=1e-9)


def test_what_moves_only_missing_vertices_is_not_seen():
    rig = limbed_rig()
    weights = np.ones((1, len(rig.neutral)))
    weights[0, 4 * 14 : 5 * 14] = 0  # the hand's own
    found = control_deviation(rig, poses(rig, 2), 0.001, weights)
    hand = np.array([name.startswith("hand.r") for name in rig.spec.names])
    assert np.isinf(found[:, hand]).all()
    assert np.isfinite(found[:, ~hand]).all()


def test_least_squares_reaches_the_bound():
    """Least squares under small normal noise is efficient: its spread is the Cramér–Rao bound."""
    rig = limbed_rig(per_joint=5)
    true = np.repeat(poses(rig, 1, 0.05), 300, axis=0)
    noise = 1e-4 * np.random.default_rng(2).normal(size=(300, *rig.neutral.shape))
    reduced = rig.reduce()
    target = project(reduced, rig.evaluate(true) + noise)
    found = true.copy()
    for _ in range(3):
        reached, jacobian = reduced.linearize(found)
        normal = jacobian.astype(float) @ np.swapaxes(jacobian, 1, 2)
        found += np.linalg.solve(normal, jacobian @ (target - reached)[..., None])[..., 0]
    spread = np.sqrt((((found - true) / rig.spec.range) ** 2).mean(axis=0))
    ratio = spread / control_deviation(rig, true[:1], 1e-4)[0]
    np.testing.assert_allclose(ratio, 1.0, atol=0.2)
    assert ratio.mean() == pytest.approx(1, abs=0.03)


def test_parts_of_bounded_memory_tell_the_same(monkeypatch):
    rig = limbed_rig()
    at = poses(rig, 5)
    whole = control_deviation(rig, at, 0.01)
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    assert [t.poses for t in tangents(rig, at)] == [slice(i, i + 1) for i in range(5)]
    np.testing.assert_allclose(control_deviation(rig, at, 0.01), whole)


@pytest.mark.parametrize("make", [limbed_rig, lambda: linear_rig(), lambda: Compressed(**vars(linear_rig()))])
def test_motion_of_single_vertices_and_offsets_in_coordinates(make):
    rig = make()
    at = poses(rig, 2)
    (tangent,) = tangents(rig, at)
    chosen = np.array([7, 2])
    moved = motion_at(rig.reduce(), tangent.jacobian, chosen)
    step = np.zeros((2, len(rig.spec)))
    step[:, 1] = rig.spec.range[1]
    np.testing.assert_allclose(moved[:, 1], rig.jvp(at, step)[:, chosen], atol=1e-5)
    meshes = rig.evaluate(at)
    expected = np.diff(project(rig.reduce(), meshes), axis=0)
    np.testing.assert_allclose(in_coordinates(rig.reduce(), np.diff(meshes, axis=0)), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("message", "more"),
    [
        ("sigma -1", {"sigma": -1.0}),
        ("sigma nan", {"sigma": float("nan")}),
        (r"3 columns; the rig has 2", {"controls": np.zeros((1, 3))}),
        (r"shape \(2, 2\); expected \(1, 2\)", {"weights": np.ones((2, 2))}),
        ("none negative", {"weights": np.array([[-1.0, 1]])}),
    ],
)
def test_what_cannot_be_is_refused(message, more):
    with pytest.raises(BunrakuError, match=message):
        control_deviation(pair(), **{"controls": np.zeros((1, 2)), "sigma": 0.1} | more)
