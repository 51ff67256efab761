"""Frames one by one: on a linear rig whose answers are known, and on a curved one."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.inversion.stream import Stream, StreamConfig
from small_rigs import limbed_rig, linear_rig


def smooth_curves(frames, controls, seed=0, size=0.6):
    rng = np.random.default_rng(seed)
    time, phase = np.arange(frames)[:, None], rng.uniform(0, 6, controls)
    return size * np.sin(0.08 * time + phase)


def solved(stream, frames, **more):
    return np.array([stream.push(frame, **more).controls for frame in frames])


def noisy(rig, true, noise, seed=1):
    meshes = rig.evaluate(true)
    return meshes + noise * np.random.default_rng(seed).normal(size=meshes.shape)


def roughness(values):
    return float((np.diff(values, 2, axis=0) ** 2).mean())


def test_without_noise_the_controls_are_exact():
    rig = linear_rig()
    true = smooth_curves(40, 5)
    np.testing.assert_allclose(solved(Stream(rig), rig.evaluate(true)), true, atol=1e-3)
    np.testing.assert_allclose(solved(Stream(rig), rig.evaluate(true))[5:], true[5:], atol=1e-5)


def test_a_curved_rig_is_followed_as_well():
    rig = limbed_rig()
    wave = 0.3 * np.sin(0.1 * np.arange(25))[:, None] * np.linspace(-1, 1, len(rig.spec))
    true = np.clip(rig.spec.neutral + wave, rig.spec.lower, rig.spec.upper)
    meshes = rig.evaluate(true)
    stream = Stream(rig)
    results = [stream.push(frame) for frame in meshes]
    assert max(r.error for r in results[3:]) < 1e-4
    again = rig.evaluate(np.array([r.controls for r in results[3:]]))
    np.testing.assert_allclose(again, meshes[3:], atol=1e-3)


def test_noise_is_measured_and_smoothed_away():
    rig = linear_rig(vertices=40)
    true = smooth_curves(150, 5)
    frames = noisy(rig, true, 0.2)
    stream = Stream(rig)
    results = [stream.push(frame) for frame in frames]
    assert results[-1].noise == pytest.approx(0.2, rel=0.15)
    own = np.array([r.controls for r in results])[30:]
    each = solved(Stream(rig, StreamConfig(smooth=0.0)), frames)[30:]
    assert np.abs(own - true[30:]).mean() < 0.8 * np.abs(each - true[30:]).mean()
    assert roughness(own - true[30:]) < 0.3 * roughness(each - true[30:])


def test_a_part_of_the_capture_that_the_rig_cannot_show_is_no_noise():
    rig = linear_rig(vertices=40)
    other = np.random.default_rng(5).normal(size=(40, 3))
    stream = Stream(rig)
    results = [stream.push(frame + other) for frame in noisy(rig, smooth_curves(60, 5), 0.02)]
    assert results[-1].error > 1
    assert results[-1].noise < 0.03


def test_bounds_are_reached_and_never_passed():
    rig = linear_rig(lower=-0.5, upper=0.5, mixed=1.0)
    true = smooth_curves(80, 5, size=1.0)
    own = solved(Stream(rig), noisy(rig, true, 0.05))
    assert own.min() == -0.5
    assert own.max() == 0.5


def test_missing_vertices_are_not_looked_at():
    rig = linear_rig(vertices=30)
    true = smooth_curves(30, 5)
    frames = rig.evaluate(true)
    holes = np.random.default_rng(3).random(frames.shape[:2]) < 0.4
    spoilt = np.where(holes[..., None], np.nan, frames)
    stream = Stream(rig)
    results = [stream.push(frame) for frame in spoilt]
    np.testing.assert_allclose(np.array([r.controls for r in results])[3:], true[3:], atol=1e-4)
    np.testing.assert_array_equal(np.isnan(results[7].vertex_error), holes[7])
    masked = Stream(rig)
    wrong = np.where(holes[..., None], 100.0, frames)
    said = np.array([masked.push(f, valid=~h).controls for f, h in zip(wrong, holes, strict=True)])
    np.testing.assert_allclose(said[3:], true[3:], atol=1e-4)


def test_a_frame_of_nothing_goes_on_and_comes_to_rest():
    rig = linear_rig()
    true = 0.01 * np.arange(20)[:, None] * np.ones(5) - 0.1
    stream = Stream(rig)
    solved(stream, rig.evaluate(true))
    unseen = [stream.push(np.full((12, 3), np.nan)) for _ in range(10)]
    steps = np.diff(np.array([true[-1], *(r.controls for r in unseen)]), axis=0)
    np.testing.assert_allclose(steps[0], 0.01, atol=1e-4)
    assert (steps[1:] < steps[:-1]).all()
    assert all(np.isnan(r.error) and r.linearizations == 0 for r in unseen)
    assert Stream(rig).push(np.full((12, 3), np.nan)).controls.tolist() == rig.spec.neutral.tolist()


def test_frames_that_were_dropped_are_bridged_by_the_velocity():
    rig = linear_rig()
    line = np.linspace(-0.4, 0.4, 41)[:, None] * np.ones(5)
    frames = noisy(rig, line, 0.05)
    stream = Stream(rig)
    solved(stream, frames[:30])
    result = stream.push(frames[34], elapsed=5)
    assert not result.cut
    assert np.abs(result.controls - line[34]).max() < 0.03


def test_a_cut_resets_the_filter_and_ordinary_motion_does_not():
    rig = linear_rig(vertices=40)
    first, second = smooth_curves(60, 5), smooth_curves(30, 5, seed=9)[::-1]
    frames = noisy(rig, np.concatenate([first, -second]), 0.02)
    stream = Stream(rig)
    results = [stream.push(frame) for frame in frames]
    assert [i for i, r in enumerate(results) if r.cut] == [60]
    np.testing.assert_allclose(results[60].controls, -second[0], atol=0.02)


def test_the_work_of_a_frame_has_a_bound():
    rig = limbed_rig()
    rng = np.random.default_rng(4)
    poses = np.clip(rig.spec.neutral + 0.5 * rng.normal(size=(12, len(rig.spec))), rig.spec.lower, rig.spec.upper)
    stream = Stream(rig, StreamConfig(linearizations=2, recovery=4, cut=0.0))
    counts = [stream.push(frame).linearizations for frame in rig.evaluate(poses)]
    assert counts[0] <= 4
    assert max(counts[1:]) <= 2


def test_the_residual_may_be_another_rigs():
    rig = linear_rig()
    shifted = linear_rig()
    true = smooth_curves(20, 5)
    bent = type(rig)(rig.spec, rig.neutral, rig.shapes + 0.05)
    frames = shifted.evaluate(np.concatenate([true, true[[-1] * 10]]))
    own = solved(Stream(bent, evaluate=shifted.evaluate), frames)
    alone = solved(Stream(bent), frames)
    assert np.abs(own[5:20] - true[5:]).mean() < 0.2 * np.abs(alone[5:20] - true[5:]).mean()
    np.testing.assert_allclose(own[-1], true[-1], atol=1e-5)  # at rest nothing is left of the approximation's error


def test_a_frame_of_another_mesh_is_refused():
    with pytest.raises(BunrakuError, match=r"a frame has shape \(7, 3\); the rig's is \(12, 3\)"):
        Stream(linear_rig()).push(np.zeros((7, 3)))
