import numpy as np
import pytest

from bunraku.core.rotations import matrix_from_rotvec
from bunraku.core.transforms import apply, invert_affine
from bunraku.inversion.steadying import bridged, places, smoothed, transforms_of

NEUTRAL = 40 * np.random.default_rng(0).normal(size=(60, 3)) + [0, 100, 0]
MIDDLE = NEUTRAL.mean(axis=0)


def turned_about(middle, rotvec, shift):
    """The capture's transform to the rig, of a rig turned about its middle and shifted in the capture."""
    rotation = matrix_from_rotvec(rotvec)
    offset = middle + shift - (rotation @ middle)
    return invert_affine(np.concatenate([rotation, offset[..., None]], axis=-1))


def path(frames):
    phase = np.linspace(0, 2, frames)[:, None]
    return turned_about(MIDDLE, 0.3 * np.sin(phase + np.arange(3)), 20 * np.cos(phase - np.arange(3)))


def test_transforms_come_back_from_their_places():
    given = path(5)
    given[:, :, :3] *= 1.5
    np.testing.assert_allclose(transforms_of(places(given, MIDDLE), MIDDLE), given, atol=1e-12)


def test_a_gap_is_half_way_between_its_neighbours_and_ends_are_held():
    ends = [turned_about(MIDDLE, np.array([0, 0, a]), np.array([s, 0.0, 0])) for a, s in ((0.2, 0.0), (0.6, 8.0))]
    nothing = np.eye(3, 4)
    given = np.stack([nothing, ends[0], nothing, ends[1], nothing])
    out = bridged(given, np.array([True, False, True, False, True]), MIDDLE)
    np.testing.assert_allclose(out[2], turned_about(MIDDLE, np.array([0, 0, 0.4]), np.array([4.0, 0, 0])), atol=1e-12)
    np.testing.assert_allclose(out[[0, 4]], np.stack(ends), atol=1e-12)
    np.testing.assert_array_equal(out[[1, 3]], np.stack(ends))


def error(transforms, true):
    meshes = np.tile(NEUTRAL, (len(true), 1, 1))
    return np.sqrt(((apply(transforms, meshes) - apply(true, meshes)) ** 2).sum(axis=2).mean())


def jittered(true, amount, seed=1):
    rng = np.random.default_rng(seed)
    frames, length = len(true), np.sqrt(2 / 3 * ((NEUTRAL - MIDDLE) ** 2).sum(axis=1).mean())
    one = amount / np.sqrt(6)
    jitter = turned_about(MIDDLE, one / length * rng.normal(size=(frames, 3)), one * rng.normal(size=(frames, 3)))
    return np.concatenate([jitter[:, :, :3] @ true[:, :, :3], jitter[:, :, :3] @ true[:, :, 3:] + jitter[:, :, 3:]], 2)


def test_a_smooth_drift_under_noise_is_smoothed_and_its_error_is_told():
    true = path(60)
    noisy = jittered(true, 1.0)
    before = error(noisy, true)
    assert before == pytest.approx(1, rel=0.15)
    out, left = smoothed(noisy, np.ones(60), np.zeros(60, bool), NEUTRAL)
    assert error(out, true) < 0.5 * before
    assert 0.5 < error(out, true) / np.sqrt(left) < 2


def test_a_drift_that_shakes_by_more_than_its_error_is_left():
    true = jittered(path(60), 10.0)
    out, left = smoothed(jittered(true, 0.5, seed=2), np.full(60, 0.5), np.zeros(60, bool), NEUTRAL)
    assert left == 1
    assert error(out, true) == pytest.approx(0.5, rel=0.15)


def test_exact_motions_and_few_frames_are_left():
    assert smoothed(path(60), np.zeros(60), np.zeros(60, bool), NEUTRAL)[1] == 1
    assert smoothed(path(4), np.ones(4), np.zeros(4, bool), NEUTRAL)[1] == 1
