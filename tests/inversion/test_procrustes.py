import numpy as np
import pytest

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rotations import geodesic_angle, matrix_from_rotvec, quat_from_matrix
from bunraku.inversion import procrustes
from bunraku.inversion.procrustes import motions

QUARTER = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y, about z
CORNERS = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 3], [1, 1, 1]])


def cloud(count=120, seed=0):
    return 50 * np.random.default_rng(seed).normal(size=(count, 3)) + [0, 300, 10]


def wandering(frames=40, seed=1):
    rng = np.random.default_rng(seed)
    return matrix_from_rotvec(0.3 * rng.normal(size=(frames, 3))), 30 * rng.normal(size=(frames, 3))


def posed(rest, rotation, shift, scale=1.0):
    return scale * rest @ np.swapaxes(rotation, 1, 2) + shift[:, None]


def off(found, rest, seen):
    return np.sqrt(((posed(rest, found.rotation, found.translation) - seen) ** 2).sum(axis=2).mean())


def test_a_quarter_turn_with_a_shift_and_a_scale_by_hand():
    seen = 2 * CORNERS @ QUARTER.T + [1, 2, 3]
    np.testing.assert_array_equal(seen[0], [1, 4, 3])
    found = motions(CORNERS, mesh_sequence(seen[None]), np.ones(4), "similarity")
    np.testing.assert_allclose(found.rotation[0], QUARTER, atol=1e-12)
    assert found.scale[0] == pytest.approx(2, abs=1e-12)
    np.testing.assert_allclose(found.translation[0], [1, 2, 3], atol=1e-12)
    # Back: n = Rᵀ(x − t)/2
    np.testing.assert_allclose(found.transforms[0] @ [1, 4, 3, 1], CORNERS[0], atol=1e-12)


def test_clean_rotations_come_back_to_rounding():
    rest, (rotation, shift) = cloud(), wandering()
    found = motions(rest, mesh_sequence(posed(rest, rotation, shift)), np.ones(len(rest)))
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, shift, atol=1e-9)
    assert found.known.all()
    assert found.sigma.max() < 1e-10


def test_a_mirror_image_is_never_answered():
    found = motions(CORNERS, mesh_sequence((CORNERS * [-1, 1, 1])[None]), np.ones(4), "similarity")
    assert np.linalg.det(found.rotation[0]) == pytest.approx(1)


def test_noise_does_not_shrink_the_scale():
    rest, (rotation, shift) = cloud(), wandering(200)
    noisy = posed(rest, rotation, shift, 1.3) + 20 * np.random.default_rng(2).normal(size=(200, 120, 3))
    assert motions(rest, mesh_sequence(noisy), np.ones(120), "similarity").scale.mean() == pytest.approx(1.3, rel=0.005)


def test_the_standard_error_is_what_the_error_turns_out_to_be():
    rest, (rotation, shift) = cloud(), wandering(400)
    clean = posed(rest, rotation, shift)
    noisy = clean + np.random.default_rng(3).normal(size=clean.shape)
    found = motions(rest, mesh_sequence(noisy), np.ones(120), robust=False)
    expected = np.sqrt((found.standard_error(rest) ** 2).mean())
    assert off(found, rest, clean) == pytest.approx(expected, rel=0.05)
    # Six parameters: 6σ²/V; on an average over all points of all directions
    assert expected == pytest.approx(np.sqrt(6 / 120), rel=0.03)
    angle = geodesic_angle(quat_from_matrix(found.rotation), quat_from_matrix(rotation))
    assert np.sqrt((angle**2).mean()) < np.sqrt(3) * found.rotation_error_rad().mean()
    assert np.sqrt((angle**2).mean()) > 0.5 * found.rotation_error_rad().mean()


@pytest.mark.parametrize("coherent", [False, True])
def test_one_vertex_in_five_far_off_does_not_tilt_the_head(coherent):
    rest, (rotation, shift) = cloud(), wandering()
    clean = posed(rest, rotation, shift)
    rng = np.random.default_rng(4)
    noisy = clean + rng.normal(size=clean.shape)
    base = off(motions(rest, mesh_sequence(noisy), np.ones(120)), rest, clean)
    for frame in noisy:
        bad = np.arange(24) if coherent else rng.choice(120, 24, replace=False)
        frame[bad] += [60, 0, 0] if coherent else 40 * rng.normal(size=(24, 3))
    found = motions(rest, mesh_sequence(noisy), np.ones(120))
    assert off(found, rest, clean) < 1.4 * base
    assert found.outliers == pytest.approx(0.2, abs=0.02)


def test_missing_points_do_not_count_and_too_few_are_said():
    rest, (rotation, shift) = cloud(), wandering(3)
    seen = posed(rest, rotation, shift)
    seen[0, 3:] = np.nan
    seen[1, 2:] = np.nan
    found = motions(rest, mesh_sequence(seen), np.ones(120))
    assert found.known.tolist() == [True, False, True]
    np.testing.assert_allclose(found.rotation[0], rotation[0], atol=1e-10)
    np.testing.assert_array_equal(found.rotation[1], np.eye(3))


def test_points_on_a_line_tell_no_rotation():
    rest = np.arange(10.0)[:, None] * [1.0, 2, 3]
    assert not motions(rest, mesh_sequence(rest[None]), np.ones(10)).known.any()


def test_weights_of_the_rig_and_of_the_capture_are_respected():
    rest, (rotation, shift) = cloud(), wandering(2)
    seen = posed(rest, rotation, shift)
    seen[:, 0] += 50
    seen[:, 1] -= 50
    trust, weights = np.ones(120), np.ones(120)
    trust[0], weights[1] = 0, 0
    found = motions(rest, mesh_sequence(seen, weights=weights), trust, robust=False)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)


def test_one_motion_for_the_whole_shot_is_that_of_all_frames_together():
    rest, (rotation, shift) = cloud(), wandering(1)
    seen = np.repeat(posed(rest, rotation, shift), 5, axis=0)
    seen += np.array([-2.0, -1, 0, 1, 2])[:, None, None]
    found = motions(rest, mesh_sequence(seen), np.ones(120), per="shot", robust=False)
    np.testing.assert_allclose(found.rotation, np.repeat(rotation, 5, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.translation, np.repeat(shift, 5, axis=0), atol=1e-9)


def test_the_parts_that_memory_allows_change_nothing(monkeypatch):
    rest, (rotation, shift) = cloud(), wandering(7)
    seen = mesh_sequence(posed(rest, rotation, shift) + np.random.default_rng(5).normal(size=(7, 120, 3)))
    for per in ("frame", "shot"):
        whole = motions(rest, seen, np.ones(120), per=per)
        monkeypatch.setattr(procrustes, "BATCH_BYTES", 24 * 120 * 2)
        parts = motions(rest, seen, np.ones(120), per=per)
        monkeypatch.undo()
        np.testing.assert_allclose(parts.transforms, whole.transforms, atol=1e-9)
