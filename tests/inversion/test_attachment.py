import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.reduced import project, unproject
from bunraku.core.rig import DifferentiableRig
from bunraku.inversion import attachment as module
from bunraku.inversion.account import observability
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.attachment import attached, attachment
from bunraku.inversion.refine import FiniteDifferences
from bunraku.inversion.solve import solve
from bunraku.rigs.cube import Cube, animation
from small_rigs import BlackBox, differences, limbed_rig, linear_rig


def random_attachment(vertices, points, seed=0, corners=3):
    rng = np.random.default_rng(seed)
    weights = rng.random((points, corners)) + 0.1
    return attachment(
        rng.integers(0, vertices, (points, corners)),
        weights / weights.sum(axis=1, keepdims=True),
        vertices,
        offset=rng.normal(size=(points, 3)),
    )


def small_approximation(basis=True):
    """5 controls, 12 vertices, 6 components, one quadratic term; weights in single precision."""
    rng = np.random.default_rng(3)
    inner = linear_rig(controls=5, vertices=12)
    orthonormal = np.linalg.qr(rng.normal(size=(36, 6)))[0].T.astype(np.float32)
    return Approximation(
        spec=inner.spec,
        faces=np.zeros((0, 3), np.int32),
        neutral=inner.neutral,
        centre=np.zeros(5, np.float32),
        spread=np.ones(5, np.float32),
        mean=inner.neutral.reshape(-1).astype(np.float32),
        basis=orthonormal if basis else None,
        scale=1.0,
        skip=rng.normal(size=(6 if basis else 36, 5)).astype(np.float32),
        terms=np.array([[0, 1]]),
        products=(0.3 * rng.normal(size=(6 if basis else 36, 1))).astype(np.float32),
        layers=(),
    )


RIGS = {
    "skinned": limbed_rig,
    "linear": linear_rig,
    "approximation": small_approximation,
    "approximation without basis": lambda: small_approximation(basis=False),
    "differences": lambda: FiniteDifferences(Cube()),
}


def poses(rig, count=4, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rig.spec.neutral + 0.2 * rng.normal(size=(count, len(rig.spec))), rig.spec.lower, rig.spec.upper)


def test_a_marker_lies_where_its_weights_say():
    cube = Cube()
    at = attachment(np.array([[0, 1, 2]]), np.array([[0.5, 0.25, 0.25]]), 8)
    # corners 0, 1, 2 are (−1, −1, −1), (−1, −1, 1), (−1, 1, −1)
    np.testing.assert_allclose(attached(cube, at).neutral, [[-1, -0.5, -0.5]])
    np.testing.assert_allclose(attached(cube, at).evaluate(cube.spec.neutral[None]), [[[-1, -0.5, -0.5]]])


def test_the_identity_is_the_rig_itself_and_a_rig_without_derivatives_gets_none():
    cube = Cube()
    every = np.arange(8)[:, None]
    assert attached(cube, attachment(every, np.ones((8, 1)), 8)) is cube
    assert not isinstance(attached(cube, random_attachment(8, 3)), DifferentiableRig)
    assert isinstance(attached(FiniteDifferences(cube), random_attachment(8, 3)), DifferentiableRig)


@pytest.mark.parametrize("name", RIGS)
@pytest.mark.parametrize("points", [2, 40])
def test_the_coordinates_of_the_points_agree_with_their_positions(name, points):
    rig = RIGS[name]()
    seen = attached(rig, random_attachment(len(rig.neutral), points))
    reduced = seen.reduce()
    controls = poses(rig)
    np.testing.assert_allclose(
        unproject(reduced, reduced.evaluate(controls)), seen.evaluate(controls), rtol=0, atol=1e-10
    )
    np.testing.assert_allclose(reduced.linearize(controls)[0], reduced.evaluate(controls), rtol=0, atol=1e-12)
    np.testing.assert_allclose(project(reduced, seen.evaluate(controls)), reduced.evaluate(controls), atol=1e-10)
    if reduced.basis is not None:
        np.testing.assert_allclose(reduced.basis @ reduced.basis.T, np.eye(len(reduced.basis)), atol=1e-6)


@pytest.mark.parametrize("name", RIGS)
@pytest.mark.parametrize("points", [2, 40])
def test_jacobians_agree_with_finite_differences(name, points):
    rig = RIGS[name]()
    seen = attached(rig, random_attachment(len(rig.neutral), points))
    reduced = seen.reduce()
    controls = poses(rig, 1)
    expected = differences(lambda c: seen.evaluate(c[None])[0].ravel(), controls[0])
    rows = reduced.linearize(controls)[1][0]
    meshes = unproject(reduced, rows.astype(np.float64)) - reduced.origin
    np.testing.assert_allclose(meshes.reshape(len(rows), -1), expected, rtol=0, atol=2e-5)
    tangent = np.random.default_rng(1).normal(size=controls.shape)
    np.testing.assert_allclose(seen.jvp(controls, tangent)[0].ravel(), tangent[0] @ expected, atol=2e-5)
    cotangent = np.random.default_rng(2).normal(size=(1, points, 3))
    np.testing.assert_allclose(seen.vjp(controls, cotangent)[0], expected @ cotangent.ravel(), atol=2e-4)


