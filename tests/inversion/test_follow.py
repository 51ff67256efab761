"""Shots followed on rigs that tell no derivatives."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import restrict
from bunraku.inversion import follow as module
from bunraku.inversion.follow import follow
from bunraku.inversion.guidance import Instructions, Limits
from bunraku.inversion.invert import InvertConfig, invert
from bunraku.inversion.pursuit import FollowConfig
from bunraku.rigs.open import open_rig
from small_rigs import BlackBox, Linear, linear_rig


def moving(rig, frames, share=0.3, seed=0):
    """Smooth curves, and the rig's meshes of them."""
    rng, t = np.random.default_rng(seed), np.linspace(0, 1, frames)[:, None]
    waves = np.sin(2 * np.pi * (rng.uniform(0.3, 1, len(rig.spec)) * t + rng.uniform(0, 1, len(rig.spec))))
    values = np.clip(rig.spec.neutral + share * waves * rig.spec.range, rig.spec.lower, rig.spec.upper)
    return values, mesh_sequence(rig.evaluate(values), rig.faces, 24)


@pytest.fixture
def cube():
    return BlackBox(open_rig("cube"))


def test_a_shot_is_followed_to_the_error_that_is_asked_for(cube):
    values, shot = moving(cube, 40)
    cube.asked = 0
    done = follow(cube, shot, FollowConfig(enough=1e-6, neutral=0, steady=0))
    assert done.relative_rms.max() < 3e-6
    assert np.abs(done.controls - values).max() < 1e-4
    assert done.evaluations == pytest.approx(cube.asked, abs=2)
    assert done.evaluations < 40 * 8


def test_controls_keep_their_bounds_and_reach_them(cube):
    spec = cube.spec
    values = np.tile(spec.neutral, (8, 1))
    values[:, 3] = np.linspace(spec.neutral[3], spec.upper[3], 8)
    done = follow(cube, mesh_sequence(cube.evaluate(values), cube.faces, 24), FollowConfig(enough=1e-7, steady=0))
    assert done.controls[-1, 3] == pytest.approx(spec.upper[3], abs=1e-5)
    assert (done.controls >= spec.lower).all()
    assert (done.controls <= spec.upper).all()


def test_what_the_mesh_does_not_tell_stays_at_rest():
    face = open_rig("face")
    few = BlackBox(restrict(face, face.spec.names[:16]))
    values, _ = moving(few, 10, share=0.2)
    still = 3
    values[:, still] = few.spec.neutral[still]
    done = follow(few, mesh_sequence(few.evaluate(values), few.faces, 24))
    assert done.relative_rms.max() < 2 * FollowConfig().enough
    assert done.jacobians <= 2


def test_interchangeable_controls_are_named():
    plain = linear_rig(controls=4)
    shapes = plain.shapes.copy()
    shapes[3] = 0.5 * shapes[1]
    twins = BlackBox(Linear(plain.spec, plain.neutral, shapes))
    _, shot = moving(twins, 6)
    found = invert(twins, shot, InvertConfig(method="follow", align="none")).metrics
    assert found["interchangeable"] == ["c1", "c3"]
    assert found["interchangeable_groups"] == ["c1, c3: 1 of 2 could rest"]


def test_the_derivatives_that_are_kept_are_spread_over_the_shot(cube):
    _, shot = moving(cube, 40)
    done = follow(cube, shot, FollowConfig(enough=1e-12, every=1, steps=2))
    assert done.jacobians > 20
    assert 4 <= len(done.normal) <= 8


def test_what_moves_nothing_is_asked_again_now_and_then():
    """The second control shows only where the first is away from neutral."""

    class Hidden(Linear):
        def evaluate(self, controls):
            shown = np.array(controls)
            shown[:, 1] *= np.abs(shown[:, 0]) > 0.2
            return super().evaluate(shown)

    plain = linear_rig(controls=3)
    rig = BlackBox(Hidden(plain.spec, plain.neutral, plain.shapes))
    values = np.stack([np.linspace(0, 0.9, 30), np.linspace(0, 0.5, 30), np.zeros(30)], axis=1)
    rig.asked = 0
    done = follow(rig, mesh_sequence(rig.evaluate(values), rig.faces, 24), FollowConfig(enough=1e-6))
    assert done.relative_rms[-5:].max() < 3e-5
    assert done.controls[-1, 1] == pytest.approx(0.5, abs=1e-2)


