"""Animations of .blend files as mesh sequences with their true curves."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bunraku import api
from bunraku.core.errors import BunrakuError
from bunraku.formats.npz import load_npz_sequence
from bunraku.rigs.blender import open_blend_rig
from bunraku.rigs.blender_bake import bake


@pytest.fixture
def acts(blends) -> Path:
    return blends / "acts.blend"


@pytest.fixture(scope="module")
def rig(blends):
    return open_blend_rig(str(blends / "acts.blend"))


def test_the_meshes_are_those_of_the_curves(rig, blender):
    shot, true = bake(rig, "Act", Fraction(30))
    assert (shot.frames, shot.vertex_count, true.names) == (11, 6, rig.spec.names)
    np.testing.assert_allclose(rig.evaluate(true.values), shot.vertices, atol=1e-6)
    # Keys at the second frame and the last; the quaternion turns by the angle itself, however small.
    whole = tuple(map(int, blender.split(".")[:2])) >= (4, 4)  # before, an action moved either bones or shape keys
    for name, last in {"base.ry": 1.0, "tip.lift": 1.0, **({"body.wide": 1.0} if whole else {})}.items():
        column = true.values[:, rig.spec.index(name)]
        assert column[[0, 1, 10]] == pytest.approx([0, 1e-4, last], abs=1e-7), name
    assert (true.values[:, rig.spec.index("tip.rx")] == 0).all()


def test_another_rate_samples_between_the_files_frames(rig):
    shot, true = bake(rig, "Act", Fraction(60))
    coarse, _ = bake(rig, "Act", Fraction(30))
    assert shot.frames == 21
    assert shot.fps == 60
    np.testing.assert_allclose(shot.vertices[::2], coarse.vertices, atol=1e-6)
    assert 0 < true.values[1, rig.spec.index("tip.lift")] < 1e-4


def test_turns_beyond_half_a_turn_are_continuous_and_begin_at_the_first_key(rig):
    shot, true = bake(rig, "Nod", Fraction(30))
    assert shot.frames == 5
    turn = true.values[:, rig.spec.index("tip.rx")]
    assert turn[[0, 4]] == pytest.approx([0, 4.0], abs=1e-5)
    assert (np.diff(turn) > 0).all()
    assert (true.values[:, rig.spec.index("body.wide")] == 0).all()


def test_the_rig_is_at_rest_afterwards(rig):
    bake(rig, "Act", Fraction(30))
    np.testing.assert_array_equal(rig.evaluate(rig.spec.neutral[None])[0], rig.neutral)
    other = rig.spec.neutral.copy()
    other[rig.spec.index("tip.lift")] = 0.5
    assert np.abs(rig.evaluate(other[None])[0] - rig.neutral).max() == pytest.approx(0.5, abs=1e-6)


def test_the_command_writes_a_shot_that_inverts_to_its_true_curves(acts, tmp_path):
    api.bake(str(acts), "Act", tmp_path / "shot.npz", fps=Fraction(30))
    assert load_npz_sequence(tmp_path / "shot.npz").frames == 11
    done = api.invert_file(tmp_path / "shot.npz", str(acts), tmp_path / "take")
    assert done["relative_error"] < 1e-4
    assert "control_error" in done


def test_an_animation_that_is_not_there_is_named_with_those_that_are(acts, tmp_path):
    with pytest.raises(BunrakuError, match=r"no animation 'Acts'.*Act, Nod"):
        api.bake(str(acts), "Acts", tmp_path / "shot.npz")