def test_a_large_inner_jacobian_is_made_a_few_frames_at_a_time(monkeypatch):
    rig = linear_rig()
    reduced = attached(rig, random_attachment(12, 3)).reduce()
    at_once = reduced.linearize(poses(rig, 7))
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * 8 * 5 * 36)
    for one, other in zip(at_once, reduced.linearize(poses(rig, 7)), strict=True):
        np.testing.assert_allclose(one, other)


def test_sixty_markers_on_a_skinned_character_recover_its_controls():
    rig = limbed_rig(morphs=0)
    rng = np.random.default_rng(5)
    controls = 0.3 * np.sin(np.linspace(0, 2, 6)[:, None] + rng.uniform(0, 6, len(rig.spec)))
    to = random_attachment(len(rig.neutral), 60, corners=2)
    seen = attached(rig, to)
    capture = mesh_sequence(to.apply(rig.evaluate(controls)))
    determined = observability(seen, controls).determined
    assert determined.sum() > 0.8 * len(determined)
    solution = solve(seen, capture)
    np.testing.assert_allclose(solution.controls[:, determined], controls[:, determined], atol=1e-5)


def test_four_markers_on_a_black_box_cube_with_one_frame_hidden_recover_its_controls():
    cube = Cube()
    true = animation(12).values
    corners, weights = np.array([[0, 1, 2], [4, 5, 6], [3, 2, 7], [1, 5, 7]]), np.tile([0.6, 0.2, 0.2], (4, 1))
    to = attachment(corners, weights, 8)
    rig = FiniteDifferences(attached(BlackBox(cube), to))
    valid = np.ones((12, 4), bool)
    valid[3, 2] = False
    solution = solve(rig, mesh_sequence(to.apply(cube.evaluate(true)), valid=valid))
    np.testing.assert_allclose(to.apply(cube.evaluate(solution.controls)), to.apply(cube.evaluate(true)), atol=1e-6)


def test_a_guess_from_points_carries_a_skinned_character_through_a_large_turn():
    rig = limbed_rig(morphs=0)
    controls = np.zeros((1, len(rig.spec)))
    controls[0, rig.spec.index("root.ry")] = 2.8
    order = np.random.default_rng(0).permutation(len(rig.neutral))
    to = attachment(order[:, None], np.ones((len(order), 1)), len(order))
    solution = solve(attached(rig, to), mesh_sequence(to.apply(rig.evaluate(controls))))
    assert solution.relative_rms[0] < 1e-7


def test_only_what_corresponds_is_taken_of_a_capture():
    to = attachment(np.array([[3], [0]]), np.ones((2, 1)), 5, taken=np.array([4, 1]), captured=6)
    vertices = np.arange(2 * 6 * 3, dtype=float).reshape(2, 6, 3)
    valid = np.ones((2, 6), bool)
    valid[1, 4] = False
    faces = np.array([[0, 1, 4], [1, 4, 1]])
    taken = to.of(mesh_sequence(vertices, faces, weights=np.arange(6.0), valid=valid))
    np.testing.assert_array_equal(taken.vertices[0], vertices[0, [4, 1]])
    np.testing.assert_array_equal(taken.valid, [[True, True], [False, True]])
    np.testing.assert_array_equal(taken.weights, [4, 1])
    np.testing.assert_array_equal(taken.faces, [[1, 0, 1]])
    np.testing.assert_array_equal(np.flatnonzero(to.shown), [0, 3])
    with pytest.raises(BunrakuError, match="the capture has 5 vertices; its correspondence was made for 6"):
        to.of(mesh_sequence(vertices[:, :5]))


@pytest.mark.parametrize(
    ("corners", "weights", "message"),
    [
        ([[0, 9]], [[0.5, 0.5]], "names rig vertex 9; the rig has 8"),
        ([[0, -1]], [[0.5, 0.5]], "names rig vertex -1"),
        ([[0, 1]], [[0.5, 0.6]], "point 0 has weights 0.5, 0.6; expected none negative, with the sum 1"),
        ([[0, 1]], [[1.5, -0.5]], "point 0 has weights 1.5, -0.5"),
        ([[0, 1]], [[np.nan, 1.0]], "point 0 has weights nan"),
        (np.zeros((0, 1), int), np.zeros((0, 1)), "attaches nothing"),
    ],
)
def test_impossible_attachments_are_refused(corners, weights, message):
    with pytest.raises(BunrakuError, match=message):
        attachment(np.asarray(corners), np.asarray(weights, float), 8)


def test_an_attachment_to_another_rig_is_refused():
    with pytest.raises(BunrakuError, match="to a rig of 9 vertices; this one has 8"):
        attached(Cube(), random_attachment(9, 2))