def test_missing_vertices_have_no_say(cube):
    _, shot = moving(cube, 10)
    vertices = np.array(shot.vertices)
    vertices[4:, 0] = np.nan
    done = follow(cube, mesh_sequence(vertices, shot.faces, 24), FollowConfig(enough=1e-6, neutral=0, steady=0))
    assert np.abs(cube.evaluate(done.controls) - shot.vertices).max() < 1e-4


def test_a_budget_is_kept(cube):
    _, shot = moving(cube, 30)
    cube.asked = 0
    done = follow(cube, shot, FollowConfig(enough=1e-12, every=1, evaluations=50))
    assert done.jacobians < 8
    assert cube.asked == pytest.approx(done.evaluations, abs=2)


def test_what_is_decided_is_kept_to(cube):
    values, shot = moving(cube, 12)
    decided = np.tile(cube.spec.neutral, (12, 1))
    decided[:, 2], decided[6, 4] = 0.5 * cube.spec.upper[2], 0.9 * cube.spec.lower[4]
    where = np.zeros(decided.shape, bool)
    where[:, 2] = where[6, 4] = True
    limits = Limits.of(cube.spec).narrowed(where, decided)
    cube.asked = 0
    done = follow(cube, shot, FollowConfig(enough=1e-9, neutral=0, steady=0), limits=limits)
    np.testing.assert_array_equal(done.controls[where], decided[where])
    assert done.evaluations == pytest.approx(cube.asked, abs=2)
    free = [column for column in range(len(cube.spec)) if column not in (2, 4)]
    others = follow(cube, shot, FollowConfig(enough=1e-9, neutral=0, steady=0)).controls
    assert np.abs(others - values).max() < 1e-4
    assert np.ptp(done.controls[:, free], axis=0).min() > 0


def test_a_shot_that_was_interrupted_goes_on_to_the_same_curves(cube, tmp_path, monkeypatch):
    _, shot = moving(cube, 14)
    monkeypatch.setattr(module, "_KEEP_S", 0.0)
    cfg = FollowConfig(enough=1e-7, every=3)
    whole = follow(cube, shot, cfg)

    class Interrupted(BaseException): ...

    def interrupt(after):
        def progress(stage, done, total, note=""):
            if done == after:
                raise Interrupted

        return progress

    for after in (5, 11):
        with pytest.raises(Interrupted):
            follow(cube, shot, cfg, interrupt(after), out=tmp_path / "kept")
    cube.asked = 0
    again = follow(cube, shot, cfg, out=tmp_path / "kept")
    np.testing.assert_array_equal(again.controls, whole.controls)
    np.testing.assert_array_equal(again.normal, whole.normal)
    assert (again.evaluations, again.jacobians) == (whole.evaluations, whole.jacobians)
    assert cube.asked < 0.5 * whole.evaluations
    with pytest.raises(BunrakuError, match="was made with enough"):
        follow(cube, shot, FollowConfig(enough=1e-3, every=3), out=tmp_path / "kept")


def test_a_frame_that_lost_its_way_is_found_from_behind(monkeypatch):
    """A control that shows only once it is past a threshold: from rest no derivative tells of it."""

    class Late(Linear):
        def evaluate(self, controls):
            shown = np.array(controls)
            shown[:, 0] = np.where(np.abs(shown[:, 1]) > 0.3, shown[:, 0], 0.0)
            return super().evaluate(shown)

    plain = linear_rig(controls=3)
    rig = BlackBox(Late(plain.spec, plain.neutral, plain.shapes))
    values = np.tile([0.5, 0.4, 0.0], (10, 1))
    shot = mesh_sequence(rig.evaluate(values), rig.faces, 24)
    done = follow(rig, shot, FollowConfig(enough=1e-6, every=2))
    assert done.relative_rms.max() < 1e-4
    assert np.abs(done.controls - values).max() < 1e-2
    monkeypatch.setattr(module, "_LOST", np.inf)
    assert follow(rig, shot, FollowConfig(enough=1e-6, every=2)).relative_rms[0] > 1e-2


def test_switches_and_pairs_are_refused(cube):
    _, shot = moving(cube, 3)
    told = Instructions(switches={cube.spec.names[0]: (0.0, 1.0)})
    with pytest.raises(BunrakuError, match="--method follow: does not take switches"):
        invert(cube, shot, InvertConfig(method="follow"), instructions=told)
    with pytest.raises(BunrakuError, match="does not take symmetric"):
        invert(cube, shot, InvertConfig(method="follow", symmetric=1.0))


def test_the_same_shot_gives_the_same_curves(cube):
    _, shot = moving(cube, 6)
    np.testing.assert_array_equal(follow(cube, shot).controls, follow(cube, shot).controls)
