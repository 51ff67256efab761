import numpy as np
import pytest

from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.inversion.noise import repeated
from bunraku.inversion.solve import SolveConfig, solve
from small_rigs import limbed_rig

FRAME_BY_FRAME = SolveConfig(smooth=0.0, robust="none")


def waves(rig, frames):
    t = np.arange(frames)[:, None] / 8
    wave = 0.4 * np.sin(t + np.arange(len(rig.spec)))
    return np.clip(rig.spec.neutral + wave * np.minimum(1, rig.spec.upper), rig.spec.lower, rig.spec.upper)


def test_noise_is_measured_and_what_stays_is_told_from_what_flickers():
    rig = limbed_rig(per_joint=60)
    rng, mesh = np.random.default_rng(0), rig.evaluate(waves(rig, 48))
    fixed = 0.02 * rng.normal(size=mesh.shape[1:])
    flicker = 0.003 * rng.normal(size=mesh.shape)
    noise = solve(rig, mesh_sequence(mesh + fixed + flicker), FRAME_BY_FRAME).noise
    assert noise.sigma == pytest.approx(np.hypot(0.02, 0.003), rel=0.1)
    assert noise.flicker == pytest.approx(0.003, rel=0.1)
    assert not noise.dirty


def test_what_is_far_off_does_not_count_as_noise_but_is_counted():
    rig = limbed_rig(per_joint=60)
    rng, mesh = np.random.default_rng(0), rig.evaluate(waves(rig, 24))
    mesh += 0.003 * rng.normal(size=mesh.shape)
    off = rng.random(mesh.shape[:2]) < 0.1
    mesh[off] += 0.4 * rng.normal(size=(off.sum(), 3))
    noise = solve(rig, mesh_sequence(mesh), SolveConfig(smooth=0.0)).noise
    assert noise.sigma == pytest.approx(0.003, rel=0.25)
    assert noise.outliers == pytest.approx(0.1, abs=0.01)
    assert noise.dirty


def test_a_leap_of_the_whole_mesh_is_a_cut_and_a_fast_move_is_not():
    rig = limbed_rig()
    one = rig.evaluate(waves(rig, 40))

    def found(mesh):
        noisy = mesh + 0.01 * np.random.default_rng(0).normal(size=mesh.shape)
        return solve(rig, mesh_sequence(noisy)).cuts.tolist()

    assert found(one) == []
    elsewhere = one[3:26] + np.array([0.5, 0, 0])
    assert found(np.concatenate([one[:17], elsewhere])) == [17]
    # A step three times as long as the others, such as dropped frames leave.
    assert found(np.delete(one, [20, 21], axis=0)) == []


def test_single_copies_in_a_motion_are_dropped_frames_and_long_ones_or_many_are_not():
    rig = limbed_rig()
    mesh = rig.evaluate(waves(rig, 30))
    dropped = mesh.copy()
    dropped[[7, 20]] = dropped[[6, 19]]
    assert np.flatnonzero(repeated(mesh_sequence(dropped))).tolist() == [7, 20]
    held = mesh.copy()
    held[8:14] = held[7]
    assert not repeated(mesh_sequence(held)).any()
    assert not repeated(mesh_sequence(np.repeat(mesh[::2], 2, axis=0))).any()


def test_dropped_frames_are_bridged_and_told():
    rig = limbed_rig()
    true = waves(rig, 30)
    mesh = rig.evaluate(true)
    mesh[12] = mesh[11]
    found = solve(rig, mesh_sequence(mesh))
    assert np.flatnonzero(found.repeated).tolist() == [12]
    kept = solve(rig, mesh_sequence(mesh), SolveConfig(smooth=0.0)).controls
    missed = [np.abs(controls[12] - true[12]).max() for controls in (found.controls, kept)]
    assert missed[0] < 0.1 * missed[1]
